#include "observe/printable.h"

#include <array>
#include <cstdio>

#include "core/utf8.h"

namespace flux::observe {

void append_escape(std::string& out, std::uint32_t code) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u";
  for (const int shift : {12, 8, 4, 0}) out += kHex[code >> shift & 15];
}

std::optional<Unseen> unseen_at(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(i < text.size() ? text[i] : 0); };
  const std::uint8_t first = at(0);
  if (first < 0x20 || first == 0x7F) return Unseen{first, 1};
  if (first == 0xC2 && at(1) >= 0x80 && at(1) < 0xA0) return Unseen{at(1), 2};  // C1
  if (first == 0xD8 && at(1) == 0x9C) return Unseen{0x061C, 2};                 // Arabic letter mark
  if (first == 0xE2 && at(1) == 0x80) {
    // Left-to-right and right-to-left mark; separators, embeddings, overrides.
    const bool is = at(2) == 0x8E || at(2) == 0x8F || (at(2) >= 0xA8 && at(2) <= 0xAE);
    if (is) return Unseen{0x2000U + (at(2) - 0x80U), 3};
  }
  if (first == 0xE2 && at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9)  // isolates
    return Unseen{0x2040U + (at(2) - 0x80U), 3};
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = utf8_length(text);
    if (const auto unseen = unseen_at(text)) {
      append_escape(out, unseen->code);
      length = unseen->length;
    } else if (length == 0) {
      std::array<char, 8> hex{};
      std::snprintf(hex.data(), hex.size(), "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
      out += hex.data();
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string printable_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const auto unseen = unseen_at(json);
    const std::size_t length = unseen ? unseen->length : 1;
    // Below a space there is only what stands between JSON's tokens.
    if (unseen && unseen->code > 0x20) append_escape(out, unseen->code);
    else out += json.substr(0, length);
    json.remove_prefix(length);
  }
  return out;
}

}  // namespace flux::observe
