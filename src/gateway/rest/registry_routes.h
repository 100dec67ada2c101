#pragma once

#include "net/router.h"
#include "registry/registry.h"
#include "runtime/workers.h"
#include "store/series/series_store.h"

namespace flux::gateway {

/// `/api/v1/devices`, `/profiles`, `/dashboards`.
class RegistryRoutes {
 public:
  RegistryRoutes(registry::Registry& registry, const store::TimeSeriesStore& store, runtime::Workers& workers)
      : registry_(registry), store_(store), workers_(workers) {}
  void mount(net::Router::Group api);

 private:
  void mount_devices(net::Router::Group& api);
  void mount_profiles(net::Router::Group& api);
  void mount_dashboards(net::Router::Group& api);

  Async<net::HttpResponse> list_devices(net::HttpRequest& request);
  Async<net::HttpResponse> create_device(net::HttpRequest& request);
  Async<net::HttpResponse> get_device(net::HttpRequest& request);
  Async<net::HttpResponse> patch_device(net::HttpRequest& request);
  Async<net::HttpResponse> delete_device(net::HttpRequest& request);
  Async<net::HttpResponse> latest(net::HttpRequest& request);

  Async<net::HttpResponse> list_profiles(net::HttpRequest& request);
  Async<net::HttpResponse> create_profile(net::HttpRequest& request);
  Async<net::HttpResponse> get_profile(net::HttpRequest& request);
  Async<net::HttpResponse> put_profile(net::HttpRequest& request);
  Async<net::HttpResponse> delete_profile(net::HttpRequest& request);

  Async<net::HttpResponse> list_dashboards(net::HttpRequest& request);
  Async<net::HttpResponse> create_dashboard(net::HttpRequest& request);
  Async<net::HttpResponse> get_dashboard(net::HttpRequest& request);
  Async<net::HttpResponse> put_dashboard(net::HttpRequest& request);
  Async<net::HttpResponse> delete_dashboard(net::HttpRequest& request);

  /// The newest readings of `devices`, device by device.
  Async<std::vector<std::vector<store::LastPoint>>> latest_of(TenantId tenant, std::vector<std::string> devices);

  registry::Registry& registry_;
  const store::TimeSeriesStore& store_;
  runtime::Workers& workers_;
};

}  // namespace flux::gateway
