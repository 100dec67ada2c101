#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gateway/influx/query_endpoint.h"
#include "gateway/live/live_routes.h"
#include "gateway/rest/auth_routes.h"
#include "gateway/rest/command_routes.h"
#include "gateway/rest/credential_routes.h"
#include "gateway/rest/database_routes.h"
#include "gateway/rest/query_routes.h"
#include "gateway/rest/registry_routes.h"
#include "gateway/rest/store_routes.h"
#include "gateway/rest/system_routes.h"

namespace flux::gateway {

/// Everything that people and programs reach over HTTP but telemetry, which `ingest` mounts beside it, and what every
/// process answers (`Operations`).
class Gateway {
 public:
  struct Services {
    registry::Registry& registry;
    registry::Databases& databases;
    auth::Accounts& accounts;
    auth::Credentials& credentials;
    control::Commands& commands;
    bus::Bus& bus;
    const store::TimeSeriesStore& store;
    std::shared_ptr<const query::Executor> executor;
    std::shared_ptr<const query::influxql::Service> influxql;
    const auth::DeviceAuthenticator& devices;
    stream::Hub& hub;
    runtime::Workers& workers;        ///< short look-ups
    runtime::Workers& query_workers;  ///< queries
    observe::Health& health;
    DemoControl* demo = nullptr;
    std::function<SystemStatus()> status;
    std::function<std::uint16_t()> mqtt_port;
    influx::QueryEndpoint::Erase erase;
    bool ingest_keys_read = false;              ///< by InfluxQL
    store::Maintenance* maintenance = nullptr;  ///< null: the store keeps no files of its own
  };
  /// All that `services` refers to outlives the gateway.
  Gateway(const Services& services, auth::Mode mode, QueryRunOptions query_options);
  /// Adds every route. Once, before the server listens; the gateway outlives the router's use.
  void mount(net::Router& router);

 private:
  auth::Accounts& accounts_;
  auth::Mode mode_;
  AuthRoutes auth_;
  RegistryRoutes registry_;
  DatabaseRoutes databases_;
  CredentialRoutes credentials_;
  CommandRoutes commands_;
  QueryRoutes query_;
  SystemRoutes system_;
  StoreRoutes store_;
  LiveRoutes live_;
  influx::QueryEndpoint influx_;
};

}  // namespace flux::gateway
