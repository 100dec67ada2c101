#include "query/pattern.h"

#include <re2/re2.h>

namespace flux::query {

namespace {

/// In Go's words, which InfluxDB passes on.
std::string_view cause(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadEscape: return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass: return "invalid character class";
    case re2::RE2::ErrorBadCharRange: return "invalid character class range";
    case re2::RE2::ErrorMissingBracket: return "missing closing ]";
    case re2::RE2::ErrorMissingParen: return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen: return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize: return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8: return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture: return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge: return "expression nests too deeply";
    default: return "internal error";
  }
}

}  // namespace

struct Pattern::Impl {
  explicit Impl(const std::string& text, const re2::RE2::Options& options) : regex(text, options) {}
  re2::RE2 regex;
};

Pattern::Pattern(std::string text, std::unique_ptr<Impl> impl) : text_(std::move(text)), impl_(std::move(impl)) {}
Pattern::~Pattern() = default;

Result<PatternPtr> Pattern::compile(std::string_view text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto impl = std::make_unique<Impl>(std::string(text), options);
  if (!impl->regex.ok()) {
    std::string message = "error parsing regexp: ";
    message += cause(impl->regex.error_code());
    message += ": `" + impl->regex.error_arg() + "`";
    return fail(ErrorCode::invalid_argument, std::move(message));
  }
  return PatternPtr(new Pattern(std::string(text), std::move(impl)));
}

bool Pattern::matches(std::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), impl_->regex);
}

bool Pattern::is_literal(std::string& value) const {
  if (text_.size() < 2 || text_.front() != '^' || text_.back() != '$') return false;
  const std::string_view inner = std::string_view(text_).substr(1, text_.size() - 2);
  if (inner.find_first_of("\\^$.|?*+()[]{}") != std::string_view::npos) return false;
  value = inner;
  return true;
}

}  // namespace flux::query
