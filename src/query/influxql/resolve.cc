#include <algorithm>
#include <array>

#include "query/influxql/plan.h"

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

/// The same expression with each variable made anew. Math and other structure stays.
ExprPtr with_variables(const ExprPtr& expr, const std::function<ExprPtr(const ExprPtr&)>& change) {
  if (!expr) return nullptr;
  if (expr->is(Kind::variable)) return change(expr);
  if (expr->args.empty()) return expr;
  auto copy = std::make_shared<Expr>(*expr);
  for (ExprPtr& arg : copy->args) arg = with_variables(arg, change);
  return copy;
}

/// The field of a sub-query that `name` is, or an argument of its top() or bottom().
ExprPtr field_called(const Plan& plan, std::string_view name) {
  for (const Field& field : plan.fields) {
    if (field.name() == name) return field.expr;
    if (!field.expr->is_call("top") && !field.expr->is_call("bottom")) continue;
    for (std::size_t i = 1; i + 1 < field.expr->args.size(); ++i)
      if (field.expr->args[i]->is(Kind::variable) && field.expr->args[i]->text == name) return field.expr->args[i];
  }
  return nullptr;
}

Result<DataType> type_in(const std::vector<PlanSource>& sources, const std::string& name, const SchemaOf& schema_of) {
  DataType type = DataType::unknown;
  const auto better = [&](DataType other) {
    if (less(type, other)) type = other;
  };
  for (const PlanSource& source : sources) {
    if (!source.plan) {
      TRY(const Schema* schema, schema_of(source.from));
      if (const auto field = schema->fields.find(name); field != schema->fields.end()) better(field->second);
      else if (schema->tags.contains(name)) better(DataType::tag);
      continue;
    }
    if (const ExprPtr expr = field_called(*source.plan, name)) {
      TRY(const DataType found, type_of(*expr));
      better(found);
    }
    if (type == DataType::unknown)
      for (const ExprPtr& dimension : source.plan->dimensions)
        if (dimension->is(Kind::variable) && dimension->text == name) type = DataType::tag;
  }
  return type;
}

struct Named {
  std::string name;
  DataType type;
};

bool takes(std::string_view function, DataType type) {
  const bool winters = function.starts_with("holt_winters");
  switch (type) {
    case DataType::float64:
    case DataType::int64: return true;
    case DataType::uint64: return !winters;
    case DataType::boolean:
      if (function == "min" || function == "max") return true;
      [[fallthrough]];
    case DataType::string: {
      constexpr auto kNames =
          std::to_array<std::string_view>({"count", "first", "last", "distinct", "elapsed", "mode", "sample"});
      return std::ranges::find(kNames, function) != kNames.end();
    }
    default: return false;
  }
}

/// The innermost call whose first argument is none.
const Expr& innermost(const Expr& outer) {
  const Expr* inner = &outer;
  while (!inner->args.empty() && inner->args[0]->is(Kind::call)) inner = inner->args[0].get();
  return *inner;
}

ExprPtr with_innermost(const ExprPtr& outer, const ExprPtr& arg) {
  auto copy = std::make_shared<Expr>(*outer);
  copy->args[0] = outer->args[0]->is(Kind::call) ? with_innermost(outer->args[0], arg) : arg;
  return copy;
}

Result<> expand_field(const Field& field, const std::vector<Named>& all, std::vector<Field>& into) {
  const Expr& expr = *field.expr;
  if (expr.is(Kind::wildcard) || expr.is(Kind::regex)) {
    for (const Named& one : all) {
      if (expr.is(Kind::regex) ? !expr.pattern->matches(one.name)
                               : (expr.type == DataType::any_field && one.type == DataType::tag) ||
                                     (expr.type == DataType::tag && one.type != DataType::tag))
        continue;
      into.push_back({variable(one.name, one.type), {}});
    }
    return {};
  }
  if (expr.is(Kind::call)) {
    const Expr& inner = innermost(expr);
    const bool open = !inner.args.empty() && (inner.args[0]->is(Kind::wildcard) || inner.args[0]->is(Kind::regex));
    if (!open) {
      into.push_back(field);
      return {};
    }
    const Expr& arg = *inner.args[0];
    if (arg.is(Kind::wildcard) && arg.type == DataType::tag)
      return trouble("unable to use tag wildcard in " + inner.text + "()");
    for (const Named& one : all) {
      if (one.type == DataType::tag || !takes(inner.text, one.type)) continue;
      if (arg.is(Kind::regex) && !arg.pattern->matches(one.name)) continue;
      into.push_back({with_innermost(field.expr, variable(one.name, one.type)), field.name() + "_" + one.name});
    }
    return {};
  }
  if (expr.is(Kind::binary)) {
    bool wildcard = false;
    bool regex = false;
    walk(field.expr, [&](const ExprPtr& part) {
      wildcard = wildcard || part->is(Kind::wildcard);
      regex = regex || part->is(Kind::regex);
      return true;
    });
    if (wildcard) return trouble("unsupported expression with wildcard: " + to_string(expr));
    if (regex) return trouble("unsupported expression with regex field: " + to_string(expr));
  }
  into.push_back(field);
  return {};
}

