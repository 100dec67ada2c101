#include "app/node.h"

#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "app/command_bridge.h"
#include "app/disk_watch.h"
#include "app/edge_service.h"
#include "app/http_service.h"
#include "app/installation.h"
#include "app/live_bridge.h"
#include "app/ports.h"
#include "app/version.h"
#include "auth/accounts.h"
#include "auth/credentials.h"
#include "bus/embedded/embedded_bus.h"
#include "control/dispatcher.h"
#include "gateway/documented.h"
#include "gateway/gateway.h"
#include "gateway/operations.h"
#include "ingest/ingest.h"
#include "net/http_server.h"
#include "observe/health.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "process/change_feed.h"
#include "process/folder_checkpoints.h"
#include "process/service.h"
#include "query/executor.h"
#include "query/influxql/service.h"
#include "query/registry_catalog.h"
#include "registry/databases.h"
#include "registry/embedded.h"
#include "runtime/service.h"
#include "runtime/shard.h"
#include "runtime/signals.h"
#include "runtime/spawn.h"
#include "runtime/workers.h"
#include "store/database/sqlite/sqlite_database.h"
#include "store/series/engine/engine.h"
#include "stream/hub.h"

namespace flux::app {

struct Node::Impl {
  Settings settings;
  RoleSet roles;
  bool demo;
  Duration started_at = monotonic_now();

  // In the order of need: what is below may use what is above, and goes first.
  metrics::Registry metrics;
  observe::Health health;
  std::vector<metrics::Registration> process_metrics = metrics::register_process_metrics(metrics);
  std::optional<DataFolder> folder;
  runtime::Shards shards;
  runtime::Workers workers;
  runtime::Workers query_workers;
  runtime::Workers hashing{2, 16, "hash"};

  std::unique_ptr<store::Database> database;
  registry::Directory directory;
  registry::ConnectionLog connection_log;
  std::unique_ptr<registry::EmbeddedRegistry> registry;
  std::unique_ptr<registry::Databases> databases;
  std::unique_ptr<auth::Accounts> accounts;
  std::unique_ptr<auth::Credentials> credentials;
  std::unique_ptr<control::Dispatcher> commands;
  std::unique_ptr<CommandBridge> command_bridge;
  auth::OpenDeviceAuthenticator open_authenticator;
  std::unique_ptr<bus::Bus> bus;
  std::unique_ptr<store::TimeSeriesStore> store;
  std::unique_ptr<process::Checkpoints> checkpoints;
  std::unique_ptr<stream::Hub> hub;
  std::unique_ptr<LiveBridge> live;
  std::unique_ptr<process::Service> process;
  std::unique_ptr<ingest::IngestService> ingest;
  std::unique_ptr<query::RegistryCatalog> catalog;
  std::unique_ptr<EdgeService> edge;
  std::unique_ptr<gateway::Operations> operations;
  std::unique_ptr<gateway::Gateway> gateway;
  net::Router router;
  std::unique_ptr<HttpService> http;
  runtime::ServiceGroup services;
  bool serving = false;

  std::optional<runtime::Timer> upkeep;
  std::atomic<double> readings_per_s = 0;
  double readings_before = 0;
  std::optional<DiskWatch> disk_watch;
  DiskLook disk_look;  // guarded by mutex
  std::atomic<bool> looking = false;
  unsigned looks = 0;
  std::uint64_t least_free = 0;  // while readings are refused
  std::optional<runtime::SignalWatch> signals;
  std::mutex mutex;
  std::condition_variable signalled;
  int signal_count = 0;
  Addresses addresses;

