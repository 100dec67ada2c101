#pragma once

#include "auth/accounts.h"
#include "net/router.h"

namespace flux::gateway {

/// `/api/v1/auth/…` and `/.well-known/jwks.json`. `open` has no access hook, `api` has it.
class AuthRoutes {
 public:
  AuthRoutes(auth::Accounts& accounts, auth::Mode mode) : accounts_(accounts), mode_(mode) {}
  void mount(net::Router::Group open, net::Router::Group api);

 private:
  Async<net::HttpResponse> link(net::HttpRequest& request);
  Async<net::HttpResponse> login(net::HttpRequest& request);
  Async<net::HttpResponse> refresh(net::HttpRequest& request);
  Async<net::HttpResponse> logout(net::HttpRequest& request);
  Async<net::HttpResponse> password(net::HttpRequest& request);
  void me(net::HttpRequest& request, net::Responder responder) const;

  auth::Accounts& accounts_;
  auth::Mode mode_;
};

}  // namespace flux::gateway
