#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux::query {

/// A regular expression in RE2's words (those of Go, which InfluxQL speaks): found anywhere, in linear time.
class Pattern {
 public:
  /// `invalid_argument` in the words that InfluxDB uses.
  static Result<std::shared_ptr<const Pattern>> compile(std::string_view text);
  ~Pattern();

  [[nodiscard]] bool matches(std::string_view text) const;
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The one string that it matches (`^name$`), when it is written like that.
  [[nodiscard]] bool is_literal(std::string& value) const;

 private:
  struct Impl;
  Pattern(std::string text, std::unique_ptr<Impl> impl);
  std::string text_;
  std::unique_ptr<Impl> impl_;
};
using PatternPtr = std::shared_ptr<const Pattern>;

}  // namespace flux::query
