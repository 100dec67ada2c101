#include "wire/json/json_check.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "core/utf8.h"

namespace flux::wire::json {
namespace {

class Checker {
 public:
  Checker(std::string_view text, std::size_t max_depth, std::vector<WideNumber>* wide)
      : text_(text), max_depth_(max_depth), wide_(wide) {}

  std::optional<JsonFault> run() {
    skip_space();
    if (!value(0)) return fault_;
    skip_space();
    if (at_ != text_.size()) fail("expected nothing after the first value");
    return fault_;
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[nodiscard]] bool digit() const { return peek() >= '0' && peek() <= '9'; }

  bool fail(std::string message) {
    if (at_end()) message += ", but the text ends";
    fault_ = JsonFault{at_, std::move(message)};
    return false;
  }

  void skip_space() {
    while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }

  bool value(std::size_t depth) {
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default:
        if (peek() == '-' || digit()) return number();
        return fail("expected a value");
    }
  }

  bool enter(std::size_t depth) {
    if (depth < max_depth_) return true;
    return fail("nested more than " + std::to_string(max_depth_) + " levels deep");
  }

  bool object(std::size_t depth) {
    if (!enter(depth)) return false;
    ++at_;
    skip_space();
    if (peek() == '}') return ++at_, true;
    for (;;) {
      if (peek() != '"') return fail("expected a name in double quotes");
      if (!string()) return false;
      skip_space();
      if (peek() != ':') return fail("expected ':' after a name");
      ++at_;
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (peek() == '}') return ++at_, true;
      if (peek() != ',') return fail("expected ',' or '}' after a value");
      ++at_;
      skip_space();
    }
  }

  bool array(std::size_t depth) {
    if (!enter(depth)) return false;
    ++at_;
    skip_space();
    if (peek() == ']') return ++at_, true;
    for (;;) {
      if (!value(depth + 1)) return false;
      skip_space();
      if (peek() == ']') return ++at_, true;
      if (peek() != ',') return fail("expected ',' or ']' after a value");
      ++at_;
      skip_space();
    }
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return fail("expected a value");
    at_ += expected.size();
    return true;
  }

  /// Four hexadecimal digits, or -1.
  int hex4() {
    int code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = peek();
      const int digit_value = c >= '0' && c <= '9'   ? c - '0'
                              : c >= 'a' && c <= 'f' ? c - 'a' + 10
                              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                     : -1;
      if (digit_value < 0 || at_end()) return -1;
      code = code * 16 + digit_value;
      ++at_;
    }
    return code;
  }

  bool escape() {
    ++at_;  // the backslash
    switch (peek()) {
      case '"':
      case '\\':
      case '/':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't': return ++at_, true;
      case 'u': break;
      default: return fail("expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u after a backslash");
    }
    ++at_;
    const int high = hex4();
    if (high < 0) return fail("expected four hexadecimal digits after \\u");
    if (high >= 0xDC00 && high <= 0xDFFF) return fail("a low surrogate without its high one");
    if (high < 0xD800 || high > 0xDBFF) return true;
    if (text_.substr(at_, 2) != "\\u") return fail("expected the low surrogate \\uDC00 to \\uDFFF");
    at_ += 2;
    const int low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) return fail("expected the low surrogate \\uDC00 to \\uDFFF");
    return true;
  }

  bool string() {
    ++at_;  // the opening quote
    for (;;) {
      if (at_end()) return fail("expected '\"' at the end of a string");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') return ++at_, true;
      if (c < 0x20) return fail("a control character inside a string must be escaped");
      if (c == '\\') {
        if (!escape()) return false;
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return fail("not valid UTF-8");
      at_ += length;
    }
  }

  bool number() {
    const std::size_t start = at_;
    if (peek() == '-') ++at_;
    if (!digit()) return fail("expected a digit");
    if (peek() == '0') ++at_;
    else
      while (digit()) ++at_;
    if (digit()) return fail("a number must not start with 0");
    bool integer = true;
    if (peek() == '.') {
      integer = false;
      ++at_;
      if (!digit()) return fail("expected a digit after the point");
      while (digit()) ++at_;
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digit()) return fail("expected a digit in the exponent");
      while (digit()) ++at_;
    }
    if (wide_ != nullptr) note_if_wide(start, integer);
    return true;
  }

  void note_if_wide(std::size_t start, bool integer) {
    const std::string literal(text_.substr(start, at_ - start));
    if (integer) {
      std::int64_t narrow = 0;
      std::uint64_t positive = 0;
      const char* const end = literal.data() + literal.size();
      if (std::from_chars(literal.data(), end, narrow).ec == std::errc{}) return;
      if (std::from_chars(literal.data(), end, positive).ec == std::errc{}) return;
    }
    const bool finite = std::isfinite(std::strtod(literal.c_str(), nullptr));
    if (integer || !finite) wide_->push_back({start, literal.size(), integer && finite});
  }

  std::string_view text_;
  std::size_t max_depth_;
  std::vector<WideNumber>* wide_;
  std::size_t at_ = 0;
  std::optional<JsonFault> fault_;
};

}  // namespace

std::optional<JsonFault> check_json(std::string_view text, std::size_t max_depth, std::vector<WideNumber>* wide) {
  return Checker(text, max_depth, wide).run();
}

}  // namespace flux::wire::json
