#include <algorithm>
#include <array>

#include "query/influxql/plan.h"

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

std::string arguments(std::string_view name, std::size_t expected, std::size_t got) {
  return "invalid number of arguments for " + std::string(name) + ", expected " + std::to_string(expected) + ", got " +
         std::to_string(got);
}
std::string arguments(std::string_view name, std::size_t least, std::size_t most, std::size_t got) {
  return "invalid number of arguments for " + std::string(name) + ", expected at least " + std::to_string(least) +
         " but no more than " + std::to_string(most) + ", got " + std::to_string(got);
}

/// What Go calls the type of an argument.
std::string go_type(const Expr& expr) {
  switch (expr.kind) {
    case Kind::variable: return "*influxql.VarRef";
    case Kind::call: return "*influxql.Call";
    case Kind::distinct: return "*influxql.Distinct";
    case Kind::binary: return "*influxql.BinaryExpr";
    case Kind::paren: return "*influxql.ParenExpr";
    case Kind::wildcard: return "*influxql.Wildcard";
    case Kind::regex: return "*influxql.RegexLiteral";
    case Kind::number: return "*influxql.NumberLiteral";
    case Kind::integer: return "*influxql.IntegerLiteral";
    case Kind::unsigned_integer: return "*influxql.UnsignedLiteral";
    case Kind::boolean: return "*influxql.BooleanLiteral";
    case Kind::string: return "*influxql.StringLiteral";
    case Kind::time: return "*influxql.TimeLiteral";
    case Kind::duration: return "*influxql.DurationLiteral";
  }
  return {};
}

/// One SELECT's fields, checked one by one and then together.
class Checker {
 public:
  Checker(Plan& plan, std::int64_t limit) : plan_(plan), limit_(limit) {}

  Result<> field(const ExprPtr& expr) {
    wildcards_ = true;
    return check(expr);
  }

  Result<> together() const {
    if (count_ == 0) return trouble("at least 1 non-time field must be queried");
    if (calls_ > 1 && !top_.empty())
      return trouble("selector function " + top_ + "() cannot be combined with other functions");
    if (calls_ == 0) {
      if (plan_.fill == FillOption::none) return trouble("fill(none) must be used with a function");
      if (plan_.fill == FillOption::linear) return trouble("fill(linear) must be used with a function");
      if (!plan_.interval.none() && plan_.own_interval)
        return trouble("GROUP BY requires at least one aggregate function");
    }
    if (distinct_ && (calls_ != 1 || plain_))
      return trouble("aggregate function distinct() cannot be combined with other functions or fields");
    if (plain_) {
      if (!only_selectors_) return trouble("mixing aggregate and non-aggregate queries is not supported");
      if (calls_ > 1) return trouble("mixing multiple selector functions with tags or fields is not supported");
    }
    return {};
  }

  void counted() { ++count_; }

 private:
  Result<> check(const ExprPtr& expr) {
    switch (expr->kind) {
      case Kind::variable: plain_ = true; return {};
      case Kind::wildcard:
        plain_ = true;
        if (!wildcards_) return trouble("unable to use wildcard in a binary expression");
        return {};
      case Kind::regex:
        if (!wildcards_) return trouble("unable to use regex in a binary expression");
        plain_ = true;
        return {};
      case Kind::call: return is_math_function(expr->text) ? math_call(*expr) : call_of(*expr);
      case Kind::distinct:
        ++calls_;
        distinct_ = true;
        only_selectors_ = false;
        return {};
      case Kind::binary: {
        wildcards_ = false;
        const bool left = expr->args[0]->is_literal();
        const bool right = expr->args[1]->is_literal();
        if (left && right) return trouble("cannot perform a binary expression on two literals");
        if (!left) DO(check(expr->args[0]));
        if (!right) DO(check(expr->args[1]));
        return {};
      }
      case Kind::paren: return check(expr->args[0]);
      default: return trouble("field must contain at least one variable");
    }
  }

