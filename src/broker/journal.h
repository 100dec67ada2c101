#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/metrics.h"
#include "broker/receipt.h"
#include "bus/bus.h"
#include "core/ids.h"
#include "runtime/shard.h"

namespace flux::broker {

/// Writes the changes of one shard's sessions to the log. One per shard; on its thread.
///
///     journal::put_mark(journal.open(partition), journal::Kind::settled, id, number);   // leaves with this turn
///     journal.keep(partition, receipt);            // let go when all that was opened so far is durable
///
/// Changes gather while the record before them is on its way to the disk, so that a busy shard writes few and large
/// ones. They are never given up: while the log does not take them they wait here, in order, and whoever holds a
/// receipt is told after `kPatience`. `full()` then tells the publishers to wait.
class Journal final : public std::enable_shared_from_this<Journal>, private runtime::TurnHook {
 public:
  Journal(runtime::Shard& shard, bus::Producer& producer, std::size_t partitions, Metrics& metrics);
  ~Journal();

  [[nodiscard]] PartitionId partition_of(std::uint64_t id) const {
    return {static_cast<std::uint16_t>(id % lanes_.size())};
  }
  [[nodiscard]] std::size_t partitions() const { return lanes_.size(); }

  std::string& open(PartitionId partition);
  void keep(PartitionId partition, ReceiptPtr receipt);
  /// Called on the shard, unless the shard ends first.
  void when_durable(PartitionId partition, std::move_only_function<void(const Result<>&)> done);

  [[nodiscard]] bool full() const;
  [[nodiscard]] bool idle() const;
  /// Before it goes, on its shard: nothing is called after it.
  void close();

 private:
  static constexpr std::size_t kMostBytes = 64 << 20;
  static constexpr std::size_t kRecordBytes = 1 << 20;  // a record is cut above it
  static constexpr Duration kPatience = 2_s;
  static constexpr Duration kPause = 50_ms;

  struct Waiters {
    std::vector<ReceiptPtr> receipts;
    std::vector<std::move_only_function<void(const Result<>&)>> calls;
  };
  /// What becomes one record.
  struct Chunk {
    std::string bytes;
    Waiters waiters;
  };
  struct Lane {
    PartitionId partition;
    std::deque<Chunk> open;
    bus::Payload sent;  ///< on its way
    Waiters sent_waiters;
    Duration first_tried;
    bool told = false;  ///< its waiters were told that it does not go on
    bool dirty = false;
    runtime::Timer retry;
  };
  void on_turn_end() override;
  void send(Lane& lane);
  void publish(Lane& lane);
  void completed(Lane& lane, const Result<Offset>& result);
  static void tell(Waiters& waiters, const Result<>& result);

  runtime::Shard& shard_;
  bus::Producer& producer_;
  Metrics& metrics_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Lane*> dirty_;
  bool closed_ = false;
};

}  // namespace flux::broker
