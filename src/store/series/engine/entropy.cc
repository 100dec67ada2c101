#include "store/series/engine/entropy.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace flux::store::engine {
namespace {

constexpr unsigned kShareBits = EntropyReader::kShareBits;
constexpr std::uint32_t kShares = 1U << kShareBits;
constexpr std::uint32_t kLowest = EntropyReader::kLowest;
constexpr unsigned kSizeBits = 9;   // of a table's number of tokens
constexpr unsigned kWidthBits = 4;  // of a share's width

// Appends bits, lowest first.
class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}
  void put(std::uint64_t bits, unsigned count) {
    while (count > 0) {
      const unsigned some = std::min(count, 8 - used_);
      filled_ |= static_cast<unsigned>(bits & ((1U << some) - 1)) << used_;
      used_ += some;
      bits >>= some;
      count -= some;
      if (used_ == 8) finish();
    }
  }
  void finish() {
    if (used_ > 0) out_.push_back(static_cast<char>(filled_));
    filled_ = used_ = 0;
  }

 private:
  std::string& out_;
  unsigned filled_ = 0;
  unsigned used_ = 0;
};

// `bits` has at least (at + count + 7) / 8 bytes.
std::uint64_t bits_at(std::string_view bits, std::uint64_t at, unsigned count) {
  std::uint64_t value = 0;
  for (unsigned got = 0; got < count;) {
    const unsigned within = static_cast<unsigned>(at % 8);
    const unsigned some = std::min(count - got, 8 - within);
    const auto byte = static_cast<std::uint8_t>(bits[at / 8]);
    value |= static_cast<std::uint64_t>(byte >> within & ((1U << some) - 1)) << got;
    got += some;
    at += some;
  }
  return value;
}

using Shares = std::vector<std::uint16_t>;

// Shares in proportion to the counts, at least 1 for what occurs; their sum is `kShares`.
Shares shares_of(std::span<const std::uint32_t> counts) {
  std::uint64_t total = 0;
  std::size_t size = 1;
  for (std::size_t token = 0; token < counts.size(); ++token) {
    total += counts[token];
    if (counts[token] > 0) size = token + 1;
  }
  Shares shares(size);
  if (total == 0) {
    shares[0] = kShares;
    return shares;
  }
  std::int64_t left = kShares;
  for (std::size_t token = 0; token < size; ++token) {
    if (counts[token] == 0) continue;
    const std::uint64_t share = (std::uint64_t{counts[token]} * kShares + total / 2) / total;
    shares[token] = static_cast<std::uint16_t>(std::max<std::uint64_t>(1, share));
    left -= shares[token];
  }
  // What rounding left over or took too much goes to or comes from the greatest, where it costs least.
  while (left != 0) {
    const auto greatest = std::ranges::max_element(shares);
    const std::int64_t change = left > 0 ? left : std::max<std::int64_t>(left, -(*greatest / 2));
    *greatest = static_cast<std::uint16_t>(*greatest + change);
    left -= change;
  }
  return shares;
}

void put_shares(const Shares& shares, BitWriter& out) {
  out.put(shares.size() - 1, kSizeBits);
  for (const std::uint16_t share : shares) {
    const auto width = static_cast<unsigned>(std::bit_width(share));
    out.put(width, kWidthBits);
    if (width > 1) out.put(share & ((1U << (width - 1)) - 1), width - 1);
  }
}

}  // namespace

std::size_t EntropyPlan::bytes() const {
  double bits = static_cast<double>(raw_bits_);
  for (std::size_t context = 0; context < contexts_; ++context) {
    std::uint64_t total = 0;
    for (const std::uint32_t count : counts_[context]) total += count;
    bits += kSizeBits;
    if (total == 0) continue;
    const double whole = std::log2(static_cast<double>(total));
    std::size_t size = 0;
    for (std::size_t token = 0; token < kTokens; ++token) {
      const std::uint32_t count = counts_[context][token];
      if (count == 0) continue;
      size = token + 1;
      const double width = std::log2(static_cast<double>(count));
      bits += count * (whole - width) + std::max(0.0, kShareBits + width - whole);
    }
    bits += static_cast<double>(kWidthBits * size);
  }
  return static_cast<std::size_t>(bits / 8) + 12;
}

