#include "query/cursor.h"

#include <array>
#include <cstring>

#include "core/hash.h"

namespace flux::query {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kBytes = 40;

using Bytes = std::array<unsigned char, kBytes>;

std::uint64_t check_of(const Bytes& bytes) {
  return hash64(std::as_bytes(std::span(bytes).first(32)), 0x666C7578'63757273);
}

}  // namespace

std::string encode(const Cursor& cursor) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &cursor.query, 8);
  std::memcpy(bytes.data() + 8, &cursor.series.high, 8);
  std::memcpy(bytes.data() + 16, &cursor.series.low, 8);
  std::memcpy(bytes.data() + 24, &cursor.time, 8);
  const std::uint64_t check = check_of(bytes);
  std::memcpy(bytes.data() + 32, &check, 8);

  std::string text;
  std::uint32_t bits = 0;
  int held = 0;
  for (const unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) text += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) text += kAlphabet[(bits << (6 - held)) & 63];
  return text;
}

Result<Cursor> decode_cursor(std::string_view text) {
  const auto bad = [] {
    return fail(ErrorCode::invalid_argument, "not a cursor: expected the value of 'next' from the answer before",
                "cursor");
  };
  if (text.size() != (kBytes * 8 + 5) / 6) return bad();
  Bytes bytes{};
  std::size_t at = 0;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return bad();
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8 && at < kBytes) {
      held -= 8;
      bytes[at++] = static_cast<unsigned char>(bits >> held);
    }
  }
  std::uint64_t check = 0;
  std::memcpy(&check, bytes.data() + 32, 8);
  if (check != check_of(bytes)) return bad();
  Cursor cursor;
  std::memcpy(&cursor.query, bytes.data(), 8);
  std::memcpy(&cursor.series.high, bytes.data() + 8, 8);
  std::memcpy(&cursor.series.low, bytes.data() + 16, 8);
  std::memcpy(&cursor.time, bytes.data() + 24, 8);
  return cursor;
}

}  // namespace flux::query
