#pragma once

#include <string>
#include <vector>

#include "net/http_server.h"
#include "observe/metrics.h"
#include "runtime/service.h"

namespace flux::app {

/// The one HTTP port as a service, with its numbers in the metrics.
class HttpService final : public runtime::Service {
 public:
  HttpService(runtime::Shards& shards, const net::Router& router, net::HttpOptions options, std::string host,
              std::uint16_t port, Duration drain_time, metrics::Registry& metrics);

  [[nodiscard]] std::string_view name() const override { return "http"; }
  Async<void> start() override;
  Async<void> drain() override;
  Async<void> stop() override;
  [[nodiscard]] net::Address address() const { return server_.address(); }

 private:
  void register_metrics(metrics::Registry& metrics);

  net::HttpServer server_;
  std::string host_;
  std::uint16_t port_;
  Duration drain_time_;
  std::vector<metrics::Registration> registrations_;
};

}  // namespace flux::app
