#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace flux::config {

/// A size of storage or memory. Converts from and to a plain count, so `config::Bytes segment_bytes = 128_MiB;` and
/// `if (size > config.segment_bytes)` read as they should.
struct Bytes {
  std::uint64_t count = 0;

  constexpr Bytes() = default;
  constexpr Bytes(std::uint64_t bytes) : count(bytes) {}      // NOLINT(google-explicit-constructor)
  constexpr operator std::uint64_t() const { return count; }  // NOLINT(google-explicit-constructor)
};

/// `4096`, `64KiB`, `128MiB`, `1GiB`, `2TiB` (powers of 1024), `10kB`, `10MB`, `1GB`, `1TB` (powers of 1000).
Result<Bytes> parse_bytes(std::string_view text);

/// In the largest binary unit that is exact: `128MiB`, `1000`.
std::string to_string(Bytes bytes);

}  // namespace flux::config
