#include "bus/memory/memory_bus.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <tuple>

#include "core/result.h"

namespace flux::bus::memory {
namespace {

/// A reader's `ready`; the mutex makes sure that it is not running once the reader is gone.
struct Waiter {
  std::mutex running;
  std::move_only_function<void()> ready;  // guarded by running
  bool armed = false;                     // guarded by the bus

  void call() {
    const std::scoped_lock lock(running);
    if (ready) ready();
  }
};
using WaiterPtr = std::shared_ptr<Waiter>;

struct Partition {
  std::vector<Record> records;
  std::uint64_t bytes = 0;
  std::list<WaiterPtr> waiters;
};

struct Pending {
  Topic topic;
  PartitionId partition;
  Record record;
  Published done;
};

std::size_t size_of(const Record& record) {
  return record.batch ? record.batch->memory_bytes() : record.payload->size();
}

class MemoryBusImpl;

class MemoryReader final : public Reader {
 public:
  MemoryReader(MemoryBusImpl& bus, Partition& partition, Offset from);
  ~MemoryReader() override;
  Result<std::vector<Record>> read(std::size_t max_bytes) override;
  Offset position() const override { return position_; }
  Result<> seek(Offset offset) override;
  Result<std::uint64_t> skip_damage() override { return 0; }
  void on_ready(std::move_only_function<void()> ready) override;

 private:
  MemoryBusImpl& bus_;
  Partition& partition_;
  Offset position_;
  WaiterPtr waiter_ = std::make_shared<Waiter>();
};

class MemoryBusImpl final : public MemoryBus, public Producer {
 public:
  explicit MemoryBusImpl(std::size_t partitions) {
    for (auto& topic : topics_) topic = std::vector<Partition>(partitions);
  }
  ~MemoryBusImpl() override { release(); }

  std::size_t partition_count() const override { return topics_[0].size(); }
  Producer& producer() override { return *this; }
  std::size_t queued_bytes() const override { return queued_.load(); }

  void publish(Topic topic, PartitionId partition, Record record, Published done) override {
    std::optional<Error> refused;
    {
      const std::scoped_lock lock(mutex_);
      const bool complete = record.kind == RecordKind::telemetry ? record.batch != nullptr : record.payload != nullptr;
      if (partition.value >= partition_count())
        refused = Error{ErrorCode::invalid_argument, "the log has no partition " + std::to_string(partition.value), {}};
      else if (!complete) refused = Error{ErrorCode::invalid_argument, "a record lacks its batch or payload", {}};
      else refused = failure_;
      if (!refused) {
        queued_ += size_of(record);
        held_.push_back({topic, partition, std::move(record), std::move(done)});
      }
    }
    if (refused) return done(std::unexpected(*refused));
    complete_held();
  }

  Result<std::unique_ptr<Reader>> reader(Topic topic, PartitionId partition, Offset from) override {
    TRY(Partition * found, find(topic, partition));
    const std::scoped_lock lock(mutex_);
    if (from.value > found->records.size())
      return fail(ErrorCode::invalid_argument, "offset " + std::to_string(from.value) + " lies beyond the end");
    return std::make_unique<MemoryReader>(*this, *found, from);
  }

  Result<PartitionInfo> info(Topic topic, PartitionId partition) const override {
    TRY(const Partition* found, const_cast<MemoryBusImpl*>(this)->find(topic, partition));
    const std::scoped_lock lock(mutex_);
    return PartitionInfo{.first = {0}, .end = {found->records.size()}, .bytes = found->bytes};
  }

  void commit(std::string_view group, Topic topic, PartitionId partition, Offset next) override {
    const std::scoped_lock lock(mutex_);
    committed_[std::string(group)][{topic, partition}] = next;
  }

  std::optional<Offset> committed(std::string_view group, Topic topic, PartitionId partition) const override {
    const std::scoped_lock lock(mutex_);
    const auto offsets = committed_.find(group);
    if (offsets == committed_.end()) return std::nullopt;
    const auto found = offsets->second.find({topic, partition});
    return found == offsets->second.end() ? std::nullopt : std::optional(found->second);
  }

  void forget(std::string_view group) override {
    const std::scoped_lock lock(mutex_);
    if (const auto found = committed_.find(group); found != committed_.end()) committed_.erase(found);
  }

