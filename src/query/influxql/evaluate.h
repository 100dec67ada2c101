#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "query/datum.h"
#include "query/influxql/ast.h"

namespace flux::query::influxql {

bool is_math_function(std::string_view name);
/// The value of a math function; null where an argument is no number. Nothing for what is none, or with that many.
std::optional<Datum> math(std::string_view name, const Datum* args, std::size_t count);

/// `a op b` (never a regular expression). Division of whole numbers gives a fraction where `true_division`, as in
/// SELECT.
Datum apply(Token op, Datum a, Datum b, bool true_division);

/// What a variable stands for in the row at hand.
using Lookup = std::function<Datum(const Expr& variable)>;
Datum evaluate(const Expr& expr, const Lookup& lookup, bool true_division);

/// What folding may use.
struct Known {
  std::optional<std::int64_t> now;  ///< ns; none: `now()` stays a call
  TimeZonePtr zone;                 ///< of times without one; null: UTC
  bool math = false;                ///< fold math functions of literals
};
/// Works out what has no variable in it, and drops brackets around the whole.
ExprPtr fold(const ExprPtr& expr, const Known& known);

/// Whether it looks like a date; then `to_time` says which.
bool is_time_text(std::string_view text);
std::optional<std::int64_t> to_time(std::string_view text, const TimeZonePtr& zone);

/// ns, inclusive; nothing: no bound.
struct TimeBounds {
  std::optional<std::int64_t> min;
  std::optional<std::int64_t> max;
  [[nodiscard]] TimeBounds within(const TimeBounds& other) const;
};
inline constexpr std::int64_t kMinTime = INT64_MIN + 2;
inline constexpr std::int64_t kMaxTime = INT64_MAX - 1;

struct Condition {
  ExprPtr expr;  ///< without times; null: always
  TimeBounds time;
};
/// Takes a WHERE clause apart. Fails in InfluxDB's words.
Result<Condition> split_condition(const ExprPtr& where, const Known& known);
bool mentions_time(const ExprPtr& expr);

}  // namespace flux::query::influxql