void encode_entropy(std::span<const std::uint64_t> numbers, std::span<const std::uint8_t> contexts,
                    const EntropyPlan& plan, std::string& out) {
  struct Symbol {
    std::uint32_t share = 0;
    std::uint32_t start = 0;
  };
  thread_local std::vector<Symbol> symbols;  // by context, then token
  symbols.assign(plan.contexts() * kTokens, {});
  BitWriter tables(out);
  for (std::size_t context = 0; context < plan.contexts(); ++context) {
    const Shares shares = shares_of(plan.counts(context));
    put_shares(shares, tables);
    std::uint32_t start = 0;
    for (std::size_t token = 0; token < shares.size(); ++token) {
      symbols[context * kTokens + token] = {shares[token], start};
      start += shares[token];
    }
  }
  tables.finish();

  // What is read first is written last.
  thread_local std::vector<std::uint16_t> words;
  words.clear();
  std::array<std::uint32_t, 2> states = {kLowest, kLowest};
  for (std::size_t i = numbers.size(); i-- > 0;) {
    const std::size_t context = contexts.empty() ? 0 : contexts[i];
    const Symbol symbol = symbols[context * kTokens + token_of(numbers[i])];
    std::uint32_t& state = states[i % 2];
    if (state >= std::uint64_t{symbol.share} << (32 - kShareBits)) {
      words.push_back(static_cast<std::uint16_t>(state));
      state >>= 16;
    }
    state = (state / symbol.share << kShareBits) + state % symbol.share + symbol.start;
  }
  put_varint(out, words.size());
  put_fixed(out, states[0]);
  put_fixed(out, states[1]);
  for (std::size_t i = words.size(); i-- > 0;) put_fixed(out, words[i]);

  BitWriter raw(out);
  for (const std::uint64_t number : numbers)
    if (number >= 32) {
      const unsigned count = raw_bits_of(token_of(number));
      raw.put(number & ((1ULL << count) - 1), count);
    }
  raw.finish();
}

bool EntropyReader::start(ByteReader& in, std::size_t contexts) {
  const std::string_view all = in.rest();
  std::uint64_t bit = 0;
  const std::uint64_t bits = all.size() * 8;
  tables_.resize(contexts);
  for (Table& table : tables_) {
    if (bit + kSizeBits > bits) return false;
    const std::uint64_t size = bits_at(all, bit, kSizeBits) + 1;
    bit += kSizeBits;
    if (size > kTokens) return false;
    std::uint32_t filled = 0;
    for (std::uint64_t token = 0; token < size; ++token) {
      if (bit + kWidthBits > bits) return false;
      const auto width = static_cast<unsigned>(bits_at(all, bit, kWidthBits));
      bit += kWidthBits;
      if (width == 0) continue;
      if (width > kShareBits + 1 || bit + width - 1 > bits) return false;
      const auto share = static_cast<std::uint32_t>(1U << (width - 1) | bits_at(all, bit, width - 1));
      bit += width - 1;
      if (share > kShares - filled) return false;
      for (std::uint32_t offset = 0; offset < share; ++offset)
        table[filled + offset] = {static_cast<std::uint16_t>(token), static_cast<std::uint16_t>(share),
                                  static_cast<std::uint16_t>(offset)};
      filled += share;
    }
    if (filled != kShares) return false;
  }
  ByteReader rest(all.substr((bit + 7) / 8));
  words_ = rest.varint();
  for (std::uint32_t& state : states_) state = rest.fixed<std::uint32_t>();
  if (!rest.ok() || words_ > rest.left() / 2) return false;
  words_bytes_ = rest.bytes(2 * words_).data();
  bits_ = rest.rest();
  at_ = 0;
  turn_ = 0;
  bit_ = 0;
  return true;
}

std::uint64_t EntropyReader::with_bits(unsigned token) {
  const unsigned count = raw_bits_of(token);
  const std::uint64_t top = 4 + (token - 32) % 4;
  std::uint64_t low = 0;
  const std::uint64_t byte = bit_ / 8;
  const auto within = static_cast<unsigned>(bit_ % 8);
  if (count <= 56 && byte + 8 <= bits_.size()) {
    std::uint64_t loaded;
    std::memcpy(&loaded, bits_.data() + byte, sizeof loaded);
    low = loaded >> within & ((1ULL << count) - 1);
  } else if (bit_ + count <= bits_.size() * 8) {
    low = bits_at(bits_, bit_, count);
  }
  bit_ += count;
  return top << count | low;
}

bool EntropyReader::finish() const {
  return at_ == words_ && (bit_ + 7) / 8 == bits_.size() && states_[0] == kLowest && states_[1] == kLowest;
}

}  // namespace flux::store::engine
