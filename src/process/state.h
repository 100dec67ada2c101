#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"
#include "core/value.h"
#include "wire/control/control.h"
#include "wire/processed/processed.h"

namespace flux::registry {
class DeviceEntry;
}
namespace flux::wire::control {
class Packer;
class Unpacker;
}  // namespace flux::wire::control

namespace flux::process {

using wire::control::DeviceChanged;
using wire::control::ProfileChanged;
using wire::control::RulesChanged;

/// A field that a device has reported.
struct KnownMetric {
  std::string measurement;
  std::string field;
  ValueType type = ValueType::float64;
  friend auto operator<=>(const KnownMetric&, const KnownMetric&) = default;
};
/// Sorted, unique. Devices that report the same share one.
using KnownMetrics = std::vector<KnownMetric>;
using KnownMetricsPtr = std::shared_ptr<const KnownMetrics>;

/// What processing knows of one device.
struct DeviceState {
  TenantId tenant;
  std::string id;
  BucketId bucket;

  std::shared_ptr<const DeviceChanged> settings;  ///< null: nobody has set any
  Time last_event = Time::min();                  ///< greatest event time accepted
  Time last_arrival = Time::min();                ///< `min`: never heard from
  bool silent = false;
  KnownMetricsPtr metrics;  ///< never null

  // Derived from the above, the profiles and the rules; made anew when those change.
  wire::DeviceContextPtr context;
  std::shared_ptr<const ProfileChanged> profile;  ///< null: none, or one that is not there
  Duration silent_after;                          ///< 0: never silent
  std::uint32_t epoch = 0;                        ///< grows when what is derived changes, and when the device goes
  bool removed = false;
  std::int64_t timer = INT64_MAX;  ///< of its entry in the timers that counts

  /// Kept here for the registry's sink, so that it looks a device up once. No part of the state.
  mutable std::shared_ptr<registry::DeviceEntry> entry;
};
using DeviceStatePtr = std::shared_ptr<DeviceState>;

/// Everything that one partition remembers between two records, in buckets: a partition holds the buckets that map to
/// it, and moving a bucket moves its devices. One thread.
///
/// `save` is canonical: equal states have equal bytes, however they came about.
class PartitionState {
 public:
  PartitionState(PartitionId partition, std::size_t partitions);

  [[nodiscard]] PartitionId partition() const { return partition_; }
  [[nodiscard]] bool holds(BucketId bucket) const { return partition_of(bucket, partitions_) == partition_; }

  /// The device, or null.
  [[nodiscard]] DeviceStatePtr find(TenantId tenant, std::string_view device) const;
  /// The device, made if there is none.
  DeviceStatePtr ensure(TenantId tenant, std::string_view device);
  [[nodiscard]] std::size_t device_count() const { return device_count_; }
  /// When the device was removed, if what arrived at `arrival` was then under way: an answer for a reading that would
  /// otherwise bring back a device that somebody has just deleted. Nothing once it was set up anew.
  [[nodiscard]] std::optional<Time> removed_around(TenantId tenant, std::string_view device, Time arrival) const;
  void for_each(const std::function<void(const DeviceStatePtr&)>& visit) const;

  [[nodiscard]] const RulesChanged& rules() const { return rules_; }
  /// One shared object for equal lists.
  KnownMetricsPtr intern(KnownMetrics metrics);

  // Changes. Each returns false when the version was there before: nothing was changed then.
  bool apply(const ProfileChanged& change);
  bool apply(const wire::control::ProfileRemoved& change);
  bool apply(const DeviceChanged& change);
  bool apply(const wire::control::DeviceRemoved& change);
  bool apply(const wire::control::EraseReadings& change);
  void apply(const RulesChanged& change);

  /// Notes that the device was heard from; true when it had been silent.
  bool heard(const DeviceStatePtr& device, Time arrival);
  /// An event time that was accepted.
  void seen_event(DeviceState& device, Time event);

  /// Lets the clock of the partition pass `time`; the devices that have become silent by then, in the order of their
  /// ids. The clock never goes back.
  std::vector<DeviceStatePtr> tick(const wire::control::Tick& tick);
  /// When the next device becomes silent if nothing is heard from it; `max` when none can. `listening_since` as a tick
  /// made now would say it.
  [[nodiscard]] Time next_due(Time listening_since);

  [[nodiscard]] Time clock() const { return clock_; }
  /// The greatest event time accepted so far; `min` before the first.
  [[nodiscard]] Time watermark() const;

  [[nodiscard]] std::string save() const;
  /// Replaces everything. `corrupt` says what is wrong; the state is as new then.
  Result<> load(std::string_view bytes);
  [[nodiscard]] std::string save_bucket(BucketId bucket) const;
  /// Takes over what all partitions hold alike (profiles, rules, clock) from one that this gets buckets of; the newer
  /// of each. Before the buckets.
  void adopt_shared(const PartitionState& other);
  /// Adds a bucket that another partition held.
  Result<> load_bucket(std::string_view bytes);
  [[nodiscard]] Fingerprint hash() const;

 private:
  struct DeviceKey {
    TenantId tenant;
    std::string_view id;
    friend bool operator==(const DeviceKey&, const DeviceKey&) = default;
  };
  struct DeviceKeyHash {
    std::size_t operator()(const DeviceKey& key) const noexcept;
  };
  struct MetricsHash {
    std::size_t operator()(const KnownMetricsPtr& metrics) const noexcept;
  };
  struct MetricsEqual {
    bool operator()(const KnownMetricsPtr& a, const KnownMetricsPtr& b) const noexcept { return *a == *b; }
  };
  struct Bucket {
    std::unordered_map<DeviceKey, DeviceStatePtr, DeviceKeyHash> devices;  // keys look into the states
    std::map<std::pair<TenantId, std::string>, Time> removed;              // not long ago
    std::uint64_t version = 0;  // of the newest change of a device of this bucket
    Time watermark = Time::min();
  };
  struct TimerEntry {
    std::int64_t deadline;
    DeviceStatePtr device;
    friend bool operator<(const TimerEntry& a, const TimerEntry& b) { return a.deadline > b.deadline; }
  };

  void derive(DeviceState& device);
  void derive_all(const std::function<bool(const DeviceState&)>& concerned);
  /// Nothing when it cannot become silent.
  [[nodiscard]] std::optional<std::int64_t> deadline(const DeviceState& device, Time listening_since) const;
  void arm(const DeviceStatePtr& device);
  /// Drops timers that no longer count and moves those that came too early; the first that is really due.
  const TimerEntry* settle_timers(Time listening_since);
  void clear();
  void put_bucket(wire::control::Packer& out, std::size_t bucket) const;
  bool get_bucket(wire::control::Unpacker& in);

  PartitionId partition_;
  std::size_t partitions_;
  RulesChanged rules_;
  std::map<std::pair<std::uint32_t, std::string>, std::shared_ptr<const ProfileChanged>> profiles_;
  std::uint64_t profiles_version_ = 0;
  std::uint64_t erase_version_ = 0;
  Time clock_ = Time::min();
  Time listening_since_ = Time::min();
  std::array<Bucket, kBucketCount> buckets_;
  std::size_t device_count_ = 0;
  std::size_t removed_count_ = 0;  // in all buckets

  std::priority_queue<TimerEntry> timers_;
  std::unordered_set<KnownMetricsPtr, MetricsHash, MetricsEqual> interned_;
  KnownMetricsPtr no_metrics_;
};

}  // namespace flux::process
