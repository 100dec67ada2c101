#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/ids.h"

namespace flux {

/// XXH3, 64 bits. Stable across releases: it decides what lies on disk.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0);

/// XXH3, 128 bits. Stable across releases.
Fingerprint hash128(std::span<const std::byte> bytes);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), continued from `crc`, which is 0 at the start.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

/// Transparent string hash for `boost::unordered_flat_map` and the standard maps.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return hash64(text); }
};

}  // namespace flux
