#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gateway/influx/sign_in.h"
#include "gateway/rest/query_stream.h"
#include "net/router.h"
#include "query/influxql/service.h"
#include "registry/databases.h"
#include "runtime/workers.h"

namespace flux::gateway::influx {

/// `GET` and `POST /query` of InfluxDB 1.x: `q`, `db`, `rp`, `epoch`, `params`, `chunked`, `chunk_size`, `pretty`, as
/// JSON or (by `Accept`) as CSV.
class QueryEndpoint {
 public:
  /// Removes readings for good; returns when that is durable.
  using Erase = std::function<Async<void>(store::SeriesSelector selector, store::TimeRange range)>;
  struct Needs {
    std::shared_ptr<const query::influxql::Service> service;
    registry::Databases& databases;
    Erase erase;
    runtime::Workers& workers;  ///< for queries alone
    QueryRunOptions options;
    SignIn::Needs sign_in;
  };
  explicit QueryEndpoint(Needs needs);
  /// At the root.
  void mount(const net::Router::Group& root);

 private:
  Async<net::HttpResponse> answer(net::HttpRequest& request);

  Needs needs_;
  std::shared_ptr<SignIn> sign_in_;
};

}  // namespace flux::gateway::influx
