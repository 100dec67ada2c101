#include "query/influxql/ast.h"

#include <array>
#include <charconv>

#include "core/time.h"

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

std::shared_ptr<Expr> make(Kind kind) {
  auto expr = std::make_shared<Expr>();
  expr->kind = kind;
  return expr;
}

bool needs_quotes(std::string_view name) {
  if (keyword(name) != Token::identifier) return true;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return true;
  }
  return false;
}

void escape(std::string& out, std::string_view text, char quote) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == quote) out += '\\';
    out += c;
  }
}

}  // namespace

std::string_view to_string(DataType type) {
  switch (type) {
    case DataType::float64: return "float";
    case DataType::int64: return "integer";
    case DataType::uint64: return "unsigned";
    case DataType::string: return "string";
    case DataType::boolean: return "boolean";
    case DataType::time: return "time";
    case DataType::duration: return "duration";
    case DataType::tag: return "tag";
    case DataType::any_field: return "field";
    case DataType::unknown: break;
  }
  return "unknown";
}

bool less(DataType type, DataType other) {
  if (type == DataType::unknown) return true;
  if (type == DataType::uint64) return other != DataType::unknown && other <= DataType::int64;
  if (other == DataType::uint64) return type >= DataType::string;
  return other != DataType::unknown && other < type;
}

ExprPtr variable(std::string name, DataType type) {
  auto expr = make(Kind::variable);
  expr->text = std::move(name);
  expr->type = type;
  return expr;
}
ExprPtr call(std::string name, std::vector<ExprPtr> args) {
  auto expr = make(Kind::call);
  expr->text = std::move(name);
  expr->args = std::move(args);
  return expr;
}
ExprPtr binary(Token op, ExprPtr left, ExprPtr right) {
  auto expr = make(Kind::binary);
  expr->op = op;
  expr->args = {std::move(left), std::move(right)};
  return expr;
}
ExprPtr paren(ExprPtr inner) {
  auto expr = make(Kind::paren);
  expr->args = {std::move(inner)};
  return expr;
}
ExprPtr number_literal(double value) {
  auto expr = make(Kind::number);
  expr->number = value;
  return expr;
}
ExprPtr integer_literal(std::int64_t value) {
  auto expr = make(Kind::integer);
  expr->integer = value;
  return expr;
}
ExprPtr unsigned_literal(std::uint64_t value) {
  auto expr = make(Kind::unsigned_integer);
  expr->unsigned_integer = value;
  return expr;
}
ExprPtr boolean_literal(bool value) {
  auto expr = make(Kind::boolean);
  expr->integer = value ? 1 : 0;
  return expr;
}
ExprPtr string_literal(std::string value) {
  auto expr = make(Kind::string);
  expr->text = std::move(value);
  return expr;
}
ExprPtr time_literal(std::int64_t ns) {
  auto expr = make(Kind::time);
  expr->integer = ns;
  return expr;
}
ExprPtr duration_literal(std::int64_t ns) {
  auto expr = make(Kind::duration);
  expr->integer = ns;
  return expr;
}
ExprPtr regex_literal(PatternPtr pattern) {
  auto expr = make(Kind::regex);
  expr->pattern = std::move(pattern);
  return expr;
}

std::string quote_identifier(std::string_view name) {
  const bool quote = name.empty() || needs_quotes(name);
  std::string out;
  if (quote) out += '"';
  escape(out, name, '"');
  if (quote) out += '"';
  return out;
}

std::string quote_string(std::string_view text) {
  std::string out = "'";
  escape(out, text, '\'');
  return out + "'";
}

std::string format_duration(std::int64_t ns) {
  if (ns == 0) return "0s";
  struct Unit {
    std::int64_t ns;
    const char* name;
  };
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::array kUnits{Unit{7 * 86400 * kSecond, "w"}, Unit{86400 * kSecond, "d"}, Unit{3600 * kSecond, "h"},
                              Unit{60 * kSecond, "m"},        Unit{kSecond, "s"},         Unit{1'000'000, "ms"}};
  for (const Unit& unit : kUnits)
    if (ns % unit.ns == 0) return std::to_string(ns / unit.ns) + unit.name;
  return std::to_string(ns / 1000) + "u";
}

