#include <charconv>
#include <chrono>

#include "core/time.h"
#include "query/influxql/evaluate.h"

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

bool is_time(const Expr& expr) {
  return expr.is(Kind::variable) && expr.text.size() == 4 && (expr.text[0] | 0x20) == 't' &&
         (expr.text[1] | 0x20) == 'i' && (expr.text[2] | 0x20) == 'm' && (expr.text[3] | 0x20) == 'e';
}

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

/// What Go calls the type of a literal in "time and … are not compatible".
std::string_view go_type(const Expr& expr) {
  switch (expr.kind) {
    case Kind::boolean: return "*influxql.BooleanLiteral";
    case Kind::string: return "*influxql.StringLiteral";
    case Kind::variable: return "*influxql.VarRef";
    case Kind::call: return "*influxql.Call";
    case Kind::binary: return "*influxql.BinaryExpr";
    case Kind::regex: return "*influxql.RegexLiteral";
    case Kind::wildcard: return "*influxql.Wildcard";
    case Kind::unsigned_integer: return "*influxql.UnsignedLiteral";
    case Kind::distinct: return "*influxql.Distinct";
    default: return "<nil>";
  }
}

Result<TimeBounds> bounds(Token op, const ExprPtr& side, const Known& known) {
  ExprPtr value = side;
  if (value->is(Kind::string) && is_time_text(value->text)) {
    const auto time = to_time(value->text, known.zone);
    if (!time) return trouble("invalid timestamp string");
    if (*time == INT64_MAX || *time == INT64_MIN) {
      std::string shown =
          value->text.substr(0, 10) + "T" + (value->text.size() >= 19 ? value->text.substr(11, 8) : "00:00:00");
      return trouble("time " + shown + "Z " + (*time == INT64_MAX ? "overflows" : "underflows") + " time literal");
    }
    value = time_literal(*time);
  }
  value = fold(value, known);
  std::int64_t at = 0;
  switch (value->kind) {
    case Kind::time:
      at = value->integer;
      if (at > kMaxTime) return trouble("time " + to_rfc3339(Time{at}) + " overflows time literal");
      if (at < kMinTime + 1) return trouble("time " + to_rfc3339(Time{at}) + " underflows time literal");
      break;
    case Kind::duration:
    case Kind::integer: at = value->integer; break;
    case Kind::number: at = cut_to_int64(value->number); break;
    default: return trouble("invalid operation: time and " + std::string(go_type(*value)) + " are not compatible");
  }
  TimeBounds range;
  switch (op) {
    case Token::gt: range.min = at == INT64_MAX ? at : at + 1; break;
    case Token::gte: range.min = at; break;
    case Token::lt: range.max = at == INT64_MIN ? at : at - 1; break;
    case Token::lte: range.max = at; break;
    case Token::eq: range.min = range.max = at; break;
    default: return trouble("invalid time comparison operator: " + std::string(spelling(op)));
  }
  return range;
}

Token mirrored(Token op) {
  switch (op) {
    case Token::gt: return Token::lt;
    case Token::lt: return Token::gt;
    case Token::gte: return Token::lte;
    case Token::lte: return Token::gte;
    default: return op;
  }
}

Result<Condition> split(const ExprPtr& cond, const Known& known) {
  if (!cond) return Condition{};
  switch (cond->kind) {
    case Kind::binary: {
      if (cond->op == Token::and_ || cond->op == Token::or_) {
        TRY(Condition left, split(cond->args[0], known));
        TRY(Condition right, split(cond->args[1], known));
        const TimeBounds time = left.time.within(right.time);
        if (!right.expr) return Condition{left.expr, time};
        if (!left.expr) return Condition{right.expr, time};
        ExprPtr both = binary(cond->op, left.expr, right.expr);
        // One side may have become a plain truth.
        const bool plain = left.expr->is(Kind::boolean) || right.expr->is(Kind::boolean);
        return Condition{plain ? fold(both, {}) : std::move(both), time};
      }
      if (is_time(*cond->args[0])) {
        TRY(const auto time, bounds(cond->op, cond->args[1], known));
        return Condition{nullptr, time};
      }
      if (is_time(*cond->args[1])) {
        TRY(const auto time, bounds(mirrored(cond->op), cond->args[0], known));
        return Condition{nullptr, time};
      }
      return Condition{fold(cond, known), {}};
    }
    case Kind::paren: {
      TRY(Condition inner, split(cond->args[0], known));
      if (inner.expr && inner.expr->is(Kind::binary)) inner.expr = paren(inner.expr);
      return inner;
    }
    case Kind::boolean: return Condition{cond, {}};
    default: return trouble("invalid condition expression: " + to_string(*cond));
  }
}

