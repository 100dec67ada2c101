#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flux::observe {

/// A character that does something to a terminal or to the text around it instead of being seen: control characters
/// (C0, DEL, C1), line and paragraph separators, and those that turn the direction of writing.
struct Unseen {
  std::uint32_t code = 0;
  std::size_t length = 1;  ///< in bytes
};
/// The one that `text` begins with; nothing when it begins with another character.
std::optional<Unseen> unseen_at(std::string_view text);

/// Appends `\u001b`, as JSON escapes what lies below U+10000.
void append_escape(std::string& out, std::uint32_t code);

/// `text` as it may be shown on a terminal: what is not seen is spelled `\u001b`, bytes that are no UTF-8 `\xff`.
std::string printable(std::string_view text);

/// JSON as it may be shown on a terminal: the same text to every reader of JSON.
std::string printable_json(std::string_view json);

}  // namespace flux::observe
