#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateway/demo_control.h"
#include "net/router.h"
#include "observe/health.h"
#include "runtime/workers.h"

namespace flux::gateway {

/// How the system is, for `/api/v1/system`.
struct SystemStatus {
  std::string version;
  double uptime_s = 0;
  bool open = false;
  std::vector<std::string> roles;
  std::uint64_t log_bytes = 0;
  std::uint64_t series_bytes = 0;
  std::uint64_t points = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t devices = 0;
  double readings_per_s = 0;
  std::optional<std::string> mqtt;
  std::optional<std::string> self_device;
};

/// `/api/openapi.json`, `/api/v1/system`, `/api/v1/demo`.
class SystemRoutes {
 public:
  /// `status` may read files: it is asked on a worker. `demo` is null where this process has none.
  SystemRoutes(observe::Health& health, runtime::Workers& workers, std::function<SystemStatus()> status,
               DemoControl* demo)
      : health_(health), workers_(workers), status_(std::move(status)), demo_(demo) {}
  void mount(net::Router::Group open, net::Router::Group api);

 private:
  Async<net::HttpResponse> system(net::HttpRequest& request);
  Async<net::HttpResponse> get_demo(net::HttpRequest& request);
  Async<net::HttpResponse> start_demo(net::HttpRequest& request);
  Async<net::HttpResponse> remove_demo(net::HttpRequest& request);

  observe::Health& health_;
  runtime::Workers& workers_;
  std::function<SystemStatus()> status_;
  DemoControl* demo_;
};

}  // namespace flux::gateway
