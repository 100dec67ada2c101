#include "query/influxql/parser.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace flux::query::influxql {
namespace {

struct Depth {
  explicit Depth(int& depth) : depth_(depth) { ++depth_; }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  int& depth_;
};

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

const Lexeme& Parser::scan() {
  if (taken_back_ > 0) {
    --taken_back_;
    return lexemes_[(at_ - taken_back_ + 3) % 3];
  }
  at_ = (at_ + 1) % 3;
  return lexemes_[at_] = lexer_.next();
}

const Lexeme& Parser::scan_regex() {
  if (taken_back_ > 0) return scan();
  at_ = (at_ + 1) % 3;
  return lexemes_[at_] = lexer_.next_regex();
}

const Lexeme& Parser::next() {
  for (;;) {
    const Lexeme& lexeme = scan();
    if (lexeme.token != Token::blank && lexeme.token != Token::comment) return lexeme;
  }
}

bool Parser::accept(Token token) {
  if (next().token == token) return true;
  back();
  return false;
}

void Parser::skip_blank() {
  if (scan().token != Token::blank) back();
}

Parser::Failure Parser::found(const Lexeme& lexeme, std::initializer_list<std::string_view> expected) {
  std::string list;
  for (const std::string_view word : expected) {
    if (!list.empty()) list += ", ";
    list += word;
  }
  return trouble_at("found " + lexeme.named() + ", expected " + list, lexeme.place);
}

Parser::Failure Parser::trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Parser::Failure Parser::trouble_at(std::string message, Place place) {
  return trouble(std::move(message) + " at line " + std::to_string(place.line + 1) + ", char " +
                 std::to_string(place.column + 1));
}

Result<> Parser::expect(std::initializer_list<Token> tokens) {
  for (const Token token : tokens)
    if (const Lexeme& lexeme = next(); lexeme.token != token) return found(lexeme, {spelling(token)});
  return {};
}

Result<std::string> Parser::identifier() {
  const Lexeme& lexeme = next();
  if (lexeme.token != Token::identifier) return found(lexeme, {"identifier"});
  return lexeme.text;
}

Result<std::string> Parser::text() {
  const Lexeme& lexeme = next();
  if (lexeme.token != Token::string) return found(lexeme, {"string"});
  return lexeme.text;
}

Result<std::vector<std::string>> Parser::segments() {
  std::vector<std::string> names;
  TRY(std::string first, identifier());
  names.push_back(std::move(first));
  for (;;) {
    if (scan().token != Token::dot) {
      back();
      break;
    }
    const char32_t c = lexer_.peek();
    if (c == U'/' || c == U':') break;  // a regular expression, or the caller's business
    if (c == U'.') {
      names.emplace_back();
      continue;
    }
    TRY(std::string name, identifier());
    names.push_back(std::move(name));
  }
  if (names.size() > 3) {
    std::string shown;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i != 0) shown += '.';
      const bool last = i + 1 == names.size();
      if (names[i].empty() && i != 0 && !last) continue;
      const std::string quoted = quote_identifier(names[i]);
      shown += quoted.starts_with('"') || last ? quoted : '"' + quoted + '"';
    }
    return trouble_at("too many segments in " + shown, {});
  }
  return names;
}

Result<std::int64_t> Parser::whole(std::int64_t least, std::int64_t most) {
  const Lexeme& lexeme = next();
  if (lexeme.token != Token::integer) return found(lexeme, {"integer"});
  std::int64_t value = 0;
  const auto& digits = lexeme.text;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
    return trouble_at("strconv.Atoi: parsing \"" + digits + "\": value out of range", lexeme.place);
  if (value < least || value > most)
    return trouble_at(
        "invalid value " + digits + ": must be " + std::to_string(least) + " <= n <= " + std::to_string(most),
        lexeme.place);
  return value;
}

Result<std::int64_t> Parser::duration() {
  const Lexeme& lexeme = next();
  if (lexeme.token == Token::inf) return 0;
  if (lexeme.token != Token::duration_value) return found(lexeme, {"duration"});
  auto value = parse_duration_literal(lexeme.text);
  if (!value) return trouble_at(value.error().message, lexeme.place);
  return value;
}

Result<std::int64_t> Parser::optional_number(Token token) {
  if (!accept(token)) return 0;
  const Lexeme& lexeme = next();
  if (lexeme.token != Token::integer) return found(lexeme, {"integer"});
  std::int64_t value = 0;
  const auto& digits = lexeme.text;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
    value = std::numeric_limits<std::int64_t>::max();
  return value;
}

