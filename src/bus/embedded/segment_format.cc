#include "bus/embedded/segment_format.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "core/hash.h"

namespace flux::bus::embedded {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written as memory lies");

constexpr std::uint32_t kVersion = 1;

template <class T>
void put(std::byte* out, std::size_t at, const T& value) {
  std::memcpy(out + at, &value, sizeof value);
}
template <class T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

void put_file_header(std::string_view magic, std::byte* out) {
  std::memset(out, 0, kFileHeaderBytes);
  std::memcpy(out, magic.data(), 8);
  put(out, 8, kVersion);
}

Result<> check_file_header(std::string_view magic, std::span<const std::byte> bytes,
                           const std::filesystem::path& path) {
  if (bytes.size() < kFileHeaderBytes)
    return fail(ErrorCode::corrupt, path.string() + " ends within its header, at byte " + std::to_string(bytes.size()));
  if (std::memcmp(bytes.data(), magic.data(), 8) != 0)
    return fail(ErrorCode::corrupt, path.string() + ", byte 0: this is not what such a file begins with");
  if (const auto version = get<std::uint32_t>(bytes, 8); version != kVersion)
    return fail(ErrorCode::corrupt, path.string() + ", byte 8: format version " + std::to_string(version) +
                                        " is not known; a newer Fluxgate may have written it");
  if (const auto key = get<std::uint32_t>(bytes, 12); key != 0)
    return fail(ErrorCode::corrupt, path.string() + ", byte 12: there is no key " + std::to_string(key));
  return {};
}

void put_segment_header(const SegmentHeader& header, std::byte* out) {
  std::memset(out, 0, kSegmentHeaderBytes);
  put_file_header(kSegmentMagic, out);
  put(out, 32, header.base.value);
  put(out, 40, header.created_at.ns);
  put(out, 48, header.salt);
  put(out, 52, header.partition.value);
  put(out, 54, static_cast<std::uint8_t>(header.topic));
  put(out, 124, crc32c({out, 124}));
}

Result<SegmentHeader> read_segment_header(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  if (bytes.size() < kSegmentHeaderBytes)
    return fail(ErrorCode::corrupt, path.string() + " ends within its header, at byte " + std::to_string(bytes.size()));
  DO(check_file_header(kSegmentMagic, bytes, path));
  if (get<std::uint32_t>(bytes, 124) != crc32c(bytes.first(124)))
    return fail(ErrorCode::corrupt, path.string() + ", byte 124: the header's checksum is wrong");
  const auto topic = get<std::uint8_t>(bytes, 54);
  if (topic >= kTopicCount) return fail(ErrorCode::corrupt, path.string() + ", byte 54: there is no such topic");
  return SegmentHeader{.topic = static_cast<Topic>(topic),
                       .partition = {get<std::uint16_t>(bytes, 52)},
                       .base = {get<std::uint64_t>(bytes, 32)},
                       .created_at = {get<std::int64_t>(bytes, 40)},
                       .salt = get<std::uint32_t>(bytes, 48)};
}

std::string segment_name(Offset base) {
  std::string digits = std::to_string(base.value);
  return std::string(20 - digits.size(), '0') + digits + ".seg";
}

std::optional<Offset> base_of_segment(std::string_view name) {
  if (name.size() != 24 || !name.ends_with(".seg")) return std::nullopt;
  Offset base;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 20, base.value);
  if (error != std::errc() || end != name.data() + 20) return std::nullopt;
  return base;
}

void put_batch_header(const BatchHeader& header, std::uint32_t salt, std::byte* out) {
  put(out, 0, kBatchMagic);
  put(out, 8, header.length);
  put(out, 12, header.payload_crc);
  put(out, 16, header.base.value);
  put(out, 24, header.count);
  put(out, 28, header.flags);
  put(out, 32, header.appended_at.ns);
  put(out, 40, header.synced.value);
  put(out, 48, header.origin.input.offset.value);
  put(out, 56, header.origin.ordinal);
  put(out, 60, header.origin.input.partition.value);
  put(out, 62, header.kinds);
  put(out, 4, crc32c({out + 8, kBatchHeaderBytes - 8}, salt));
}

std::optional<BatchHeader> read_batch_header(std::span<const std::byte> bytes, std::uint32_t salt) {
  if (get<std::uint32_t>(bytes, 0) != kBatchMagic) return std::nullopt;
  if (get<std::uint32_t>(bytes, 4) != crc32c(bytes.subspan(8, kBatchHeaderBytes - 8), salt)) return std::nullopt;
  BatchHeader header;
  header.length = get<std::uint32_t>(bytes, 8);
  header.payload_crc = get<std::uint32_t>(bytes, 12);
  header.base = {get<std::uint64_t>(bytes, 16)};
  header.count = get<std::uint32_t>(bytes, 24);
  header.flags = get<std::uint32_t>(bytes, 28);
  header.appended_at = {get<std::int64_t>(bytes, 32)};
  header.synced = {get<std::uint64_t>(bytes, 40)};
  header.origin.input.offset = {get<std::uint64_t>(bytes, 48)};
  header.origin.ordinal = get<std::uint32_t>(bytes, 56);
  header.origin.input.partition = {get<std::uint16_t>(bytes, 60)};
  header.kinds = get<std::uint16_t>(bytes, 62);
  if (header.length % 8 != 0) return std::nullopt;
  return header;
}

}  // namespace flux::bus::embedded
