#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"
#include "core/value.h"

/// The domain's nouns, as values.
namespace flux::registry {

/// The tenant of an installation that has one.
inline constexpr TenantId kDefaultTenant{1};

/// A device's external id: 1 to 128 bytes of UTF-8 without control characters, `/`, `+` or `#`.
/// `invalid_argument` says which rule and at which byte; `field` is put into the error as it is.
Result<> check_device_id(std::string_view id, std::string_view field = "device");
/// Names of metrics and profiles: 1 to 128 bytes of UTF-8 without control characters (profiles: nor `/`).
Result<> check_metric_name(std::string_view name, std::string_view field);
Result<> check_profile_id(std::string_view id, std::string_view field = "profile");

/// Free words about a device: sorted by key, keys unique. At most 64; keys 1 to 64 bytes without `:`, values to 256.
using Labels = std::vector<std::pair<std::string, std::string>>;
using LabelsPtr = std::shared_ptr<const Labels>;
/// Sorts, and refuses duplicate keys and what is too long or not UTF-8.
Result<Labels> check_labels(Labels labels, std::string_view field = "labels");
/// The value of `key`, or null.
const std::string* find_label(const Labels& labels, std::string_view key);

struct Location {
  double latitude = 0;   ///< -90 to 90
  double longitude = 0;  ///< -180 to 180
  std::optional<std::string> place;
  friend bool operator==(const Location&, const Location&) = default;
};

/// What a profile says of one metric.
struct ProfileMetric {
  std::string name;
  ValueType type = ValueType::float64;
  std::optional<std::string> unit;
  std::optional<double> min;  ///< readings below are dead letters
  std::optional<double> max;  ///< readings above are dead letters
  friend bool operator==(const ProfileMetric&, const ProfileMetric&) = default;
};

/// A command that devices of a profile know: offered to people, and not checked against.
struct ProfileCommand {
  std::string name;
  std::optional<std::string> description;
  std::string example;  ///< of a payload, JSON; empty: it takes none
  friend bool operator==(const ProfileCommand&, const ProfileCommand&) = default;
};

/// What devices of one kind have in common. Immutable once shared.
struct Profile {
  std::string id;
  std::optional<std::string> name;
  std::vector<ProfileMetric> metrics;    ///< in the author's order, names unique
  std::optional<Duration> silent_after;  ///< a device is silent when it has not been heard from for so long
  Labels labels;                         ///< for all its devices; a device's own label of the same key wins
  std::vector<ProfileCommand> commands;  ///< in the author's order, names unique
  std::uint64_t version = 0;             ///< of the change that made it so (see changes.h)

  [[nodiscard]] const ProfileMetric* find(std::string_view metric) const;
  /// But for `version`.
  [[nodiscard]] bool same_as(const Profile& other) const;
};
using ProfilePtr = std::shared_ptr<const Profile>;

/// A profile's place in memory: devices hold the slot, so that a change of the profile reaches all of them at once.
/// Any thread.
class ProfileSlot {
 public:
  ProfileSlot(std::string id, ProfilePtr current) : id_(std::move(id)), current_(std::move(current)) {}
  [[nodiscard]] const std::string& id() const { return id_; }
  /// Null once the profile was deleted.
  [[nodiscard]] ProfilePtr current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void replace(ProfilePtr next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);
  }

 private:
  const std::string id_;
  mutable std::mutex mutex_;
  ProfilePtr current_;
};
using ProfileSlotPtr = std::shared_ptr<ProfileSlot>;

/// What people set about a device: one immutable snapshot, replaced as a whole.
struct DeviceSettings {
  std::optional<std::string> name;
  ProfileSlotPtr profile_slot;  ///< null: has none
  LabelsPtr labels;             ///< its own; never null
  std::optional<Location> location;
  bool demo = false;          ///< belongs to the demo site
  std::uint64_t version = 0;  ///< of the change that made it so; 0 while nothing was ever set

  /// The profile as it is now; null when it has none.
  [[nodiscard]] ProfilePtr profile() const { return profile_slot ? profile_slot->current() : nullptr; }
  /// Its own labels over those of its profile.
  [[nodiscard]] Labels effective_labels() const;
};
using DeviceSettingsPtr = std::shared_ptr<const DeviceSettings>;

/// A field that a device has reported, with the type that its first reading fixed.
struct KnownField {
  std::string measurement;
  std::string name;
  ValueType type = ValueType::float64;
  std::optional<std::string> unit;
  friend bool operator==(const KnownField&, const KnownField&) = default;
};
/// Sorted by measurement, then name. Devices that report the same fields share one.
using KnownFields = std::vector<KnownField>;
using KnownFieldsPtr = std::shared_ptr<const KnownFields>;

/// `never`: not heard from yet. `silent`: heard from, but not lately.
enum class DeviceState : std::uint8_t { never = 0, online = 1, silent = 2 };
std::string_view to_string(DeviceState state);

}  // namespace flux::registry
