#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bus/embedded/file_system.h"
#include "bus/embedded/pending.h"
#include "bus/embedded/segment_format.h"
#include "bus/embedded/segment_scan.h"
#include "wire/batch/batch_codec.h"

namespace flux::bus::embedded {

/// Appends record batches to one new segment file. One thread.
///
/// After a write or sync that failed the segment is poisoned: what lies behind the last durable record batch is
/// unknown, and it takes nothing more. The one exception is a disk without room: then what was begun is cut away again.
class SegmentWriter {
 public:
  /// Asked before space is claimed: `unavailable` when the disk should keep what it has left.
  using Room = std::function<Result<>(std::uint64_t bytes)>;

  /// Makes the file, durable with its name. `unavailable` when that cannot be done.
  static Result<std::unique_ptr<SegmentWriter>> create(FileSystem& files, const std::filesystem::path& path,
                                                       const SegmentHeader& header, Room room);

  /// What a record batch says besides its records.
  struct Stamp {
    Offset base;
    Time appended_at;
    Offset synced;
    std::optional<Origin> origin;  ///< of the newest record so far that has one
  };
  /// Writes `group` as one record batch and returns where it lies. `unavailable`: nothing of it stays, and the
  /// segment can go on; `io`: poisoned, and what is there is not known.
  Result<Located> append(std::span<const Pending> group, const Stamp& stamp);
  /// A record batch without records; with the seal it is the last one.
  Result<Located> append_mark(const Stamp& stamp, bool seal);

  /// Makes everything appended durable; a failure poisons.
  Result<> sync();
  /// Gives claimed space back, writes the seal and syncs.
  Result<> seal(const Stamp& stamp);

  [[nodiscard]] bool dirty() const { return dirty_; }
  [[nodiscard]] bool poisoned() const { return poisoned_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::size_t shape_count() const { return encoder_.shape_count(); }

 private:
  SegmentWriter(std::unique_ptr<File> file, const SegmentHeader& header, Room room)
      : file_(std::move(file)), header_(header), room_(std::move(room)) {}

  void encode(std::span<const Pending> group, BatchHeader& header);
  Result<Located> write(BatchHeader header);
  Result<> claim(std::uint64_t bytes);

  std::unique_ptr<File> file_;
  SegmentHeader header_;
  Room room_;
  wire::batch::Encoder encoder_;
  wire::batch::Gather gather_;
  std::size_t header_at_ = 0;  // of the record batch at hand, in gather_
  std::uint64_t size_ = kSegmentHeaderBytes;
  std::uint64_t claimed_ = kSegmentHeaderBytes;
  bool dirty_ = false;  // something was written since the last sync
  bool poisoned_ = false;
};

}  // namespace flux::bus::embedded
