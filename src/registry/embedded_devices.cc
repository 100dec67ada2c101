#include <algorithm>
#include <cmath>

#include "core/utf8.h"
#include "registry/documents.h"
#include "registry/embedded_impl.h"

namespace flux::registry {

namespace {

constexpr std::size_t kNameBytes = 256;
/// Below this a listing is quicker than a hop to a worker and back.
constexpr std::size_t kListInline = 5'000;

Result<> check_location(const std::optional<Location>& location) {
  if (!location) return {};
  if (!(std::abs(location->latitude) <= 90)) {
    return fail(ErrorCode::invalid_argument, "a latitude lies between -90 and 90", "location.lat");
  }
  if (!(std::abs(location->longitude) <= 180)) {
    return fail(ErrorCode::invalid_argument, "a longitude lies between -180 and 180", "location.lon");
  }
  return check_text(location->place, kNameBytes, "location.place");
}

/// An empty name is no name.
void normalise(std::optional<std::string>& text) {
  if (text && text->empty()) text.reset();
}

std::unexpected<Error> no_device(const std::string& device) {
  return fail(ErrorCode::not_found, "there is no device `" + device + "`", "device");
}

Result<DeviceList> make_list(const Directory& directory, TenantId tenant, const DeviceFilter& filter, DeviceSort sort,
                             const Page& page) {
  TRY(auto found, directory.list(tenant, filter, sort, page.cursor, page.limit));
  DeviceList list{.next = std::move(found.next), .total = found.total};
  list.devices.reserve(found.devices.size());
  for (const DeviceEntryPtr& entry : found.devices) list.devices.push_back(describe(*entry));
  return list;
}

}  // namespace

Result<> check_text(const std::optional<std::string>& text, std::size_t limit, std::string_view field) {
  if (!text) return {};
  if (text->size() > limit) {
    return fail(ErrorCode::invalid_argument,
                "expected at most " + std::to_string(limit) + " bytes, got " + std::to_string(text->size()),
                std::string(field));
  }
  if (text->contains('\0') || !is_utf8(*text)) {
    return fail(ErrorCode::invalid_argument, "expected UTF-8 text", std::string(field));
  }
  return {};
}

Result<> check_page(const Page& page) {
  if (page.limit < 1 || page.limit > 10'000) {
    return fail(ErrorCode::invalid_argument, "a page has 1 to 10000 items", "limit");
  }
  return {};
}

Device describe(const DeviceEntry& entry) {
  const DeviceSettingsPtr settings = entry.settings();
  const ProfilePtr profile = settings->profile();
  Device device{.device = entry.id(),
                .name = settings->name,
                .profile = profile ? std::optional(profile->id) : std::nullopt,
                .labels = settings->effective_labels(),
                .location = settings->location,
                .state = entry.state(),
                .connected = entry.connections() > 0,
                .created_at = entry.created_at(),
                .demo = settings->demo};
  if (entry.last_seen() != Time::min()) device.last_seen = entry.last_seen();
  const KnownFieldsPtr fields = entry.known_fields();
  for (const KnownField& field : *fields) {
    Metric metric{.measurement = field.measurement, .name = field.name, .type = field.type, .unit = field.unit};
    const ProfileMetric* const planned = profile ? profile->find(field.name) : nullptr;
    if (!metric.unit && planned != nullptr) metric.unit = planned->unit;
    device.metrics.push_back(std::move(metric));
  }
  if (profile) {
    for (const ProfileMetric& planned : profile->metrics) {
      if (std::ranges::find(device.metrics, planned.name, &Metric::name) != device.metrics.end()) continue;
      device.metrics.push_back(
          {.measurement = "telemetry", .name = planned.name, .type = planned.type, .unit = planned.unit});
    }
    std::ranges::sort(device.metrics, [](const Metric& a, const Metric& b) {
      return std::tie(a.measurement, a.name) < std::tie(b.measurement, b.name);
    });
  }
  return device;
}

Result<Device> Embedded::described(TenantId tenant, const std::string& device) const {
  const DeviceEntryPtr entry = directory_.find(tenant, device);
  if (entry == nullptr) return no_device(device);
  return describe(*entry);
}

// ---- inside a transaction ----

Result<std::optional<DeviceRow>> Embedded::read_device(Session& session, TenantId tenant, const std::string& device) {
  Result<> read;
  TRY(auto stored, session.first("SELECT name, profile, labels, latitude, longitude, place, demo, version, created_at "
                                 "FROM devices WHERE tenant = ? AND device = ?",
                                 {tenant.value, device}, [&](const store::Row& row) {
                                   DeviceRow out;
                                   out.name = row.optional_text(0);
                                   out.profile = row.optional_text(1);
                                   if (!row.is_null(2)) {
                                     if (auto labels = read_labels(row.text(2))) out.labels = std::move(*labels);
                                     else read = std::unexpected(labels.error());
                                   }
                                   if (!row.is_null(3))
                                     out.location = Location{row.real(3), row.real(4), row.optional_text(5)};
                                   out.demo = row.boolean(6);
                                   out.version = static_cast<std::uint64_t>(row.integer(7));
                                   out.created_at = row.time(8);
                                   return out;
                                 }));
  DO(read);
  if (stored || deleting_.contains({tenant.value, device})) return stored;
  // Discovered a moment ago and not saved yet.
  if (const DeviceEntryPtr entry = directory_.find(tenant, device)) {
    stored = DeviceRow{.created_at = entry->created_at()};
  }
  return stored;
}

Result<> Embedded::write_device(Session& session, TenantId tenant, const std::string& device, DeviceRow row,
                                Effects& effects) {
  TRY(row.version, add_change(session, tenant, Change::Kind::device_set, device, [&](std::uint64_t) {
        return write_device_change({.device = device,
                                    .name = row.name,
                                    .profile = row.profile,
                                    .labels = row.labels,
                                    .location = row.location,
                                    .demo = row.demo});
      }));
  std::optional<std::string> labels;
  if (!row.labels.empty()) labels = write_labels(row.labels);
  const Location* const location = row.location ? &*row.location : nullptr;
  DO(session.run(
      "INSERT INTO devices (tenant, device, name, profile, labels, latitude, longitude, place, demo, version, "
      "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, device) DO UPDATE SET "
      "name = excluded.name, profile = excluded.profile, labels = excluded.labels, latitude = excluded.latitude, "
      "longitude = excluded.longitude, place = excluded.place, demo = excluded.demo, version = excluded.version",
      {tenant.value, device, row.name, row.profile, labels,
       location != nullptr ? std::optional(location->latitude) : std::nullopt,
       location != nullptr ? std::optional(location->longitude) : std::nullopt,
       location != nullptr ? location->place : std::nullopt, row.demo, row.version, row.created_at}));
  effects.changes = true;
  effects.devices.push_back({tenant, device, std::move(row)});
  return {};
}

Result<> Embedded::erase_device(Session& session, TenantId tenant, const std::string& device, Effects& effects) {
  DO(session.run("DELETE FROM devices WHERE tenant = ? AND device = ?", {tenant.value, device}));
  TRY(const auto version, add_change(session, tenant, Change::Kind::device_removed, device, nullptr));
  static_cast<void>(version);
  effects.changes = true;
  effects.devices.push_back({tenant, device, std::nullopt});
  return {};
}

Result<> Embedded::need_profile(Session& session, TenantId tenant, const std::optional<std::string>& profile) {
  if (!profile) return {};
  TRY(const auto found, session.first("SELECT 1 FROM profiles WHERE tenant = ? AND profile = ?",
                                      {tenant.value, *profile}, [](const store::Row&) { return true; }));
  if (!found) return fail(ErrorCode::invalid_argument, "there is no profile `" + *profile + "`", "profile");
  return {};
}

Result<DeviceRow> Embedded::row_of(Session& session, TenantId tenant, NewDevice device) {
  DO(need_profile(session, tenant, device.profile));
  return DeviceRow{.name = std::move(device.name),
                   .profile = std::move(device.profile),
                   .labels = std::move(device.labels),
                   .location = std::move(device.location),
                   .demo = device.demo,
                   .created_at = wall_now()};
}

namespace {

/// What can be said of a new device before the database is asked.
Result<> check_new(NewDevice& device) {
  DO(check_device_id(device.device));
  normalise(device.name);
  normalise(device.profile);
  DO(check_text(device.name, kNameBytes, "name"));
  DO(check_location(device.location));
  TRY(device.labels, check_labels(std::move(device.labels)));
  return {};
}

Result<> apply_patch(DeviceRow& row, const DevicePatch& patch) {
  if (patch.name) row.name = *patch.name;
  if (patch.profile) row.profile = *patch.profile;
  if (patch.location) row.location = *patch.location;
  if (patch.demo) row.demo = *patch.demo;
  if (patch.clear_labels) row.labels.clear();
  if (patch.labels) {
    std::map<std::string, std::string> merged(row.labels.begin(), row.labels.end());
    for (const auto& [key, value] : *patch.labels) {
      if (value) merged[key] = *value;
      else merged.erase(key);
    }
    TRY(row.labels, check_labels(Labels(merged.begin(), merged.end())));
  }
  normalise(row.name);
  normalise(row.profile);
  DO(check_text(row.name, kNameBytes, "name"));
  return check_location(row.location);
}

bool same(const DeviceRow& a, const DeviceRow& b) {
  return a.name == b.name && a.profile == b.profile && a.labels == b.labels && a.location == b.location &&
         a.demo == b.demo;
}

}  // namespace

// ---- the service ----

Async<DeviceList> Embedded::list_devices(TenantId tenant, DeviceFilter filter, DeviceSort sort, Page page) {
  CO_DO(check_page(page));
  if (directory_.size(tenant) <= kListInline) co_return make_list(directory_, tenant, filter, sort, page);
  auto work = [this, tenant, filter = std::move(filter), sort, page = std::move(page)] {
    return make_list(directory_, tenant, filter, sort, page);
  };
  co_return co_await workers_.run(std::move(work));
}

Async<DeviceFacets> Embedded::device_facets(TenantId tenant) {
  if (directory_.size(tenant) <= kListInline) co_return directory_.facets(tenant);
  auto work = [this, tenant] { return directory_.facets(tenant); };
  co_return co_await workers_.run(std::move(work));
}

Async<Device> Embedded::get_device(TenantId tenant, std::string device) { co_return described(tenant, device); }

Async<Device> Embedded::create_device(TenantId tenant, NewDevice device) {
  CO_DO(check_new(device));
  const std::string id = device.device;
  std::move_only_function<Result<Outcome<Nothing>>(Session&)> work =
      [this, tenant, id, device = std::move(device)](Session& session) mutable -> Result<Outcome<Nothing>> {
    Outcome<Nothing> outcome{.effects = {.tenant = tenant}};
    TRY(const auto there, read_device(session, tenant, id));
    if (there) return fail(ErrorCode::already_exists, "there is a device `" + id + "` already", "device");
    TRY(auto row, row_of(session, tenant, std::move(device)));
    DO(write_device(session, tenant, id, std::move(row), outcome.effects));
    return outcome;
  };
  CO_TRY(const Nothing done, co_await commit<Nothing>(std::move(work)));
  static_cast<void>(done);
  co_return described(tenant, id);
}

Async<Device> Embedded::ensure_device(TenantId tenant, NewDevice device) {
  CO_DO(check_new(device));
  const std::string id = device.device;
  std::move_only_function<Result<Outcome<Nothing>>(Session&)> work =
      [this, tenant, id, device = std::move(device)](Session& session) mutable -> Result<Outcome<Nothing>> {
    Outcome<Nothing> outcome{.effects = {.tenant = tenant}};
    TRY(auto there, read_device(session, tenant, id));
    if (!there) {
      TRY(auto row, row_of(session, tenant, std::move(device)));
      DO(write_device(session, tenant, id, std::move(row), outcome.effects));
      return outcome;
    }
    DeviceRow row = *there;
    if (device.name) row.name = device.name;
    if (device.profile) row.profile = device.profile;
    if (device.location) row.location = device.location;
    DevicePatch patch;
    patch.labels.emplace();
    for (const auto& [key, value] : device.labels) patch.labels->emplace(key, value);
    DO(apply_patch(row, patch));
    DO(need_profile(session, tenant, row.profile));
    // A device that was only just discovered has version 0 and must reach the database in any case.
    if (!same(row, *there) || row.version == 0) {
      DO(write_device(session, tenant, id, std::move(row), outcome.effects));
    }
    return outcome;
  };
  CO_TRY(const Nothing done, co_await commit<Nothing>(std::move(work)));
  static_cast<void>(done);
  co_return described(tenant, id);
}

Async<Device> Embedded::update_device(TenantId tenant, std::string device, DevicePatch patch) {
  std::move_only_function<Result<Outcome<Nothing>>(Session&)> work =
      [this, tenant, device, patch = std::move(patch)](Session& session) -> Result<Outcome<Nothing>> {
    Outcome<Nothing> outcome{.effects = {.tenant = tenant}};
    TRY(auto there, read_device(session, tenant, device));
    if (!there) return no_device(device);
    DeviceRow row = *there;
    DO(apply_patch(row, patch));
    if (row.profile != there->profile) DO(need_profile(session, tenant, row.profile));
    if (!same(row, *there)) DO(write_device(session, tenant, device, std::move(row), outcome.effects));
    return outcome;
  };
  CO_TRY(const Nothing done, co_await commit<Nothing>(std::move(work)));
  static_cast<void>(done);
  co_return described(tenant, device);
}

Async<void> Embedded::delete_device(TenantId tenant, std::string device) {
  std::move_only_function<Result<Outcome<Nothing>>(Session&)> work =
      [this, tenant, device](Session& session) -> Result<Outcome<Nothing>> {
    Outcome<Nothing> outcome{.effects = {.tenant = tenant}};
    TRY(const auto there, read_device(session, tenant, device));
    if (!there) return no_device(device);
    DO(erase_device(session, tenant, device, outcome.effects));
    return outcome;
  };
  CO_TRY(const Nothing done, co_await commit<Nothing>(std::move(work)));
  static_cast<void>(done);
  co_return {};
}

Async<std::size_t> Embedded::create_devices(TenantId tenant, std::vector<NewDevice> devices) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (auto checked = check_new(devices[i]); !checked) {
      Error error = std::move(checked).error();
      error.field = "[" + std::to_string(i) + "]." + error.field;
      co_return std::unexpected(std::move(error));
    }
  }
  std::move_only_function<Result<Outcome<std::size_t>>(Session&)> work =
      [this, tenant, devices = std::move(devices)](Session& session) mutable -> Result<Outcome<std::size_t>> {
    Outcome<std::size_t> outcome{.effects = {.tenant = tenant}};
    for (NewDevice& device : devices) {
      const std::string id = device.device;
      TRY(const auto there, read_device(session, tenant, id));
      if (there) continue;
      TRY(auto row, row_of(session, tenant, std::move(device)));
      DO(write_device(session, tenant, id, std::move(row), outcome.effects));
      ++outcome.value;
    }
    return outcome;
  };
  co_return co_await commit<std::size_t>(std::move(work));
}