std::string to_string(const Expr& expr) {
  switch (expr.kind) {
    case Kind::variable: {
      std::string out = quote_identifier(expr.text);
      if (expr.type != DataType::unknown) {
        out += "::";
        out += to_string(expr.type);
      }
      return out;
    }
    case Kind::call: {
      std::string out = expr.text + "(";
      for (std::size_t i = 0; i < expr.args.size(); ++i) {
        if (i != 0) out += ", ";
        out += to_string(*expr.args[i]);
      }
      return out + ")";
    }
    case Kind::distinct: return "DISTINCT " + expr.text;
    case Kind::binary:
      return to_string(*expr.args[0]) + " " + std::string(spelling(expr.op)) + " " + to_string(*expr.args[1]);
    case Kind::paren: return "(" + to_string(*expr.args[0]) + ")";
    case Kind::wildcard:
      return expr.type == DataType::any_field ? "*::field" : expr.type == DataType::tag ? "*::tag" : "*";
    case Kind::regex: {
      std::string out = "/";
      for (const char c : expr.pattern->text()) {
        if (c == '/') out += '\\';
        out += c;
      }
      return out + "/";
    }
    case Kind::number: {
      std::array<char, 400> digits;
      const auto end = std::to_chars(digits.begin(), digits.end(), expr.number, std::chars_format::fixed, 3).ptr;
      return {digits.data(), end};
    }
    case Kind::integer: return std::to_string(expr.integer);
    case Kind::unsigned_integer: return std::to_string(expr.unsigned_integer);
    case Kind::boolean: return expr.integer != 0 ? "true" : "false";
    case Kind::string: return quote_string(expr.text);
    case Kind::time: return "'" + to_rfc3339(Time{expr.integer}) + "'";
    case Kind::duration: return format_duration(expr.integer);
  }
  return {};
}

std::string Field::name() const {
  if (!alias.empty()) return alias;
  const Expr* from = expr.get();
  while (from->is(Kind::paren)) from = from->args[0].get();
  if (from->is(Kind::call) || from->is(Kind::variable)) return from->text;
  if (!from->is(Kind::binary)) return {};
  std::string out;
  for (const ExprPtr& arg : from->args) {
    walk(arg, [&](const ExprPtr& inner) {
      if (!inner->is(Kind::variable) && !inner->is(Kind::call)) return true;
      if (!out.empty()) out += '_';
      out += inner->text;
      return false;
    });
  }
  return out;
}

std::string_view words(Statement::Kind kind) {
  constexpr auto kWords = std::to_array<std::string_view>({
      // clang-format off
      "SELECT", "DELETE", "EXPLAIN",
      "SHOW CONTINUOUS QUERIES", "SHOW DATABASES", "SHOW DIAGNOSTICS", "SHOW FIELD KEY CARDINALITY", "SHOW FIELD KEYS",
      "SHOW GRANTS", "SHOW MEASUREMENT CARDINALITY", "SHOW MEASUREMENTS", "SHOW QUERIES", "SHOW RETENTION POLICIES",
      "SHOW SERIES", "SHOW SERIES CARDINALITY", "SHOW SHARD GROUPS", "SHOW SHARDS", "SHOW STATS", "SHOW SUBSCRIPTIONS",
      "SHOW TAG KEY CARDINALITY", "SHOW TAG KEYS", "SHOW TAG VALUES", "SHOW TAG VALUES CARDINALITY", "SHOW USERS",
      "CREATE CONTINUOUS QUERY", "CREATE DATABASE", "CREATE USER", "CREATE RETENTION POLICY", "CREATE SUBSCRIPTION",
      "DROP CONTINUOUS QUERY", "DROP DATABASE", "DROP MEASUREMENT", "DROP RETENTION POLICY", "DROP SERIES",
      "DROP SHARD", "DROP SUBSCRIPTION", "DROP USER",
      "GRANT", "REVOKE", "ALTER RETENTION POLICY", "SET PASSWORD", "KILL QUERY",
      // clang-format on
  });
  static_assert(kWords.size() == static_cast<std::size_t>(Statement::Kind::kill_query) + 1);
  return kWords[static_cast<std::size_t>(kind)];
}

}  // namespace flux::query::influxql
