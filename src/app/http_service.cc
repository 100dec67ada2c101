#include "app/http_service.h"

#include <array>

namespace flux::app {

HttpService::HttpService(runtime::Shards& shards, const net::Router& router, net::HttpOptions options, std::string host,
                         std::uint16_t port, Duration drain_time, metrics::Registry& metrics)
    : server_(shards, router, std::move(options)), host_(std::move(host)), port_(port), drain_time_(drain_time) {
  metrics::Histogram& seconds = metrics.histogram("fluxgate_http_request_seconds",
                                                  "From a request's head to its answer.", metrics::Buckets::seconds());
  server_.on_request([&seconds](const net::RequestReport& report) { seconds.observe(report.duration); });
  register_metrics(metrics);
}

void HttpService::register_metrics(metrics::Registry& metrics) {
  const auto sum = [this](auto read) {
    return [this, read] {
      std::uint64_t total = 0;
      for (const net::NetStats* shard : server_.stats()) total += read(*shard);
      return static_cast<double>(total);
    };
  };
  const auto count = [&](std::string_view name, std::string_view help, metrics::Labels labels, auto read) {
    registrations_.push_back(metrics.callback_counter(name, help, labels, sum(read)));
  };
  using Stats = const net::NetStats&;
  registrations_.push_back(metrics.callback_gauge("fluxgate_http_connections", "Open HTTP connections.", {},
                                                  sum([](Stats s) { return s.connections_open(); })));
  registrations_.push_back(
      metrics.callback_gauge("fluxgate_http_bodies_bytes",
                             "What bodies of requests and parts of WebSocket messages hold, of http.bodies_bytes.", {},
                             [this] { return static_cast<double>(server_.bodies_bytes()); }));
  count("fluxgate_http_connections_accepted_total", "HTTP connections accepted.", {},
        [](Stats s) { return s.connections_accepted.get(); });
  count("fluxgate_http_received_bytes_total", "Bytes received over HTTP.", {},
        [](Stats s) { return s.bytes_in.get(); });
  count("fluxgate_http_sent_bytes_total", "Bytes sent over HTTP.", {}, [](Stats s) { return s.bytes_out.get(); });
  count("fluxgate_http_timeouts_total", "HTTP connections ended by a time-out.", {},
        [](Stats s) { return s.timeouts.get(); });
  count("fluxgate_http_websocket_messages_total", "WebSocket messages received.", {},
        [](Stats s) { return s.websocket_messages_in.get(); });
  count("fluxgate_http_websocket_frames_total", "WebSocket frames sent.", {},
        [](Stats s) { return s.websocket_frames_out.get(); });
  count("fluxgate_http_websocket_no_room_total", "WebSockets closed because there was no room for their message.", {},
        [](Stats s) { return s.websocket_no_room.get(); });
  static constexpr std::array<const char*, 6> kClasses{"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 1; i < kClasses.size(); ++i)
    count("fluxgate_http_responses_total", "HTTP answers by class of status.", {{"class", kClasses[i]}},
          [i](Stats s) { return s.responses[i].get(); });
  for (std::size_t i = 0; i < net::kHttpFaultNames.size(); ++i)
    count("fluxgate_http_faults_total", "HTTP requests that reached no handler, by what was wrong.",
          {{"fault", net::kHttpFaultNames[i]}}, [i](Stats s) { return s.http_faults[i].get(); });
  for (std::size_t i = 0; i < net::kRefusalNames.size(); ++i)
    count("fluxgate_http_connections_refused_total", "HTTP connections turned away, by reason.",
          {{"reason", net::kRefusalNames[i]}}, [i](Stats s) { return s.connections_refused[i].get(); });
}

Async<void> HttpService::start() {
  CO_DO(server_.listen(host_, port_));
  co_return {};
}

Async<void> HttpService::drain() { co_return co_await server_.drain(drain_time_); }

Async<void> HttpService::stop() {
  registrations_.clear();
  co_return co_await server_.close();
}

}  // namespace flux::app
