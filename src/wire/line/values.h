#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/value.h"
#include "wire/line/scan.h"

/// Numbers, booleans and times of line protocol. The quick readers below take what devices mostly send and say "not
/// me" to the rest, which `read_value` and `read_time` judge.
namespace flux::wire::line {

/// What a whole number at the end of a line counts.
enum class Precision : std::uint8_t { ns, us, ms, s, m, h };

constexpr std::int64_t nanoseconds(Precision precision) {
  switch (precision) {
    case Precision::ns: return 1;
    case Precision::us: return 1'000;
    case Precision::ms: return 1'000'000;
    case Precision::s: return 1'000'000'000;
    case Precision::m: return 60'000'000'000;
    case Precision::h: return 3'600'000'000'000;
  }
  return 1;
}

/// InfluxDB's own limits: the outermost nanoseconds mean something else there.
inline constexpr std::int64_t kOldestTime = INT64_MIN + 2;
inline constexpr std::int64_t kNewestTime = INT64_MAX - 1;

/// An unquoted value, from after its `=` up to the comma, blank or end behind it. False, with the cause in InfluxDB's
/// words, when it is none.
bool read_value(std::string_view text, ValueType& type, Cell& cell, std::string& cause);
/// Digits, perhaps after a minus sign.
bool read_time(std::string_view digits, Precision precision, std::int64_t& ns, std::string& cause);

namespace detail {

inline constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                          1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

inline unsigned digit(char c) { return static_cast<unsigned>(static_cast<unsigned char>(c)) - '0'; }

/// Digits from `at` on, at most 19 of them; where they end, or null when there are more.
inline const char* quick_digits(const char* at, std::uint64_t& value) {
  const char* const begin = at;
  std::uint64_t eight = 0;
  value = 0;
  while (digit(*at) < 10) {
    if (at - begin == 19) return nullptr;
    value = value * 10 + digit(*at++);
    if ((at - begin) == 3 && eight_digits(at, eight)) {
      value = value * 100'000'000 + eight;
      at += 8;
      if (eight_digits(at, eight)) {
        value = value * 100'000'000 + eight;
        at += 8;
        return digit(*at) < 10 ? nullptr : at;
      }
    }
  }
  return at;
}

}  // namespace detail

/// `-12i`. Null: not so simple.
inline const char* quick_int64(const char* at, Cell& cell) {
  const bool negative = *at == '-';
  at += negative ? 1 : 0;
  std::uint64_t value = 0;
  const char* const end = detail::quick_digits(at, value);
  if (end == nullptr || end == at || *end != 'i' || value > INT64_MAX) return nullptr;
  const auto number = static_cast<std::int64_t>(value);
  cell = to_cell(negative ? -number : number);
  return end + 1;
}

/// `12u`. Null: not so simple.
inline const char* quick_uint64(const char* at, Cell& cell) {
  const char* const end = detail::quick_digits(at, cell);
  return end == nullptr || end == at || *end != 'u' ? nullptr : end + 1;
}

/// `-12.5`: up to 2^53 over a power of ten up to 10^22 both are doubles, so that their quotient is the nearest one
/// (Clinger). Null: not so simple.
inline const char* quick_float64(const char* at, Cell& cell) {
  const bool negative = *at == '-';
  at += negative ? 1 : 0;
  const char* const begin = at;
  std::uint64_t mantissa = 0;
  while (detail::digit(*at) < 10) mantissa = mantissa * 10 + detail::digit(*at++);
  std::ptrdiff_t digits = at - begin;
  std::ptrdiff_t fraction = 0;
  if (*at == '.') {
    const char* const point = ++at;
    while (detail::digit(*at) < 10) mantissa = mantissa * 10 + detail::digit(*at++);
    fraction = at - point;
    digits += fraction;
  }
  if (digits == 0 || digits > 19 || mantissa > (1ULL << 53)) return nullptr;
  if (*at == 'e' || *at == 'E' || *at == 'i' || *at == 'u') return nullptr;
  const double value = static_cast<double>(mantissa) / detail::kPowersOfTen[fraction];
  cell = to_cell(negative ? -value : value);
  return at;
}

/// `t`, `false`, `TRUE`, …. Null when it is none.
inline const char* quick_boolean(const char* at, Cell& cell) {
  const auto reads = [&](const char* text, std::size_t size) { return same(at, text, size); };
  const bool truth = *at == 't' || *at == 'T';
  if (!truth && *at != 'f' && *at != 'F') return nullptr;
  cell = to_cell(truth);
  alignas(16) static constexpr char kWords[6][32] = {"true", "True", "TRUE", "false", "False", "FALSE"};
  if (truth) {
    for (int i = *at == 't' ? 0 : 1; i < (*at == 't' ? 1 : 3); ++i)
      if (reads(kWords[i], 4)) return at + 4;
  } else {
    for (int i = *at == 'f' ? 3 : 4; i < (*at == 'f' ? 4 : 6); ++i)
      if (reads(kWords[i], 5)) return at + 5;
  }
  return at + 1;
}

/// A time in units of `unit` ns. Null: not so simple.
inline const char* quick_time(const char* at, std::int64_t unit, std::int64_t& ns) {
  const bool negative = *at == '-';
  at += negative ? 1 : 0;
  std::uint64_t value = 0;
  const char* const end = detail::quick_digits(at, value);
  if (end == nullptr || end == at || value > static_cast<std::uint64_t>(kNewestTime)) return nullptr;
  const auto number = static_cast<std::int64_t>(value);
  if (__builtin_mul_overflow(negative ? -number : number, unit, &ns)) return nullptr;
  return ns < kOldestTime || ns > kNewestTime ? nullptr : end;
}

}  // namespace flux::wire::line
