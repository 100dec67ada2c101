#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ingest/admission.h"
#include "ingest/commands.h"
#include "ingest/config.h"
#include "ingest/http/telemetry_endpoint.h"
#include "ingest/line/line_endpoint.h"
#include "ingest/metrics.h"
#include "ingest/mqtt/endpoint.h"
#include "ingest/shard_ingest.h"
#include "runtime/service.h"

namespace flux::ingest {

/// Takes what devices send, by MQTT, HTTP and line protocol, and gives it to the log.
///
///     IngestService ingest(config.ingest, {shards, *bus, directory, databases, authenticator, connection_log,
///                                          metrics});
///     ingest.mount(router.group("/api/v1"), router.group());   // before the HTTP server starts
///     group.add(ingest);                              // after bus and registry, before the HTTP server
///     ... ingest.mqtt_address()                       // once started
class IngestService final : public runtime::Service {
 public:
  struct Needs {
    runtime::Shards& shards;
    bus::Bus& bus;
    registry::Directory& directory;
    registry::Databases& databases;
    auth::DeviceAuthenticator& authenticator;
    registry::ConnectionLog& connection_log;
    metrics::Registry& metrics;
    http::TelemetryEndpoint::UserAccess users = nullptr;  ///< lets people send readings too; may stay empty
    CommandPort* commands = nullptr;                      ///< commands to devices; may stay empty
    std::string version = {};                             ///< of this program, for `$SYS`
    SignIn::Clock clock = monotonic_now;                  ///< for slowing down guesses and new devices
  };

  /// All that is needed outlives the service, which is made and destroyed off the shards.
  IngestService(Config config, Needs needs);
  ~IngestService() override;

  /// Adds `POST …/telemetry` to `api` and what InfluxDB's clients call to `root`. Once, before requests come.
  void mount(const net::Router::Group& api, const net::Router::Group& root);
  /// Of the MQTT port, while started; nothing when MQTT is switched off.
  [[nodiscard]] std::optional<net::Address> mqtt_address() const;
  [[nodiscard]] const Config& config() const { return config_; }
  /// Whether the log takes readings, as those who offer them see it.
  [[nodiscard]] LogTrouble& log_trouble() { return trouble_; }

  [[nodiscard]] std::string_view name() const override { return "ingest"; }
  Async<void> start() override;
  /// Ends the MQTT sessions when their messages are acknowledged, and sends what the outboxes hold. Requests by HTTP
  /// must have ended before: drain the HTTP server first.
  Async<void> drain() override;
  Async<void> stop() override;

 private:
  Config config_;
  Needs needs_;
  Metrics metrics_;
  LogTrouble trouble_;
  Admission admission_;
  SignIn sign_in_;
  std::vector<std::unique_ptr<ShardIngest>> shards_;
  http::TelemetryEndpoint http_;
  std::unique_ptr<line::LineEndpoint> line_;
  std::unique_ptr<mqtt::Endpoint> mqtt_;
  metrics::Registration unfinished_;
};

}  // namespace flux::ingest
