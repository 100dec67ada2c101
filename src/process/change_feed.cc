#include "process/change_feed.h"

#include <algorithm>
#include <mutex>

#include "observe/log.h"
#include "runtime/spawn.h"

namespace flux::process {
namespace {

constexpr std::size_t kBatch = 256;
constexpr Duration kPause = 200_ms;

log::Throttle feed_failed(10_s);

std::vector<Tag> tags_of(const registry::Labels& labels) {
  std::vector<Tag> tags;
  tags.reserve(labels.size());
  for (const auto& [key, value] : labels) tags.push_back({key, value});
  return tags;
}

runtime::Completion<Offset> publish_control(bus::Bus& bus, PartitionId partition, std::string bytes) {
  runtime::Completion<Offset> done;
  bus::Record record;
  record.kind = bus::RecordKind::control;
  record.sync_first = true;  // whoever asked for the change forgets it once we say that it is durable
  record.payload = std::make_shared<const std::string>(std::move(bytes));
  bus.producer().publish(bus::Topic::raw_sensor_data, partition, std::move(record),
                         [done](Result<Offset> offset) { done.resolve(std::move(offset)); });
  return done;
}

}  // namespace

wire::control::ControlRecord control_record(const registry::Change& change) {
  using Kind = registry::Change::Kind;
  switch (change.kind) {
    case Kind::profile_set: {
      wire::control::ProfileChanged record{.tenant = change.tenant, .version = change.version, .profile = change.key};
      if (!change.profile) return record;
      record.name = change.profile->name.value_or("");
      record.silent_after = change.profile->silent_after;
      record.labels = tags_of(change.profile->labels);
      for (const registry::ProfileMetric& metric : change.profile->metrics) {
        record.metrics.push_back({.name = metric.name,
                                  .type = metric.type,
                                  .unit = metric.unit.value_or(""),
                                  .min = metric.min,
                                  .max = metric.max});
      }
      return record;
    }
    case Kind::profile_removed:
      return wire::control::ProfileRemoved{.tenant = change.tenant, .version = change.version, .profile = change.key};
    case Kind::device_removed:
      return wire::control::DeviceRemoved{
          .tenant = change.tenant, .version = change.version, .device = change.key, .removed_at = wall_now()};
    case Kind::device_set: break;
  }
  wire::control::DeviceChanged record{.tenant = change.tenant, .version = change.version, .device = change.key};
  if (!change.device) return record;
  record.name = change.device->name.value_or("");
  record.profile = change.device->profile.value_or("");
  record.labels = tags_of(change.device->labels);
  if (change.device->location) {
    record.location = wire::control::Location{.latitude = change.device->location->latitude,
                                              .longitude = change.device->location->longitude,
                                              .place = change.device->location->place.value_or("")};
  }
  return record;
}

/// Rung by the registry, from any thread; the feed sleeps on it.
struct ChangeFeed::Bell {
  std::mutex mutex;
  bool rung = false;
  std::optional<runtime::Completion<>> sleeper;

  void ring() {
    const std::lock_guard lock(mutex);
    rung = true;
    if (sleeper) sleeper->resolve({});
    sleeper.reset();
  }
  /// Resolves at the next ring, or at once when there was one since.
  runtime::Completion<> wait() {
    const std::lock_guard lock(mutex);
    runtime::Completion<> done;
    if (std::exchange(rung, false)) done.resolve({});
    else sleeper = done;
    return done;
  }
};

ChangeFeed::~ChangeFeed() {
  if (bell_) changes_.on_added(nullptr);
}

Async<void> ChangeFeed::catch_up() {
  for (;;) {
    CO_TRY(const bool more, co_await publish_some());
    if (!more) co_return {};
  }
}

Async<void> ChangeFeed::run() {
  running_ = true;
  bell_ = std::make_shared<Bell>();
  changes_.on_added([bell = bell_] { bell->ring(); });
  const std::shared_ptr<Bell> bell = bell_;
  while (!stopping_) {
    const auto more = co_await publish_some();
    if (stopping_) break;
    if (!more) {
      log::warn(feed_failed, "changes of the registry wait for the log", {{"reason", more.error()}});
      (void)co_await runtime::sleep(kPause);
    } else if (!*more) {
      const runtime::Completion<> rung = bell->wait();
      (void)co_await rung;
      const std::lock_guard lock(bell->mutex);
      bell->rung = false;
    }
  }
  running_ = false;
  co_return {};
}

void ChangeFeed::stop() {
  stopping_ = true;
  if (bell_) bell_->ring();
}

Async<bool> ChangeFeed::publish_some() {
  CO_TRY(const std::vector<registry::Change> changes, co_await changes_.pending(0, kBatch));
  if (changes.empty()) co_return false;
  CO_DO(co_await publish(changes));
  CO_DO(co_await changes_.ack(changes.back().version));
  co_return true;
}

Async<void> ChangeFeed::publish(const std::vector<registry::Change>& changes) {
  // All of a partition's changes go as one record, and the next only when this is durable: a change can neither be
  // lost between two others nor come after a later one.
  const std::size_t partitions = bus_.partition_count();
  std::vector<std::vector<wire::control::ControlRecord>> concerned(partitions);
  for (const registry::Change& change : changes) {
    const bool of_profile =
        change.kind == registry::Change::Kind::profile_set || change.kind == registry::Change::Kind::profile_removed;
    if (of_profile) {
      for (auto& records : concerned) records.push_back(control_record(change));
    } else {
      concerned[partition_of(bucket_of(change.tenant, change.key), partitions).value].push_back(control_record(change));
    }
  }
  std::vector<runtime::Completion<Offset>> under_way;
  for (std::size_t i = 0; i < partitions; ++i) {
    if (concerned[i].empty()) continue;
    under_way.push_back(
        publish_control(bus_, {static_cast<std::uint16_t>(i)},
                        wire::control::encode(std::span<const wire::control::ControlRecord>(concerned[i]))));
  }
  std::optional<Error> failed;
  for (const auto& done : under_way) {
    auto offset = co_await done;
    if (!offset) failed = std::move(offset).error();
  }
  if (failed) co_return std::unexpected(*std::move(failed));
  co_return {};
}

Async<void> publish_erase(bus::Bus& bus, wire::control::EraseReadings erase) {
  const std::size_t partitions = bus.partition_count();
  std::vector<bool> concerned(partitions, erase.devices.empty());
  for (const std::string& device : erase.devices)
    concerned[partition_of(bucket_of(erase.tenant, device), partitions).value] = true;
  std::vector<runtime::Completion<Offset>> under_way;
  const std::string bytes = wire::control::encode(erase);
  for (std::size_t i = 0; i < partitions; ++i)
    if (concerned[i]) under_way.push_back(publish_control(bus, {static_cast<std::uint16_t>(i)}, bytes));
  std::optional<Error> failed;
  for (const auto& done : under_way) {
    auto offset = co_await done;
    if (!offset) failed = std::move(offset).error();
  }
  if (failed) co_return std::unexpected(*std::move(failed));
  co_return {};
}

}  // namespace flux::process