  Result<> math_call(const Expr& expr) {
    const std::size_t wanted = expr.text == "atan2" || expr.text == "pow" || expr.text == "log" ? 2 : 1;
    if (expr.args.size() != wanted) return trouble(arguments(expr.text, wanted, expr.args.size()));
    for (const ExprPtr& arg : expr.args)
      if (!arg->is_literal()) DO(check(arg));
    return {};
  }

  Result<> symbol(std::string_view name, const ExprPtr& arg) {
    if (arg->is(Kind::variable)) return {};
    if (arg->is(Kind::wildcard) || arg->is(Kind::regex)) {
      if (!wildcards_)
        return trouble(std::string("unsupported expression with ") +
                       (arg->is(Kind::regex) ? "regex field: " : "wildcard: ") + std::string(name) + "()");
      only_selectors_ = false;
      return {};
    }
    return trouble("expected field argument in " + std::string(name) + "()");
  }

  Result<> call_of(const Expr& expr) {
    ++calls_;
    const std::string& name = expr.text;
    const auto& args = expr.args;
    if (name == "percentile") {
      if (args.size() != 2) return trouble(arguments(name, 2, args.size()));
      if (!args[1]->is(Kind::integer) && !args[1]->is(Kind::number))
        return trouble("expected float argument in percentile()");
      return symbol(name, args[0]);
    }
    if (name == "sample") {
      if (args.size() != 2) return trouble(arguments(name, 2, args.size()));
      if (!args[1]->is(Kind::integer)) return trouble("expected integer argument in sample()");
      if (args[1]->integer <= 0)
        return trouble("sample window must be greater than 1, got " + std::to_string(args[1]->integer));
      return symbol(name, args[0]);
    }
    if (name == "distinct") return distinct_of(args, false);
    if (name == "top" || name == "bottom") return top_of(expr);
    if (name == "derivative" || name == "non_negative_derivative" || name == "elapsed") return with_unit(expr);
    if (name == "difference" || name == "non_negative_difference" || name == "cumulative_sum") {
      if (args.size() != 1)
        return trouble("invalid number of arguments for " + name + ", expected 1, got " + std::to_string(args.size()));
      return of_windows(name, args[0]);
    }
    if (name == "moving_average") {
      if (args.size() != 2) return trouble(arguments(name, 2, args.size()));
      if (!args[1]->is(Kind::integer))
        return trouble("second argument for moving_average must be an integer, got " + go_type(*args[1]));
      if (args[1]->integer <= 1)
        return trouble("moving_average window must be greater than 1, got " + std::to_string(args[1]->integer));
      return of_windows(name, args[0]);
    }
    if (name == "integral") {
      if (args.empty() || args.size() > 2) return trouble(arguments(name, 1, 2, args.size()));
      if (args.size() == 2) {
        if (!args[1]->is(Kind::duration)) return trouble("second argument must be a duration");
        if (args[1]->integer <= 0)
          return trouble("duration argument must be positive, got " + format_duration(args[1]->integer));
      }
      only_selectors_ = false;
      return symbol(name, args[0]);
    }
    if (name == "holt_winters" || name == "holt_winters_with_fit") return holt_winters(expr);
    return plain_function(expr);
  }

  Result<> plain_function(const Expr& expr) {
    constexpr auto kSelectors = std::to_array<std::string_view>({"max", "min", "first", "last"});
    constexpr auto kAggregates =
        std::to_array<std::string_view>({"count", "sum", "mean", "median", "mode", "stddev", "spread"});
    const std::string& name = expr.text;
    if (std::ranges::find(kAggregates, name) != kAggregates.end()) only_selectors_ = false;
    else if (std::ranges::find(kSelectors, name) == kSelectors.end())
      return trouble("undefined function " + name + "()");
    if (expr.args.size() != 1) return trouble(arguments(name, 1, expr.args.size()));
    if (name == "count") {
      if (expr.args[0]->is_call("distinct")) return distinct_of(expr.args[0]->args, true);
      if (expr.args[0]->is(Kind::distinct)) {
        only_selectors_ = false;
        return {};
      }
    }
    return symbol(name, expr.args[0]);
  }

