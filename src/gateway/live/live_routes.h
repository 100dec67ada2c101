#pragma once

#include "auth/accounts.h"
#include "net/router.h"
#include "stream/hub.h"

namespace flux::gateway {

/// `/api/v1/live` (WebSocket) and `/api/v1/live/sse`.
class LiveRoutes {
 public:
  LiveRoutes(stream::Hub& hub, auth::Accounts& accounts) : hub_(hub), accounts_(accounts) {}
  void mount(net::Router::Group api);

 private:
  void sse(net::HttpRequest& request, net::Responder responder);

  stream::Hub& hub_;
  auth::Accounts& accounts_;
};

}  // namespace flux::gateway
