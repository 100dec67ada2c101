#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/hash.h"
#include "store/series/engine/file_system.h"
#include "store/series/engine/part_format.h"
#include "store/series/engine/text.h"

namespace flux::store::engine {

/// Writes one part file from its beginning to its end. One thread. Stems come by ascending fingerprint, a stem's series
/// by field name, a series' points by time, each time once, in as many calls as it takes.
class PartWriter {
 public:
  static Result<std::unique_ptr<PartWriter>> create(FileSystem& files, std::filesystem::path path, std::uint64_t id);

  void begin_stem(const Stem& stem);
  void begin_series(std::string_view field, ValueType type);
  Result<> add(std::span<const std::int64_t> times, std::span<const Cell> cells);
  /// `last_received`: when the reading added last arrived.
  Result<> end_series(std::int64_t last_received_ns);
  Result<> end_stem();

  /// Writes index and footer and syncs the file (the folder is the caller's). `meta` gives id, flushes, erased_to and
  /// level; the rest is filled in and returned.
  Result<PartMeta> finish(PartMeta meta);

  [[nodiscard]] std::uint64_t values() const { return values_; }

 private:
  PartWriter(std::unique_ptr<OutputFile> file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)) {}

  struct Times {  // of a time block of the present stem
    Fingerprint hash;
    std::uint32_t index;
  };
  struct Rollup {  // of the present series at one resolution
    bool dropped = false;
    std::vector<RollupRow> rows;
  };

  Result<> emit_block(std::span<const std::int64_t> times, std::span<const Cell> cells);
  Result<std::uint32_t> emit_times(std::span<const std::int64_t> times);
  Result<BlockRef> emit(std::string_view bytes);
  Result<> emit_page();
  void roll_up(std::span<const std::int64_t> times, std::span<const Cell> cells);
  void roll_up(Rollup& rollup, std::size_t resolution, std::span<const std::int64_t> times,
               std::span<const Cell> cells);
  Result<> emit_rollups();
  std::string_view keep(std::string_view text);

  std::unique_ptr<OutputFile> file_;
  std::filesystem::path path_;
  std::string buffer_;  // of the file's end, not yet handed to it
  std::uint64_t offset_ = 0;

  IndexPage page_;
  std::size_t page_bytes_ = 0;
  std::vector<std::unique_ptr<char[]>> page_texts_;
  std::vector<PageRef> pages_;

  std::vector<Times> stem_times_;
  ValueType type_ = ValueType::float64;
  std::vector<std::int64_t> pending_times_;
  std::vector<Cell> pending_cells_;
  TextArena pending_texts_;
  std::size_t pending_text_bytes_ = 0;
  std::array<Rollup, kResolutions.size()> rollups_;
  std::uint64_t series_values_ = 0;
  std::string scratch_;

  std::uint64_t values_ = 0;
  std::uint64_t series_ = 0;
  std::uint64_t stems_ = 0;
  std::int64_t first_time_ = INT64_MAX;
  std::int64_t last_time_ = INT64_MIN;
};

}  // namespace flux::store::engine
