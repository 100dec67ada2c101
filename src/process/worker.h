#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "process/processor.h"
#include "runtime/async.h"
#include "runtime/shard.h"

namespace flux::process {

/// A partition on its shard: reads when the log has something, waits when a sink is full, keeps the clock.
/// All calls on the shard.
class Worker {
 public:
  /// `needs.post` is set by the worker.
  Worker(runtime::Shard& shard, Needs needs, PartitionId partition);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Recovers and begins; old records are processed in turns afterwards.
  Result<> start();
  /// No more ticks; waits until the log's end is reached and every output is durable. `timed_out` after `limit`.
  Async<void> settle(Duration limit);
  /// Writes the checkpoint of the present state; the store must have been flushed. `timed_out` after `limit`.
  Async<void> checkpoint(Duration limit);
  /// Nothing runs after this.
  void stop();

  [[nodiscard]] runtime::Shard& shard() const { return shard_; }
  [[nodiscard]] const Processor& processor() const { return *processor_; }
  /// Records of the log not processed yet. Any thread, as of at most 100 ms ago.
  [[nodiscard]] std::uint64_t lag() const { return lag_.load(std::memory_order_relaxed); }
  /// Since when (monotonic) it has got no further although there are records: a sink takes nothing, or the log cannot
  /// be read. Nothing while it goes on. Any thread.
  [[nodiscard]] std::optional<Duration> stalled_since() const {
    const std::int64_t ns = stalled_since_.load(std::memory_order_relaxed);
    return ns == kGoing ? std::nullopt : std::optional(Duration{ns});
  }
  [[nodiscard]] std::size_t devices() const { return devices_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kGoing = INT64_MIN;

  void set_stalled(bool stalled);
  void run();
  void wake();
  void maintain();

  runtime::Shard& shard_;
  const Config& config_;
  Metrics& metrics_;
  std::unique_ptr<Processor> processor_;
  std::shared_ptr<Worker*> self_;  // null when callbacks come too late
  runtime::Timer maintenance_;
  runtime::Timer retry_;
  bool scheduled_ = false;
  std::atomic<std::uint64_t> lag_{0};
  std::atomic<std::size_t> devices_{0};
  std::atomic<std::int64_t> stalled_since_{kGoing};
};

}  // namespace flux::process