bool open_field(const Plan& plan) {
  bool open = false;
  for (const Field& field : plan.fields)
    walk(field.expr, [&](const ExprPtr& part) {
      open = open || part->is(Kind::wildcard) || part->is(Kind::regex);
      return !open;
    });
  return open;
}

bool open_dimension(const Plan& plan) {
  return std::ranges::any_of(plan.dimensions, [](const ExprPtr& d) { return !d->is(Kind::variable); });
}

}  // namespace

Result<> resolve(Plan& plan, const SchemaOf& schema_of) {
  for (PlanSource& source : plan.sources)
    if (source.plan) DO(resolve(*source.plan, schema_of));
  Result<> status;
  const auto typed = [&](const ExprPtr& name) -> ExprPtr {
    if (name->type != DataType::unknown && name->type != DataType::any_field) return name;
    auto type = type_in(plan.sources, name->text, schema_of);
    if (!type) {
      if (status) status = std::unexpected(std::move(type).error());
      return name;
    }
    if (*type == DataType::tag && name->type == DataType::any_field) return name;
    return variable(name->text, *type);
  };
  for (Field& field : plan.fields) field.expr = with_variables(field.expr, typed);
  plan.condition = with_variables(plan.condition, typed);
  DO(std::move(status));

  const bool fields_open = open_field(plan);
  const bool dimensions_open = open_dimension(plan);
  if (fields_open || dimensions_open) {
    std::map<std::string, DataType> fields;
    std::set<std::string> tags;
    for (const PlanSource& source : plan.sources) {
      const auto better = [&](const std::string& name, DataType type) {
        DataType& known = fields.try_emplace(name, DataType::unknown).first->second;
        if (less(known, type)) known = type;
      };
      if (!source.plan) {
        TRY(const Schema* schema, schema_of(source.from));
        for (const auto& [name, type] : schema->fields) better(name, type);
        tags.insert(schema->tags.begin(), schema->tags.end());
        continue;
      }
      for (const Field& field : source.plan->fields) {
        const auto type = type_of(*field.expr);
        better(field.name(), type.value_or(DataType::unknown));
      }
      for (const ExprPtr& dimension : source.plan->dimensions)
        if (dimension->is(Kind::variable)) tags.insert(dimension->text);
    }
    if (!dimensions_open)
      for (const ExprPtr& dimension : plan.dimensions) tags.erase(dimension->text);
    if (fields_open) {
      std::vector<Named> all;
      for (const auto& [name, type] : fields) all.push_back({name, type});
      if (!all.empty() && !dimensions_open)
        for (const std::string& tag : tags) all.push_back({tag, DataType::tag});
      std::ranges::sort(
          all, [](const Named& a, const Named& b) { return a.name != b.name ? a.name < b.name : a.type < b.type; });
      std::vector<Field> expanded;
      for (const Field& field : plan.fields) DO(expand_field(field, all, expanded));
      plan.fields = std::move(expanded);
    }
    if (dimensions_open) {
      std::vector<ExprPtr> expanded;
      for (const ExprPtr& dimension : plan.dimensions) {
        if (dimension->is(Kind::variable)) {
          expanded.push_back(dimension);
          continue;
        }
        for (const std::string& tag : tags)
          if (dimension->is(Kind::wildcard) || dimension->pattern->matches(tag)) expanded.push_back(variable(tag));
      }
      plan.dimensions = std::move(expanded);
    }
  }
  for (const Field& field : plan.fields) DO(type_of(*field.expr));
  return {};
}

void note_tags(Plan& plan, const std::function<bool(const Source&, const std::string& name)>& is_field) {
  for (PlanSource& source : plan.sources) {
    if (source.plan) {
      note_tags(*source.plan, is_field);
      continue;
    }
    const std::function<void(const ExprPtr&)> demand = [&](const ExprPtr& expr) {
      if (!expr) return;
      if (expr->is(Kind::paren)) return demand(expr->args[0]);
      if (!expr->is(Kind::binary)) return;
      if (expr->op == Token::and_) {
        demand(expr->args[0]);
        demand(expr->args[1]);
        return;
      }
      const ExprPtr& name = expr->args[0];
      const ExprPtr& value = expr->args[1];
      if (expr->op != Token::eq || !name->is(Kind::variable) || !value->is(Kind::string) || value->text.empty()) return;
      if (name->text == "_name" || (name->type != DataType::unknown && name->type != DataType::tag)) return;
      if (!is_field(source.from, name->text)) source.from.only.emplace_back(name->text, value->text);
    };
    demand(plan.condition);
  }
}

