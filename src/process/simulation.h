#pragma once

// A small world for the tests of this room: a log, a store and checkpoints that can lose what was not durable, in one
// thread, with every delay and failure drawn from one seed.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "bus/memory/memory_bus.h"
#include "process/checkpoints.h"
#include "process/processor.h"
#include "store/series/memory/memory_store.h"
#include "store/series/series_store.h"

namespace flux::process::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  /// 0 to `below` - 1.
  std::size_t below(std::size_t below) { return static_cast<std::size_t>(engine_() % below); }
  bool chance(double probability) { return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability; }
  std::uint64_t bits() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

/// A log whose publishes take time, fail now and then, and are lost in a crash from some point on. What came through
/// stays.
class SimulatedBus final : public bus::Bus, public bus::Producer {
 public:
  SimulatedBus(bus::Bus& durable, Random& random) : durable_(durable), random_(random) {}

  void publish(bus::Topic topic, PartitionId partition, bus::Record record, bus::Published done) override {
    if (random_.chance(failures)) return done(fail(ErrorCode::exhausted, "the log is full"));
    queue_.push_back({topic, partition, std::move(record), std::move(done)});
  }
  [[nodiscard]] std::size_t queued_bytes() const override { return 0; }
  [[nodiscard]] bool busy() const { return !queue_.empty(); }

  /// Completes up to `count` publishes. Some say `io` although the record is there, or although it is not.
  void work(std::size_t count) {
    for (; count > 0 && !queue_.empty(); --count) {
      Queued next = std::move(queue_.front());
      queue_.pop_front();
      const bool lost = random_.chance(failures / 2);
      if (!lost) write(next);
      if (lost || random_.chance(failures / 2)) next.done(fail(ErrorCode::io, "who knows"));
      else next.done(Offset{});
    }
  }
  /// A random number of what was under way is there afterwards; nobody hears of it.
  void crash() {
    for (std::size_t kept = random_.below(queue_.size() + 1); kept > 0; --kept) {
      write(queue_.front());
      queue_.pop_front();
    }
    queue_.clear();
  }

  [[nodiscard]] std::size_t partition_count() const override { return durable_.partition_count(); }
  bus::Producer& producer() override { return *this; }
  Result<std::unique_ptr<bus::Reader>> reader(bus::Topic topic, PartitionId partition, Offset from) override {
    return durable_.reader(topic, partition, from);
  }
  [[nodiscard]] Result<bus::PartitionInfo> info(bus::Topic topic, PartitionId partition) const override {
    return durable_.info(topic, partition);
  }
  void commit(std::string_view group, bus::Topic topic, PartitionId partition, Offset next) override {
    durable_.commit(group, topic, partition, next);
  }
  [[nodiscard]] std::optional<Offset> committed(std::string_view group, bus::Topic topic,
                                                PartitionId partition) const override {
    return durable_.committed(group, topic, partition);
  }
  void forget(std::string_view group) override { durable_.forget(group); }
  Result<std::optional<bus::Origin>> last_origin(bus::Topic topic, PartitionId partition) override {
    return durable_.last_origin(topic, partition);
  }

  double failures = 0;

 private:
  struct Queued {
    bus::Topic topic;
    PartitionId partition;
    bus::Record record;
    bus::Published done;
  };
  void write(Queued& next) {
    durable_.producer().publish(next.topic, next.partition, std::move(next.record),
                                [](Result<Offset> offset) { CHECK(offset.has_value()); });
  }

  bus::Bus& durable_;
  Random& random_;
  std::deque<Queued> queue_;
};

/// A store that forgets in a crash what was not flushed, and is full now and then.
class SimulatedStore final : public store::TimeSeriesStore {
 public:
  explicit SimulatedStore(Random& random) : random_(random), inner_(store::memory::make_store()) {}

