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

namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The digits in a row that begin at `at`, without leading zeros; `at` is behind them afterwards.
std::string_view take_number(std::string_view text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return text.substr(begin, at - begin);
}

}  // namespace

std::weak_ordering compare_naturally(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t k = 0;
  while (i < a.size() && k < b.size()) {
    if (is_digit(a[i]) && is_digit(b[k])) {
      const std::string_view x = take_number(a, i);
      const std::string_view y = take_number(b, k);
      if (x.size() != y.size()) return x.size() <=> y.size();
      if (const int order = x.compare(y); order != 0) return order <=> 0;
      continue;
    }
    const auto x = static_cast<unsigned char>(ascii_lower(a[i++]));
    const auto y = static_cast<unsigned char>(ascii_lower(b[k++]));
    if (x != y) return x <=> y;
  }
  return a.size() - i <=> b.size() - k;
}

std::array<char, 16> natural_prefix(std::string_view name) {
  // A number is spelled as '0', so that it stands among other characters as any digit does, then how many digits it
  // has, then these.
  std::array<char, 16> prefix{};
  std::size_t size = 0;
  const auto add = [&](char c) {
    if (size < prefix.size()) prefix[size++] = c;
  };
  for (std::size_t at = 0; at < name.size() && size < prefix.size();) {
    if (!is_digit(name[at])) {
      add(ascii_lower(name[at++]));
      continue;
    }
    const std::string_view number = take_number(name, at);
    add('0');
    add(static_cast<char>(std::min<std::size_t>(number.size(), 255)));
    if (number.size() >= 255) break;  // which of two is longer, the prefix does not say
    for (const char digit : number) add(digit);
  }
  return prefix;
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