  Result<std::optional<Origin>> last_origin(Topic topic, PartitionId partition) override {
    TRY(const Partition* found, find(topic, partition));
    const std::scoped_lock lock(mutex_);
    for (auto record = found->records.rbegin(); record != found->records.rend(); ++record)
      if (record->origin) return record->origin;
    return std::nullopt;
  }

  void hold() override {
    const std::scoped_lock lock(mutex_);
    holding_ = true;
  }
  void release() override {
    {
      const std::scoped_lock lock(mutex_);
      holding_ = false;
    }
    complete_held();
  }
  void fail_with(std::optional<Error> error) override {
    const std::scoped_lock lock(mutex_);
    failure_ = std::move(error);
  }
  void set_time(Time now) override {
    const std::scoped_lock lock(mutex_);
    now_ = now;
  }

  std::mutex& mutex() { return mutex_; }

 private:
  Result<Partition*> find(Topic topic, PartitionId partition) {
    auto& partitions = topics_[static_cast<std::size_t>(topic)];
    if (partition.value < partitions.size()) return &partitions[partition.value];
    return fail(ErrorCode::invalid_argument, "the log has no partition " + std::to_string(partition.value));
  }

  void complete_held() {
    for (;;) {
      Offset offset;
      Published done;
      std::vector<WaiterPtr> ready;
      {
        const std::scoped_lock lock(mutex_);
        if (holding_ || held_.empty()) return;
        Pending pending = std::move(held_.front());
        held_.pop_front();
        Partition& partition = topics_[static_cast<std::size_t>(pending.topic)][pending.partition.value];
        offset = {partition.records.size()};
        pending.record.offset = offset;
        pending.record.appended_at = now_.value_or(wall_now());
        queued_ -= size_of(pending.record);
        partition.bytes += size_of(pending.record);
        partition.records.push_back(std::move(pending.record));
        done = std::move(pending.done);
        for (const WaiterPtr& waiter : partition.waiters)
          if (std::exchange(waiter->armed, false)) ready.push_back(waiter);
      }
      done(offset);
      for (const WaiterPtr& waiter : ready) waiter->call();
    }
  }

  using Place = std::pair<Topic, PartitionId>;
  mutable std::mutex mutex_;
  std::array<std::vector<Partition>, kTopicCount> topics_;
  std::map<std::string, std::map<Place, Offset>, std::less<>> committed_;
  std::list<Pending> held_;
  std::atomic<std::size_t> queued_ = 0;
  std::optional<Error> failure_;
  std::optional<Time> now_;
  bool holding_ = false;
};

MemoryReader::MemoryReader(MemoryBusImpl& bus, Partition& partition, Offset from)
    : bus_(bus), partition_(partition), position_(from) {
  partition_.waiters.push_back(waiter_);  // the caller holds the bus's mutex
}

MemoryReader::~MemoryReader() {
  {
    const std::scoped_lock lock(bus_.mutex());
    partition_.waiters.remove(waiter_);
  }
  const std::scoped_lock running(waiter_->running);
  waiter_->ready = nullptr;
}

Result<std::vector<Record>> MemoryReader::read(std::size_t max_bytes) {
  const std::scoped_lock lock(bus_.mutex());
  std::vector<Record> records;
  std::size_t bytes = 0;
  while (position_.value < partition_.records.size()) {
    const Record& record = partition_.records[position_.value];
    bytes += size_of(record);
    if (!records.empty() && bytes > max_bytes) break;
    records.push_back(record);
    position_ = position_.next();
  }
  if (records.empty()) waiter_->armed = true;
  return records;
}

Result<> MemoryReader::seek(Offset offset) {
  const std::scoped_lock lock(bus_.mutex());
  if (offset.value > partition_.records.size())
    return fail(ErrorCode::invalid_argument, "offset " + std::to_string(offset.value) + " lies beyond the end");
  position_ = offset;
  return {};
}

void MemoryReader::on_ready(std::move_only_function<void()> ready) {
  {
    const std::scoped_lock running(waiter_->running);
    waiter_->ready = std::move(ready);
  }
  {
    const std::scoped_lock lock(bus_.mutex());
    waiter_->armed = position_.value >= partition_.records.size();
    if (waiter_->armed) return;
  }
  waiter_->call();
}

}  // namespace

std::unique_ptr<MemoryBus> make_memory_bus(std::size_t partitions) {
  CHECK(partitions >= 1 && partitions <= kBucketCount);
  return std::make_unique<MemoryBusImpl>(partitions);
}

}  // namespace flux::bus::memory
