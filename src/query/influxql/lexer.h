#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "query/influxql/token.h"

namespace flux::query::influxql {

/// Cuts InfluxQL into lexemes, with the places that InfluxDB's messages name. Bytes that are no UTF-8 read as U+FFFD.
class Lexer {
 public:
  explicit Lexer(std::string_view text);

  Lexeme next();
  /// From where we are, which must be a slash: up to the next one that no backslash precedes.
  Lexeme next_regex();
  /// The character that would be read next; 0 at the end.
  char32_t peek();

 private:
  /// 0 at the end, which counts as one character.
  char32_t read() { return at_ < text_.size() ? text_[at_++] : (++at_, U'\0'); }
  void unread() { --at_; }
  [[nodiscard]] Place place(std::size_t index) const;
  [[nodiscard]] Place here() const { return place(at_); }
  [[nodiscard]] Place last() const { return place(at_ == 0 ? 0 : at_ - 1); }

  Lexeme identifier(bool with_keywords);
  Lexeme quoted();
  Lexeme number();
  bool skip_comment();
  std::string digits();

  std::u32string text_;
  std::size_t at_ = 0;
  mutable std::size_t seen_ = 0;  ///< how far `line_` and `line_start_` have come
  mutable std::uint32_t line_ = 0;
  mutable std::size_t line_start_ = 0;
};

void append_utf8(std::string& out, char32_t c);

}  // namespace flux::query::influxql