Result<PatternPtr> Parser::regex() {
  if (const char32_t c = lexer_.peek(); c == U' ' || c == U'\t' || c == U'\n') skip_blank();
  if (lexer_.peek() != U'/') return nullptr;
  const Lexeme& lexeme = scan_regex();
  if (lexeme.token == Token::bad_regex) return trouble_at("bad regex: " + lexeme.text, lexeme.place);
  if (lexeme.token != Token::regex) return found(lexeme, {"regex"});
  auto pattern = Pattern::compile(lexeme.text);
  if (!pattern) return trouble_at(pattern.error().message, lexeme.place);
  return pattern;
}

// --- expressions ----------------------------------------------------------------------------------------------------

Result<ExprPtr> Parser::expression() {
  const Depth deeper(depth_);
  if (depth_ > kDeepest) return trouble("expression is nested too deeply");
  // Operands and operators in the order read; what binds tighter is joined first, from the left.
  std::vector<ExprPtr> operands;
  std::vector<Token> operators;
  const auto join = [&] {
    ExprPtr right = std::move(operands.back());
    operands.pop_back();
    operands.back() = binary(operators.back(), std::move(operands.back()), std::move(right));
    operators.pop_back();
  };
  TRY(ExprPtr first, unary());
  operands.push_back(std::move(first));
  for (std::size_t length = 0;; ++length) {
    const Token op = next().token;
    if (!is_operator(op)) {
      back();
      while (!operators.empty()) join();
      return operands.front();
    }
    if (length > 10'000) return trouble("expression is too long");
    ExprPtr right;
    if (is_regex_operator(op)) {
      TRY(auto pattern, regex());
      if (!pattern) return found(next(), {"regex"});
      right = regex_literal(std::move(pattern));
    } else {
      TRY(right, unary());
    }
    while (!operators.empty() && precedence(operators.back()) >= precedence(op)) join();
    operands.push_back(std::move(right));
    operators.push_back(op);
  }
}

Result<ExprPtr> Parser::unary() {
  if (accept(Token::left_paren)) {
    TRY(ExprPtr inner, expression());
    if (const Lexeme& close = next(); close.token != Token::right_paren) return found(close, {")"});
    return paren(std::move(inner));
  }
  const Lexeme lexeme = next();
  return operand(lexeme);
}

Result<ExprPtr> Parser::operand(const Lexeme& lexeme) {
  switch (lexeme.token) {
    case Token::identifier:
      if (scan().token == Token::left_paren) return function(lexeme.text);
      back();  // what follows
      back();  // the identifier
      return variable_reference();
    case Token::distinct: {
      const Lexeme after = scan();
      if (after.token == Token::left_paren) return function("distinct");
      if (after.token != Token::blank) return found(after, {"(", "identifier"});
      const Lexeme& name = next();
      if (name.token != Token::identifier) return found(name, {"identifier"});
      auto expr = std::make_shared<Expr>();
      expr->kind = Expr::Kind::distinct;
      expr->text = name.text;
      return expr;
    }
    case Token::string: return string_literal(lexeme.text);
    case Token::number: {
      double value = 0;
      const auto& digits = lexeme.text;
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (read.ec != std::errc() || read.ptr != digits.data() + digits.size())
        return trouble_at("unable to parse number", lexeme.place);
      return number_literal(value);
    }
    case Token::integer: {
      std::int64_t value = 0;
      const auto& digits = lexeme.text;
      if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc())
        return integer_literal(value);
      std::uint64_t large = 0;
      if (std::from_chars(digits.data(), digits.data() + digits.size(), large).ec == std::errc())
        return unsigned_literal(large);
      return trouble_at("unable to parse integer", lexeme.place);
    }
    case Token::true_:
    case Token::false_: return boolean_literal(lexeme.token == Token::true_);
    case Token::duration_value: {
      TRY(const auto value, parse_duration_literal(lexeme.text));
      return duration_literal(value);
    }
    case Token::mul: {
      auto expr = std::make_shared<Expr>();
      expr->kind = Expr::Kind::wildcard;
      if (scan().token != Token::double_colon) {
        back();
        return expr;
      }
      const Lexeme& kind = scan();
      if (kind.token != Token::field && kind.token != Token::tag) return found(kind, {"field", "tag"});
      expr->type = kind.token == Token::field ? DataType::any_field : DataType::tag;
      return expr;
    }
    case Token::parameter: return bound(lexeme.text.substr(1));
    case Token::add:
    case Token::sub: return after_sign(lexeme.token);
    default: return found(lexeme, {"identifier", "string", "number", "bool"});
  }
}

