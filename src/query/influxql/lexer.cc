#include "query/influxql/lexer.h"

namespace flux::query::influxql {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool is_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }
bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_word(char32_t c) { return is_letter(c) || is_digit(c) || c == U'_'; }
bool is_blank(char32_t c) { return c == U' ' || c == U'\t' || c == U'\n'; }
bool is_unit(char32_t c) { return is_letter(c) || c == U'µ'; }

char32_t decode(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 && first < 0xF5 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : 0;
  if (more == 0 || first >= 0xF5 || at + static_cast<std::size_t>(more) > text.size()) return kReplacement;
  char32_t c = first & (0x3FU >> more);
  for (int i = 0; i < more; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]);
    if ((byte & 0xC0) != 0x80) return kReplacement;
    c = (c << 6) | (byte & 0x3FU);
  }
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (c < kLeast[more] || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) return kReplacement;
  at += static_cast<std::size_t>(more);
  return c;
}

}  // namespace

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

Lexer::Lexer(std::string_view text) {
  text_.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    char32_t c = decode(text, at);
    if (c == U'\r') {
      if (at < text.size() && text[at] == '\n') ++at;
      c = U'\n';
    }
    text_ += c;
  }
}

Place Lexer::place(std::size_t index) const {
  const std::size_t end = text_.size();
  const std::size_t upto = std::min(index, end);
  if (upto < seen_) seen_ = 0, line_ = 0, line_start_ = 0;
  for (; seen_ < upto; ++seen_)
    if (text_[seen_] == U'\n') ++line_, line_start_ = seen_ + 1;
  // Whoever reads on behind the end stands one character further than who sees it first.
  return {line_, static_cast<std::uint32_t>(upto - line_start_ + (index > end ? 1 : 0))};
}

char32_t Lexer::peek() {
  const char32_t c = read();
  if (c != 0) unread();
  return c;
}

Lexeme Lexer::next() {
  const char32_t c = read();
  const Place start = last();
  const auto one = [&](Token token) { return Lexeme{token, start, {}}; };
  const auto follows = [&](char32_t wanted) {
    if (read() == wanted) return true;
    unread();
    return false;
  };
  if (is_blank(c)) {
    Lexeme blank{Token::blank, start, {}};
    append_utf8(blank.text, c);
    for (;;) {
      const char32_t more = read();
      if (more == 0) break;
      if (!is_blank(more)) {
        unread();
        break;
      }
      append_utf8(blank.text, more);
    }
    return blank;
  }
  if (is_letter(c) || c == U'_' || c == U'"') {
    unread();
    return identifier(true);
  }
  if (is_digit(c)) {
    unread();
    return number();
  }
  switch (c) {
    case 0: return one(Token::eof);
    case U'\'': unread(); return quoted();
    case U'.': {
      const bool fraction = is_digit(read());
      unread();
      if (!fraction) return one(Token::dot);
      unread();
      return number();
    }
    case U'$': {
      Lexeme name = identifier(false);
      if (name.token == Token::identifier) name.token = Token::parameter;
      name.place = start;
      name.text.insert(0, 1, '$');
      return name;
    }
    case U'+': return one(Token::add);
    case U'-':
      if (!follows(U'-')) return one(Token::sub);
      for (char32_t skipped = read(); skipped != U'\n' && skipped != 0;) skipped = read();
      return one(Token::comment);
    case U'*': return one(Token::mul);
    case U'/': return !follows(U'*') ? one(Token::div) : one(skip_comment() ? Token::comment : Token::illegal);
    case U'%': return one(Token::mod);
    case U'&': return one(Token::bit_and);
    case U'|': return one(Token::bit_or);
    case U'^': return one(Token::bit_xor);
    case U'=': return one(follows(U'~') ? Token::eq_regex : Token::eq);
    case U'!':
      if (follows(U'=')) return one(Token::neq);
      if (follows(U'~')) return one(Token::neq_regex);
      break;
    case U'>': return one(follows(U'=') ? Token::gte : Token::gt);
    case U'<': return one(follows(U'=') ? Token::lte : follows(U'>') ? Token::neq : Token::lt);
    case U'(': return one(Token::left_paren);
    case U')': return one(Token::right_paren);
    case U',': return one(Token::comma);
    case U';': return one(Token::semicolon);
    case U':': return one(follows(U':') ? Token::double_colon : Token::colon);
    default: break;
  }
  Lexeme illegal = one(Token::illegal);
  append_utf8(illegal.text, c);
  return illegal;
}

