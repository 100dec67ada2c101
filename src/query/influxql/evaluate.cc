#include "query/influxql/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace flux::query::influxql {
namespace {

using Type = Datum::Type;
using Kind = Expr::Kind;

bool compares(Token op) { return op >= Token::eq && op <= Token::gte && !is_regex_operator(op); }

/// The operators that all kinds of numbers share.
template <class Number>
std::optional<Datum> shared(Token op, Number a, Number b) {
  switch (op) {
    case Token::eq: return Datum::of(a == b);
    case Token::neq: return Datum::of(a != b);
    case Token::lt: return Datum::of(a < b);
    case Token::lte: return Datum::of(a <= b);
    case Token::gt: return Datum::of(a > b);
    case Token::gte: return Datum::of(a >= b);
    default: return std::nullopt;
  }
}

Datum with_numbers(Token op, double a, double b) {
  if (const auto found = shared(op, a, b)) return *found;
  switch (op) {
    case Token::add: return Datum::of(a + b);
    case Token::sub: return Datum::of(a - b);
    case Token::mul: return Datum::of(a * b);
    case Token::div: return Datum::of(b == 0 ? 0.0 : a / b);
    case Token::mod: return Datum::of(std::fmod(a, b));
    default: return {};
  }
}

Datum with_unsigned(Token op, std::uint64_t a, std::uint64_t b) {
  if (const auto found = shared(op, a, b)) return *found;
  switch (op) {
    case Token::add: return Datum::of(a + b);
    case Token::sub: return Datum::of(a - b);
    case Token::mul: return Datum::of(a * b);
    case Token::div: return Datum::of(b == 0 ? std::uint64_t{0} : a / b);
    case Token::mod: return Datum::of(b == 0 ? std::uint64_t{0} : a % b);
    case Token::bit_and: return Datum::of(a & b);
    case Token::bit_or: return Datum::of(a | b);
    case Token::bit_xor: return Datum::of(a ^ b);
    default: return {};
  }
}

Datum with_integers(Token op, std::int64_t a, std::int64_t b, bool true_division) {
  if (const auto found = shared(op, a, b)) return *found;
  const auto wrapped = [](std::uint64_t value) { return Datum::of(static_cast<std::int64_t>(value)); };
  const auto ua = static_cast<std::uint64_t>(a);
  const auto ub = static_cast<std::uint64_t>(b);
  switch (op) {
    case Token::add: return wrapped(ua + ub);
    case Token::sub: return wrapped(ua - ub);
    case Token::mul: return wrapped(ua * ub);
    case Token::div:
      if (true_division) return Datum::of(b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b));
      if (b == -1) return wrapped(0 - ua);
      return Datum::of(b == 0 ? std::int64_t{0} : a / b);
    case Token::mod: return Datum::of(b == 0 || b == -1 ? std::int64_t{0} : a % b);
    case Token::bit_and: return wrapped(ua & ub);
    case Token::bit_or: return wrapped(ua | ub);
    case Token::bit_xor: return wrapped(ua ^ ub);
    default: return {};
  }
}

double round_half_away(double x) {
  const double whole = std::trunc(x);
  return std::abs(x - whole) >= 0.5 ? whole + std::copysign(1.0, x) : whole;
}

bool same_literal_kind(const Expr& expr) {
  return expr.is(Kind::number) || expr.is(Kind::integer) || expr.is(Kind::unsigned_integer) || expr.is(Kind::boolean);
}

Datum datum_of(const Expr& literal) {
  switch (literal.kind) {
    case Kind::number: return Datum::of(literal.number);
    case Kind::integer: return Datum::of(literal.integer);
    case Kind::unsigned_integer: return Datum::of(literal.unsigned_integer);
    case Kind::boolean: return Datum::of(literal.integer != 0);
    case Kind::string: return Datum::of(std::string_view(literal.text));
    default: return {};
  }
}