Result<ExprPtr> Parser::after_sign(Token sign) {
  const Depth deeper(depth_);
  if (depth_ > kDeepest) return trouble("expression is nested too deeply");
  const Lexeme& follows = next();
  switch (follows.token) {
    case Token::number:
    case Token::integer:
    case Token::duration_value:
    case Token::left_paren:
    case Token::identifier: break;
    default: return found(follows, {"identifier", "number", "duration", "("});
  }
  back();
  TRY(const ExprPtr inner, unary());
  const bool minus = sign == Token::sub;
  const auto negated = [](std::int64_t value) {
    return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(value));
  };
  switch (inner->kind) {
    case Expr::Kind::number: return minus ? number_literal(-inner->number) : inner;
    case Expr::Kind::integer: return minus ? integer_literal(negated(inner->integer)) : inner;
    case Expr::Kind::duration: return minus ? duration_literal(negated(inner->integer)) : inner;
    case Expr::Kind::unsigned_integer:
      if (!minus) return inner;
      if (inner->unsigned_integer == std::uint64_t{1} << 63)
        return integer_literal(std::numeric_limits<std::int64_t>::min());
      return trouble("constant -" + std::to_string(inner->unsigned_integer) + " underflows int64");
    default: return binary(Token::mul, integer_literal(minus ? -1 : 1), inner);
  }
}

Result<ExprPtr> Parser::bound(const std::string& name) {
  if (name.empty()) return trouble("empty bound parameter");
  const auto at = parameters_.find(name);
  if (at == parameters_.end()) return trouble("missing parameter: " + name);
  const Parameter& value = at->second;
  if (const auto* number = std::get_if<double>(&value)) return number_literal(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return integer_literal(*number);
  if (const auto* string = std::get_if<std::string>(&value)) return string_literal(*string);
  if (const auto* truth = std::get_if<bool>(&value)) return boolean_literal(*truth);
  return trouble("missing parameter: unable to bind parameter with type " + std::get<Unbindable>(value).kind);
}

Result<ExprPtr> Parser::variable_reference() {
  TRY(const auto names, segments());
  DataType type = DataType::unknown;
  if (scan().token == Token::double_colon) {
    const Lexeme& cast = scan();
    if (cast.token == Token::field) {
      type = DataType::any_field;
    } else if (cast.token == Token::tag) {
      type = DataType::tag;
    } else if (cast.token == Token::identifier) {
      const std::string word = lower(cast.text);
      for (const DataType known :
           {DataType::float64, DataType::int64, DataType::uint64, DataType::string, DataType::boolean})
        if (word == to_string(known)) type = known;
      if (type == DataType::unknown)
        return found(cast, {"float", "integer", "unsigned", "string", "boolean", "field", "tag"});
    } else {
      return found(cast, {"float", "integer", "string", "boolean", "field", "tag"});
    }
  } else {
    back();
  }
  std::string joined;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) joined += '.';
    joined += names[i];
  }
  return variable(std::move(joined), type);
}

Result<ExprPtr> Parser::function(std::string name) {
  name = lower(std::move(name));
  std::vector<ExprPtr> args;
  TRY(auto pattern, regex());
  if (pattern) {
    args.push_back(regex_literal(std::move(pattern)));
  } else {
    if (scan().token == Token::right_paren) return call(std::move(name), {});
    back();
    TRY(ExprPtr arg, expression());
    args.push_back(std::move(arg));
  }
  while (accept(Token::comma)) {
    TRY(auto another, regex());
    if (another) {
      args.push_back(regex_literal(std::move(another)));
      continue;
    }
    TRY(ExprPtr arg, expression());
    args.push_back(std::move(arg));
  }
  if (const Lexeme& close = scan(); close.token != Token::right_paren) return found(close, {")"});
  return call(std::move(name), std::move(args));
}

Result<std::int64_t> parse_duration_literal(std::string_view text) {
  const auto invalid = [] { return fail(ErrorCode::invalid_argument, "invalid duration"); };
  if (text.size() < 2) return invalid();
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::uint64_t sum = 0;  // wraps as Go's does
  std::string last;
  while (!text.empty()) {
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc() || read.ptr == text.data() + text.size() || text[0] == '-') return invalid();
    const std::string_view digits = text.substr(0, static_cast<std::size_t>(read.ptr - text.data()));
    text.remove_prefix(digits.size());
    struct Unit {
      std::string_view name;
      std::int64_t ns;
    };
    constexpr Unit kUnits[] = {{"ns", 1},
                               {"ms", 1'000'000},
                               {"u", 1'000},
                               {"µ", 1'000},
                               {"m", 60 * kSecond},
                               {"s", kSecond},
                               {"h", 3600 * kSecond},
                               {"d", 86400 * kSecond},
                               {"w", 7 * 86400 * kSecond}};
    const auto* unit = std::ranges::find_if(kUnits, [&](const Unit& one) { return text.starts_with(one.name); });
    if (unit == std::end(kUnits)) return invalid();
    text.remove_prefix(unit->name.size());
    sum += static_cast<std::uint64_t>(number) * static_cast<std::uint64_t>(unit->ns);
    last = std::string(digits) + std::string(unit->name);
  }
  const auto ns = static_cast<std::int64_t>(sum);
  if (ns < 0)
    return fail(ErrorCode::invalid_argument, "overflowed duration " + last + ": choose a smaller duration or INF");
  return ns;
}

}  // namespace flux::query::influxql
