#pragma once

#include <memory>

#include "bus/bus.h"
#include "gateway/rest/query_stream.h"
#include "net/router.h"
#include "query/executor.h"
#include "runtime/workers.h"

namespace flux::gateway {

/// `/api/v1/query`, `/dead-letters`, `/events`.
class QueryRoutes {
 public:
  /// `workers` are for queries alone, so that a slow one never holds up anything else.
  QueryRoutes(std::shared_ptr<const query::Executor> executor, bus::Bus& bus, runtime::Workers& workers,
              QueryRunOptions options)
      : executor_(std::move(executor)), bus_(bus), workers_(workers), options_(options) {}
  void mount(net::Router::Group api);

 private:
  Async<net::HttpResponse> query(net::HttpRequest& request);
  Async<net::HttpResponse> query_model(net::HttpRequest& request);
  Async<net::HttpResponse> dead_letters(net::HttpRequest& request);
  Async<net::HttpResponse> events(net::HttpRequest& request);

  std::shared_ptr<const query::Executor> executor_;
  bus::Bus& bus_;
  runtime::Workers& workers_;
  QueryRunOptions options_;
};

}  // namespace flux::gateway
