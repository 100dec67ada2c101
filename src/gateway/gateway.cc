#include "gateway/gateway.h"

#include "gateway/access.h"
#include "gateway/documented.h"
#include "gateway/web_app.h"

namespace flux::gateway {

Gateway::Gateway(const Services& s, auth::Mode mode, QueryRunOptions query_options)
    : accounts_(s.accounts),
      mode_(mode),
      auth_(s.accounts, mode),
      registry_(s.registry, s.store, s.workers),
      databases_(s.databases,
                 [erase = s.erase](TenantId tenant, std::string name) {
                   return erase(store::SeriesSelector{.tenant = tenant, .database = std::move(name)}, {});
                 }),
      credentials_(s.credentials, s.registry, s.mqtt_port),
      commands_(s.commands),
      query_(s.executor, s.bus, s.query_workers, query_options),
      system_(s.health, s.workers, s.status, s.demo),
      store_(s.maintenance, s.query_workers),
      live_(s.hub, s.accounts),
      influx_({s.influxql,
               s.databases,
               s.erase,
               s.query_workers,
               query_options,
               {s.accounts, s.devices, mode, s.ingest_keys_read}}) {}

void Gateway::mount(net::Router& router) {
  const net::Middleware documented = documented_parameters();
  const net::Router::Group open = router.group().use(documented);
  // Answers hold what only their caller may see: no cache in between may keep them.
  const auto private_answers = [](const net::HttpRequest&, net::HttpResponse& response) {
    if (response.find_header("Cache-Control").empty()) response.header("Cache-Control", "no-store");
  };
  const net::Router::Group api =
      router.group("/api/v1").use(require_access(accounts_, mode_)).use(documented).after(private_answers);
  auth_.mount(open, api);
  registry_.mount(api);
  databases_.mount(api);
  credentials_.mount(api);
  commands_.mount(api);
  query_.mount(api);
  system_.mount(open, api);
  store_.mount(api);
  live_.mount(api);
  influx_.mount(router.group());
  mount_web_app(router.group());
}

}  // namespace flux::gateway
