#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "bus/embedded/file_system.h"
#include "bus/embedded/segment_format.h"

namespace flux::bus::embedded {

/// A record batch where it lies: `position` is the byte of its header.
struct Located {
  std::uint64_t position = 0;
  BatchHeader header;

  [[nodiscard]] std::uint64_t end() const { return position + kBatchHeaderBytes + header.length; }
};

/// Walks over the record batches of a segment by their headers, without reading what lies between. One thread.
class SegmentScan {
 public:
  SegmentScan(const File& file, std::uint32_t salt, std::uint64_t from, std::uint64_t size)
      : file_(file), salt_(salt), position_(from), size_(size) {}

  /// The record batch at the position, and moves behind it. Nothing, and stays, where no header is or the batch goes
  /// beyond the end.
  Result<std::optional<Located>> next();

  /// The next whole record batch behind the position, checksum and all, that `wanted` takes, and moves behind it.
  Result<std::optional<Located>> search(const std::function<bool(const BatchHeader&)>& wanted);

  [[nodiscard]] std::uint64_t position() const { return position_; }
  void go_to(std::uint64_t position) { position_ = position; }

 private:
  const File& file_;
  std::uint32_t salt_;
  std::uint64_t position_;
  std::uint64_t size_;
  std::vector<std::byte> window_;
  std::uint64_t window_at_ = 0;
};

/// Whether the payload has the checksum that its header names.
Result<bool> payload_intact(const File& file, const Located& batch, std::uint32_t salt);

/// Bytes of a segment that hold no record batch although there was one.
struct Damage {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  Offset first;  ///< the first record lost
  Offset next;   ///< the first one behind the damage
};

/// Where the last segment of a partition really ends.
struct SegmentEnd {
  std::uint64_t position = 0;
  Offset end;
  std::optional<Origin> origin;
  std::optional<Time> appended_at;  ///< of the newest record batch
  bool sealed = false;
  std::vector<Damage> damages;
};

/// Finds the end of a segment that may not have been sealed.
///
/// A record batch that is not whole is damage where a later one says that it had been durable (`synced`); it is the
/// torn tail of a crash otherwise, and the segment ends before it. Records from `until` on do not count: they belong to
/// the segment that begins there, and what lies here is what a failed write left.
Result<SegmentEnd> find_segment_end(const File& file, const SegmentHeader& header,
                                    std::optional<Offset> until = std::nullopt);

/// Where in a segment to start reading for an offset, and which record batches before that define shapes. Filled by
/// the writer as it goes, or by one scan when a sealed segment is first sought into. Thread-safe.
class SegmentIndex {
 public:
  void add(const Located& batch);
  /// Fills it from the file unless that happened already.
  Result<> ensure(const File& file, const SegmentHeader& header);
  /// The writer calls this first: it will add every record batch itself.
  void follow_writer();

  struct Start {
    std::uint64_t position = kSegmentHeaderBytes;
    std::vector<Located> defining;  ///< all before `position`
  };
  /// A place at or before the record batch that holds `offset`.
  [[nodiscard]] Start find(Offset offset) const;

 private:
  void add_locked(const Located& batch);

  struct Entry {
    std::uint64_t position;
    Offset base;
  };
  static constexpr std::uint64_t kStride = 256U << 10;

  mutable std::mutex mutex_;
  bool complete_ = false;
  std::vector<Entry> entries_;
  std::vector<Located> defining_;
};

}  // namespace flux::bus::embedded
