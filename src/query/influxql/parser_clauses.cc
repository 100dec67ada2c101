#include "query/influxql/parser.h"

namespace flux::query::influxql {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool yields_truth(Token op) { return op == Token::and_ || op == Token::or_ || (op >= Token::eq && op <= Token::gte); }

}  // namespace

Result<SelectPtr> Parser::select(Target wanted) {
  if (++depth_ > kDeepest) return trouble("sub-queries are nested too deeply");
  auto select = std::make_shared<SelectStatement>();
  do {
    TRY(Field one, field());
    select->fields.push_back(std::move(one));
  } while (scan().token == Token::comma);
  back();
  DO(target(*select, wanted));
  if (const Lexeme& lexeme = next(); lexeme.token != Token::from) return found(lexeme, {"FROM"});
  TRY(select->sources, sources(true));
  TRY(select->condition, condition());
  TRY(select->dimensions, dimensions());
  DO(fill(*select));
  DO(order(select->ascending, select->ordered));
  TRY(select->limit, optional_number(Token::limit));
  TRY(select->offset, optional_number(Token::offset));
  TRY(select->series_limit, optional_number(Token::slimit));
  TRY(select->series_offset, optional_number(Token::soffset));
  DO(zone(*select));
  for (const Field& one : select->fields)
    walk(one.expr, [&](const ExprPtr& expr) {
      if (expr->is(Expr::Kind::call)) select->raw = false;
      return true;
    });
  --depth_;
  return select;
}

Result<Field> Parser::field() {
  Field field;
  TRY(auto pattern, regex());
  if (pattern) {
    field.expr = regex_literal(std::move(pattern));
  } else {
    const Place start = next().place;
    back();
    TRY(field.expr, expression());
    Token wrong = Token::illegal;
    walk(field.expr, [&](const ExprPtr& expr) {
      if (wrong == Token::illegal && expr->is(Expr::Kind::binary) && yields_truth(expr->op)) wrong = expr->op;
      return wrong == Token::illegal;
    });
    if (wrong != Token::illegal)
      return trouble("invalid operator " + std::string(spelling(wrong)) + " in SELECT clause at line " +
                     std::to_string(start.line + 1) + ", char " + std::to_string(start.column + 1) +
                     "; operator is intended for WHERE clause");
  }
  if (accept(Token::as)) {
    TRY(field.alias, identifier());
  }
  skip_blank();
  return field;
}

Result<> Parser::target(SelectStatement& select, Target wanted) {
  if (const Lexeme& lexeme = next(); lexeme.token != Token::into) {
    if (wanted == Target::required) return found(lexeme, {"INTO"});
    back();
    return {};
  }
  TRY(auto names, segments());
  if (names.size() < 3 && lexer_.peek() == U':') {
    DO(expect({Token::colon, Token::measurement}));
    names.emplace_back();
  }
  Source target;
  target.name = names.back();
  if (names.size() > 1) target.policy = names[names.size() - 2];
  if (names.size() > 2) target.database = names[0];
  select.target = std::move(target);
  return {};
}

Result<std::vector<Source>> Parser::sources(bool subqueries) {
  std::vector<Source> all;
  do {
    TRY(Source one, source(subqueries));
    all.push_back(std::move(one));
  } while (accept(Token::comma));
  return all;
}

Result<Source> Parser::source(bool subqueries) {
  Source source;
  TRY(source.pattern, regex());
  if (source.pattern) return source;
  if (subqueries && accept(Token::left_paren)) {
    DO(expect({Token::select}));
    TRY(source.subquery, select(Target::none));
    DO(expect({Token::right_paren}));
    return source;
  }
  TRY(auto names, segments());
  if (names.size() == 3) {
    source.database = std::move(names[0]);
    source.policy = std::move(names[1]);
    source.name = std::move(names[2]);
    return source;
  }
  TRY(source.pattern, regex());
  if (source.pattern) names.emplace_back();
  source.name = names.back();
  if (names.size() > 1) source.policy = names[names.size() - 2];
  if (names.size() > 2) source.database = names[0];
  return source;
}

