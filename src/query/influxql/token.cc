#include "query/influxql/token.h"

#include <algorithm>
#include <array>

namespace flux::query::influxql {
namespace {

constexpr std::array kSpelling = std::to_array<std::string_view>({
    // clang-format off
    "ILLEGAL", "EOF", "WS", "",
    "IDENT", "", "NUMBER", "", "DURATIONVAL", "STRING", "BADSTRING", "BADESCAPE", "TRUE", "FALSE", "REGEX", "",
    "+", "-", "*", "/", "%", "&", "|", "^",
    "AND", "OR", "=", "!=", "=~", "!~", "<", "<=", ">", ">=",
    "(", ")", ",", ":", "::", ";", ".",
    "ALL", "ALTER", "ANALYZE", "ANY", "AS", "ASC", "BEGIN", "BY", "CARDINALITY", "CREATE", "CONTINUOUS", "DATABASE",
    "DATABASES", "DEFAULT", "DELETE", "DESC", "DESTINATIONS", "DIAGNOSTICS", "DISTINCT", "DROP", "DURATION", "END",
    "EVERY", "EXACT", "EXPLAIN", "FIELD", "FOR", "FROM", "GRANT", "GRANTS", "GROUP", "GROUPS", "IN", "INF", "INSERT",
    "INTO", "KEY", "KEYS", "KILL", "LIMIT", "MEASUREMENT", "MEASUREMENTS", "NAME", "OFFSET", "ON", "ORDER", "PASSWORD",
    "POLICY", "POLICIES", "PRIVILEGES", "QUERIES", "QUERY", "READ", "REPLICATION", "RESAMPLE", "RETENTION", "REVOKE",
    "SELECT", "SERIES", "SET", "SHOW", "SHARD", "SHARDS", "SLIMIT", "SOFFSET", "STATS", "SUBSCRIPTION",
    "SUBSCRIPTIONS", "TAG", "TO", "USER", "USERS", "VALUES", "WHERE", "WITH", "WRITE",
    // clang-format on
});
static_assert(kSpelling.size() == static_cast<std::size_t>(Token::write) + 1);

bool same_word(std::string_view word, std::string_view upper) {
  return word.size() == upper.size() && std::ranges::equal(word, upper, [](char a, char b) {
           return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
         });
}

}  // namespace

std::string_view spelling(Token token) { return kSpelling[static_cast<std::size_t>(token)]; }

Token keyword(std::string_view word) {
  for (const Token token : {Token::and_, Token::or_, Token::true_, Token::false_})
    if (same_word(word, spelling(token))) return token;
  for (auto i = static_cast<std::size_t>(Token::all); i < kSpelling.size(); ++i)
    if (same_word(word, kSpelling[i])) return static_cast<Token>(i);
  return Token::identifier;
}

int precedence(Token token) {
  switch (token) {
    case Token::or_: return 1;
    case Token::and_: return 2;
    case Token::eq:
    case Token::neq:
    case Token::eq_regex:
    case Token::neq_regex:
    case Token::lt:
    case Token::lte:
    case Token::gt:
    case Token::gte: return 3;
    case Token::add:
    case Token::sub:
    case Token::bit_or:
    case Token::bit_xor: return 4;
    case Token::mul:
    case Token::div:
    case Token::mod:
    case Token::bit_and: return 5;
    default: return 0;
  }
}

}  // namespace flux::query::influxql
