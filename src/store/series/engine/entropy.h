#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/series/engine/bytes.h"

/// Numbers in as many bits as their frequencies are worth: range asymmetric numeral systems (rANS) with a table per
/// context. What comes before a number decides its context, so that the reader knows it too.
///
/// A number is a *token*, which is coded, and bits that are kept as they are: numbers below 32 are their own tokens; a
/// greater one with n bits has the token 32 + 4 (n − 6) + its two bits below the highest, and n − 3 bits.
///
/// | | |
/// |---|---|
/// | tables | bit stream, per context: number of tokens − 1 (9 bits), then of each token its share's width (4 bits; 0:
/// none) and share without its highest bit | | words | varint their number, then u16 each: the two coder states (32
/// bits each), then what they take in | | bits | stream of the bits kept as they are, lowest first |
///
/// Shares of a context add up to 4096. A context that no number has is a table of one token that has all of it.
namespace flux::store::engine {

inline constexpr std::size_t kMaxContexts = 6;
inline constexpr std::size_t kTokens = 32 + 4 * 59;

constexpr unsigned token_of(std::uint64_t number) {
  if (number < 32) return static_cast<unsigned>(number);
  const auto width = static_cast<unsigned>(std::bit_width(number));
  return 32 + 4 * (width - 6) + static_cast<unsigned>(number >> (width - 3) & 3);
}

constexpr unsigned raw_bits_of(unsigned token) { return token < 32 ? 0 : (token - 32) / 4 + 3; }

/// Counts numbers by context and token, and says what coding them will take.
class EntropyPlan {
 public:
  explicit EntropyPlan(std::size_t contexts) : contexts_(contexts) {}
  void count(std::size_t context, std::uint64_t number) {
    const unsigned token = token_of(number);
    ++counts_[context][token];
    raw_bits_ += raw_bits_of(token);
  }
  /// The coded size, about.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t contexts() const { return contexts_; }
  [[nodiscard]] std::span<const std::uint32_t> counts(std::size_t context) const { return counts_[context]; }

 private:
  std::size_t contexts_;
  std::array<std::array<std::uint32_t, kTokens>, kMaxContexts> counts_{};
  std::uint64_t raw_bits_ = 0;
};

/// `contexts`: of each number; empty: all are in context 0.
void encode_entropy(std::span<const std::uint64_t> numbers, std::span<const std::uint8_t> contexts,
                    const EntropyPlan& plan, std::string& out);

/// Reads what `encode_entropy` wrote, number by number.
class EntropyReader {
 public:
  /// False when the bytes are damaged. `in` is moved behind everything that was coded.
  bool start(ByteReader& in, std::size_t contexts);

  /// Past the end it gives what it likes, and `finish` is false.
  std::uint64_t next(std::size_t context) {
    std::uint32_t& state = states_[turn_];
    turn_ ^= 1U;
    const Slot slot = tables_[context][state & kMask];
    state = slot.share * (state >> kShareBits) + slot.offset;
    if (state < kLowest) {
      const std::uint32_t word = at_ < words_ ? load_word(at_) : 0;
      ++at_;
      state = state << 16 | word;
    }
    return slot.token < 32 ? slot.token : with_bits(slot.token);
  }

  /// Whether the numbers taken were all there are.
  [[nodiscard]] bool finish() const;

  static constexpr unsigned kShareBits = 12;
  static constexpr std::uint32_t kMask = (1U << kShareBits) - 1;
  static constexpr std::uint32_t kLowest = 1U << 16;

 private:
  struct Slot {
    std::uint16_t token;
    std::uint16_t share;
    std::uint16_t offset;
  };
  using Table = std::array<Slot, 1U << kShareBits>;

  [[nodiscard]] std::uint32_t load_word(std::size_t at) const {
    std::uint16_t word;
    std::memcpy(&word, words_bytes_ + 2 * at, 2);
    return word;
  }
  std::uint64_t with_bits(unsigned token);

  std::vector<Table> tables_;
  std::array<std::uint32_t, 2> states_{};
  unsigned turn_ = 0;
  const char* words_bytes_ = nullptr;
  std::size_t words_ = 0;
  std::size_t at_ = 0;
  std::string_view bits_;
  std::uint64_t bit_ = 0;  // of `bits_`, the next to read
};

}  // namespace flux::store::engine
