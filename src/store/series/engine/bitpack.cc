#include "store/series/engine/bitpack.h"

#include <array>
#include <utility>
#include <vector>

namespace flux::store::engine {
namespace {

// A width of 57 to 63 would not fit one unaligned 64-bit load; such numbers are stored whole.
constexpr unsigned kMaxPackedWidth = 56;

constexpr std::size_t packed_bytes(std::size_t count, unsigned width) { return (count * width + 7) / 8; }

std::uint64_t load64(const char* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Eight values take exactly `Width` bytes, so within a group every shift is a constant.
template <unsigned Width>
void unpack_groups(const char* in, std::size_t groups, std::uint64_t* out) {
  constexpr std::uint64_t kMask = Width == 0 ? 0 : ~0ULL >> (64 - Width);
  for (std::size_t group = 0; group < groups; ++group, in += Width, out += 8) {
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
      ((out[Index] = (load64(in + Index * Width / 8) >> (Index * Width % 8)) & kMask), ...);
    }(std::make_index_sequence<8>{});
  }
}

using UnpackGroups = void (*)(const char*, std::size_t, std::uint64_t*);

template <std::size_t... Width>
constexpr std::array<UnpackGroups, sizeof...(Width)> unpack_table(std::index_sequence<Width...>) {
  return {&unpack_groups<Width>...};
}

constexpr auto kUnpack = unpack_table(std::make_index_sequence<kMaxPackedWidth + 1>{});

void unpack_bits(std::string_view in, std::size_t count, unsigned width, std::uint64_t* out) {
  if (width == 64) {
    std::memcpy(out, in.data(), count * 8);
    return;
  }
  // The fast loop may look up to eight bytes past a group; what is left near the end goes through a padded copy.
  const std::size_t whole = count / 8;
  const std::size_t safe =
      in.size() >= 8 && width > 0 ? std::min(whole, (in.size() - 8) / width) : (width == 0 ? whole : 0);
  kUnpack[width](in.data(), safe, out);
  std::size_t done = safe * 8;
  std::array<char, 8 * kMaxPackedWidth + 16> padded{};
  while (done < count) {
    const std::string_view tail = in.substr(done / 8 * width);
    const std::size_t taken = std::min(tail.size(), std::size_t{8} * width);
    padded.fill(0);
    if (taken > 0) std::memcpy(padded.data(), tail.data(), taken);
    const std::size_t now = std::min<std::size_t>(count - done, 64);
    std::array<std::uint64_t, 64> values;
    kUnpack[width](padded.data(), (now + 7) / 8, values.data());
    std::memcpy(out + done, values.data(), now * 8);
    done += now;
  }
}

void pack_bits(std::span<const std::uint64_t> values, unsigned width, std::string& out) {
  if (width == 0) return;
  const std::size_t start = out.size();
  out.resize(start + packed_bytes(values.size(), width) + 8);
  char* at = out.data() + start;
  const std::uint64_t mask = ~0ULL >> (64 - width);
  std::uint64_t filled = 0;
  unsigned used = 0;
  for (const std::uint64_t value : values) {
    const std::uint64_t bits = value & mask;
    filled |= bits << used;
    used += width;
    if (used >= 64) {
      std::memcpy(at, &filled, 8);
      at += 8;
      used -= 64;
      filled = used == 0 ? 0 : bits >> (width - used);
    }
  }
  std::memcpy(at, &filled, 8);
  out.resize(start + packed_bytes(values.size(), width));
}

}  // namespace

PackPlan plan_pack(std::span<const std::uint64_t> values) {
  std::array<std::uint32_t, 65> count_of_width{};
  for (const std::uint64_t value : values) ++count_of_width[static_cast<unsigned>(std::bit_width(value))];
  unsigned widest = 64;
  while (widest > 0 && count_of_width[widest] == 0) --widest;
  const unsigned whole = widest > kMaxPackedWidth ? 64 : widest;
  PackPlan best{whole, 0, packed_bytes(values.size(), whole) + 2};
  std::size_t exceptions = 0;
  for (unsigned width = widest; width-- > 0;) {
    exceptions += count_of_width[width + 1];
    if (exceptions > values.size() / 4) break;
    if (width > kMaxPackedWidth) continue;
    const std::size_t bytes = packed_bytes(values.size(), width) + 2 + exceptions * (1 + (widest - width + 6) / 7);
    if (bytes < best.bytes) best = {width, exceptions, bytes};
  }
  return best;
}

void pack(std::span<const std::uint64_t> values, const PackPlan& plan, std::string& out) {
  out.push_back(static_cast<char>(plan.width));
  put_varint(out, plan.exceptions);
  pack_bits(values, plan.width, out);
  if (plan.exceptions == 0) return;
  std::size_t previous = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >> plan.width == 0) continue;
    put_varint(out, i - previous);
    previous = i;
  }
  for (const std::uint64_t value : values)
    if (value >> plan.width != 0) put_varint(out, value >> plan.width);
}

bool unpack(ByteReader& in, std::size_t count, std::uint64_t* out) {
  const auto width = in.fixed<std::uint8_t>();
  const std::uint64_t exceptions = in.varint();
  if (!in.ok() || (width > kMaxPackedWidth && width != 64) || exceptions > count) return false;
  if (width == 64 && exceptions != 0) return false;
  const std::string_view packed = in.bytes(packed_bytes(count, width));
  if (!in.ok()) return false;
  unpack_bits(packed, count, width, out);
  if (exceptions == 0) return true;
  std::vector<std::uint32_t> positions(exceptions);
  std::uint64_t position = 0;
  for (std::uint32_t& at : positions) {
    position += in.varint();
    if (!in.ok() || position >= count) return false;
    at = static_cast<std::uint32_t>(position);
  }
  for (const std::uint32_t at : positions) {
    const std::uint64_t high = in.varint();
    out[at] |= high << width;
  }
  return in.ok();
}

}  // namespace flux::store::engine
