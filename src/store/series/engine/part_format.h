#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"
#include "store/series/engine/summary.h"

/// What a part file is made of. The bytes are drawn in docs/formats/part.md.
namespace flux::store::engine {

inline constexpr std::string_view kPartMagic = "FLUXPART";
inline constexpr std::string_view kPartEndMagic = "FLUXPEND";
inline constexpr std::uint16_t kPartVersion = 2;        ///< 2: entropy coded numbers in blocks
inline constexpr std::uint16_t kOldestPartVersion = 1;  ///< that is read
inline constexpr std::size_t kPartHeaderBytes = 64;
inline constexpr std::size_t kPartFooterBytes = 160;
inline constexpr std::size_t kIndexPageBytes = 32 * 1024;  ///< about, before compression

/// Rollup rows are kept where they stand for many values each; else reading the values costs hardly more.
struct Resolution {
  std::int64_t width_ns;
  std::uint64_t least_values_per_row;
};
inline constexpr std::array<Resolution, 3> kResolutions = {{
    {60'000'000'000, 240},          // 1 m: only for several readings a second
    {3'600'000'000'000, 120},       // 1 h: for a reading every 30 s or more often
    {86'400'000'000'000, 3 * 4096}  // 1 d: beyond what the summaries of a day's blocks give anyway
}};

/// What the manifest and the part's own footer both say of a part.
struct PartMeta {
  std::uint64_t id = 0;           ///< names the file; never used again
  std::uint64_t bytes = 0;        ///< of the file
  std::uint64_t first_flush = 0;  ///< the oldest and newest flush that its readings came with: what decides which of
  std::uint64_t last_flush = 0;   ///< two readings of one series and time is the later write
  std::uint64_t erased_to = 0;    ///< tombstones of flushes up to this one have been applied
  std::int64_t first_time = 0;    ///< of its readings
  std::int64_t last_time = 0;
  std::uint64_t values = 0;
  std::uint64_t series = 0;
  std::uint64_t stems = 0;
  std::uint8_t level = 0;  ///< of the time slice (time_slice.h)
  friend bool operator==(const PartMeta&, const PartMeta&) = default;
};

/// What the series of one device and measurement have in common: everything but the field.
struct Stem {
  Fingerprint fingerprint;
  PartitionId partition;
  TenantId tenant;
  std::string_view database;
  std::string_view retention_policy;
  std::string_view measurement;
  std::string_view device;
  std::vector<std::pair<std::string_view, std::string_view>> tags;
};

struct BlockRef {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t crc = 0;
};

struct TimeBlock {
  BlockRef ref;
  std::uint32_t count = 0;
  std::int64_t first = 0;
  std::int64_t last = 0;
};

struct ValueBlock {
  BlockRef ref;
  std::uint32_t time_block = 0;  ///< index among the page's time blocks
  bool has_summary = false;      ///< false for strings and tiny blocks
  Summary summary;               ///< count and times are always set
};

struct RollupBlock {
  BlockRef ref;
  std::uint8_t resolution = 0;  ///< index into kResolutions
  std::uint32_t rows = 0;
  std::int64_t first_start = 0;
  std::int64_t last_start = 0;
};

struct RollupRow {
  std::int64_t start = 0;
  Summary summary;
};

struct SeriesEntry {
  std::string_view field;
  ValueType type = ValueType::float64;
  std::int64_t last_received_ns = 0;
  Cell last = 0;                  ///< not for strings
  std::string_view last_text;     ///< strings only
  std::uint32_t first_block = 0;  ///< its value blocks, ascending in time
  std::uint32_t block_count = 0;
  std::uint32_t first_rollup = 0;
  std::uint32_t rollup_count = 0;
};

struct StemEntry {
  Stem stem;
  std::uint32_t first_series = 0;  ///< its series, by field name
  std::uint32_t series_count = 0;
};

/// A decoded piece of a part's index. Immutable.
struct IndexPage {
  std::string bytes;  ///< what the string views point into
  std::vector<StemEntry> stems;
  std::vector<SeriesEntry> series;
  std::vector<TimeBlock> time_blocks;
  std::vector<ValueBlock> value_blocks;
  std::vector<RollupBlock> rollups;

  [[nodiscard]] std::span<const SeriesEntry> series_of(const StemEntry& stem) const {
    return std::span(series).subspan(stem.first_series, stem.series_count);
  }
  [[nodiscard]] std::span<const ValueBlock> blocks_of(const SeriesEntry& entry) const {
    return std::span(value_blocks).subspan(entry.first_block, entry.block_count);
  }
  [[nodiscard]] std::span<const RollupBlock> rollups_of(const SeriesEntry& entry) const {
    return std::span(rollups).subspan(entry.first_rollup, entry.rollup_count);
  }
  [[nodiscard]] std::int64_t first_time(const SeriesEntry& entry) const {
    return value_blocks[entry.first_block].summary.first_time;
  }
  [[nodiscard]] std::int64_t last_time(const SeriesEntry& entry) const {
    return value_blocks[entry.first_block + entry.block_count - 1].summary.last_time;
  }
  [[nodiscard]] std::size_t memory_bytes() const;
};
using IndexPagePtr = std::shared_ptr<const IndexPage>;

struct PageRef {
  Fingerprint first_stem;
  BlockRef ref;
};

/// What the end of a file says.
struct PartFooter {
  PartMeta meta;
  BlockRef directory;
  std::uint32_t pages = 0;
};

std::string encode_header(std::uint64_t part);
Result<> check_header(std::string_view bytes);

std::string encode_footer(const PartFooter& footer);
Result<PartFooter> decode_footer(std::string_view bytes);

std::string encode_directory(std::span<const PageRef> pages);
Result<std::vector<PageRef>> decode_directory(std::string_view bytes, std::uint32_t pages);

/// The stems and series of one page, all vectors filled as `IndexPage` has them; `bytes` is not read.
std::string encode_page(const IndexPage& page);
/// From the bytes that `encode_page` made.
Result<IndexPagePtr> decode_page(std::string bytes);

std::string encode_rollups(ValueType type, std::uint8_t resolution, std::span<const RollupRow> rows);
Result<std::vector<RollupRow>> decode_rollups(ValueType type, const RollupBlock& block, std::string_view bytes);

}  // namespace flux::store::engine