ExprPtr literal_of(const Datum& value) {
  switch (value.type) {
    case Type::number: return number_literal(value.number);
    case Type::integer: return integer_literal(value.integer);
    case Type::unsigned_integer: return unsigned_literal(value.unsigned_integer);
    case Type::boolean: return boolean_literal(value.boolean);
    case Type::text: return string_literal(std::string(value.text));
    case Type::null: break;
  }
  return nullptr;
}

std::int64_t wrap_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t wrap_sub(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

/// Times, durations, and texts and numbers that stand for them; null where they do not go together.
ExprPtr fold_times(Token op, const Expr& a, const Expr& b, const TimeZonePtr& zone) {
  const auto time_of = [&](const Expr& e) -> std::optional<std::int64_t> {
    if (e.is(Kind::time)) return e.integer;
    if (e.is(Kind::string)) return to_time(e.text, zone);
    return std::nullopt;
  };
  const auto span_of = [](const Expr& e) -> std::optional<std::int64_t> {
    if (e.is(Kind::duration) || e.is(Kind::integer)) return e.integer;
    return std::nullopt;
  };
  const auto ta = time_of(a);
  const auto tb = time_of(b);
  if (ta && tb) {
    if (op == Token::sub) return duration_literal(wrap_sub(*ta, *tb));
    if (compares(op)) return boolean_literal(shared(op, *ta, *tb)->boolean);
    return nullptr;
  }
  if (ta) {
    const auto span = span_of(b);
    if (!span) return nullptr;
    if (op == Token::add) return time_literal(wrap_add(*ta, *span));
    if (op == Token::sub) return time_literal(wrap_sub(*ta, *span));
    return nullptr;
  }
  if (tb) {
    const auto span = span_of(a);
    return span && op == Token::add ? time_literal(wrap_add(*tb, *span)) : nullptr;
  }
  if (a.is(Kind::duration) && b.is(Kind::duration)) {
    if (op == Token::add) return duration_literal(wrap_add(a.integer, b.integer));
    if (op == Token::sub) return duration_literal(wrap_sub(a.integer, b.integer));
    if (compares(op)) return boolean_literal(shared(op, a.integer, b.integer)->boolean);
    return nullptr;
  }
  if (a.is(Kind::duration) && (b.is(Kind::number) || b.is(Kind::integer))) {
    const std::int64_t factor = b.is(Kind::number) ? cut_to_int64(b.number) : b.integer;
    if (op == Token::mul)
      return duration_literal(
          static_cast<std::int64_t>(static_cast<std::uint64_t>(a.integer) * static_cast<std::uint64_t>(factor)));
    if (op == Token::div)
      return duration_literal(factor == 0 ? 0 : factor == -1 ? wrap_sub(0, a.integer) : a.integer / factor);
    return nullptr;
  }
  if (a.is(Kind::integer) && b.is(Kind::duration)) {
    if (op == Token::add) return time_literal(wrap_add(a.integer, b.integer));
    if (op == Token::sub) return time_literal(wrap_sub(a.integer, b.integer));
  }
  return nullptr;
}

ExprPtr fold_literals(Token op, const ExprPtr& a, const ExprPtr& b, const Known& known) {
  if (same_literal_kind(*a) && same_literal_kind(*b)) {
    const Datum value = apply(op, datum_of(*a), datum_of(*b), true);
    const bool wanted = a->is(Kind::boolean) == b->is(Kind::boolean);
    if (wanted && !value.is_null()) return literal_of(value);
    return nullptr;
  }
  if (a->is(Kind::string) && b->is(Kind::string)) {
    if (op == Token::add) return string_literal(a->text + b->text);
    if (op == Token::eq || op == Token::neq) {
      if (is_time_text(a->text) && is_time_text(b->text))
        if (auto folded = fold_times(op, *a, *b, known.zone)) return folded;
      return boolean_literal((a->text == b->text) == (op == Token::eq));
    }
  }
  return fold_times(op, *a, *b, known.zone);
}

ExprPtr fold_inner(const ExprPtr& expr, const Known& known) {
  if (!expr) return nullptr;
  switch (expr->kind) {
    case Kind::binary: {
      const ExprPtr a = fold_inner(expr->args[0], known);
      const ExprPtr b = fold_inner(expr->args[1], known);
      const auto is = [](const ExprPtr& e, bool value) { return e->is(Kind::boolean) && (e->integer != 0) == value; };
      if (expr->op == Token::and_) {
        if (is(a, false) || is(b, false)) return boolean_literal(false);
        if (is(a, true)) return b;
        if (is(b, true)) return a;
      } else if (expr->op == Token::or_) {
        if (is(a, true) || is(b, true)) return boolean_literal(true);
        if (is(a, false)) return b;
        if (is(b, false)) return a;
      }
      if (a->is_literal() && b->is_literal())
        if (auto folded = fold_literals(expr->op, a, b, known)) return folded;
      return binary(expr->op, a, b);
    }
    case Kind::paren: {
      const ExprPtr inner = fold_inner(expr->args[0], known);
      return inner->is(Kind::binary) ? paren(inner) : inner;
    }
    case Kind::call: {
      std::vector<ExprPtr> args;
      bool literals = true;
      for (const ExprPtr& arg : expr->args) {
        args.push_back(fold_inner(arg, known));
        literals = literals && args.back()->is_literal();
      }
      if (literals && known.now && expr->text == "now" && args.empty()) return time_literal(*known.now);
      if (literals && known.math) {
        std::vector<Datum> values;
        for (const ExprPtr& arg : args) values.push_back(datum_of(*arg));
        if (const auto value = math(expr->text, values.data(), values.size()))
          if (auto folded = literal_of(*value)) return folded;
      }
      return call(expr->text, std::move(args));
    }
    default: return expr;
  }
}

}  // namespace

