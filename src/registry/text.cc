#include "registry/text.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace flux::registry {

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return ascii_lower(c); });
  return lower;
}

std::strong_ordering compare_ignoring_case(std::string_view a, std::string_view b) {
  const std::size_t shared = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < shared; ++i) {
    if (a[i] == b[i]) continue;
    const auto x = static_cast<unsigned char>(ascii_lower(a[i]));
    const auto y = static_cast<unsigned char>(ascii_lower(b[i]));
    if (x != y) return x <=> y;
  }
  return a.size() <=> b.size();
}

bool contains_ignoring_case(std::string_view text, std::string_view lower) {
  if (lower.empty()) return true;
  if (lower.size() > text.size()) return false;
  const std::size_t last = text.size() - lower.size();
  for (std::size_t i = 0; i <= last; ++i) {
    if (ascii_lower(text[i]) != lower[0]) continue;
    std::size_t k = 1;
    while (k < lower.size() && ascii_lower(text[i + k]) == lower[k]) ++k;
    if (k == lower.size()) return true;
  }
  return false;
}

namespace {
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
}

std::string to_base64url(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const char c : bytes) {
    buffer = (buffer << 8) | static_cast<unsigned char>(c);
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      text += kAlphabet[(buffer >> bits) & 63];
    }
  }
  if (bits > 0) text += kAlphabet[(buffer << (6 - bits)) & 63];
  return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
  static constexpr auto kValues = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
      values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    }
    return values;
  }();
  std::string bytes;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const std::int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    buffer = (buffer << 6) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((buffer >> bits) & 0xFF);
    }
  }
  if (bits >= 6 || (buffer & ((1U << bits) - 1)) != 0) return std::nullopt;  // one spelling for each value
  return bytes;
}

CursorReader::CursorReader(std::string_view cursor) {
  auto bytes = from_base64url(cursor);
  ok_ = bytes.has_value();
  if (bytes) bytes_ = std::move(*bytes);
}

std::uint64_t CursorReader::number() {
  std::uint64_t value = 0;
  if (bytes_.size() - at_ < sizeof(value)) ok_ = false;
  if (!ok_) return 0;
  std::memcpy(&value, bytes_.data() + at_, sizeof(value));
  at_ += sizeof(value);
  return value;
}

std::string CursorReader::text() {
  const std::uint64_t size = number();
  if (!ok_ || bytes_.size() - at_ < size) {
    ok_ = false;
    return {};
  }
  std::string value = bytes_.substr(at_, size);
  at_ += size;
  return value;
}

}  // namespace flux::registry