  Result<> append(PartitionId partition, Offset offset, const TelemetryBatch& batch) override {
    if (random_.chance(failures)) return fail(ErrorCode::exhausted, "the heads are full");
    CHECK_MSG(offset >= next_[partition], "offsets must come in order, each once");
    next_[partition] = offset.next();
    record([partition, offset, batch](TimeSeriesStore& store) { return store.append(partition, offset, batch); });
    return {};
  }
  void advance(PartitionId partition, Offset offset) override {
    next_[partition] = offset.next();
    record([partition, offset](TimeSeriesStore& store) -> Result<> {
      store.advance(partition, offset);
      return {};
    });
  }
  Result<> erase(PartitionId partition, Offset offset, const store::SeriesSelector& selector,
                 store::TimeRange range) override {
    if (random_.chance(failures)) return fail(ErrorCode::exhausted, "the heads are full");
    record([=](TimeSeriesStore& store) { return store.erase(partition, offset, selector, range); });
    return {};
  }
  Result<> flush() override {
    flushed_ = operations_.size();
    return inner_->flush();
  }
  /// Keeps what was flushed.
  void crash() {
    operations_.resize(flushed_);
    inner_ = store::memory::make_store();
    next_.clear();
    for (const auto& operation : operations_) CHECK(operation(*inner_).has_value());
    CHECK(inner_->flush().has_value());
  }

  [[nodiscard]] Offset resume_from(PartitionId partition) const override { return inner_->resume_from(partition); }
  Result<std::vector<store::SeriesInfoPtr>> list(const store::SeriesSelector& selector, std::size_t limit,
                                                 std::optional<SeriesId> after) const override {
    return inner_->list(selector, limit, after);
  }
  Result<std::vector<store::LastPoint>> latest(const store::SeriesSelector& selector) const override {
    return inner_->latest(selector);
  }
  Result<> scan(const store::SeriesSelector& selector, store::TimeRange range, store::Order order, std::size_t limit,
                const store::QueryLimits& limits, std::stop_token stop,
                store::ChunkSink<store::Points> sink) const override {
    return inner_->scan(selector, range, order, limit, limits, std::move(stop), std::move(sink));
  }
  Result<> aggregate(const store::SeriesSelector& selector, store::TimeRange range, store::Window window,
                     const store::QueryLimits& limits, std::stop_token stop,
                     store::ChunkSink<store::WindowedPoints> sink) const override {
    return inner_->aggregate(selector, range, window, limits, std::move(stop), std::move(sink));
  }
  [[nodiscard]] store::StoreStats stats() const override { return inner_->stats(); }

  double failures = 0;

 private:
  using Operation = std::function<Result<>(store::TimeSeriesStore&)>;
  void record(Operation operation) {
    CHECK(operation(*inner_).has_value());
    operations_.push_back(std::move(operation));
  }

  Random& random_;
  std::unique_ptr<store::TimeSeriesStore> inner_;
  std::vector<Operation> operations_;
  std::size_t flushed_ = 0;
  std::map<PartitionId, Offset> next_;
};

/// Checkpoints in memory, kept as the folder keeps them. Any thread.
class MemoryCheckpoints final : public Checkpoints {
 public:
  Result<Generation> take_over(PartitionId partition) override {
    const std::lock_guard lock(mutex_);
    return Generation{++held_[partition].generation};
  }
  Result<> write(PartitionId partition, Generation generation, const Checkpoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    Held& held = held_[partition];
    if (held.generation != generation.value) return fail(ErrorCode::permission_denied, "another has taken over");
    held.all.insert_or_assign(checkpoint.next, checkpoint.data);
    while (held.all.size() > 2) held.all.erase(held.all.begin());
    ++written;
    return {};
  }
  Result<std::vector<Offset>> list(PartitionId partition) override {
    const std::lock_guard lock(mutex_);
    std::vector<Offset> offsets;
    for (const auto& [next, data] : held_[partition].all) offsets.insert(offsets.begin(), next);
    return offsets;
  }
  Result<Checkpoint> read(PartitionId partition, Offset next) override {
    const std::lock_guard lock(mutex_);
    if (damaged.contains({partition, next})) return fail(ErrorCode::corrupt, "damaged");
    return Checkpoint{next, held_[partition].all.at(next)};
  }
  void damage_newest(PartitionId partition) {
    if (!held_[partition].all.empty()) damaged.insert({partition, held_[partition].all.rbegin()->first});
  }

  std::atomic<std::uint64_t> written{0};
  std::set<std::pair<PartitionId, Offset>> damaged;

 private:
  struct Held {
    std::uint64_t generation = 0;
    std::map<Offset, std::string> all;
  };
  std::mutex mutex_;
  std::map<PartitionId, Held> held_;
};

}  // namespace flux::process::simulation
