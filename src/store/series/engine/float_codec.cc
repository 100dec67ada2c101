#include "store/series/engine/float_codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "store/series/engine/int_codec.h"

namespace flux::store::engine {
namespace {

enum Id : std::uint8_t { kBits = 1, kDecimal, kXor };

constexpr unsigned kMaxPlaces = 17;
// Powers of ten up to 10^22 are exact doubles, and dividing by an exact power rounds once: n / 10^p is the double
// nearest to the decimal, which is what parsing its text gives. (Multiplying by 10^-p would round twice.)
constexpr std::array<double, kMaxPlaces + 1> kPowers = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                                        1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};
// Below 2^51 a double can be turned into an integer by adding this and looking at the bits.
constexpr double kRounder = 0x1.8p52;
constexpr double kGreatest = 0x1p51;

bool is_decimal(double value, double power) {
  const double scaled = value * power;
  if (!(std::abs(scaled) < kGreatest)) return false;
  const double rounded = (scaled + kRounder) - kRounder;
  return std::bit_cast<std::uint64_t>(rounded / power) == std::bit_cast<std::uint64_t>(value);
}

// How many decimal places nearly all of a sample need.
std::optional<unsigned> find_places(std::span<const std::uint64_t> bits) {
  constexpr std::size_t kSamples = 48;
  const std::size_t step = std::max<std::size_t>(1, bits.size() / kSamples);
  std::size_t sampled = 0;
  std::size_t fitting = 0;
  unsigned places = 0;
  for (std::size_t i = 0; i < bits.size(); i += step) {
    ++sampled;
    const double value = std::bit_cast<double>(bits[i]);
    unsigned least = 0;
    while (least <= kMaxPlaces && !is_decimal(value, kPowers[least])) ++least;
    if (least > kMaxPlaces) continue;
    ++fitting;
    places = std::max(places, least);
  }
  if (fitting * 8 < sampled * 7) return std::nullopt;
  return places;
}

bool try_decimal(std::span<const std::uint64_t> bits, unsigned places, std::string& out) {
  thread_local std::vector<std::uint64_t> numbers;
  thread_local std::vector<std::uint32_t> exceptions;
  numbers.resize(bits.size());
  exceptions.clear();
  const double power = kPowers[places];
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const double value = std::bit_cast<double>(bits[i]);
    if (is_decimal(value, power)) [[likely]] {
      numbers[i] = std::bit_cast<std::uint64_t>(value * power + kRounder) - std::bit_cast<std::uint64_t>(kRounder);
    } else {
      numbers[i] = i > 0 ? numbers[i - 1] : 0;  // costs least in every integer codec
      exceptions.push_back(static_cast<std::uint32_t>(i));
    }
  }
  if (exceptions.size() > bits.size() / 4) return false;
  out.push_back(static_cast<char>(kDecimal));
  out.push_back(static_cast<char>(places));
  encode_ints(numbers, out);
  put_varint(out, exceptions.size());
  std::uint32_t previous = 0;
  for (const std::uint32_t at : exceptions) {
    put_varint(out, at - previous);
    previous = at;
  }
  for (const std::uint32_t at : exceptions) put_fixed(out, bits[at]);
  return true;
}

bool decode_decimal(ByteReader& in, std::size_t count, std::uint64_t* out) {
  const auto places = in.fixed<std::uint8_t>();
  if (!in.ok() || places > kMaxPlaces || !decode_ints(in, count, out)) return false;
  const double power = kPowers[places];
  for (std::size_t i = 0; i < count; ++i)
    out[i] = std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<std::int64_t>(out[i])) / power);
  const std::uint64_t exceptions = in.varint();
  if (!in.ok() || exceptions > count) return false;
  std::vector<std::uint32_t> positions(exceptions);
  std::uint64_t position = 0;
  for (std::uint32_t& at : positions) {
    position += in.varint();
    if (!in.ok() || position >= count) return false;
    at = static_cast<std::uint32_t>(position);
  }
  for (const std::uint32_t at : positions) out[at] = in.fixed<std::uint64_t>();
  return in.ok();
}

class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}
  void put(std::uint64_t bits, unsigned count) {  // 1 to 64
    if (count > 32) {
      put(bits & 0xFFFFFFFF, 32);
      put(bits >> 32, count - 32);
      return;
    }
    filled_ |= (bits & (~0ULL >> (64 - count))) << used_;
    used_ += count;
    while (used_ >= 8) {
      out_.push_back(static_cast<char>(filled_));
      filled_ >>= 8;
      used_ -= 8;
    }
  }
  void finish() {
    if (used_ > 0) out_.push_back(static_cast<char>(filled_));
  }

 private:
  std::string& out_;
  std::uint64_t filled_ = 0;
  unsigned used_ = 0;
};

