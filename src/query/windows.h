#pragma once

#include <string>
#include <vector>

#include "query/model.h"

namespace flux::query {

/// The windows of one result series, gathered before they become columns. Strings lie in `heap`.
struct WindowSeries {
  ValueType type = ValueType::float64;
  std::vector<store::WindowRow> rows;  ///< ascending by start, one per window
  std::string heap;

  /// Adds rows of one stored series behind the ones here.
  void append(const store::WindowedPoints& points);
};

/// Joins series that were grouped together: counts and sums add up, first and last by time. Series of different
/// numeric types become doubles. `invalid_argument` when text and numbers meet.
Result<WindowSeries> merge(std::vector<WindowSeries> parts, std::string_view metric);

/// Whether the query asks for an aggregate that values of this type do not have.
bool lacks_aggregate(ValueType type, const Query& query);

/// The start of the window that holds `time`.
std::int64_t window_start(const store::Window& window, std::int64_t time);

/// Times and columns as the query wants them: one column per aggregate, gaps filled, in the query's order.
/// `exhausted` when filling would give more than `max_rows`; `invalid_argument` for a sum, mean, min or max of text.
Result<Chunk> to_columns(const WindowSeries& series, const Query& query, std::string_view metric, std::size_t max_rows);

}  // namespace flux::query
