#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"
#include "core/value.h"

/// Control records: changes that processing must see in the order of the log. They lie in raw-sensor-data
/// between the readings, as records of `bus::RecordKind::control`.
///
/// `version` of a record is that of the registry's change; a record whose version the receiver has had is a repeat.
namespace flux::wire::control {

struct MetricRule {
  std::string name;
  ValueType type = ValueType::float64;
  std::string unit;               ///< empty: none
  std::optional<double> min;      ///< a reading below is refused
  std::optional<double> max;      ///< a reading above is refused
  bool allow_non_finite = false;  ///< NaN and infinities are readings
  friend bool operator==(const MetricRule&, const MetricRule&) = default;
};

/// Made or changed, as a whole.
struct ProfileChanged {
  TenantId tenant;
  std::uint64_t version = 0;
  std::string profile;
  std::string name;  ///< empty: none
  std::vector<MetricRule> metrics;
  std::optional<Duration> silent_after;  ///< 0: never silent; none: the default
  std::vector<Tag> labels;               ///< sorted by key; a device's own label of the same key wins
  friend bool operator==(const ProfileChanged&, const ProfileChanged&) = default;
};

/// Its devices stay, without a profile.
struct ProfileRemoved {
  TenantId tenant;
  std::uint64_t version = 0;
  std::string profile;
  friend bool operator==(const ProfileRemoved&, const ProfileRemoved&) = default;
};

struct Location {
  double latitude = 0;   ///< degrees, -90 to 90
  double longitude = 0;  ///< degrees, -180 to 180
  std::string place;     ///< empty: none
  friend bool operator==(const Location&, const Location&) = default;
};

/// What people set about a device, as a whole.
struct DeviceChanged {
  TenantId tenant;
  std::uint64_t version = 0;
  std::string device;
  std::string name;     ///< empty: none
  std::string profile;  ///< empty: none
  std::vector<Tag> labels;
  std::optional<Location> location;
  std::vector<std::pair<std::string, std::string>> units;  ///< metric, unit: these win over the profile's
  friend bool operator==(const DeviceChanged&, const DeviceChanged&) = default;
};

/// Forgets all that is known of the device; its readings stay until they are erased.
struct DeviceRemoved {
  TenantId tenant;
  std::uint64_t version = 0;
  std::string device;
  Time removed_at;  ///< readings that were under way then do not bring the device back
  friend bool operator==(const DeviceRemoved&, const DeviceRemoved&) = default;
};

/// Removes readings that came before this record. All conditions hold; an empty one means any.
struct EraseReadings {
  TenantId tenant;
  std::uint64_t version = 0;
  std::string database;
  std::string retention_policy;
  std::vector<std::string> measurements;
  std::vector<std::string> devices;
  std::vector<std::string> fields;
  std::vector<Tag> tags;
  Time from = Time::min();  ///< inclusive
  Time to = Time::max();    ///< exclusive
  friend bool operator==(const EraseReadings&, const EraseReadings&) = default;
};

/// The time is now at least `time`: timers that are due by then fire.
struct Tick {
  Time time;
  /// Since when devices could reach us without a break. Silence before it is our own and does not count.
  Time listening_since;
  friend bool operator==(const Tick&, const Tick&) = default;
};

/// The settings of processing in force from here on. They are a record, so that a replay under another configuration
/// still makes what was made the first time.
struct RulesChanged {
  Duration silent_after = 10_min;  ///< without a profile that says more; 0: devices are never silent
  Duration max_future = 1_h;       ///< by how much an event time may lie after the arrival
  Duration max_age;                ///< by how much it may lie before it; 0: any
  std::uint32_t max_string_bytes = 65'536;
  std::uint32_t dead_letters_per_record = 1'000;  ///< beyond it they are only counted
  friend bool operator==(const RulesChanged&, const RulesChanged&) = default;
};

using ControlRecord =
    std::variant<ProfileChanged, ProfileRemoved, DeviceChanged, DeviceRemoved, EraseReadings, Tick, RulesChanged>;

/// Format (version 1): a byte 1, a byte with the kind (1 to 7, in the order of `ControlRecord`), then the members in
/// the order above as `Packer` writes them. A tick at 1 s, listening since 0: `01 06 80 A8 D6 B9 07 00`.
std::string encode(const ControlRecord& record);

/// Several changes that the log takes as one record, all or none: `01 00`, their number, each with its length before.
std::string encode(std::span<const ControlRecord> records);

/// `corrupt` says what is wrong and at which byte; also for a format or kind that is newer than this program.
Result<ControlRecord> decode(std::string_view bytes);
/// The payload of a record of the log: one change, or several.
Result<std::vector<ControlRecord>> decode_all(std::string_view bytes);

/// `profile_changed`, `tick`, …: for logs and metric labels.
std::string_view kind_name(const ControlRecord& record);

}  // namespace flux::wire::control
