#include "core/hash.h"

#include <nmmintrin.h>
#include <xxhash.h>

#include <cstring>
#include <string>

namespace flux {

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t hash64(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

Fingerprint hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

namespace {

// The crc32 instruction has a latency of three cycles and a throughput of one, so three independent streams keep it
// busy. Joining them needs "append n zero bytes to a CRC", a linear map kept as four tables of 256 entries.
constexpr std::size_t kLane = 1024;
constexpr std::uint32_t kPolynomial = 0x82F63B78;

struct ShiftTables {
  std::uint32_t entry[4][256];
};

constexpr std::uint32_t multiply(const std::uint32_t* matrix, std::uint32_t vector) {
  std::uint32_t sum = 0;
  for (int i = 0; vector != 0; vector >>= 1, ++i)
    if ((vector & 1) != 0) sum ^= matrix[i];
  return sum;
}

constexpr ShiftTables make_shift_tables(std::size_t zero_bytes) {
  std::uint32_t power[32]{};  // appends one zero bit, then squared up to the wanted number of bits
  power[0] = kPolynomial;
  for (int i = 1; i < 32; ++i) power[i] = 1U << (i - 1);
  std::uint32_t result[32]{};
  for (int i = 0; i < 32; ++i) result[i] = 1U << i;
  for (std::size_t bits = zero_bytes * 8; bits != 0; bits >>= 1) {
    if ((bits & 1) != 0) {
      std::uint32_t next[32]{};
      for (int i = 0; i < 32; ++i) next[i] = multiply(power, result[i]);
      for (int i = 0; i < 32; ++i) result[i] = next[i];
    }
    std::uint32_t square[32]{};
    for (int i = 0; i < 32; ++i) square[i] = multiply(power, power[i]);
    for (int i = 0; i < 32; ++i) power[i] = square[i];
  }
  ShiftTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (int part = 0; part < 4; ++part) tables.entry[part][byte] = multiply(result, byte << (8 * part));
  return tables;
}

constexpr ShiftTables kShiftLane = make_shift_tables(kLane);

std::uint32_t shift_lane(std::uint32_t crc) {
  return kShiftLane.entry[0][crc & 0xFF] ^ kShiftLane.entry[1][(crc >> 8) & 0xFF] ^
         kShiftLane.entry[2][(crc >> 16) & 0xFF] ^ kShiftLane.entry[3][crc >> 24];
}

std::uint64_t load64(const std::byte* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t a = ~crc;
  while (left >= 3 * kLane) {
    std::uint64_t b = 0;
    std::uint64_t c = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      a = _mm_crc32_u64(a, load64(at + i));
      b = _mm_crc32_u64(b, load64(at + kLane + i));
      c = _mm_crc32_u64(c, load64(at + 2 * kLane + i));
    }
    a = shift_lane(static_cast<std::uint32_t>(a)) ^ b;
    a = shift_lane(static_cast<std::uint32_t>(a)) ^ c;
    at += 3 * kLane;
    left -= 3 * kLane;
  }
  for (; left >= 8; left -= 8, at += 8) a = _mm_crc32_u64(a, load64(at));
  auto tail = static_cast<std::uint32_t>(a);
  for (; left > 0; --left, ++at) tail = _mm_crc32_u8(tail, std::to_integer<unsigned char>(*at));
  return ~tail;
}

std::string to_string(Fingerprint fingerprint) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (std::size_t i = 0; i < 16; ++i) {
    text[15 - i] = kDigits[(fingerprint.high >> (4 * i)) & 15];
    text[31 - i] = kDigits[(fingerprint.low >> (4 * i)) & 15];
  }
  return text;
}

BucketId bucket_of(TenantId tenant, std::string_view device) {
  return {static_cast<std::uint8_t>(hash64(device, tenant.value) >> 56)};
}

}  // namespace flux