  Result<> distinct_of(const std::vector<ExprPtr>& args, bool nested) {
    if (args.empty()) return trouble("distinct function requires at least one argument");
    if (args.size() != 1) return trouble("distinct function can only have one argument");
    if (!args[0]->is(Kind::variable)) return trouble("expected field argument in distinct()");
    if (!nested) distinct_ = true;
    only_selectors_ = false;
    return {};
  }

  Result<> with_unit(const Expr& expr) {
    const auto& args = expr.args;
    if (args.empty() || args.size() > 2) return trouble(arguments(expr.text, 1, 2, args.size()));
    if (args.size() == 2) {
      if (!args[1]->is(Kind::duration))
        return trouble("second argument to " + expr.text + " must be a duration, got " + go_type(*args[1]));
      if (args[1]->integer <= 0)
        return trouble("duration argument must be positive, got " + format_duration(args[1]->integer));
    }
    return of_windows(expr.text, args[0]);
  }

  /// A function of what another one gives for each window, or of the readings themselves.
  Result<> of_windows(std::string_view name, const ExprPtr& arg) {
    only_selectors_ = false;
    if (arg->is(Kind::call)) {
      if (plan_.interval.none()) return trouble(std::string(name) + " aggregate requires a GROUP BY interval");
      return nested(arg);
    }
    if (!plan_.interval.none() && plan_.own_interval)
      return trouble("aggregate function required inside the call to " + std::string(name));
    return symbol(name, arg);
  }

  Result<> nested(const ExprPtr& expr) {
    if (expr->is_call("distinct")) return distinct_of(expr->args, true);
    return check(expr);
  }

  Result<> holt_winters(const Expr& expr) {
    const std::string& name = expr.text;
    const auto& args = expr.args;
    if (args.size() != 3) return trouble(arguments(name, 3, args.size()));
    if (!args[1]->is(Kind::integer)) return trouble("expected integer argument as second arg in " + name);
    if (args[1]->integer <= 0)
      return trouble("second arg to " + name + " must be greater than 0, got " + std::to_string(args[1]->integer));
    if (!args[2]->is(Kind::integer)) return trouble("expected integer argument as third arg in " + name);
    if (args[2]->integer < 0)
      return trouble("third arg to " + name + " cannot be negative, got " + std::to_string(args[2]->integer));
    only_selectors_ = false;
    if (!args[0]->is(Kind::call)) return trouble("must use aggregate function with " + name);
    if (plan_.interval.none()) return trouble(name + " aggregate requires a GROUP BY interval");
    return nested(args[0]);
  }

  Result<> top_of(const Expr& expr) {
    const std::string& name = expr.text;
    const auto& args = expr.args;
    if (!top_.empty()) return trouble("selector function " + top_ + "() cannot be combined with other functions");
    if (args.size() < 2)
      return trouble("invalid number of arguments for " + name + ", expected at least 2, got " +
                     std::to_string(args.size()));
    const Expr& last = *args.back();
    if (!last.is(Kind::integer))
      return trouble("expected integer as last argument in " + name + "(), found " + to_string(last));
    if (last.integer <= 0)
      return trouble("limit (" + std::to_string(last.integer) + ") in " + name + " function must be at least 1");
    if (limit_ > 0 && last.integer > limit_)
      return trouble("limit (" + std::to_string(last.integer) + ") in " + name +
                     " function can not be larger than the LIMIT (" + std::to_string(limit_) +
                     ") in the select statement");
    if (!args[0]->is(Kind::variable))
      return trouble("expected first argument to be a field in " + name + "(), found " + to_string(*args[0]));
    for (std::size_t i = 1; i + 1 < args.size(); ++i) {
      if (!args[i]->is(Kind::variable))
        return trouble("only fields or tags are allowed in " + name + "(), found " + to_string(*args[i]));
      if (!plan_.has_target) plain_ = true;
    }
    top_ = name;
    return {};
  }