Result<ExprPtr> Parser::condition() {
  if (!accept(Token::where)) return nullptr;
  return expression();
}

Result<std::vector<ExprPtr>> Parser::dimensions() {
  std::vector<ExprPtr> all;
  if (!accept(Token::group)) return all;
  DO(expect({Token::by}));
  do {
    TRY(auto pattern, regex());
    if (pattern) {
      all.push_back(regex_literal(std::move(pattern)));
      continue;
    }
    TRY(ExprPtr one, expression());
    all.push_back(std::move(one));
    skip_blank();
  } while (scan().token == Token::comma);
  back();
  return all;
}

Result<> Parser::fill(SelectStatement& select) {
  const Lexeme& lexeme = next();
  const bool here = lexeme.token == Token::identifier && lower(lexeme.text) == "fill";
  back();
  if (!here) return {};
  TRY(const ExprPtr expr, expression());
  if (!expr->is(Expr::Kind::call)) return trouble("fill must be a function call");
  if (expr->args.size() != 1) return trouble("fill requires an argument, e.g.: 0, null, none, previous, linear");
  const ExprPtr& option = expr->args[0];
  const std::string word = to_string(*option);
  if (word == "null") {
    select.fill = FillOption::null;
  } else if (word == "none") {
    select.fill = FillOption::none;
  } else if (word == "previous") {
    select.fill = FillOption::previous;
  } else if (word == "linear") {
    select.fill = FillOption::linear;
  } else if (option->is(Expr::Kind::integer) || option->is(Expr::Kind::number)) {
    select.fill = FillOption::number;
    select.fill_value = option;
  } else {
    return trouble("expected number argument in fill()");
  }
  return {};
}

Result<> Parser::zone(SelectStatement& select) {
  const Lexeme& lexeme = next();
  const bool here = lexeme.token == Token::identifier && lower(lexeme.text) == "tz";
  back();
  if (!here) return {};
  TRY(const ExprPtr expr, expression());
  if (!expr->is(Expr::Kind::call)) return trouble("tz must be a function call");
  if (expr->args.size() != 1) return trouble("tz requires exactly one argument");
  if (!expr->args[0]->is(Expr::Kind::string)) return trouble("expected string argument in tz()");
  auto zone = TimeZone::load(expr->args[0]->text);
  if (!zone) return trouble("unable to find time zone " + expr->args[0]->text);
  select.zone = *std::move(zone);
  return {};
}

Result<> Parser::order(bool& ascending, bool& ordered) {
  if (!accept(Token::order)) return {};
  DO(expect({Token::by}));
  ordered = true;
  const auto direction = [&] {
    const Token token = next().token;
    if (token != Token::asc && token != Token::desc) back();
    return token != Token::desc;
  };
  const Lexeme first = next();
  if (first.token == Token::asc || first.token == Token::desc) {
    ascending = first.token == Token::asc;
  } else if (first.token == Token::identifier) {
    ascending = direction();
    if (first.text != "time") return trouble("only ORDER BY time supported at this time");
  } else {
    return found(first, {"identifier", "ASC", "DESC"});
  }
  bool more = false;
  while (accept(Token::comma)) {
    DO(identifier());
    direction();
    more = true;
  }
  if (more) return trouble("only ORDER BY time supported at this time");
  return {};
}

Result<> Parser::on(Statement& statement) {
  if (!accept(Token::on)) return {};
  TRY(statement.database, identifier());
  return {};
}

Result<> Parser::from(Statement& statement) {
  if (!accept(Token::from)) return {};
  TRY(statement.sources, sources(false));
  return {};
}

Result<> Parser::limits(Statement& statement) {
  TRY(statement.limit, optional_number(Token::limit));
  TRY(statement.offset, optional_number(Token::offset));
  return {};
}

}  // namespace flux::query::influxql
