#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flux::query::influxql {

/// What a piece of InfluxQL is. Keywords lie between `all` and `write`, in the order of the alphabet.
enum class Token : std::uint8_t {
  // clang-format off
  illegal, eof, blank, comment,
  identifier, parameter, number, integer, duration_value, string, bad_string, bad_escape, true_, false_, regex, bad_regex,
  add, sub, mul, div, mod, bit_and, bit_or, bit_xor,
  and_, or_, eq, neq, eq_regex, neq_regex, lt, lte, gt, gte,
  left_paren, right_paren, comma, colon, double_colon, semicolon, dot,
  all, alter, analyze, any, as, asc, begin, by, cardinality, create, continuous, database, databases, default_, delete_,
  desc, destinations, diagnostics, distinct, drop, duration, end, every, exact, explain, field, for_, from, grant, grants,
  group, groups, in, inf, insert, into, key, keys, kill, limit, measurement, measurements, name, offset, on, order,
  password, policy, policies, privileges, queries, query, read, replication, resample, retention, revoke, select, series,
  set, show, shard, shards, slimit, soffset, stats, subscription, subscriptions, tag, to, user, users, values, where,
  with, write,
  // clang-format on
};

/// As InfluxDB spells it in messages: `SELECT`, `+`, `EOF`; empty where the text itself is named.
std::string_view spelling(Token token);
/// The keyword that `word` is, in any case; `identifier` when it is none.
Token keyword(std::string_view word);
constexpr bool is_operator(Token token) { return token >= Token::add && token <= Token::gte; }
constexpr bool is_regex_operator(Token token) { return token == Token::eq_regex || token == Token::neq_regex; }
/// How tightly an operator binds; 0 for what is none.
int precedence(Token token);

/// Counted from 0, in characters.
struct Place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Lexeme {
  Token token = Token::eof;
  Place place;
  std::string text;  ///< of identifiers, literals and blanks; quotes and escapes resolved

  /// What "found …" names.
  [[nodiscard]] std::string named() const { return text.empty() ? std::string(spelling(token)) : text; }
};

}  // namespace flux::query::influxql