std::optional<std::set<std::string>> names_read(const Plan& plan) {
  std::set<std::string> names;
  bool all = false;
  bool stored = false;
  for (const PlanSource& source : plan.sources) {
    if (!source.plan) {
      stored = true;
      continue;
    }
    auto inner = names_read(*source.plan);
    if (!inner) return std::nullopt;
    names.merge(*inner);
  }
  if (!stored) return names;
  // A limit on series counts all of them.
  if (open_field(plan) || open_dimension(plan) || plan.series_limit != 0 || plan.series_offset != 0) all = true;
  const auto note = [&](const ExprPtr& expr) {
    walk(expr, [&](const ExprPtr& part) {
      if (part->is(Kind::variable)) names.insert(part->text);
      return true;
    });
  };
  for (const Field& field : plan.fields) note(field.expr);
  note(plan.condition);
  if (all) return std::nullopt;
  return names;
}

namespace {

Result<DataType> call_type(const Expr& expr) {
  std::vector<DataType> args;
  for (const ExprPtr& arg : expr.args) {
    TRY(const DataType type, type_of(*arg));
    args.push_back(type);
  }
  const std::string& name = expr.text;
  if (is_math_function(name)) {
    const bool keeps = name == "abs" || name == "floor" || name == "ceil" || name == "round";
    if (keeps) return args.empty() ? DataType::unknown : args[0];
    return DataType::float64;
  }
  if (name == "mean" || name == "median" || name == "integral" || name == "stddev" || name == "derivative" ||
      name == "non_negative_derivative" || name == "moving_average" || name.starts_with("holt_winters"))
    return DataType::float64;
  if (name == "count" || name == "elapsed") return DataType::int64;
  return args.empty() ? DataType::unknown : args[0];
}

Result<DataType> binary_type(const Expr& expr) {
  TRY(const DataType left, type_of(*expr.args[0]));
  TRY(const DataType right, type_of(*expr.args[1]));
  const bool left_literal = expr.args[0]->is_literal();
  const bool right_literal = expr.args[1]->is_literal();
  const auto mismatch = [&](const std::string& why) { return trouble("type error: " + to_string(expr) + ": " + why); };
  const std::string op(spelling(expr.op));
  const bool mixed =
      (left == DataType::uint64 && right == DataType::int64) || (left == DataType::int64 && right == DataType::uint64);
  if (mixed) {
    const bool unsigned_literal_side = left == DataType::uint64 ? left_literal : right_literal;
    const bool integer_literal_side = left == DataType::uint64 ? right_literal : left_literal;
    if (unsigned_literal_side) return mismatch("cannot use " + op + " with an integer and unsigned literal");
    if (!integer_literal_side)
      return mismatch("cannot use " + op + " between an integer and unsigned, an explicit cast is required");
  }
  if (left == DataType::unknown) return right;
  if (right == DataType::unknown) return left;
  const auto zero = [](DataType type) {
    switch (type) {
      case DataType::float64: return Datum::of(0.0);
      case DataType::int64: return Datum::of(std::int64_t{0});
      case DataType::uint64: return Datum::of(std::uint64_t{0});
      case DataType::boolean: return Datum::of(false);
      case DataType::string:
      case DataType::tag: return Datum::of(std::string_view(""));
      default: return Datum();
    }
  };
  switch (apply(expr.op, zero(left), zero(right), false).type) {
    case Datum::Type::number: return DataType::float64;
    case Datum::Type::integer: return DataType::int64;
    case Datum::Type::unsigned_integer: return DataType::uint64;
    case Datum::Type::boolean: return DataType::boolean;
    case Datum::Type::text: return DataType::string;
    case Datum::Type::null: break;
  }
  return mismatch("incompatible types: " + std::string(to_string(left)) + " and " + std::string(to_string(right)));
}

}  // namespace

Result<DataType> type_of(const Expr& expr) {
  switch (expr.kind) {
    case Kind::variable: return expr.type == DataType::any_field ? DataType::unknown : expr.type;
    case Kind::call: return call_type(expr);
    case Kind::binary: return binary_type(expr);
    case Kind::paren: return type_of(*expr.args[0]);
    case Kind::number: return DataType::float64;
    case Kind::integer: return DataType::int64;
    case Kind::unsigned_integer: return DataType::uint64;
    case Kind::string: return DataType::string;
    case Kind::boolean: return DataType::boolean;
    default: return DataType::unknown;
  }
}

}  // namespace flux::query::influxql