  Plan& plan_;
  std::int64_t limit_;
  std::size_t count_ = 0;
  std::size_t calls_ = 0;
  std::string top_;
  bool plain_ = false;
  bool distinct_ = false;
  bool only_selectors_ = true;
  bool wildcards_ = true;
};

Result<> check_condition(const ExprPtr& expr) {
  if (!expr) return {};
  if (expr->is(Kind::binary)) {
    DO(check_condition(expr->args[0]));
    return check_condition(expr->args[1]);
  }
  if (!expr->is(Kind::call)) return {};
  if (!is_math_function(expr->text)) return trouble("invalid function call in condition: " + to_string(*expr));
  const std::size_t wanted = expr->text == "atan2" || expr->text == "pow" ? 2 : 1;
  if (expr->args.size() != wanted) return trouble(arguments(expr->text, wanted, expr->args.size()));
  for (const ExprPtr& arg : expr->args) DO(check_condition(arg));
  return {};
}

std::int64_t truncated_rest(std::int64_t time, std::int64_t width) {
  // Go cuts times from the year 1, which is a whole number of any width up to a day, but not of weeks, before 1970.
  constexpr __int128 kYearOne = static_cast<__int128>(62'135'596'800) * 1'000'000'000;
  return static_cast<std::int64_t>((static_cast<__int128>(time) + kYearOne) % width);
}

Result<> dimensions(const SelectStatement& select, Plan& plan, std::int64_t now) {
  for (const ExprPtr& dimension : select.dimensions) {
    const ExprPtr expr = fold(dimension, {});
    switch (expr->kind) {
      case Kind::variable: {
        std::string name = expr->text;
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (name == "time") return trouble("time() is a function and expects at least one argument");
        plan.dimensions.push_back(expr);
        break;
      }
      case Kind::wildcard:
      case Kind::regex: plan.dimensions.push_back(expr); break;
      case Kind::call: {
        const auto& args = expr->args;
        if (expr->text != "time") return trouble("only time() calls allowed in dimensions");
        if (args.empty() || args.size() > 2) return trouble("time dimension expected 1 or 2 arguments");
        if (!args[0]->is(Kind::duration)) return trouble("time dimension must have duration argument");
        if (plan.interval.width != 0) return trouble("multiple time dimensions not allowed");
        // InfluxDB takes windows that are not wider than nothing for none.
        plan.interval.width = std::max<std::int64_t>(args[0]->integer, 0);
        plan.own_interval = plan.interval.width != 0;
        if (args.size() == 1) break;
        const Expr& offset = *args[1];
        const std::int64_t width = plan.interval.width == 0 ? 1 : plan.interval.width;
        if (offset.is(Kind::duration)) {
          plan.interval.offset = offset.integer % width;
        } else if (offset.is(Kind::time)) {
          plan.interval.offset = truncated_rest(offset.integer, width);
        } else if (offset.is(Kind::call)) {
          if (offset.text != "now") return trouble("time dimension offset function must be now()");
          if (!offset.args.empty()) return trouble("time dimension offset now() function requires no arguments");
          plan.interval.offset = truncated_rest(now, width);
        } else if (offset.is(Kind::string) && is_time_text(offset.text)) {
          const auto time = to_time(offset.text, select.zone);
          if (!time) return trouble("invalid timestamp string");
          plan.interval.offset = truncated_rest(*time, width);
        } else {
          return trouble("time dimension offset must be duration or now()");
        }
        break;
      }
      default: return trouble("only time and tag dimensions allowed");
    }
  }
  return {};
}

Result<PlanPtr> compile_inner(const SelectStatement& select, std::int64_t now, const Plan* parent) {
  auto plan = std::make_shared<Plan>();
  plan->has_target = select.target.has_value();
  plan->inner = parent != nullptr;
  plan->ascending = select.ascending;
  plan->limit = select.limit;
  plan->offset = select.offset;
  plan->series_limit = select.series_limit;
  plan->series_offset = select.series_offset;
  plan->zone = select.zone;
  plan->raw = select.raw;
  TRY(Condition condition, split_condition(select.condition, {.now = now, .zone = select.zone}));
  DO(check_condition(condition.expr));
  plan->condition = std::move(condition.expr);
  plan->own_time = plan->time = condition.time;
  DO(dimensions(select, *plan, now));
  plan->fill = select.fill;
  plan->fill_value = select.fill_value;
  if (plan->fill == FillOption::null && plan->has_target) plan->fill = FillOption::none;
  if (!plan->time.min) plan->time.min = kMinTime;
  if (!plan->time.max) plan->time.max = plan->interval.none() ? kMaxTime : now;
  if (parent != nullptr) {
    if (select.ordered && plan->ascending != parent->ascending)
      return trouble("subqueries must be ordered in the same direction as the query itself");
    plan->ascending = parent->ascending;
    plan->time = plan->time.within(parent->time);
    if (!plan->interval.none() && plan->fill == FillOption::null) plan->fill = FillOption::none;
    if (!parent->interval.none() && plan->interval.none()) plan->interval = parent->interval;
  }
  Checker checker(*plan, select.limit);
  for (const Field& field : select.fields) {
    if (field.expr->is(Kind::variable) && field.expr->text == "time") {
      if (!field.alias.empty()) plan->time_name = field.alias;
      continue;
    }
    const ExprPtr expr = fold(field.expr, {.now = {}, .zone = nullptr, .math = true});
    checker.counted();
    DO(checker.field(expr));
    plan->fields.push_back({expr, field.alias});
  }
  DO(checker.together());
  for (const Source& source : select.sources) {
    PlanSource from{source, nullptr};
    if (source.subquery) {
      TRY(from.plan, compile_inner(*source.subquery, now, plan.get()));
    }
    plan->sources.push_back(std::move(from));
  }
  // DISTINCT v is distinct(v).
  const std::function<ExprPtr(const ExprPtr&)> as_call = [&](const ExprPtr& expr) -> ExprPtr {
    if (expr->is(Kind::distinct)) {
      plan->raw = false;
      return call("distinct", {variable(expr->text)});
    }
    if (!expr->is(Kind::call)) return expr;
    std::vector<ExprPtr> args;
    for (const ExprPtr& arg : expr->args) args.push_back(arg->is(Kind::distinct) ? as_call(arg) : arg);
    return call(expr->text, std::move(args));
  };
  for (Field& field : plan->fields) field.expr = as_call(field.expr);
  return plan;
}

}  // namespace