bool is_math_function(std::string_view name) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"abs", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "exp", "log", "ln",
                                       "log2", "log10", "sqrt", "pow", "floor", "ceil", "round"});
  return std::ranges::find(kNames, name) != kNames.end();
}

std::optional<Datum> math(std::string_view name, const Datum* args, std::size_t count) {
  if (count == 1) {
    const bool keeps = name == "abs" || name == "floor" || name == "ceil" || name == "round";
    if (keeps) {
      const Datum& x = args[0];
      if (x.type == Type::integer || x.type == Type::unsigned_integer) return x;
      if (x.type != Type::number) return Datum();
      if (name == "abs") return Datum::of(std::abs(x.number));
      if (name == "floor") return Datum::of(std::floor(x.number));
      if (name == "ceil") return Datum::of(std::ceil(x.number));
      return Datum::of(round_half_away(x.number));
    }
    struct Function {
      std::string_view name;
      double (*call)(double);
    };
    static constexpr Function kFunctions[] = {
        {"sin", [](double x) { return std::sin(x); }},   {"cos", [](double x) { return std::cos(x); }},
        {"tan", [](double x) { return std::tan(x); }},   {"asin", [](double x) { return std::asin(x); }},
        {"acos", [](double x) { return std::acos(x); }}, {"atan", [](double x) { return std::atan(x); }},
        {"exp", [](double x) { return std::exp(x); }},   {"ln", [](double x) { return std::log(x); }},
        {"log2", [](double x) { return std::log2(x); }}, {"log10", [](double x) { return std::log10(x); }},
        {"sqrt", [](double x) { return std::sqrt(x); }},
    };
    for (const Function& function : kFunctions) {
      if (function.name != name) continue;
      const auto x = args[0].as_number();
      return x ? Datum::of(function.call(*x)) : Datum();
    }
    return std::nullopt;
  }
  if (count != 2 || (name != "atan2" && name != "log" && name != "pow")) return std::nullopt;
  const auto x = args[0].as_number();
  const auto y = args[1].as_number();
  if (!x || !y) return Datum();
  if (name == "atan2") return Datum::of(std::atan2(*x, *y));
  if (name == "log") return Datum::of(std::log(*x) / std::log(*y));
  return Datum::of(std::pow(*x, *y));
}

