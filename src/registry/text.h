#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flux::registry {

constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
std::string ascii_lower(std::string_view text);
/// As people sort names: letters A to Z as small ones, and digits in a row by the number that they spell ("room 2"
/// before "room 10"). Equal for names that differ in such letters and in leading zeros only.
std::weak_ordering compare_naturally(std::string_view a, std::string_view b);
/// The first bytes of a text that compares, byte by byte, as `compare_naturally` compares the names: where two of them
/// differ, so do the names, in the same way.
std::array<char, 16> natural_prefix(std::string_view name);
/// `lower` is in lower case already.
bool contains_ignoring_case(std::string_view text, std::string_view lower);

/// RFC 4648 section 5, without padding.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

/// Bytes of a cursor, written and read in order. Reading past the end or a string that is cut makes `ok` false.
class CursorWriter {
 public:
  void number(std::uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void text(std::string_view value) {
    number(value.size());
    bytes_ += value;
  }
  [[nodiscard]] std::string take() const { return to_base64url(bytes_); }

 private:
  std::string bytes_;
};

class CursorReader {
 public:
  explicit CursorReader(std::string_view cursor);
  std::uint64_t number();
  std::string text();
  /// Everything was there and nothing is left.
  [[nodiscard]] bool complete() const { return ok_ && at_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace flux::registry
