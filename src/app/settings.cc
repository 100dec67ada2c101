#include "app/settings.h"

#include <algorithm>

#include "net/address.h"

namespace flux::app {

net::HttpOptions HttpConfig::options(bool open, Duration drain_time) const {
  net::HttpOptions options;
  options.header_bytes = header_bytes;
  options.body_bytes = body_bytes;
  options.bodies_bytes = bodies_bytes;
  options.bodies_bytes_per_peer = bodies_bytes_per_address;
  options.body_rate = body_rate;
  // A body that goes on coming gets it three times: all of that must fit.
  options.tcp.drain_grace = std::min(drain_grace, Duration{drain_time.ns / 5});
  options.header_time = header_time;
  options.body_time = body_time;
  options.keep_alive_time = keep_alive_time;
  options.tcp.max_connections = connections;
  options.tcp.max_connections_per_peer = connections_per_address;
  options.loopback_host_only = open;
  options.headers = {{"X-Content-Type-Options", "nosniff"},
                     {"X-Frame-Options", "DENY"},
                     {"Referrer-Policy", "same-origin"},
                     {"Cross-Origin-Opener-Policy", "same-origin"},
                     {"Cross-Origin-Resource-Policy", "same-origin"}};
  return options;
}

void Settings::bind(config::Registry& registry) {
  registry.add("server", server);
  registry.add("http", http);
  registry.add("ingest", ingest);
  registry.add("bus", bus);
  registry.add("process", process);
  registry.add("store", store);
  registry.add("database", database);
  registry.add("query", query);
  registry.add("stream", stream);
  registry.add("auth", auth);
  registry.add("control", control);
  registry.add("self", self);
  registry.add("metrics", metrics);
  registry.add("log", log);
}

Result<> Settings::check(const config::Registry& registry) {
  if (http.bodies_bytes.count / 4 < http.body_bytes.count)
    return fail(ErrorCode::invalid_argument,
                "http.bodies_bytes is " + config::to_string(http.bodies_bytes) +
                    ": expected at least four times http.body_bytes (" + config::to_string(http.body_bytes) + ")",
                "http.bodies_bytes");
  if (http.bodies_bytes_per_address.count < http.body_bytes.count)
    return fail(ErrorCode::invalid_argument,
                "http.bodies_bytes_per_address is " + config::to_string(http.bodies_bytes_per_address) +
                    ": expected at least http.body_bytes (" + config::to_string(http.body_bytes) + ")",
                "http.bodies_bytes_per_address");
  constexpr std::size_t kTokenSize = 16;
  const auto printable = [](char c) { return c > ' ' && c < 127; };
  if (!metrics.token.empty() && (metrics.token.size() < kTokenSize || !std::ranges::all_of(metrics.token, printable)))
    return fail(ErrorCode::invalid_argument,
                "metrics.token takes at least 16 visible ASCII characters, such as `openssl rand -hex 32` prints",
                "metrics.token");
  if (auth.mode != auth::Mode::open) return {};
  struct Listener {
    std::string_view key;
    std::string& host;
  };
  for (const Listener& listener : {Listener{"http.host", http.host}, Listener{"ingest.mqtt.host", ingest.mqtt.host}}) {
    if (registry.find(listener.key)->source == "default") listener.host = "127.0.0.1";
    const auto address = net::Address::parse(listener.host, 0);
    if (!address || !address->is_loopback())
      return fail(ErrorCode::invalid_argument,
                  std::string(listener.key) + " is " + listener.host +
                      ": auth.mode=open serves whoever comes, so it takes loopback addresses only (127.0.0.1, ::1)",
                  std::string(listener.key));
  }
  return {};
}

Result<> load(Settings& settings, config::Registry& registry, const ConfigOptions& options) {
  settings.bind(registry);
  config::Sources sources;
  if (options.file) sources.file = *options.file;
  sources.environment = config::process_environment();
  sources.ignored_environment = {"FLUXGATE_URL", "FLUXGATE_TOKEN"};
  sources.assignments = options.assignments;
  return registry.load(sources);
}

}  // namespace flux::app