class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t get(unsigned count) {
    if (count > 32) {
      const std::uint64_t low = get(32);
      return low | get(count - 32) << 32;
    }
    while (used_ < count) {
      if (at_ == bytes_.size()) {
        ok_ = false;
        return 0;
      }
      filled_ |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(bytes_[at_++])) << used_;
      used_ += 8;
    }
    const std::uint64_t bits = filled_ & (~0ULL >> (64 - count));
    filled_ >>= count;
    used_ -= count;
    return bits;
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::uint64_t filled_ = 0;
  unsigned used_ = 0;
  bool ok_ = true;
};

// Each value is XORed with the one before:
//   0                                                     the same
//   1 0 · bits                                            differs only within the window of the last `11`
//   1 1 · leading zeros (6 bits) · length − 1 (6) · bits  opens a new window
void encode_xor(std::span<const std::uint64_t> values, std::string& out) {
  out.push_back(static_cast<char>(kXor));
  put_fixed(out, values[0]);
  BitWriter writer(out);
  unsigned leading = 64;
  unsigned length = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    const std::uint64_t change = values[i] ^ values[i - 1];
    if (change == 0) {
      writer.put(0, 1);
      continue;
    }
    const auto zeros = static_cast<unsigned>(std::countl_zero(change));
    const auto trailing = static_cast<unsigned>(std::countr_zero(change));
    const unsigned needed = 64 - zeros - trailing;
    const bool fits = length > 0 && zeros >= leading && trailing >= 64 - leading - length;
    if (fits && length <= needed + 12) {
      writer.put(0b01, 2);
    } else {
      leading = zeros;
      length = needed;
      writer.put(0b11, 2);
      writer.put(leading, 6);
      writer.put(length - 1, 6);
    }
    writer.put(change >> (64 - leading - length), length);
  }
  writer.finish();
}

bool decode_xor(ByteReader& in, std::size_t count, std::uint64_t* out) {
  std::uint64_t value = in.fixed<std::uint64_t>();
  if (!in.ok()) return false;
  BitReader reader(in.rest());
  unsigned leading = 0;
  unsigned length = 0;
  out[0] = value;
  for (std::size_t i = 1; i < count; ++i) {
    if (reader.get(1) != 0) {
      if (reader.get(1) != 0) {
        leading = static_cast<unsigned>(reader.get(6));
        length = static_cast<unsigned>(reader.get(6)) + 1;
      }
      if (length == 0 || leading + length > 64) return false;
      value ^= reader.get(length) << (64 - leading - length);
    }
    out[i] = value;
  }
  return reader.ok();
}

}  // namespace

void encode_floats(std::span<const std::uint64_t> bits, std::string& out) {
  const std::size_t start = out.size();
  if (bits.empty()) return;
  std::size_t runs = 1;
  for (std::size_t i = 1; i < bits.size(); ++i) runs += bits[i] != bits[i - 1] ? 1 : 0;
  const auto places = find_places(bits);
  const bool decimal = places && try_decimal(bits, *places, out);
  if (decimal && runs > bits.size() / 8 && out.size() - start <= bits.size() * 4) return;

  // Not plainly decimal, or so repetitive that something simpler may win: try the rest.
  const auto consider = [&](const std::string& other) {
    if (out.size() > start && out.size() - start <= other.size()) return;
    out.resize(start);
    out += other;
  };
  std::string other(1, static_cast<char>(kBits));
  encode_ints(bits, other);
  consider(other);
  if (runs == 1) return;
  other.clear();
  encode_xor(bits, other);
  consider(other);
}

bool decode_floats(ByteReader& in, std::size_t count, std::uint64_t* out) {
  if (count == 0) return true;
  switch (in.fixed<std::uint8_t>()) {
    case kBits: return decode_ints(in, count, out);
    case kDecimal: return decode_decimal(in, count, out);
    case kXor: return decode_xor(in, count, out);
    default: return false;
  }
}

std::string describe_floats(ByteReader& in) {
  switch (in.fixed<std::uint8_t>()) {
    case kBits: return "bits " + describe_ints(in);
    case kDecimal: (void)in.fixed<std::uint8_t>(); return "decimal " + describe_ints(in);
    case kXor: return "xor";
    default: return "damaged";
  }
}

}  // namespace flux::store::engine
