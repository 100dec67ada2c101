#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "store/series/engine/bytes.h"

/// Lists of 64-bit integers: times, integer and bool values, decimals, dictionary indices.
///
/// Arithmetic wraps, so signed and unsigned lists are coded alike and every list round-trips. The first byte says how:
///
/// | id | name | then |
/// |---|---|---|
/// | 1 | constant | value, zigzag |
/// | 2 | offset | base zigzag · scale varint · numbers((v − base) / scale) |
/// | 3 | delta | first zigzag · base zigzag · scale varint · numbers((v[i] − v[i−1] − base) / scale) |
/// | 4 | zigzag | first zigzag · scale varint · numbers(zigzag((v[i] − v[i−1]) / scale)) |
/// | 5 | delta2 | first zigzag · first delta zigzag · scale varint · numbers(zigzag(change of delta / scale)) |
/// | 6 | runs | number of runs varint · their values, a list · their lengths − 1, a list |
/// | 7 | dictionary | number of entries varint · entries ascending, a list · numbers(index of each value) |
/// | 8 | walk | first, least and greatest value zigzag · scale varint · size varint · zigzag((v[i] − v[i−1]) / scale),
/// entropy coded; v[i−1] is the context: 1 the least, 2 the greatest, else 0 |
///
/// *numbers* are packed or entropy coded (`numbers.h`).
namespace flux::store::engine {

/// Appends `values`, coded in whichever way is smallest. Any number of values; decoding needs to know it.
void encode_ints(std::span<const std::uint64_t> values, std::string& out);

/// Reads `count` values; false when the bytes are not what `encode_ints` writes.
bool decode_ints(ByteReader& in, std::size_t count, std::uint64_t* out);

/// The name of the coding that `in` begins with.
std::string describe_ints(ByteReader& in);

}  // namespace flux::store::engine
