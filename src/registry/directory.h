#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"
#include "core/value.h"
#include "registry/model.h"

/// Every device, in memory. Filled from the database at start, kept true by the registry's service.
namespace flux::registry {

class Directory;

namespace detail {
struct Tenant;
/// One byte that guards a copy of a pointer: held for a few instructions, never across a call.
class SpinLock {
 public:
  void lock() noexcept {
    while (flag_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() noexcept { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_;
};
}  // namespace detail

/// One device. Found once per connection and per shape, then kept: all of it is for any thread, and none of it waits
/// for the database.
///
/// A deleted device's entry stays valid for its holders, `removed()` turns true, and `Directory::ensure` makes another:
/// so holders ask `removed()` once per message or batch.
class DeviceEntry {
 public:
  DeviceEntry(detail::Tenant& tenant, std::string id, Time created_at, DeviceSettingsPtr settings);
  DeviceEntry(const DeviceEntry&) = delete;
  DeviceEntry& operator=(const DeviceEntry&) = delete;

  [[nodiscard]] TenantId tenant() const;
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] BucketId bucket() const { return bucket_; }
  [[nodiscard]] Time created_at() const { return created_at_; }
  [[nodiscard]] bool removed() const { return removed_.load(std::memory_order_acquire); }

  /// Never null. One short lock; keep it for a batch.
  [[nodiscard]] DeviceSettingsPtr settings() const;

  // Presence. Processing writes it, in the order of the log.

  /// `Time::min()` while never heard from.
  [[nodiscard]] Time last_seen() const { return {last_seen_ns_.load(std::memory_order_relaxed)}; }
  /// Never goes back.
  void seen(Time at);
  [[nodiscard]] DeviceState state() const { return state_.load(std::memory_order_relaxed); }
  /// Returns what it was.
  DeviceState set_state(DeviceState state);

  // Open MQTT sessions. Ingest writes it.

  [[nodiscard]] std::uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  /// Returns how many there are now.
  std::uint32_t connection_opened() { return connections_.fetch_add(1, std::memory_order_relaxed) + 1; }
  std::uint32_t connection_closed() { return connections_.fetch_sub(1, std::memory_order_relaxed) - 1; }

  /// A time for a reading whose sender gave none: `now`, or just after the last one given out, so that none of the
  /// device's readings replaces another.
  [[nodiscard]] Time assign_time(Time now);
  /// The next assigned time will be after `time`: called when the newest time of a device is known again after a start.
  void raise_assigned_time(Time time);

  // Types of fields. The first reading fixes the type of a field (within its measurement) for good.

  /// Sets the type of a field that is new, or compares it with what is known. `invalid_argument` names both types.
  /// Takes a lock only when a field is new; otherwise a pointer is copied and binary searches follow.
  Result<> check_or_set_type(std::string_view measurement, std::string_view field, ValueType type);
  /// All fields or none. `Error::field` is the name of the field that does not fit.
  Result<> check_or_set_types(std::string_view measurement, std::span<const FieldDef> fields);
  /// The type that is fixed already, else the one that the profile says, else nothing: the codec then chooses.
  [[nodiscard]] std::optional<ValueType> field_type(std::string_view measurement, std::string_view field) const;
  /// Never null.
  [[nodiscard]] KnownFieldsPtr known_fields() const;

 private:
  friend class Directory;
  friend class DeviceIndex;

  detail::Tenant& tenant_;
  const std::string id_;
  const Time created_at_;
  DeviceSettingsPtr settings_;  // guarded by lock_ (and written under the index's lock too)
  KnownFieldsPtr fields_;       // guarded by lock_
  std::atomic<std::int64_t> last_seen_ns_{INT64_MIN};
  std::atomic<std::int64_t> last_assigned_ns_{INT64_MIN};
  std::atomic<std::uint32_t> connections_{0};
  mutable detail::SpinLock lock_;
  std::atomic<DeviceState> state_{DeviceState::never};
  std::atomic<bool> removed_{false};
  std::atomic<bool> unsaved_{false};  // waits to be written
  const BucketId bucket_;
};
using DeviceEntryPtr = std::shared_ptr<DeviceEntry>;

/// All conditions hold; an empty one always does.
struct DeviceFilter {
  std::string text;                 ///< part of id, name or place, in any (ASCII) case
  Labels labels;                    ///< each must be there with just this value (a profile's labels count too)
  std::vector<DeviceState> states;  ///< any of these
  std::optional<std::string> profile;
  std::optional<bool> demo;
};

/// `name`: by name, or id where it has none, naturally (see `compare_naturally`). `last_seen`: newest first.
/// `state`: silent, online, never; by name within.
enum class DeviceSort : std::uint8_t { name, last_seen, state };

struct DirectoryPage {
  std::vector<DeviceEntryPtr> devices;
  std::string next;       ///< opaque cursor (URL-safe); empty on the last page
  std::size_t total = 0;  ///< that match the filter, on all pages
};

/// How many devices of a tenant have each value, whatever the filter.
struct DeviceFacets {
  std::array<std::size_t, 3> states{};  ///< by DeviceState
  std::map<std::string, std::size_t> profiles;
  std::map<std::string, std::map<std::string, std::size_t>> labels;  ///< the 50 most frequent values each
};

/// Finds devices. Any thread.
class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  /// Null when there is none. About a hundred nanoseconds: keep what it gives.
  [[nodiscard]] DeviceEntryPtr find(TenantId tenant, std::string_view device) const;

