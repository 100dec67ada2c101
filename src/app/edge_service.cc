#include "app/edge_service.h"

#include "core/whole_file.h"
#include "edge/demo/site.h"
#include "observe/log.h"
#include "registry/model.h"
#include "runtime/completion.h"
#include "runtime/spawn.h"
#include "wire/control/control.h"

namespace flux::app {
namespace {

constexpr TenantId kTenant = registry::kDefaultTenant;
constexpr std::string_view kDemoKeyName = "demo site";
/// In the data folder once the site's past has been told.
constexpr std::string_view kDemoPast = "demo.past";

/// A profile that is there already is somebody's: it stays as it is.
Async<void> ensure_profile(registry::Registry& registry, registry::Profile profile) {
  auto made = co_await registry.create_profile(kTenant, std::move(profile));
  if (!made && made.error().code != ErrorCode::already_exists) co_return std::unexpected(std::move(made).error());
  co_return {};
}

template <class T>
Async<void> resolve(runtime::Completion<T> done, Async<T> task) {
  done.resolve(co_await std::move(task));
  co_return {};
}

/// Runs `task` on `shard` and goes on, on the calling one, with what it returned.
template <class T>
Async<T> on_shard(runtime::Shard& shard, Async<T> task) {
  runtime::Completion<T> done;
  runtime::spawn(shard, resolve<T>(done, std::move(task)), "edge");
  co_return co_await done;
}

}  // namespace

EdgeService::EdgeService(Parts parts, edge::SelfConfig self, bool start_demo)
    : parts_(std::move(parts)), self_(std::move(self)), demo_wanted_(start_demo), client_(parts_.shards) {}

EdgeService::~EdgeService() = default;

Async<void> EdgeService::start() {
  if (self_.enabled) {
    CO_DO(co_await ensure_profile(parts_.registry, edge::machine_profile()));
    CO_DO(co_await parts_.registry.ensure_device(kTenant, edge::machine_device(self_)));
    CO_TRY(auto token, co_await own_token());
    own_ = std::make_unique<edge::OwnReadings>(*runtime::Shard::current(), client_, parts_.mqtt(), std::move(token),
                                               parts_.data_dir, self_);
    own_->start();
  }
  if (demo_wanted_ || demo_devices() > 0) CO_DO(co_await start_site_here());
  co_return {};
}

Async<std::string> EdgeService::own_token() {
  if (parts_.open) co_return std::string("open");
  const std::filesystem::path file = parts_.data_dir / "self.token";
  // `<credential id> <token>`: an old token is found to be good, or is replaced.
  const std::string kept = read_file(file);
  const std::size_t blank = kept.find(' ');
  if (blank != std::string::npos) {
    const std::string token = kept.substr(blank + 1);
    const auto identity = parts_.authenticator.authenticate({.user_name = {}, .password = token}, wall_now());
    if (identity && (*identity)->device() == self_.device) co_return token;
  }
  CO_TRY(const auto issued, co_await parts_.credentials.create(kTenant, self_.device, std::nullopt));
  CO_DO(write_file(file, issued.credential.id + " " + issued.token, 0600));
  co_return issued.token;
}

Async<std::string> EdgeService::demo_key() {
  if (parts_.open) co_return std::string("open");
  const std::filesystem::path file = parts_.data_dir / "demo.key";
  const std::string kept = read_file(file);
  if (!kept.empty() && parts_.authenticator.authenticate({.user_name = {}, .password = kept}, wall_now()))
    co_return kept;
  // One of this name whose secret is lost cannot be used again.
  CO_TRY(const auto keys, co_await parts_.credentials.ingest_keys(kTenant));
  for (const auth::IngestKey& key : keys)
    if (key.name == kDemoKeyName) CO_DO(co_await parts_.credentials.revoke_ingest_key(kTenant, key.id));
  CO_TRY(const auto issued, co_await parts_.credentials.create_ingest_key(kTenant, std::string(kDemoKeyName), false));
  CO_DO(write_file(file, issued.secret, 0600));
  co_return issued.secret;
}

std::size_t EdgeService::demo_devices() const {
  registry::DeviceFilter filter;
  filter.demo = true;
  const auto page = parts_.directory.list(kTenant, filter, registry::DeviceSort::name, {}, 1);
  return page ? page->total : 0;
}

Async<gateway::DemoControl::Status> EdgeService::status() { return on_shard(parts_.shards[0], status_here()); }
Async<gateway::DemoControl::Status> EdgeService::start_site() { return on_shard(parts_.shards[0], start_site_here()); }
Async<void> EdgeService::remove() { return on_shard(parts_.shards[0], remove_here()); }

Async<gateway::DemoControl::Status> EdgeService::status_here() {
  const std::size_t devices = demo_devices();
  co_return Status{.installed = devices > 0, .running = site_ != nullptr, .devices = devices};
}

Async<gateway::DemoControl::Status> EdgeService::start_site_here() {
  if (!site_) {
    for (registry::Profile& profile : edge::demo::profiles())
      CO_DO(co_await ensure_profile(parts_.registry, std::move(profile)));
    std::vector<registry::NewDevice> devices;
    for (edge::demo::SiteDevice& device : edge::demo::devices()) devices.push_back(std::move(device.device));
    CO_DO(co_await parts_.registry.create_devices(kTenant, std::move(devices)));
    CO_TRY(auto key, co_await demo_key());
    // Another request may have come this far meanwhile.
    if (!site_) {
      site_ = std::make_unique<edge::demo::DemoSite>(*runtime::Shard::current(), client_, parts_.mqtt(), std::move(key),
                                                     demo_past());
      site_->start();
      log::info("demo site started");
    }
  }
  co_return co_await status_here();
}

edge::demo::Past EdgeService::demo_past() const {
  const std::filesystem::path mark = parts_.data_dir / kDemoPast;
  std::error_code ignored;
  // Once all was told, what a stop of the server has left out is what is missing.
  const bool told = std::filesystem::exists(mark, ignored);
  return {.known_until =
              [this, told](const std::string& device) {
                const auto entry = told ? parts_.directory.find(kTenant, device) : nullptr;
                return entry ? entry->last_seen() : Time{};
              },
          .told =
              [mark] {
                if (auto written = write_file(mark, "told\n", 0600); !written)
                  log::warn("the demo site will tell its past again", {{"error", written.error()}});
                else log::info("the demo site has told its past");
              }};
}

Async<void> EdgeService::remove_here() {
  if (site_) site_->stop();
  site_.reset();
  CO_TRY(const auto devices, co_await parts_.registry.delete_demo_devices(kTenant));
  CO_DO(co_await erase_readings(devices));
  for (const registry::Profile& profile : edge::demo::profiles()) {
    // A profile that other devices use by now stays for them.
    registry::DeviceFilter users;
    users.profile = profile.id;
    const auto others = parts_.directory.list(kTenant, users, registry::DeviceSort::name, {}, 1);
    if (others && others->total > 0) continue;
    auto gone = co_await parts_.registry.delete_profile(kTenant, profile.id);
    if (!gone && gone.error().code != ErrorCode::not_found) co_return std::unexpected(std::move(gone).error());
  }
  CO_TRY(const auto keys, co_await parts_.credentials.ingest_keys(kTenant));
  for (const auth::IngestKey& key : keys)
    if (key.name == kDemoKeyName) CO_DO(co_await parts_.credentials.revoke_ingest_key(kTenant, key.id));
  std::error_code ignored;
  std::filesystem::remove(parts_.data_dir / "demo.key", ignored);
  std::filesystem::remove(parts_.data_dir / kDemoPast, ignored);
  log::info("demo site removed", {{"devices", devices.size()}});
  co_return {};
}

Async<void> EdgeService::erase_readings(const std::vector<std::string>& devices) {
  // Through the log, so that the readings that came before it go and a replay does the same again.
  for (const std::string& device : devices) {
    wire::control::EraseReadings erase{.tenant = kTenant,
                                       .version = 0,
                                       .database = {},
                                       .retention_policy = {},
                                       .measurements = {},
                                       .devices = {device},
                                       .fields = {},
                                       .tags = {}};
    bus::Record record;
    record.kind = bus::RecordKind::control;
    record.payload =
        std::make_shared<const std::string>(wire::control::encode(wire::control::ControlRecord(std::move(erase))));
    runtime::Completion<Offset> durable;
    const PartitionId partition = partition_of(bucket_of(kTenant, device), parts_.bus.partition_count());
    parts_.bus.producer().publish(bus::Topic::raw_sensor_data, partition, std::move(record),
                                  [durable](Result<Offset> offset) { durable.resolve(std::move(offset)); });
    CO_DO(co_await durable);
  }
  co_return {};
}

void EdgeService::end() {
  if (own_) own_->stop();
  own_.reset();
  if (site_) site_->stop();
  site_.reset();
}

Async<void> EdgeService::drain() {
  end();
  co_return {};
}

Async<void> EdgeService::stop() {
  end();  // the client closes its connections when it is destroyed, after the shards have ended
  co_return {};
}

}  // namespace flux::app
