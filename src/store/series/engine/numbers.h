#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "store/series/engine/bitpack.h"
#include "store/series/engine/bytes.h"

/// Unsigned numbers in the way that takes least: packed with a fixed width (`bitpack.h`), or by their frequencies
/// (`entropy.h`). The first byte says which: below 0x80 it is the width of packed ones, else
///
/// | byte | then |
/// |---|---|
/// | 0x80 | size varint · coded numbers, all in one context |
/// | 0x81 | size varint · coded numbers, the context of each is the size of the one before: 0, 1 to 2, 3 to 8, more |
namespace flux::store::engine {

enum class NumberCoding : std::uint8_t { packed, entropy, entropy_by_last };

struct NumbersPlan {
  NumberCoding coding = NumberCoding::packed;
  PackPlan pack;
  std::size_t bytes = 0;  ///< about
};

NumbersPlan plan_numbers(std::span<const std::uint64_t> numbers);
/// Makes the plan to pack them one to code them by their frequencies, where that pays.
void consider_entropy(std::span<const std::uint64_t> numbers, NumbersPlan& plan);
/// Looks for a better plan at more cost, for numbers that are written for sure.
void refine(std::span<const std::uint64_t> numbers, NumbersPlan& plan);
void write_numbers(std::span<const std::uint64_t> numbers, const NumbersPlan& plan, std::string& out);
bool read_numbers(ByteReader& in, std::size_t count, std::uint64_t* out);

/// Entropy coding costs more to read, so it has to be worth it.
constexpr bool is_worth_entropy(std::size_t entropy_bytes, std::size_t packed_bytes) {
  return entropy_bytes + entropy_bytes / 16 < packed_bytes;
}
inline constexpr std::uint8_t kFirstEntropyByte = 0x80;
inline constexpr std::size_t kLeastForEntropy = 64;  ///< numbers; a table costs more than fewer can save

}  // namespace flux::store::engine
