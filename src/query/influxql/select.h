#pragma once

#include <functional>
#include <string>
#include <vector>

#include "query/influxql/plan.h"
#include "query/influxql/points.h"
#include "query/influxql/stored.h"

namespace flux::query::influxql {

/// The rows of one series of an answer.
struct Table {
  std::string name;
  std::vector<Tag> tags;  ///< of the dimensions, by key; empty values where a series has none
  std::vector<std::int64_t> times;
  std::vector<Column> columns;  ///< of the fields

  [[nodiscard]] std::string_view tag(std::string_view key) const;
};
/// Takes tables in the answer's order; false: no more.
using TableSink = std::function<bool(Table&&)>;

/// What all parts of one SELECT share while it runs.
struct Run {
  Stored& stored;
  Strings& strings;
  std::int64_t now = 0;
  std::optional<std::set<std::string>> names;  ///< see names_read
  /// The measurements that a source means.
  std::function<std::vector<std::string>(const Source&)> measurements;
};

/// Runs a plan that was resolved. Errors: `exhausted` (a limit), `cancelled`, `corrupt`, `invalid_argument` (a type
/// that a function does not take).
Result<> run_select(Run& run, const Plan& plan, const TableSink& sink);

}  // namespace flux::query::influxql