  explicit Impl(Options options)
      : settings(std::move(options.settings)),
        roles(options.roles),
        demo(options.demo),
        shards(settings.server.shards),
        workers(settings.server.workers, 4'096),
        query_workers(settings.query.threads, settings.query.queue, "query") {}

  [[nodiscard]] bool open_mode() const { return settings.auth.mode == auth::Mode::open; }
  [[nodiscard]] auth::DeviceAuthenticator& authenticator() {
    if (open_mode()) return open_authenticator;
    return *credentials;
  }

  [[nodiscard]] std::vector<WantedPort> wanted_ports() const;
  Result<> open_stores();
  Result<> open_registry(Installation& installation);
  void compose();
  Result<> serve();
  void keep_up();
  void watch_health();
  gateway::SystemStatus status() const;
  Result<auth::IdentityPtr> people_may_send(net::HttpRequest& request);
};

namespace {

// A refusal for want of room is over when there is so much more than there was.
constexpr std::uint64_t kMoreRoom = 4 << 20;
// Or when nothing was refused for so long.
constexpr Duration kQuietEnough = 60_s;
// A sink that is full for moments is what back-pressure is for.
constexpr Duration kStallTime = 3_s;
constexpr unsigned kLooksPerWrite = 10;

bool is_every_address(const net::Address& address) {
  const std::string ip = address.ip_text();
  return ip == "0.0.0.0" || ip == "::";
}

/// How somebody on this machine reaches a listener that may be bound to every address.
std::string reachable(const net::Address& address) {
  if (!is_every_address(address)) return address.text();
  return (address.is_v4() ? "127.0.0.1:" : "[::1]:") + std::to_string(address.port);
}

}  // namespace

std::vector<WantedPort> Node::Impl::wanted_ports() const {
  std::vector<WantedPort> wanted;
  wanted.push_back({"HTTP", "--http-port", settings.http.host, settings.http.port});
  const ingest::MqttConfig& mqtt = settings.ingest.mqtt;
  if (roles.has(RoleId::ingest) && mqtt.enabled) wanted.push_back({"MQTT", "--mqtt-port", mqtt.host, mqtt.port});
  return wanted;
}

Result<> Node::Impl::open_stores() {
  const std::filesystem::path& data = folder->path();
  settings.database.path = data / "registry.db";
  TRY(auto installation, Installation::look(data, settings.database.path));
  auto opened = open_registry(installation);
  if (!opened && settings.database.start_anew && opened.error().code == ErrorCode::corrupt) {
    database.reset();
    DO(installation.set_aside(opened.error()));
    opened = open_registry(installation);
  }
  DO(opened);
  TRY(registry, registry::EmbeddedRegistry::open(*database, directory, workers, metrics));
  TRY(databases, registry::Databases::open(*database));
  TRY(credentials, auth::Credentials::open(*database, *registry, directory, metrics));
  TRY(accounts, auth::Accounts::open(*database, hashing, data, settings.auth));
  TRY(commands, control::Dispatcher::open({*database, directory, shards, metrics}, settings.control));
  registry->on_device_removed(
      [this](TenantId tenant, const std::string& device) { commands->device_removed(tenant, device); });
  TRY(bus, bus::embedded::open(data / "log", settings.bus, metrics));
  TRY(store, store::engine::open(data / "series", settings.store, metrics));
  TRY(checkpoints, process::open_folder_checkpoints(data / "checkpoints"));
  return {};
}

Result<> Node::Impl::open_registry(Installation& installation) {
  DO(installation.check());
  TRY(database, store::sqlite::open(settings.database, metrics));
  return installation.recognize(*database);
}

void Node::Impl::compose() {
  // Newest values for live subscriptions: looked up on a worker.
  auto snapshots = [this](const stream::Selector& selector,
                          std::function<void(Result<std::vector<store::LastPoint>>)> done) {
    auto look = [this, selector, done] {
      store::SeriesSelector wanted{.tenant = selector.tenant,
                                   .database = "default",
                                   .retention_policy = {},
                                   .measurements = selector.measurements,
                                   .devices = selector.devices,
                                   .fields = selector.metrics,
                                   .tags = {}};
      if (!selector.labels.empty()) {
        std::vector<std::pair<std::string, std::string>> labels;
        for (const Tag& label : selector.labels) labels.emplace_back(label.key, label.value);
        wanted.devices = catalog->devices_with(selector.tenant, labels);
        if (wanted.devices.empty()) return done(std::vector<store::LastPoint>());
      }
      done(store->latest(wanted));
    };
    if (!query_workers.try_submit(std::move(look))) done(fail(ErrorCode::exhausted, "too many queries are waiting"));
  };
  hub = std::make_unique<stream::Hub>(shards, settings.stream, metrics, std::move(snapshots), &connection_log);
  live = std::make_unique<LiveBridge>(*hub, directory);
  command_bridge = std::make_unique<CommandBridge>(*commands, *hub);
  process =
      std::make_unique<process::Service>(process::Service::Parts{shards, workers, *bus, *store, *checkpoints, directory,
                                                                 *registry, live.get(), metrics, health},
                                         settings.process);
  ingest = std::make_unique<ingest::IngestService>(
      settings.ingest,
      ingest::IngestService::Needs{shards, *bus, directory, *databases, authenticator(), connection_log, metrics,
                                   [this](net::HttpRequest& request) { return people_may_send(request); },
                                   command_bridge.get(), "fluxgate " + std::string(kVersion)});
  catalog = std::make_unique<query::RegistryCatalog>(directory);
  const store::QueryLimits limits{.max_series = settings.query.max_series, .max_points = settings.query.max_points};
  auto executor = std::make_shared<const query::Executor>(*store, *catalog, limits);
  auto influxql = std::make_shared<const query::influxql::Service>(*store, *databases, limits);
  edge = std::make_unique<EdgeService>(
      EdgeService::Parts{
          shards, *registry, directory, *credentials, authenticator(), *bus,
          [this] {
            return net::Address::parse("127.0.0.1", ingest->mqtt_address().value_or(net::Address{}).port).value();
          },
          folder->path(), open_mode()},
      settings.self, demo);
  operations = std::make_unique<gateway::Operations>(
      gateway::Operations::Services{health, metrics, *accounts, settings.auth.mode, settings.metrics.token});
  gateway = std::make_unique<gateway::Gateway>(
      gateway::Gateway::Services{*registry,
                                 *databases,
                                 *accounts,
                                 *credentials,
                                 *commands,
                                 *bus,
                                 *store,
                                 std::move(executor),
                                 std::move(influxql),
                                 authenticator(),
                                 *hub,
                                 workers,
                                 query_workers,
                                 health,
                                 edge.get(),
                                 [this] { return status(); },
                                 [this] { return ingest->mqtt_address().value_or(net::Address{}).port; },
                                 [this](store::SeriesSelector selector, store::TimeRange range) {
                                   wire::control::EraseReadings erase{
                                       .tenant = selector.tenant,
                                       .database = std::move(selector.database),
                                       .retention_policy = std::move(selector.retention_policy),
                                       .measurements = std::move(selector.measurements),
                                       .devices = std::move(selector.devices),
                                       .fields = std::move(selector.fields),
                                       .tags = std::move(selector.tags),
                                       .from = range.from,
                                       .to = range.to};
                                   return process::publish_erase(*bus, std::move(erase));
                                 },
                                 settings.query.ingest_keys_read,
                                 store->maintenance()},
      settings.auth.mode, gateway::QueryRunOptions{.time_limit = settings.query.time_limit});
  operations->mount(router);
  if (roles.has(RoleId::ingest))
    ingest->mount(router.group("/api/v1").use(gateway::documented_parameters()), router.group());
  if (roles.has(RoleId::gateway)) gateway->mount(router);
  else gateway::Operations::mount_absence(router);
  http = std::make_unique<HttpService>(shards, router, settings.http.options(open_mode(), settings.server.drain_time),
                                       settings.http.host, settings.http.port, settings.server.drain_time, metrics);

  // What a role stands for in this process, in the order of the table of roles.
  services.add(*process);
  services.add(*commands);
  if (roles.has(RoleId::ingest)) services.add(*ingest);
  services.add(*http);  // in every process: it says how the process is
  if (roles.has(RoleId::edge)) services.add(*edge);
}

Result<auth::IdentityPtr> Node::Impl::people_may_send(net::HttpRequest& request) {
  const auto [scheme, token] = request.authorization();
  if (!net::equals_ignoring_case(scheme, "Bearer"))
    return fail(ErrorCode::unauthenticated, "expected a device's credential or an access token");
  TRY(const auto principal, accounts->by_bearer(token, wall_now()));
  if (!principal->allows(auth::Permission::send))
    return fail(ErrorCode::permission_denied, "this needs the permission 'send'");
  return std::make_shared<const auth::Identity>(auth::Identity::Kind::ingest_key, principal->tenant(), std::string(),
                                                true, "user " + principal->user.name, std::nullopt);
}

gateway::SystemStatus Node::Impl::status() const {
  gateway::SystemStatus now;
  now.version = kVersion;
  now.uptime_s = (monotonic_now() - started_at).seconds();
  now.open = open_mode();
  now.roles = names(roles);
  for (std::size_t topic = 0; topic < bus::kTopicCount; ++topic) {
    for (std::size_t p = 0; p < bus->partition_count(); ++p) {
      const auto info = bus->info(static_cast<bus::Topic>(topic), PartitionId{static_cast<std::uint16_t>(p)});
      if (info) now.log_bytes += info->bytes;
    }
  }
  const store::StoreStats stats = store->stats();
  now.series_bytes = stats.part_bytes;
  now.points = stats.points;
  now.free_bytes = folder->free_bytes();
  now.devices = directory.size();
  now.readings_per_s = readings_per_s;
  if (!addresses.mqtt.empty()) now.mqtt = addresses.mqtt;
  if (settings.self.enabled && roles.has(RoleId::edge)) now.self_device = settings.self.device;
  return now;
}

void Node::Impl::keep_up() {
  const double readings = metrics.value("fluxgate_ingest_readings_total", {{"protocol", "mqtt"}}) +
                          metrics.value("fluxgate_ingest_readings_total", {{"protocol", "http"}}) +
                          metrics.value("fluxgate_ingest_readings_total", {{"protocol", "line"}});
  readings_per_s = readings - readings_before;
  readings_before = readings;
  watch_health();
}

void Node::Impl::watch_health() {
  const Duration now = monotonic_now();
  DiskLook disk;
  {
    const std::lock_guard lock(mutex);
    disk = disk_look;
  }
  if (disk.trouble.empty()) health.ok("disk");
  else health.degraded("disk", disk.trouble, disk.detail);

  ingest::LogTrouble& trouble = ingest->log_trouble();
  auto report = trouble.report();
  least_free = report ? std::min(least_free, disk.free_bytes) : disk.free_bytes;
  if (report && disk.writable && now - report->last_at >= ingest::LogTrouble::kMemory &&
      (disk.free_bytes > least_free + kMoreRoom || now - report->last_at > kQuietEnough)) {
    // Nobody sends, so no success tells; but what was in the way is gone.
    trouble.clear();
    report.reset();
  }
  if (report) health.degraded("bus", "the log cannot be written: readings are refused", report->error.message);
  else health.ok("bus");

  const store::StoreStats stats = store->stats();
  if (stats.read_only) health.degraded("store", "readings cannot be written to parts", stats.read_only_reason);
  else health.ok("store");

  if (const std::string stalled = process->stalled(kStallTime); !stalled.empty())
    health.degraded("process", "processing stands still", stalled);
  else health.ok("process");

  if (looking.exchange(true)) return;
  // What costs a write is done less often while all is well.
  const bool write = !disk.trouble.empty() || report || ++looks % kLooksPerWrite == 1;
  auto task = [this, write] {
    DiskLook found = disk_watch->look(write);
    {
      const std::lock_guard lock(mutex);
      disk_look = std::move(found);
    }
    looking = false;
  };
  if (!workers.try_submit(std::move(task))) looking = false;
}

Result<> Node::Impl::serve() {
  runtime::set_spawn_error_hook([](std::string_view task, const Error& error) {
    log::error("a task failed", {{"task", task}, {"error", error.message}});
  });
  disk_watch.emplace(folder->path(), settings.bus.disk_reserve_bytes);
  disk_look = disk_watch->look(true);
  shards.start();
  serving = true;
  DO(runtime::block_on(shards[0], services.start()));
  addresses.http = reachable(http->address());
  addresses.http_everywhere = is_every_address(http->address());
  if (const auto mqtt = ingest->mqtt_address()) {
    addresses.mqtt = reachable(*mqtt);
    addresses.mqtt_everywhere = is_every_address(*mqtt);
  }
  runtime::run_on(shards[0], [this] {
    upkeep = shards[0].call_every(1_s, [this, seconds = 0]() mutable {
      keep_up();
      if (++seconds % 60 == 0) credentials->tidy(wall_now());
    });
    signals.emplace(shards[0], std::initializer_list<int>{SIGTERM, SIGINT}, [this](int) {
      // The second one is somebody who does not want to wait.
      const std::lock_guard lock(mutex);
      if (++signal_count > 1) ::_exit(130);
      signalled.notify_all();
    });
  });
  health.set_phase(observe::Phase::serving);
  return {};
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Node>> Node::start(Options options) {
  TRY(auto folder, DataFolder::open(options.settings.server.data_dir));
  auto impl = std::make_unique<Impl>(std::move(options));
  impl->folder.emplace(std::move(folder));
  DO(check_ports(impl->wanted_ports()));
  DO(impl->open_stores());
  impl->compose();
  std::unique_ptr<Node> node(new Node(std::move(impl)));
  if (auto served = node->impl_->serve(); !served) return std::unexpected(std::move(served).error());
  return node;
}

Node::~Node() {
  if (impl_->serving) (void)stop();
}

const Node::Addresses& Node::addresses() const { return impl_->addresses; }

std::optional<std::string> Node::administrator_link() {
  if (impl_->open_mode() || !impl_->roles.has(RoleId::gateway)) return std::nullopt;
  const auto token = impl_->accounts->issue_link();
  if (!token) return std::nullopt;
  return "http://" + impl_->addresses.http + "/welcome#token=" + *token;
}

std::string Node::local_token() { return impl_->accounts->local_token(); }

void Node::wait_for_signal() {
  std::unique_lock lock(impl_->mutex);
  impl_->signalled.wait(lock, [this] { return impl_->signal_count > 0; });
}

Result<> Node::stop() {
  Impl& node = *impl_;
  node.serving = false;
  node.health.set_phase(observe::Phase::draining);
  runtime::run_on(node.shards[0], [&node] { node.upkeep.reset(); });
  auto drained = runtime::block_on(node.shards[0], node.services.drain(node.settings.server.drain_time));
  auto stopped = runtime::block_on(node.shards[0], node.services.stop());
  auto hub = runtime::block_on(node.shards[0], node.hub->stop());
  node.credentials->tidy(wall_now());
  auto flushed = node.registry->flush_blocking();
  runtime::run_on(node.shards[0], [&node] { node.signals.reset(); });
  node.shards.stop();
  node.shards.join();
  node.query_workers.stop();
  node.workers.stop();
  node.hashing.stop();
  for (const auto* result : {&drained, &stopped, &hub, &flushed})
    if (!*result) return std::unexpected(result->error());
  return {};
}

}  // namespace flux::app