bool Lexer::skip_comment() {
  for (char32_t c = read(); c != 0; c = read()) {
    while (c == U'*') {
      c = read();
      if (c == U'/') return true;
    }
    if (c == 0) break;
  }
  return false;
}

Lexeme Lexer::identifier(bool with_keywords) {
  const Place start = here();
  std::string text;
  for (;;) {
    const char32_t c = read();
    if (c == 0) break;
    if (c == U'"') {
      unread();
      Lexeme name = quoted();
      if (name.token != Token::string) return name;
      return {Token::identifier, start, std::move(name.text)};
    }
    if (!is_word(c)) {
      unread();
      break;
    }
    append_utf8(text, c);
    for (;;) {
      const char32_t more = read();
      if (more == 0) break;
      if (!is_word(more)) {
        unread();
        break;
      }
      append_utf8(text, more);
    }
  }
  if (with_keywords)
    if (const Token word = keyword(text); word != Token::identifier) return {word, start, {}};
  return {Token::identifier, start, std::move(text)};
}

Lexeme Lexer::quoted() {
  const Place start = last();  // as InfluxDB says it: the place before the quote
  const char32_t quote = read();
  std::string text;
  for (;;) {
    const char32_t c = read();
    if (c == quote && c != 0) return {Token::string, start, std::move(text)};
    if (c == 0 || c == U'\n') return {Token::bad_string, start, std::move(text)};
    if (c != U'\\') {
      append_utf8(text, c);
      continue;
    }
    const char32_t escaped = read();
    if (escaped == U'n') {
      text += '\n';
    } else if (escaped == U'\\' || escaped == U'"' || escaped == U'\'') {
      append_utf8(text, escaped);
    } else {
      std::string shown = "\\";
      append_utf8(shown, escaped);
      return {Token::bad_escape, last(), std::move(shown)};
    }
  }
}

Lexeme Lexer::next_regex() {
  const Place start = last();
  if (read() != U'/') return {Token::bad_regex, start, {}};
  std::string text;
  for (;;) {
    const char32_t c = read();
    if (c == U'/') return {Token::regex, start, std::move(text)};
    if (c == 0) return {Token::bad_regex, start, {}};
    if (c == U'\n') return {Token::bad_regex, start, {}};
    if (c == U'\\') {
      const char32_t escaped = read();
      if (escaped == 0) return {Token::bad_regex, start, {}};
      if (escaped == U'/') {
        text += '/';
        continue;
      }
      unread();
    }
    append_utf8(text, c);
  }
}

std::string Lexer::digits() {
  std::string text;
  for (char32_t c = read();; c = read()) {
    if (!is_digit(c)) {
      unread();
      return text;
    }
    text += static_cast<char>(c);
  }
}

Lexeme Lexer::number() {
  const Place start = here();
  std::string text = digits();
  if (read() == U'.') {
    const char32_t first = read();
    if (is_digit(first)) {
      text += '.';
      text += static_cast<char>(first);
      text += digits();
    } else {
      unread();
    }
    return {Token::number, start, std::move(text)};
  }
  unread();
  char32_t c = read();
  if (!is_unit(c)) {
    unread();
    return {Token::integer, start, std::move(text)};
  }
  for (; is_unit(c) || is_digit(c); c = read()) append_utf8(text, c);
  unread();
  return {Token::duration_value, start, std::move(text)};
}

}  // namespace flux::query::influxql
