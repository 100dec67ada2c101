// Everything that the store reads from its files, behind the checksums: the harness makes those right, so that the
// decoders themselves are reached.

#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "core/hash.h"
#include "store/series/engine/block_codec.h"
#include "store/series/engine/bytes.h"
#include "store/series/engine/manifest.h"
#include "store/series/engine/part_format.h"

namespace {

using namespace flux;
using namespace flux::store::engine;

void use_page(const std::string& raw) {
  std::string bytes;
  put_fixed(bytes, static_cast<std::uint32_t>(raw.size()));
  std::string packed(ZSTD_compressBound(raw.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), 1));
  const auto page = decode_page(bytes + packed);
  if (!page) return;
  // What decodes must be usable: every index within its list.
  std::size_t values = 0;
  for (const StemEntry& stem : (*page)->stems) {
    for (const SeriesEntry& entry : (*page)->series_of(stem)) {
      for (const ValueBlock& block : (*page)->blocks_of(entry)) values += (*page)->time_blocks[block.time_block].count;
      values += (*page)->rollups_of(entry).size();
      if ((*page)->first_time(entry) > (*page)->last_time(entry)) __builtin_trap();
    }
  }
  if (values == 0 && !(*page)->series.empty()) __builtin_trap();
}

// Whatever the cells are, what is written is what is read.
void round_trip(ValueType type, const std::string& bytes) {
  std::vector<Cell> cells((bytes.size() + 7) / 8);
  std::memcpy(cells.data(), bytes.data(), bytes.size());
  if (cells.empty() || cells.size() > kMaxBlockValues) return;
  std::string coded;
  encode_values(type, cells, coded);
  std::vector<Cell> back(cells.size());
  TextArena arena;
  if (!decode_values(coded, type, cells.size(), back.data(), arena) || back != cells) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::uint8_t what = data[0] % 10;
  const std::size_t count = 1 + (data[1] | data[2] << 8) % kMaxBlockValues;
  const std::string bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  switch (what) {
    case 0: {
      std::vector<std::int64_t> times(count);
      (void)decode_times(bytes, count, times.data());
      break;
    }
    case 6: use_page(bytes); break;
    case 7: {
      std::string whole = bytes;
      put_fixed(whole, crc32c(std::as_bytes(std::span(bytes))));
      const auto manifest = decode_manifest(whole);
      if (manifest && !decode_manifest(encode(*manifest))) __builtin_trap();
      (void)decode_directory(bytes, static_cast<std::uint32_t>(count));
      RollupBlock block;
      block.rows = static_cast<std::uint32_t>(count);
      block.resolution = data[3] % kResolutions.size();
      (void)decode_rollups(ValueType::float64, block, bytes);
      break;
    }
    case 8: round_trip(ValueType::int64, bytes); break;
    case 9: round_trip(ValueType::float64, bytes); break;
    default: {
      std::vector<Cell> cells(count);
      TextArena arena;
      const auto type = static_cast<ValueType>(what);
      if (decode_values(bytes, type, count, cells.data(), arena) && type == ValueType::string)
        for (const Cell cell : cells)
          if (text_of(cell).size() > arena.memory_bytes()) __builtin_trap();
    }
  }
  return 0;
}
