#pragma once

#include <functional>
#include <string>

#include "net/router.h"
#include "registry/databases.h"

namespace flux::gateway {

/// `/api/v1/databases`: what line protocol is written under.
class DatabaseRoutes {
 public:
  /// Removes the readings of a database for good; returns when that is durable.
  using Erase = std::function<Async<void>(TenantId tenant, std::string database)>;

  DatabaseRoutes(registry::Databases& databases, Erase erase) : databases_(databases), erase_(std::move(erase)) {}
  void mount(net::Router::Group api);

 private:
  Async<net::HttpResponse> list(net::HttpRequest& request);
  Async<net::HttpResponse> create(net::HttpRequest& request);
  Async<net::HttpResponse> drop(net::HttpRequest& request);

  registry::Databases& databases_;
  Erase erase_;
};

}  // namespace flux::gateway