Result<PlanPtr> compile(const SelectStatement& select, std::int64_t now) { return compile_inner(select, now, nullptr); }

bool is_selector(const Expr& call) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"first", "last", "min", "max", "percentile", "sample", "top", "bottom"});
  return call.is(Kind::call) && std::ranges::find(kNames, call.text) != kNames.end();
}

std::vector<std::string> Plan::tags() const {
  std::vector<std::string> names;
  for (const ExprPtr& dimension : dimensions)
    if (dimension->is(Kind::variable) && std::ranges::find(names, dimension->text) == names.end())
      names.push_back(dimension->text);
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> Plan::columns() const {
  std::vector<Field> all;
  for (const Field& field : fields) {
    all.push_back(field);
    const bool top = field.expr->is_call("top") || field.expr->is_call("bottom");
    if (!top || has_target) continue;
    for (std::size_t i = 1; i < field.expr->args.size(); ++i)
      if (field.expr->args[i]->is(Kind::variable)) all.push_back({field.expr->args[i], {}});
  }
  std::vector<std::string> names(all.size());
  std::map<std::string, int> taken;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].alias.empty()) continue;
    names[i] = all[i].alias;
    taken[names[i]] = 1;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!names[i].empty()) continue;
    std::string name = all[i].name();
    if (const auto conflict = taken.find(name); conflict != taken.end()) {
      int count = conflict->second;
      while (taken.contains(name + "_" + std::to_string(count))) ++count;
      conflict->second = count + 1;
      name += "_" + std::to_string(count);
    }
    ++taken[name];
    names[i] = name;
  }
  if (!inner) names.insert(names.begin(), time_name);
  return names;
}

}  // namespace flux::query::influxql