Datum apply(Token op, Datum a, Datum b, bool true_division) {
  // A missing value beside a boolean counts as false.
  if (a.is_null() && b.type == Type::boolean) a = Datum::of(false);
  else if (b.is_null() && a.type == Type::boolean) b = Datum::of(false);
  const Datum unlike = compares(op) ? Datum::of(false) : Datum();
  switch (a.type) {
    case Type::boolean: {
      const bool ok = b.type == Type::boolean;
      switch (op) {
        case Token::and_:
        case Token::bit_and: return Datum::of(ok && a.boolean && b.boolean);
        case Token::or_:
        case Token::bit_or: return Datum::of(ok && (a.boolean || b.boolean));
        case Token::bit_xor:
        case Token::neq: return Datum::of(ok && a.boolean != b.boolean);
        case Token::eq: return Datum::of(ok && a.boolean == b.boolean);
        default: return unlike;
      }
    }
    case Type::number: {
      const auto right = b.as_number();
      return right ? with_numbers(op, a.number, *right) : unlike;
    }
    case Type::integer:
      if (b.type == Type::number) return with_numbers(op, static_cast<double>(a.integer), b.number);
      if (b.type == Type::integer) return with_integers(op, a.integer, b.integer, true_division);
      if (b.type != Type::unsigned_integer) return unlike;
      if (a.integer < 0) {
        if (op == Token::lt || op == Token::lte) return Datum::of(true);
        if (op == Token::gt || op == Token::gte) return Datum::of(false);
      }
      return with_unsigned(op, static_cast<std::uint64_t>(a.integer), b.unsigned_integer);
    case Type::unsigned_integer:
      if (b.type == Type::number) return with_numbers(op, static_cast<double>(a.unsigned_integer), b.number);
      if (b.type == Type::unsigned_integer) return with_unsigned(op, a.unsigned_integer, b.unsigned_integer);
      if (b.type != Type::integer) return unlike;
      if (b.integer < 0) {
        if (op == Token::lt || op == Token::lte) return Datum::of(false);
        if (op == Token::gt || op == Token::gte) return Datum::of(true);
      }
      return with_unsigned(op, a.unsigned_integer, static_cast<std::uint64_t>(b.integer));
    case Type::text:
      if (b.type != Type::text) return unlike;
      if (op == Token::eq) return Datum::of(a.text == b.text);
      if (op == Token::neq) return Datum::of(a.text != b.text);
      return unlike;
    case Type::null: return unlike;
  }
  return unlike;
}

Datum evaluate(const Expr& expr, const Lookup& lookup, bool true_division) {
  switch (expr.kind) {
    case Kind::variable: return lookup(expr);
    case Kind::paren: return evaluate(*expr.args[0], lookup, true_division);
    case Kind::binary: {
      const Datum a = evaluate(*expr.args[0], lookup, true_division);
      if (is_regex_operator(expr.op)) {
        if (a.type != Type::text || !expr.args[1]->is(Kind::regex))
          return a.type == Type::text ? Datum::of(false) : Datum();
        return Datum::of(expr.args[1]->pattern->matches(a.text) == (expr.op == Token::eq_regex));
      }
      return apply(expr.op, a, evaluate(*expr.args[1], lookup, true_division), true_division);
    }
    case Kind::call: {
      std::array<Datum, 2> args;
      if (expr.args.empty() || expr.args.size() > args.size()) return {};
      for (std::size_t i = 0; i < expr.args.size(); ++i) args[i] = evaluate(*expr.args[i], lookup, true_division);
      return math(expr.text, args.data(), expr.args.size()).value_or(Datum());
    }
    default: return datum_of(expr);
  }
}

ExprPtr fold(const ExprPtr& expr, const Known& known) {
  ExprPtr folded = fold_inner(expr, known);
  return folded && folded->is(Kind::paren) ? folded->args[0] : folded;
}

TimeBounds TimeBounds::within(const TimeBounds& other) const {
  TimeBounds both = *this;
  if (other.min && (!both.min || *other.min > *both.min)) both.min = other.min;
  if (other.max && (!both.max || *other.max < *both.max)) both.max = other.max;
  return both;
}

}  // namespace flux::query::influxql
