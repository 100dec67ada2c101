#pragma once

#include "control/commands.h"
#include "net/router.h"

namespace flux::gateway {

/// `/api/v1/commands`.
class CommandRoutes {
 public:
  explicit CommandRoutes(control::Commands& commands) : commands_(commands) {}
  void mount(net::Router::Group api);

 private:
  Async<net::HttpResponse> send(net::HttpRequest& request);
  Async<net::HttpResponse> list(net::HttpRequest& request);
  Async<net::HttpResponse> get(net::HttpRequest& request);
  Async<net::HttpResponse> cancel(net::HttpRequest& request);

  control::Commands& commands_;
};

}  // namespace flux::gateway
