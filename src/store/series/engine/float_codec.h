#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "store/series/engine/bytes.h"

/// Doubles, by their bits: every pattern comes back, NaN payloads, -0 and denormals too. The first byte says how:
///
/// | id | name | then |
/// |---|---|---|
/// | 1 | bits | the bit patterns as a list of integers |
/// | 2 | decimal | places u8 · integers n: value = n / 10^places · exceptions varint · gaps varints · bits u64 |
/// | 3 | xor | first u64 · bit stream (see float_codec.cc) |
namespace flux::store::engine {

void encode_floats(std::span<const std::uint64_t> bits, std::string& out);
bool decode_floats(ByteReader& in, std::size_t count, std::uint64_t* out);

/// The name of the coding that `in` begins with.
std::string describe_floats(ByteReader& in);

}  // namespace flux::store::engine
