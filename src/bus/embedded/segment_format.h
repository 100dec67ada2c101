#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "bus/bus.h"
#include "core/result.h"
#include "core/time.h"

/// The bytes of the log's files (docs/formats/log.md draws them). Little endian.
namespace flux::bus::embedded {

/// How every file of the log begins: what it is, which version, and by which key it is encrypted.
///
/// ```
///  0  8 bytes  magic        "FLUXSEG\n", "FLUXMETA", "FLUXGRPS"
///  8  u32      version      1
/// 12  u32      key id       0: not encrypted
/// 16  12 bytes nonce        zeros where not encrypted
/// 28  u32      0
/// ```
inline constexpr std::size_t kFileHeaderBytes = 32;
void put_file_header(std::string_view magic, std::byte* out);
/// Checks magic, version and key; the error says which is wrong.
Result<> check_file_header(std::string_view magic, std::span<const std::byte> bytes, const std::filesystem::path& path);

struct SegmentHeader {
  Topic topic = Topic::raw_sensor_data;
  PartitionId partition;
  Offset base;
  Time created_at;
  /// Seeds the checksums of this segment, so that neither old blocks of the disk nor bytes that a device sends can
  /// pass for record batches of it.
  std::uint32_t salt = 0;
};

/// ```
///  0  file header
/// 32  u64 base offset   40 i64 created at   48 u32 salt   52 u16 partition   54 u8 topic   55 u8 0
/// 56  zeros
/// 124 u32 CRC-32C of bytes 0 to 123
/// ```
inline constexpr std::size_t kSegmentHeaderBytes = 128;
inline constexpr std::string_view kSegmentMagic = "FLUXSEG\n";
void put_segment_header(const SegmentHeader& header, std::byte* out);
Result<SegmentHeader> read_segment_header(std::span<const std::byte> bytes, const std::filesystem::path& path);

/// `00000000000000001234.seg`
std::string segment_name(Offset base);
std::optional<Offset> base_of_segment(std::string_view name);

struct BatchHeader {
  static constexpr std::uint32_t kDefines = 1;    ///< some record defines shapes
  static constexpr std::uint32_t kSeal = 2;       ///< no records: the segment is complete
  static constexpr std::uint32_t kHasOrigin = 4;  ///< `origin` is set

  std::uint32_t length = 0;  ///< of what follows the header; a multiple of 8
  std::uint32_t payload_crc = 0;
  Offset base;
  std::uint32_t count = 0;
  std::uint32_t flags = 0;
  Time appended_at;
  Offset synced;            ///< everything before it was durable when this was written
  Origin origin;            ///< of the newest record that has one, up to the end of this record batch
  std::uint16_t kinds = 0;  ///< bit `1 << kind` for each kind of record in it

  [[nodiscard]] Offset end() const { return {base.value + count}; }
  [[nodiscard]] bool is(std::uint32_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] std::optional<Origin> last_origin() const {
    return is(kHasOrigin) ? std::optional(origin) : std::nullopt;
  }
};

/// ```
///  0  u32 magic "FLXB"    4 u32 CRC-32C of bytes 8 to 63, seeded with the segment's salt
///  8  u32 length         12 u32 CRC-32C of the payload, seeded with the salt
/// 16  u64 base offset    24 u32 count   28 u32 flags
/// 32  i64 appended at    40 u64 synced
/// 48  origin: u64 offset, u32 ordinal, u16 partition
/// 62  u16 kinds
/// ```
inline constexpr std::size_t kBatchHeaderBytes = 64;
inline constexpr std::uint32_t kBatchMagic = 0x42584C46;  // "FLXB"
void put_batch_header(const BatchHeader& header, std::uint32_t salt, std::byte* out);
/// Nothing when these bytes are not a header of this segment. `bytes` has at least kBatchHeaderBytes.
std::optional<BatchHeader> read_batch_header(std::span<const std::byte> bytes, std::uint32_t salt);

/// Before each record of a payload; the record's bytes follow, then zeros to a multiple of 8.
///
/// ```
/// 0  u32 length of the record's bytes   4 u8 kind   5 u8 flags: 1 origin follows   6 u16 0
/// 8  origin, where it has one: u64 offset, u32 ordinal, u16 partition, u16 0
/// ```
struct RecordHeader {
  std::uint32_t length = 0;
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint16_t zero = 0;
};
static_assert(sizeof(RecordHeader) == 8);
inline constexpr std::uint8_t kRecordHasOrigin = 1;

struct OriginBytes {
  std::uint64_t offset = 0;
  std::uint32_t ordinal = 0;
  std::uint16_t partition = 0;
  std::uint16_t zero = 0;
};
static_assert(sizeof(OriginBytes) == 16);

constexpr OriginBytes to_bytes(const Origin& origin) {
  return {origin.input.offset.value, origin.ordinal, origin.input.partition.value, 0};
}
constexpr Origin from_bytes(const OriginBytes& bytes) {
  return {.input = {{bytes.partition}, {bytes.offset}}, .ordinal = bytes.ordinal};
}

constexpr std::uint64_t padded(std::uint64_t size) { return (size + 7) & ~std::uint64_t{7}; }

}  // namespace flux::bus::embedded
