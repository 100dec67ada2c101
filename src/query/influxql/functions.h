#pragma once

#include <string_view>

#include "core/result.h"
#include "query/influxql/points.h"
#include "query/influxql/windows.h"

namespace flux::query::influxql {

/// How a query wants its functions worked out.
struct Manner {
  Windows windows;
  bool ascending = true;
  FillOption fill = FillOption::null;
  ExprPtr fill_value;
  /// A lone selector: what it picks keeps its own time and what stands beside it.
  bool selector = false;
  std::size_t max_points = 0;
};

/// One value (or a few) for each window: count, sum, mean, min, max, first, last, median, mode, stddev, spread,
/// percentile, distinct, sample, top, bottom. `points` in the query's direction; times of the result are the picked
/// points' or, of those that pick none, the window's start.
/// `invalid_argument` in InfluxDB's words for a type that the function does not take.
Result<Points> reduce(const Expr& call, const Points& points, const Manner& manner, const Strings& strings);
/// Times become the starts of their windows.
void to_windows(Points& points, const Windows& windows);
/// Rows for windows without one.
Result<Points> fill_windows(Points points, const Expr& call, const Manner& manner);
/// derivative, difference, elapsed, moving_average, cumulative_sum and their relatives.
Result<Points> stream(const Expr& call, const Points& points, const Manner& manner);
Result<Points> integral(const Expr& call, const Points& points, const Manner& manner);
Result<Points> holt_winters(const Expr& call, const Points& points, const Manner& manner);

/// What a call gives for values of this type, and whether it takes them.
Result<> takes_type(std::string_view function, DataType type);

}  // namespace flux::query::influxql
