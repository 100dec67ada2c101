#pragma once

#include <filesystem>
#include <string>

#include "app/commands.h"
#include "auth/accounts.h"
#include "bus/embedded/config.h"
#include "config/registry.h"
#include "control/config.h"
#include "core/result.h"
#include "edge/own_readings.h"
#include "ingest/config.h"
#include "net/http_server.h"
#include "observe/log.h"
#include "process/config.h"
#include "store/database/sqlite/sqlite_database.h"
#include "store/series/engine/engine.h"
#include "store/series/series_store.h"
#include "stream/config.h"

namespace flux::app {

struct ServerConfig {
  std::filesystem::path data_dir = "data";
  std::uint32_t shards = 0;
  std::uint32_t workers = 4;
  Duration drain_time = 20_s;

  template <class Fields>
  void describe(Fields& fields) {
    fields("data_dir", data_dir, "Folder that holds everything kept; one process at a time.");
    fields("shards", shards, "Event loops, one thread each; 0 makes one for each core.", {.max = 256U});
    fields("workers", workers, "Threads for what blocks or is heavy.", {.min = 1U, .max = 256U});
    fields("drain_time", drain_time, "How long a stop waits for what is under way.", {.min = 1_s, .max = 10_min});
  }
};

struct HttpConfig {
  std::string host = "0.0.0.0";
  std::uint16_t port = 8080;
  config::Bytes header_bytes = 16_KiB;
  config::Bytes body_bytes = 32_MiB;
  config::Bytes bodies_bytes = 256_MiB;
  config::Bytes bodies_bytes_per_address = 128_MiB;
  Duration header_time = 10_s;
  Duration body_time = 60_s;
  config::Bytes body_rate = 256;
  Duration keep_alive_time = 75_s;
  Duration drain_grace = 3_s;
  std::uint32_t connections = 100'000;
  std::uint32_t connections_per_address = 10'000;

  template <class Fields>
  void describe(Fields& fields) {
    fields("host", host, "Address that the HTTP port is bound to.");
    fields("port", port, "Port of API and web app; 0 takes a free one.");
    fields("header_bytes", header_bytes, "Request line and headers together.", {.min = 1_KiB, .max = 1_MiB});
    fields("body_bytes", body_bytes, "Body of a request, decompressed; routes may set less.",
           {.min = 1_KiB, .max = 1_GiB});
    fields("bodies_bytes", bodies_bytes,
           "Bodies of all requests and unfinished WebSocket messages together; at least four of the largest body. More "
           "are told to come again (503, close code 1013).",
           {.min = 1_MiB});
    fields("bodies_bytes_per_address", bodies_bytes_per_address,
           "The same from one IP address (429); at least one of the largest body; loopback is exempt.", {.min = 1_MiB});
    fields("header_time", header_time, "From a request's first byte to the end of its headers.", {.min = 100_ms});
    fields("body_time", body_time, "What each 64 KiB of a body, and its rest, may take.", {.min = 100_ms});
    fields("body_rate", body_rate, "What a body must bring a second, on average, after its first 10 s; 0: anything.");
    fields("keep_alive_time", keep_alive_time, "How long an idle connection stays open.", {.min = 1_s});
    fields("drain_grace", drain_grace,
           "While stopping: how long a request may not come on, and an answer not be read, before it is cut off.",
           {.min = 100_ms});
    fields("connections", connections, "Open connections.", {.min = 1U});
    fields("connections_per_address", connections_per_address, "The same from one IP address; loopback is exempt.",
           {.min = 1U});
  }
  /// `drain_time` is what a stop takes at most.
  [[nodiscard]] net::HttpOptions options(bool open, Duration drain_time) const;
};

struct QueryConfig {
  std::uint32_t threads = 2;
  std::uint32_t queue = 256;
  Duration time_limit = 30_s;
  std::uint64_t max_series = 1'000'000;
  std::uint64_t max_points = 20'000'000;
  bool ingest_keys_read = false;

  template <class Fields>
  void describe(Fields& fields) {
    fields("threads", threads, "Queries that run at the same time.", {.min = 1U, .max = 256U});
    fields("queue", queue, "Queries that may wait for that; more are told to come again.", {.min = 1U});
    fields("time_limit", time_limit, "A query that takes longer is ended.", {.min = 100_ms});
    fields("max_series", max_series, "Series that one query may touch.", {.min = std::uint64_t{1}});
    fields("max_points", max_points, "Points or windows that one query may hold.", {.min = std::uint64_t{1'000}});
    fields("ingest_keys_read", ingest_keys_read,
           "Ingest keys are good for reading all of their tenant with InfluxQL (/query) too.");
  }
};

struct MetricsConfig {
  std::string token;

  template <class Fields>
  void describe(Fields& fields) {
    fields.secret(
        "token", token,
        "What a scraper sends as `Authorization: Bearer` to /metrics; good for nothing else and never expires. "
        "At least 16 characters; empty: only people and their tokens read /metrics.");
  }
};

/// Every setting of the program, with its defaults.
struct Settings {
  ServerConfig server;
  HttpConfig http;
  log::Config log;
  bus::embedded::Config bus;
  store::engine::Config store;
  store::sqlite::Config database;
  ingest::Config ingest;
  process::Config process;
  stream::Config stream;
  QueryConfig query;
  auth::Config auth;
  control::Config control;
  edge::SelfConfig self;
  MetricsConfig metrics;

  /// Binds all of it, under the rooms' names.
  void bind(config::Registry& registry);
  /// What no single field can tell: `auth.mode=open` needs loopback addresses (which are then the default),
  /// and a token is long enough not to be guessed.
  Result<> check(const config::Registry& registry);
};

/// Reads file, environment and assignments into `settings`.
Result<> load(Settings& settings, config::Registry& registry, const ConfigOptions& options);

}  // namespace flux::app
