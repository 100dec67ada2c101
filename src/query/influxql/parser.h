#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"
#include "query/influxql/ast.h"
#include "query/influxql/lexer.h"

namespace flux::query::influxql {

/// What `$name` stands for. Something that cannot be bound is named by its kind in InfluxDB's words.
struct Unbindable {
  std::string kind;
};
using Parameter = std::variant<double, std::int64_t, std::string, bool, Unbindable>;
using Parameters = std::map<std::string, Parameter, std::less<>>;

/// How deep brackets and sub-queries may lie within each other.
inline constexpr int kDeepest = 200;

/// Statements from text, as InfluxDB 1.6 reads them. Errors are `invalid_argument` in its words: `found FOO, expected
/// SELECT, DELETE, … at line 1, char 1`.
class Parser {
 public:
  explicit Parser(std::string_view text, Parameters parameters = {})
      : lexer_(text), parameters_(std::move(parameters)) {}

  Result<std::vector<Statement>> statements();
  /// One expression, for tests.
  Result<ExprPtr> expression();

 private:
  enum class Target : std::uint8_t { required, allowed, none };
  using Failure = std::unexpected<Error>;

  // Lexemes, three of which can be taken back.
  const Lexeme& scan();
  const Lexeme& scan_regex();
  const Lexeme& next();  ///< neither blank nor comment
  void back() { ++taken_back_; }
  bool accept(Token token);
  void skip_blank();

  static Failure found(const Lexeme& lexeme, std::initializer_list<std::string_view> expected);
  static Failure trouble(std::string message);
  static Failure trouble_at(std::string message, Place place);
  Result<> expect(std::initializer_list<Token> tokens);

  Result<std::string> identifier();
  Result<std::string> text();
  Result<std::vector<std::string>> segments();
  Result<std::int64_t> whole(std::int64_t least, std::int64_t most);
  Result<std::int64_t> duration();
  Result<std::int64_t> optional_number(Token token);
  Result<PatternPtr> regex();  ///< null where none follows

  // Expressions.
  Result<ExprPtr> unary();
  Result<ExprPtr> after_sign(Token sign);
  Result<ExprPtr> operand(const Lexeme& lexeme);
  Result<ExprPtr> variable_reference();
  Result<ExprPtr> function(std::string name);
  Result<ExprPtr> bound(const std::string& name);

  // Clauses.
  Result<Field> field();
  Result<std::vector<Source>> sources(bool subqueries);
  Result<Source> source(bool subqueries);
  Result<ExprPtr> condition();
  Result<std::vector<ExprPtr>> dimensions();
  Result<> order(bool& ascending, bool& ordered);
  Result<> fill(SelectStatement& select);
  Result<> zone(SelectStatement& select);
  Result<> target(SelectStatement& select, Target wanted);
  Result<> on(Statement& statement);
  Result<> from(Statement& statement);
  Result<> limits(Statement& statement);

  // Statements; what they begin with has been read.
  Result<Statement> statement();
  Result<SelectPtr> select(Target wanted);
  Result<Statement> show();
  Result<Statement> create();
  Result<Statement> drop();
  Result<Statement> show_list(Statement::Kind kind);
  Result<Statement> cardinality(Statement::Kind kind);
  Result<Statement> tag_values();
  Result<> tag_key(Statement& statement);
  Result<Statement> measurements();
  Result<Statement> removal(Statement::Kind kind);
  Result<Statement> create_database();
  Result<Statement> create_policy();
  Result<Statement> alter_policy();
  Result<Statement> create_continuous_query();
  Result<Statement> subscription(Statement::Kind kind);
  Result<Statement> create_user();
  Result<Statement> grant(bool give);
  Result<Statement> module(Statement::Kind kind);

  Lexer lexer_;
  Parameters parameters_;
  Lexeme lexemes_[3];
  int at_ = 0;
  int taken_back_ = 0;
  int depth_ = 0;
};

/// `1h30m`, `5u`; fails as InfluxDB does.
Result<std::int64_t> parse_duration_literal(std::string_view text);

}  // namespace flux::query::influxql