  /// The device, made at once in memory if there is none. The registry's service writes new ones to the database in the
  /// background; should a crash come first, processing finds them again in the log. `id` must have passed
  /// `check_device_id`.
  DeviceEntryPtr ensure(TenantId tenant, std::string_view device);

  /// The only tenant, as far as one can tell; nothing when there are several.
  [[nodiscard]] std::optional<TenantId> only_tenant() const;

  [[nodiscard]] std::size_t size(TenantId tenant) const;
  [[nodiscard]] std::size_t size() const;

  /// `invalid_argument` for a cursor that is not ours or belongs to another question. Up to some tens of milliseconds
  /// at a million devices when something is filtered or sorted other than by name: call it on a worker.
  [[nodiscard]] Result<DirectoryPage> list(TenantId tenant, const DeviceFilter& filter, DeviceSort sort,
                                           std::string_view cursor, std::size_t limit) const;
  /// Whether one device passes the filter: for live subscriptions by label.
  [[nodiscard]] static bool matches(const DeviceEntry& entry, const DeviceFilter& filter);
  [[nodiscard]] DeviceFacets facets(TenantId tenant) const;
  /// Calls `visit` for every device of the tenant by name, for as long as it returns true. Devices that come meanwhile
  /// may be missed. Do not change devices inside.
  void for_each(TenantId tenant, const std::function<bool(const DeviceEntryPtr&)>& visit) const;

  [[nodiscard]] ProfileSlotPtr find_profile(TenantId tenant, std::string_view profile) const;
  [[nodiscard]] std::vector<ProfilePtr> profiles(TenantId tenant) const;  ///< by id

  // What follows is for the registry's service, which calls it after the database has agreed.

  /// A device as the database has it; replaces its settings when it is there already.
  DeviceEntryPtr load(TenantId tenant, std::string_view id, Time created_at, DeviceSettingsPtr settings,
                      KnownFieldsPtr fields = nullptr);
  void apply_settings(DeviceEntry& entry, DeviceSettingsPtr settings);
  void remove(TenantId tenant, std::string_view device);
  /// Makes or changes a profile.
  ProfileSlotPtr put_profile(TenantId tenant, ProfilePtr profile);
  /// Its devices stay, without a profile.
  void remove_profile(TenantId tenant, std::string_view profile);
  /// One shared object for equal labels.
  LabelsPtr intern(Labels labels);
  KnownFieldsPtr intern(KnownFields fields);

  /// Devices that the database lacks, or whose fields it lacks; each is given once. Removed ones are left out.
  std::vector<DeviceEntryPtr> take_unsaved(std::size_t limit);
  /// Hands them back after a write that failed.
  void put_back_unsaved(const std::vector<DeviceEntryPtr>& entries);
  /// Sets the unit of a known field; `not_found` when the device does not report it.
  Result<> set_unit(DeviceEntry& entry, std::string_view measurement, std::string_view field,
                    std::optional<std::string> unit);
  /// Called (any thread, must not block) when there is something to take after there was nothing, and when something
  /// was put back. Null ends it.
  void on_unsaved(std::function<void()> ready);

 private:
  friend class DeviceEntry;
  friend struct detail::Tenant;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::registry
