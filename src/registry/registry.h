#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"
#include "registry/directory.h"
#include "registry/model.h"
#include "runtime/async.h"

/// The service that keeps the domain's nouns. The gateway holds this interface; in one process it is the object of
/// `embedded.h`. (Credentials and ingest keys are `auth::Credentials`, auth/credentials.h.)
namespace flux::registry {

struct Metric {
  std::string measurement;  ///< `telemetry` for JSON
  std::string name;
  ValueType type = ValueType::float64;
  std::optional<std::string> unit;
  friend bool operator==(const Metric&, const Metric&) = default;
};

/// A device as the API shows it.
struct Device {
  std::string device;
  std::optional<std::string> name;
  std::optional<std::string> profile;
  Labels labels;  ///< its own and those of its profile
  std::optional<Location> location;
  DeviceState state = DeviceState::never;
  bool connected = false;
  std::optional<Time> last_seen;
  Time created_at;
  std::vector<Metric> metrics;  ///< known and of its profile, by measurement, then name
  bool demo = false;
};
Device describe(const DeviceEntry& entry);

struct NewDevice {
  std::string device;
  std::optional<std::string> name;
  std::optional<std::string> profile;
  Labels labels;
  std::optional<Location> location;
  bool demo = false;
};

/// RFC 7396: what is absent stays; what is present and empty is removed.
struct DevicePatch {
  std::optional<std::optional<std::string>> name;
  std::optional<std::optional<std::string>> profile;
  std::optional<std::map<std::string, std::optional<std::string>>> labels;  ///< merged key by key
  bool clear_labels = false;                                                ///< `"labels":null`: before the merge
  std::optional<std::optional<Location>> location;
  std::optional<bool> demo;
};

struct Page {
  std::string cursor;       ///< empty: the first
  std::size_t limit = 100;  ///< 1 to 10,000
};

template <class T>
struct Paged {
  std::vector<T> items;
  std::string next;  ///< empty on the last page
};

struct DeviceList {
  std::vector<Device> devices;
  std::string next;
  std::size_t total = 0;
};

struct Dashboard {
  std::string id;
  std::string title;
  std::uint64_t version = 1;
  std::string document;  ///< a JSON object; empty in lists
  Time updated_at;
};

/// Fails with `not_found` where the named thing is missing, `already_exists` where a new one is there already,
/// `invalid_argument` with the field's path for bad input (`labels.site`, `metrics[2].type`), `unavailable` when the
/// database cannot be written (full or read-only disk): then nothing has changed. On a shard; does not block it.
class Registry {
 public:
  virtual ~Registry() = default;

  virtual Async<DeviceList> list_devices(TenantId tenant, DeviceFilter filter, DeviceSort sort, Page page) = 0;
  virtual Async<DeviceFacets> device_facets(TenantId tenant) = 0;
  virtual Async<Device> get_device(TenantId tenant, std::string device) = 0;
  virtual Async<Device> create_device(TenantId tenant, NewDevice device) = 0;
  /// As `create_device`, or the device as it is when there is one already (profile and labels are then merged into it).
  virtual Async<Device> ensure_device(TenantId tenant, NewDevice device) = 0;
  virtual Async<Device> update_device(TenantId tenant, std::string device, DevicePatch patch) = 0;
  /// Its credentials go too.
  virtual Async<void> delete_device(TenantId tenant, std::string device) = 0;
  /// In one transaction: the demo site comes and goes as a whole. Existing devices are left as they are; returns how
  /// many were made.
  virtual Async<std::size_t> create_devices(TenantId tenant, std::vector<NewDevice> devices) = 0;
  virtual Async<std::vector<std::string>> delete_demo_devices(TenantId tenant) = 0;
  /// Sets the unit of a metric that the device reports (an empty one removes it).
  virtual Async<void> set_metric_unit(TenantId tenant, std::string device, std::string measurement, std::string metric,
                                      std::optional<std::string> unit) = 0;

  virtual Async<Paged<ProfilePtr>> list_profiles(TenantId tenant, Page page) = 0;
  virtual Async<ProfilePtr> get_profile(TenantId tenant, std::string profile) = 0;
  virtual Async<ProfilePtr> create_profile(TenantId tenant, Profile profile) = 0;
  /// Replaces it whole; `not_found` when there is none.
  virtual Async<ProfilePtr> put_profile(TenantId tenant, Profile profile) = 0;
  virtual Async<void> delete_profile(TenantId tenant, std::string profile) = 0;

  virtual Async<Paged<Dashboard>> list_dashboards(TenantId tenant, Page page) = 0;
  virtual Async<Dashboard> get_dashboard(TenantId tenant, std::string id) = 0;
  virtual Async<Dashboard> create_dashboard(TenantId tenant, std::string title, std::string document) = 0;
  /// `already_exists` when `expected_version` is not the current one (the message says which is; HTTP 412).
  virtual Async<Dashboard> put_dashboard(TenantId tenant, std::string id, std::uint64_t expected_version,
                                         std::string title, std::string document) = 0;
  virtual Async<void> delete_dashboard(TenantId tenant, std::string id) = 0;

  virtual Async<std::string> tenant_name(TenantId tenant) = 0;

  /// Returns when the database has everything that was discovered before the call.
  virtual Async<void> flush() = 0;
};

/// Replay and discovery: what processing found in the log, written in the background. Idempotent, any thread, never
/// blocks.
class Discovery {
 public:
  virtual ~Discovery() = default;
  /// `device` reported these fields of `measurement`: makes device and fields known where they are not.
  /// A field whose type is known otherwise keeps it.
  virtual void found(TenantId tenant, std::string_view device, std::string_view measurement,
                     std::span<const FieldDef> fields) = 0;
};

}  // namespace flux::registry
