#pragma once

#include <cstddef>
#include <string_view>

namespace flux {

/// Length in bytes of the UTF-8 character that `text` begins with; 0 where it begins with none: overlong, a surrogate,
/// beyond U+10FFFF, or cut off. `text` is not empty.
std::size_t utf8_length(std::string_view text);

/// Index of the first byte that belongs to no UTF-8 character; npos when there is none.
std::size_t invalid_utf8_at(std::string_view text);

inline bool is_utf8(std::string_view text) { return invalid_utf8_at(text) == std::string_view::npos; }

}  // namespace flux