bool digits(std::string_view text, std::size_t at, std::size_t count, int& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

}  // namespace

bool is_time_text(std::string_view text) {
  int number = 0;
  return text.size() >= 10 && digits(text, 0, 4, number) && text[4] == '-' && digits(text, 5, 2, number) &&
         text[7] == '-' && digits(text, 8, 2, number);
}

std::optional<std::int64_t> to_time(std::string_view text, const TimeZonePtr& zone) {
  if (!is_time_text(text)) return std::nullopt;
  int year = 0;
  int month = 0;
  int day = 0;
  digits(text, 0, 4, year);
  digits(text, 5, 2, month);
  digits(text, 8, 2, day);
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                            std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  const __int128 midnight = static_cast<__int128>(sys_days{date}.time_since_epoch().count()) * 86'400;
  int hour = 0;
  int minute = 0;
  int second = 0;
  std::int64_t fraction = 0;
  std::optional<std::int64_t> offset;
  if (text.size() > 10) {
    if (text[10] != ' ' && text[10] != 'T') return std::nullopt;
    std::size_t at = 11;
    if (!digits(text, at, 2, hour) || text.size() < 19 || text[13] != ':' || !digits(text, 14, 2, minute) ||
        text[16] != ':' || !digits(text, 17, 2, second) || hour > 23 || minute > 59 || second > 59)
      return std::nullopt;
    at = 19;
    if (at < text.size() && text[at] == '.') {
      std::int64_t scale = 100'000'000;
      const std::size_t first = ++at;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
        fraction += (text[at] - '0') * scale;
      if (at == first || at > first + 9) return std::nullopt;
    }
    const std::string_view rest = text.substr(at);
    if (text[10] == 'T') {
      int hours = 0;
      int minutes = 0;
      if (rest == "Z") offset = 0;
      else if (rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && digits(rest, 1, 2, hours) && rest[3] == ':' &&
               digits(rest, 4, 2, minutes) && hours < 24 && minutes < 60)
        offset = (hours * 3600LL + minutes * 60LL) * (rest[0] == '-' ? -1 : 1);
      else return std::nullopt;
    } else if (!rest.empty()) {
      return std::nullopt;
    }
  }
  __int128 ns = (midnight + hour * 3600 + minute * 60 + second) * 1'000'000'000 + fraction;
  if (offset) ns -= static_cast<__int128>(*offset) * 1'000'000'000;
  // Years that nanoseconds do not reach stand at the ends, where bounds says that they overflow.
  if (ns > INT64_MAX) return INT64_MAX;
  if (ns < INT64_MIN) return INT64_MIN;
  const auto time = static_cast<std::int64_t>(ns);
  return offset || !zone ? time : zone->from_local(time);
}

Result<Condition> split_condition(const ExprPtr& where, const Known& known) {
  TRY(Condition condition, split(where, known));
  if (condition.expr && condition.expr->is(Kind::paren)) condition.expr = condition.expr->args[0];
  if (condition.expr && condition.expr->is(Kind::boolean) && condition.expr->integer != 0) condition.expr = nullptr;
  return condition;
}

bool mentions_time(const ExprPtr& expr) {
  bool found = false;
  walk(expr, [&](const ExprPtr& inner) {
    if (inner->is(Kind::binary) && (is_time(*inner->args[0]) || is_time(*inner->args[1]))) found = true;
    return !found;
  });
  return found;
}

}  // namespace flux::query::influxql
