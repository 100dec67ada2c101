#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "store/series/engine/file_system.h"
#include "store/series/engine/page_cache.h"
#include "store/series/engine/part_format.h"
#include "store/series/engine/text.h"

namespace flux::store::engine {

/// One immutable part file, open for reading. Thread-safe. Every error names the file; those of damaged bytes
/// (`corrupt`) the place in it too.
class Part {
 public:
  /// `expected` is what the manifest says; a file that says otherwise is `corrupt`, one that is not there `not_found`.
  static Result<std::shared_ptr<const Part>> open(FileSystem& files, std::filesystem::path path,
                                                  const PartMeta& expected, std::shared_ptr<PageCache> cache);
  ~Part();

  [[nodiscard]] const PartMeta& meta() const { return meta_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::size_t page_count() const { return pages_.size(); }

  /// `remember` says whether the page is likely to be asked for again.
  Result<IndexPagePtr> page(std::size_t index, bool remember) const;

  /// From the disk, whatever the cache has.
  Result<IndexPagePtr> fresh_page(std::size_t index) const;
  /// The bytes of a block, checked; good until this thread's next read.
  Result<std::string_view> block(const BlockRef& ref) const;

  struct Found {
    IndexPagePtr page;
    const StemEntry* stem = nullptr;  ///< null: the part has nothing of it
  };
  Result<Found> find(const Fingerprint& stem) const;

  Result<> read_times(const TimeBlock& block, std::vector<std::int64_t>& out) const;
  Result<> read_values(const ValueBlock& block, ValueType type, std::vector<Cell>& out, TextArena& arena) const;
  Result<std::vector<RollupRow>> read_rollups(const RollupBlock& block, ValueType type) const;

  /// Removes the file once the last reader lets go.
  void remove_when_unused() const { remove_.store(true, std::memory_order_relaxed); }

 private:
  Part(FileSystem& files, std::filesystem::path path, std::unique_ptr<InputFile> file, PartFooter footer,
       std::vector<PageRef> pages, std::shared_ptr<PageCache> cache);

  Result<std::string_view> read(const BlockRef& ref, std::string& buffer) const;
  [[nodiscard]] std::unexpected<Error> damaged(const BlockRef& ref, std::string_view what) const;

  FileSystem& files_;
  std::filesystem::path path_;
  std::unique_ptr<InputFile> file_;
  PartMeta meta_;
  std::vector<PageRef> pages_;
  std::shared_ptr<PageCache> cache_;
  mutable std::atomic<bool> remove_ = false;
};

using PartPtr = std::shared_ptr<const Part>;

}  // namespace flux::store::engine