Async<std::vector<std::string>> Embedded::delete_demo_devices(TenantId tenant) {
  std::move_only_function<Result<Outcome<std::vector<std::string>>>(Session&)> work =
      [this, tenant](Session& session) -> Result<Outcome<std::vector<std::string>>> {
    Outcome<std::vector<std::string>> outcome{.effects = {.tenant = tenant}};
    DO(session.each("SELECT device FROM devices WHERE tenant = ? AND demo <> 0 ORDER BY device", {tenant.value},
                    [&](const store::Row& row) -> Result<> {
                      outcome.value.emplace_back(row.text(0));
                      return {};
                    }));
    for (const std::string& device : outcome.value) DO(erase_device(session, tenant, device, outcome.effects));
    return outcome;
  };
  co_return co_await commit<std::vector<std::string>>(std::move(work));
}

Async<void> Embedded::set_metric_unit(TenantId tenant, std::string device, std::string measurement, std::string metric,
                                      std::optional<std::string> unit) {
  normalise(unit);
  CO_DO(check_text(unit, kNameBytes, "unit"));
  const DeviceEntryPtr entry = directory_.find(tenant, device);
  if (entry == nullptr) co_return no_device(device);
  CO_DO(directory_.set_unit(*entry, measurement, metric, unit));
  co_return co_await flush();
}

}  // namespace flux::registry
