#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "query/influxql/ast.h"
#include "query/influxql/evaluate.h"

namespace flux::query::influxql {

struct Plan;

struct PlanSource {
  Source from;                 ///< database and policy filled in
  std::shared_ptr<Plan> plan;  ///< of a sub-query
};

/// Windows of time: `width` 0 is one window over everything.
struct Interval {
  std::int64_t width = 0;
  std::int64_t offset = 0;
  [[nodiscard]] bool none() const { return width == 0; }
};

/// A SELECT that has been checked; after `resolve` without wildcards and with a type on every variable.
struct Plan {
  std::vector<Field> fields;
  std::vector<PlanSource> sources;
  ExprPtr condition;    ///< without times
  TimeBounds own_time;  ///< what its own condition says
  TimeBounds time;      ///< both there once compiled, within those of the query around it
  Interval interval;
  bool own_interval = false;        ///< not the one of the query around it
  std::vector<ExprPtr> dimensions;  ///< tags; wildcards and patterns until `resolve`
  FillOption fill = FillOption::null;
  ExprPtr fill_value;
  bool ascending = true;
  std::int64_t limit = 0;
  std::int64_t offset = 0;
  std::int64_t series_limit = 0;
  std::int64_t series_offset = 0;
  TimeZonePtr zone;
  bool raw = true;
  bool has_target = false;
  bool inner = false;  ///< a sub-query: no column of times
  std::string time_name = "time";

  /// What the columns are called, the time's first (but of a sub-query).
  [[nodiscard]] std::vector<std::string> columns() const;
  [[nodiscard]] std::vector<std::string> tags() const;
};
using PlanPtr = std::shared_ptr<Plan>;

/// Checks a SELECT as InfluxDB 1.6 does before it looks at data, and fails in its words.
Result<PlanPtr> compile(const SelectStatement& select, std::int64_t now);

/// What one source has.
struct Schema {
  std::map<std::string, DataType, std::less<>> fields;
  std::set<std::string, std::less<>> tags;
};
using SchemaOf = std::function<Result<const Schema*>(const Source&)>;

/// Expands wildcards and finds types. Fails in InfluxDB's words where they do not go together.
Result<> resolve(Plan& plan, const SchemaOf& schema_of);

/// The names of variables in what a plan reads from stored series (fields or tags); nothing: all of them.
std::optional<std::set<std::string>> names_read(const Plan& plan);

/// Notes, where a plan reads stored series, the tags that its condition demands. `is_field` says what is none of them.
void note_tags(Plan& plan, const std::function<bool(const Source&, const std::string& name)>& is_field);

/// The type that an expression has, its variables being typed.
Result<DataType> type_of(const Expr& expr);
bool is_selector(const Expr& call);

}  // namespace flux::query::influxql
