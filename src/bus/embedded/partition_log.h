#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "bus/bus.h"
#include "bus/embedded/config.h"
#include "bus/embedded/file_system.h"
#include "bus/embedded/group_offsets.h"
#include "bus/embedded/log_threads.h"
#include "bus/embedded/metrics.h"
#include "bus/embedded/pending.h"
#include "bus/embedded/segment_scan.h"
#include "bus/embedded/segment_writer.h"

namespace flux::bus::embedded {

/// What the partitions of one log share.
struct LogContext {
  const Config& config;
  std::filesystem::path folder;
  FileSystem& files;
  Metrics& metrics;
  GroupOffsets& groups;
  LogThreads& threads;
  std::atomic<std::size_t> queued_bytes = 0;
  std::size_t partition_count = 1;

  /// `unavailable` when the disk should keep what it has left for the stores beside the log.
  Result<> room_for(std::uint64_t bytes) const;
};

/// One segment file, known by its name; shared between the partition and its readers.
struct Segment {
  std::filesystem::path path;
  Offset base;
  Time created_at;
  std::atomic<std::uint64_t> bytes = 0;
  SegmentIndex index;
};
using SegmentPtr = std::shared_ptr<Segment>;

/// A reader's `ready`. The mutex makes sure that it is not running once the reader is gone.
struct Waiter {
  std::mutex running;
  std::move_only_function<void()> ready;  // guarded by running
  bool armed = false;                     // guarded by the partition

  void call() {
    const std::scoped_lock lock(running);
    if (ready) ready();
  }
};
using WaiterPtr = std::shared_ptr<Waiter>;

/// One partition of one topic: its queue, its segments, its tail.
///
/// Three kinds of threads meet here. Publishers touch the queue only. One log thread at a time runs `work` and owns the
/// writer. Readers, housekeeping and that log thread share what is known of durable records, under `mutex_`.
class PartitionLog final : public Workable {
 public:
  static Result<std::unique_ptr<PartitionLog>> open(LogContext& context, Topic topic, PartitionId partition);

  void publish(Record record, Published done);
  [[nodiscard]] PartitionInfo info() const;
  [[nodiscard]] std::optional<Origin> last_origin() const;

  /// At the start: somebody (`known_by`) has seen all records before `end`. If they are not all here, files were
  /// damaged or taken away: that is said and counted, and their offsets are never given again.
  void expect_until(Offset end, std::string_view known_by);

  /// Refuses what is published from now on; what was published before is still completed.
  void refuse();
  /// Seals the segment in use. After the log threads have stopped.
  void close();
  /// Sees to retention and to sealing by age. From the housekeeping thread.
  void tend(Time now);
  /// Has a log thread sync what is not yet. Any thread.
  void sync_soon();

  void work() override;

  // For readers.

  struct Tail {
    Offset first;  ///< of the oldest record kept on disk
    Offset end;
    std::vector<Record> records;  ///< from the tail; empty when the position lies before it
  };
  /// Records from memory, as many as fit into `max_bytes` but at least one if it has the one at `position`.
  /// At the end of the log, arms `waiter`.
  Tail take_tail(Offset position, std::size_t max_bytes, const WaiterPtr& waiter);

  struct Place {
    SegmentPtr segment;
    std::optional<Offset> next_base;  ///< of the segment after it
  };
  /// The segment that should hold `offset`; `not_found` when retention has removed it.
  Result<Place> find_segment(Offset offset) const;

  void add_waiter(const WaiterPtr& waiter);
  void remove_waiter(const WaiterPtr& waiter);
  /// Arms `waiter`, or returns true when there are records from `position` on already.
  bool arm(const WaiterPtr& waiter, Offset position);

  [[nodiscard]] LogContext& context() const { return context_; }
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::size_t segment_count() const;

 private:
  PartitionLog(LogContext& context, Topic topic, PartitionId partition);
  Result<> recover();
  /// False when the segment was only begun, and is gone now.
  Result<bool> recover_last(Segment& segment);
  Result<> finish_unsealed(File& file, const SegmentHeader& header, const SegmentEnd& found, std::uint64_t size);

  enum Task : unsigned { kSync = 1, kSeal = 2, kRoll = 4 };
  void request(unsigned tasks);
  void perform(unsigned tasks);

  void commit_group(std::span<Pending> group, std::size_t bytes);
  void complete(std::span<Pending> group, const Located& located);
  void refuse_group(std::span<Pending> group, const Error& error);
  Result<> ensure_writer();
  /// Writes down the last origin where no record batch of a segment does.
  Result<> mark_origin();
  void seal_writer();
  void drop_poisoned();
  void sync_writer();
  Result<> timed_sync();
  [[nodiscard]] SegmentWriter::Stamp stamp(Time now) const;
  Result<> check_cap(std::size_t bytes);
  [[nodiscard]] std::uint64_t segment_limit() const;

  void retain(Time now);
  [[nodiscard]] std::uint64_t total_bytes() const;

  LogContext& context_;
  const Topic topic_;
  const PartitionId partition_;
  const Retention& retention_;
  const std::filesystem::path folder_;
  const std::uint64_t tail_limit_;

  std::mutex queue_mutex_;
  std::vector<Pending> queue_;  // guarded by queue_mutex_, as are the next three
  unsigned tasks_ = 0;
  bool handed_in_ = false;
  bool refusing_ = false;
  std::atomic<bool> unsynced_ = false;

  // Owned by whichever log thread is at work.
  std::vector<Pending> taken_;
  std::unique_ptr<SegmentWriter> writer_;
  Offset synced_;
  bool folder_made_ = false;

  mutable std::mutex mutex_;
  std::deque<SegmentPtr> segments_;  // by base; the last may be in use. Guarded by mutex_, as is the rest.
  bool writing_ = false;             // the last segment is in use
  Offset end_;
  std::optional<Origin> last_origin_;
  Time appended_at_;
  std::deque<Record> tail_;
  std::uint64_t tail_bytes_ = 0;
  std::vector<WaiterPtr> waiters_;
};

}  // namespace flux::bus::embedded
