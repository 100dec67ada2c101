#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "wire/json/element.h"

namespace flux::wire::json {

/// JSON of which numbers that no double or 64-bit integer can hold do not spoil the rest: an integer too wide reads as
/// a double, what is beyond a double's range as a mark (`is_mark`). Keeps its buffers between texts. One thread.
class LenientParser {
 public:
  explicit LenientParser(std::size_t max_depth);

  /// The root; valid until the next text. `invalid_argument` with the byte offset where the text is not JSON,
  /// `too_large` where it cannot be parsed at all.
  Result<Element> parse(std::string_view text);
  /// Whether this stands for a number beyond the range of a double.
  [[nodiscard]] bool is_mark(const Element& value) const {
    return patched_ && value.type() == element_type::STRING && text_of(value) == std::string_view(mark_, sizeof mark_);
  }
  /// Gives back buffers that only a long text needs.
  void release();

 private:
  simdjson::simdjson_result<Element> load(std::string_view text);

  std::size_t max_depth_;
  dom::parser parser_;
  std::vector<char> buffer_;
  char mark_[32];  // nobody can know it
  bool patched_ = false;
};

}  // namespace flux::wire::json
