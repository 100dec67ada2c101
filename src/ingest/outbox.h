#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bus/bus.h"
#include "core/batch_builder.h"
#include "core/ids.h"
#include "ingest/config.h"
#include "ingest/log_trouble.h"
#include "ingest/metrics.h"
#include "runtime/async.h"
#include "runtime/completion.h"
#include "runtime/shard.h"

namespace flux::ingest {

/// Whoever has to answer for messages. The outbox keeps it alive until it is told.
class Answerer {
 public:
  virtual ~Answerer() = default;
  /// One batch that held rows of the messages `first` to `last` (tickets of this answerer) is durable, or `result` says
  /// why it never will be. A message with rows in several batches is named once for each. On the shard.
  virtual void on_batch(std::uint64_t first, std::uint64_t last, const Result<>& result) = 0;
};

/// Gathers the readings that arrive on one shard into a batch for each partition, and tells the senders when theirs are
/// durable. One per shard; that shard's thread only, but for the constructor.
///
/// When a batch leaves: at the end of the turn in which its first reading came, unless the one before it is still on
/// its way to the disk or left less than `spacing` ago; then as soon as neither holds. So a lone reading goes at once,
/// and under load the batches grow with the time that the log needs. A batch of `batch_bytes` does not wait.
///
///     outbox.begin();                                  // a message
///     outbox.touch(partition);                         // before its rows go to outbox.builder(partition)
///     const auto batches = outbox.commit(session, 7);  // session->on_batch(7, 7, …) comes that often; 0: it had no
///     rows
///
/// When the log is full or cannot write, the batch is offered again for `retry_time`; meanwhile `accepting()` turns
/// false, and so does it when `pending_bytes` or `log_queue_bytes` are passed. Senders are then held back, never
/// dropped: sockets are paused, HTTP answers 429 or 503.
class Outbox final : public std::enable_shared_from_this<Outbox>, private runtime::TurnHook {
 public:
  Outbox(runtime::Shard& shard, bus::Producer& producer, std::size_t partitions, const OutboxConfig& config,
         Metrics& metrics, LogTrouble& trouble);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  [[nodiscard]] std::size_t partition_count() const { return lanes_.size(); }
  [[nodiscard]] PartitionId partition_of(BucketId bucket) const { return flux::partition_of(bucket, lanes_.size()); }
  /// Stays where it is as long as the outbox lives.
  [[nodiscard]] BatchBuilder& builder(PartitionId partition) { return lanes_[partition.value]->builder; }

  /// Starts a message. One at a time: `commit` ends it.
  void begin();
  /// Says that rows of the message may follow in the partition. Cheap when said before.
  void touch(PartitionId partition);
  /// Ends the message; returns how many calls of `on_batch` will name it. `answerer` may be null (QoS 0).
  unsigned commit(const std::shared_ptr<Answerer>& answerer, std::uint64_t ticket);

  /// There is room. Ask before each message.
  [[nodiscard]] bool accepting() const { return !congested_; }
  /// Why there is none: `unavailable` while the log cannot write (on any shard), else `exhausted`.
  [[nodiscard]] Error refusal() const;
  /// Calls once when there is room again. `waiter` is dropped when the outbox goes.
  void when_accepting(std::move_only_function<void()> waiter);
  /// The log refused to write within the last second, whichever shard offered; false again then, so that somebody
  /// tries.
  [[nodiscard]] bool failing() const;

  /// Rows that are not durable yet.
  [[nodiscard]] bool empty() const { return pending_bytes_ == 0 && open_ == 0; }
  /// Sends everything now and waits until it is answered for.
  Async<void> flush();
  /// Before the outbox goes, on its shard: no call comes after it.
  void close();

 private:
  struct Waiter {
    std::shared_ptr<Answerer> answerer;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Lane;
  /// A batch on its way.
  struct Sealed {
    Lane* lane = nullptr;
    BatchPtr batch;
    std::vector<Waiter> waiters;
    std::size_t bytes = 0;
    Duration sealed_at;
    Duration backoff;
    runtime::Timer retry;
  };
  struct Lane {
    PartitionId partition;
    BatchBuilder builder;
    std::vector<Waiter> waiters;
    std::size_t bytes = 0;      ///< of the builder, as last counted
    std::uint64_t message = 0;  ///< that touched it last
    std::size_t rows_before = 0;
    std::size_t in_flight = 0;
    Duration sealed_at{INT64_MIN / 2};
    bool dirty = false;                      ///< stands in `dirty_`
    std::vector<std::vector<Waiter>> spare;  ///< emptied lists, kept for their memory
  };

  void on_turn_end() override;
  void seal_what_may_go();
  [[nodiscard]] bool may_go(const Lane& lane, Duration now) const;
  void seal(Lane& lane, Duration now);
  void publish(const std::shared_ptr<Sealed>& sealed);
  void completed(const std::shared_ptr<Sealed>& sealed, Result<Offset> result);
  void finish(Sealed& sealed, const Result<>& result);
  void set_pending(std::size_t bytes);
  void judge();

  runtime::Shard& shard_;
  bus::Producer& producer_;
  const OutboxConfig config_;
  Metrics& metrics_;
  LogTrouble& trouble_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Lane*> touched_;
  std::vector<Lane*> dirty_;
  std::uint64_t message_ = 0;
  std::size_t open_ = 0;                           // batches on their way
  std::size_t pending_bytes_ = 0;                  // staged and on their way
  std::vector<std::shared_ptr<Sealed>> retrying_;  // wait to be offered again
  bool congested_ = false;
  bool flushing_ = false;
  bool closed_ = false;
  std::vector<std::move_only_function<void()>> waiting_;
  std::vector<runtime::Completion<>> flushed_;
  runtime::Timer wake_;
  runtime::Timer recheck_;
};

}  // namespace flux::ingest
