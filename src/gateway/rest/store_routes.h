#pragma once

#include "net/router.h"
#include "runtime/workers.h"
#include "store/series/maintenance.h"

namespace flux::gateway {

/// `/api/v1/store`: what the store takes, whether it is whole, and merging it to the end.
class StoreRoutes {
 public:
  /// `maintenance` is null where the store keeps no files of its own. Its looks read much: they run on `workers`.
  StoreRoutes(store::Maintenance* maintenance, runtime::Workers& workers)
      : maintenance_(maintenance), workers_(workers) {}
  void mount(net::Router::Group api);

 private:
  Async<net::HttpResponse> storage(net::HttpRequest& request);
  Async<net::HttpResponse> check(net::HttpRequest& request);

  store::Maintenance* maintenance_;
  runtime::Workers& workers_;
};

}  // namespace flux::gateway
