#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "store/series/engine/bytes.h"

/// Numbers packed with a fixed number of bits, and a few large ones patched in: what all integer codecs end in.
namespace flux::store::engine {

/// What packing a list takes: the width of most, and how many are wider and get patched.
struct PackPlan {
  unsigned width = 0;  ///< 0 to 56, or 64
  std::size_t exceptions = 0;
  std::size_t bytes = 0;  ///< about
};

/// The cheapest plan for `values`.
PackPlan plan_pack(std::span<const std::uint64_t> values);

/// Appends
/// ```
/// width u8 · exceptions varint · values mod 2^width, lowest bits first ·
/// per exception: gap from the one before, varint · per exception: value >> width, varint
/// ```
void pack(std::span<const std::uint64_t> values, const PackPlan& plan, std::string& out);

/// Reads `count` values; false when the bytes are not what `pack` writes.
bool unpack(ByteReader& in, std::size_t count, std::uint64_t* out);

}  // namespace flux::store::engine
