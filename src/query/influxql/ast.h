#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "query/influxql/token.h"
#include "query/pattern.h"
#include "query/time_zone.h"

namespace flux::query::influxql {

/// Types as InfluxQL ranks them: where several measurements have a field, the first of these wins.
enum class DataType : std::uint8_t { unknown, float64, int64, string, boolean, time, duration, tag, any_field, uint64 };
std::string_view to_string(DataType type);
/// Whether `other` takes precedence.
bool less(DataType type, DataType other);

struct Expr;
/// Expressions never change: rewriting makes new ones around the old.
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  enum class Kind : std::uint8_t {
    variable,  ///< `text`, `type` where one was said or found
    call,      ///< `text` in lower case, `args`
    distinct,  ///< `DISTINCT text`
    binary,    ///< `op`, two `args`
    paren,     ///< one of `args`
    wildcard,  ///< `type` is any_field, tag, or unknown for both
    regex,
    number,
    integer,
    unsigned_integer,
    boolean,   ///< `integer` is 0 or 1
    string,    ///< `text`
    time,      ///< `integer` ns
    duration,  ///< `integer` ns
  };
  Kind kind = Kind::variable;
  DataType type = DataType::unknown;
  Token op = Token::illegal;
  std::string text;
  std::vector<ExprPtr> args;
  PatternPtr pattern;
  double number = 0;
  std::int64_t integer = 0;
  std::uint64_t unsigned_integer = 0;

  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
  [[nodiscard]] bool is_call(std::string_view name) const { return kind == Kind::call && text == name; }
  /// Numbers, strings, booleans, times, durations, wildcards and regular expressions: what has no variable in it.
  [[nodiscard]] bool is_literal() const { return kind >= Kind::regex; }
};

ExprPtr variable(std::string name, DataType type = DataType::unknown);
ExprPtr call(std::string name, std::vector<ExprPtr> args);
ExprPtr binary(Token op, ExprPtr left, ExprPtr right);
ExprPtr paren(ExprPtr inner);
ExprPtr number_literal(double value);
ExprPtr integer_literal(std::int64_t value);
ExprPtr unsigned_literal(std::uint64_t value);
ExprPtr boolean_literal(bool value);
ExprPtr string_literal(std::string value);
ExprPtr time_literal(std::int64_t ns);
ExprPtr duration_literal(std::int64_t ns);
ExprPtr regex_literal(PatternPtr pattern);

/// As InfluxDB writes it: what messages quote, and what tells two expressions apart.
std::string to_string(const Expr& expr);
std::string quote_identifier(std::string_view name);
std::string quote_string(std::string_view text);
/// `1h`, `90s`, `0s`.
std::string format_duration(std::int64_t ns);

/// Calls `visit` with every expression below and including `expr`; false from it leaves out what lies below.
template <class Visit>
void walk(const ExprPtr& expr, const Visit& visit) {
  if (!expr || !visit(expr)) return;
  for (const ExprPtr& arg : expr->args) walk(arg, visit);
}

struct SelectStatement;
using SelectPtr = std::shared_ptr<const SelectStatement>;

struct Source {
  std::string database;
  std::string policy;
  std::string name;
  PatternPtr pattern;  ///< instead of a name
  SelectPtr subquery;  ///< instead of all of these
  /// Tags that every series that can matter has, with these values: what the store can look up.
  std::vector<std::pair<std::string, std::string>> only;
};

struct Field {
  ExprPtr expr;
  std::string alias;
  /// The alias, or what the column is called after.
  [[nodiscard]] std::string name() const;
};

enum class FillOption : std::uint8_t { null, none, number, previous, linear };

struct SelectStatement {
  std::vector<Field> fields;
  std::optional<Source> target;
  std::vector<Source> sources;
  ExprPtr condition;
  std::vector<ExprPtr> dimensions;
  FillOption fill = FillOption::null;
  ExprPtr fill_value;  ///< a number or an integer, with FillOption::number
  bool ascending = true;
  bool ordered = false;  ///< there is an ORDER BY
  std::int64_t limit = 0;
  std::int64_t offset = 0;
  std::int64_t series_limit = 0;
  std::int64_t series_offset = 0;
  TimeZonePtr zone;
  bool raw = true;  ///< no function in it
};

/// What a statement asks for. Those without fields of their own use what they need of these.
struct Statement {
  enum class Kind : std::uint8_t {
    // clang-format off
    select, delete_, explain,
    show_continuous_queries, show_databases, show_diagnostics, show_field_key_cardinality, show_field_keys, show_grants,
    show_measurement_cardinality, show_measurements, show_queries, show_retention_policies, show_series,
    show_series_cardinality, show_shard_groups, show_shards, show_stats, show_subscriptions, show_tag_key_cardinality,
    show_tag_keys, show_tag_values, show_tag_values_cardinality, show_users,
    create_continuous_query, create_database, create_user, create_retention_policy, create_subscription,
    drop_continuous_query, drop_database, drop_measurement, drop_retention_policy, drop_series, drop_shard,
    drop_subscription, drop_user,
    grant, revoke, alter_retention_policy, set_password, kill_query,
    // clang-format on
  };
  Kind kind = Kind::select;
  SelectPtr select;  ///< of select, explain, create_continuous_query
  std::string name;
  std::string database;
  std::string policy;
  std::vector<Source> sources;
  ExprPtr condition;
  std::vector<ExprPtr> dimensions;
  std::int64_t limit = 0;
  std::int64_t offset = 0;
  std::int64_t series_limit = 0;
  std::int64_t series_offset = 0;
  bool exact = false;
  Token key_op = Token::illegal;       ///< WITH KEY: eq, neq, the regex operators, or in
  std::vector<std::string> key_names;  ///< for eq, neq and in
  PatternPtr key_pattern;
  std::optional<std::int64_t> duration;  ///< ns, 0 for ever
  std::optional<std::int64_t> shard_duration;
  std::optional<std::int64_t> replication;
  bool make_default = false;
  bool with_policy = false;  ///< CREATE DATABASE … WITH
};

/// `SHOW DATABASES`, `CREATE RETENTION POLICY`: the words that a statement begins with.
std::string_view words(Statement::Kind kind);

}  // namespace flux::query::influxql
