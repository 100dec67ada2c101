#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// The loops over bytes that line protocol spends its time in, each with a scalar twin that says what it means.
namespace flux::wire::line {

/// What is read may be followed by any bytes, but so many must be readable.
inline constexpr std::size_t kPadding = 64;

namespace scalar {

/// The first newline, or blank that no backslash stands before, in [at, end); `end` when there is neither.
inline const char* find_key_end(const char* at, const char* end) {
  for (const char* p = at; p < end; ++p) {
    if (*p == '\n') return p;
    if (*p == ' ' && (p == at || p[-1] != '\\')) return p;
  }
  return end;
}

/// The first `"` or backslash in [at, end); `end` when there is neither.
inline const char* find_quote_or_backslash(const char* at, const char* end) {
  for (; at < end; ++at)
    if (*at == '"' || *at == '\\') return at;
  return end;
}

inline bool same(const char* a, const char* b, std::size_t size) { return std::memcmp(a, b, size) == 0; }

/// The number that eight decimal digits say; nothing is promised for other bytes.
inline bool eight_digits(const char* at, std::uint64_t& value) {
  value = 0;
  for (int i = 0; i < 8; ++i) {
    if (at[i] < '0' || at[i] > '9') return false;
    value = value * 10 + static_cast<unsigned>(at[i] - '0');
  }
  return true;
}

}  // namespace scalar

#if defined(__SSE2__)

namespace detail {

/// Bit i is set where byte i of the 64 at `at` is `byte`.
inline std::uint64_t mask_of(const char* at, char byte) {
  const __m128i wanted = _mm_set1_epi8(byte);
  std::uint64_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * i));
    mask |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted))))
            << (16 * i);
  }
  return mask;
}

}  // namespace detail

inline const char* find_key_end(const char* at, const char* end) {
  std::uint64_t after_backslash = 0;  // bit 0: the byte before this block was one
  for (; at < end; at += 64) {
    const std::uint64_t backslashes = detail::mask_of(at, '\\');
    const std::uint64_t blanks = detail::mask_of(at, ' ') & ~(backslashes << 1 | after_backslash);
    const std::uint64_t stops = blanks | detail::mask_of(at, '\n');
    if (stops != 0) {
      const char* const found = at + std::countr_zero(stops);
      return found < end ? found : end;
    }
    after_backslash = backslashes >> 63;
  }
  return end;
}

inline const char* find_quote_or_backslash(const char* at, const char* end) {
  for (; at < end; at += 64) {
    const std::uint64_t stops = detail::mask_of(at, '"') | detail::mask_of(at, '\\');
    if (stops != 0) {
      const char* const found = at + std::countr_zero(stops);
      return found < end ? found : end;
    }
  }
  return end;
}

/// Both may be read 15 bytes beyond `size`.
inline bool same(const char* a, const char* b, std::size_t size) {
  for (; size > 16; size -= 16, a += 16, b += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) != 0xFFFF) return false;
  }
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  const auto equal = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)));
  const unsigned wanted = (1U << size) - 1;
  return (equal & wanted) == wanted;
}

#else

using scalar::find_key_end;
using scalar::find_quote_or_backslash;
using scalar::same;

#endif

/// Whether eight decimal digits stand at `at`, and what they say: all at once in one register.
inline bool eight_digits(const char* at, std::uint64_t& value) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  constexpr std::uint64_t kHigh = 0xF0F0F0F0F0F0F0F0;
  constexpr std::uint64_t kZeros = 0x3030303030303030;
  if (((word & kHigh) | ((word + 0x0606060606060606) & kHigh) >> 4) != (kZeros | kZeros >> 4)) return false;
  word -= kZeros;
  word = word * 10 + (word >> 8);  // pairs
  constexpr std::uint64_t kMask = 0x000000FF000000FF;
  constexpr std::uint64_t kEven = 0x000F424000000064;  // 100 + (1000000 << 32)
  constexpr std::uint64_t kOdd = 0x0000271000000001;   // 1 + (10000 << 32)
  value = ((word & kMask) * kEven + ((word >> 16) & kMask) * kOdd) >> 32;
  return true;
}

}  // namespace flux::wire::line
