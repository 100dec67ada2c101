#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/http/telemetry_endpoint.h"
#include "ingest/line/line_intake.h"
#include "ingest/shard_ingest.h"
#include "ingest/sign_in.h"
#include "net/router.h"
#include "registry/connection_log.h"
#include "registry/databases.h"

namespace flux::ingest::line {

/// InfluxDB's ways in: `POST /write` of version 1 (`db`, `rp`, `precision`), `POST /api/v2/write` of version 2
/// (`bucket` is `db` or `db/rp`), and `/ping`.
///
/// Answered when all that was taken is durable: 204; 400 with `partial write: …` where lines were refused and the rest
/// was stored, naming each line with its number, byte and cause; 503 when the log cannot keep up: nothing was promised
/// then. Devices and ingest keys come with `u` and `p`, `Basic`, `Bearer` or `Token` (also as `user:token`).
class LineEndpoint {
 public:
  struct Needs {
    std::vector<std::unique_ptr<ShardIngest>>& shards;
    Admission& admission;
    registry::Directory& directory;
    registry::Databases& databases;
    const Config& config;
    Metrics& metrics;
    SignIn& sign_in;
    registry::ConnectionLog& log;
    http::TelemetryEndpoint::UserAccess users;
  };
  /// After the shards' parts of ingest were made.
  explicit LineEndpoint(Needs needs);

  /// Adds the routes at the root.
  void mount(const net::Router::Group& root);

 private:
  class Request;
  enum class Version : std::uint8_t { v1, v2 };

  net::Verdict authenticate(net::HttpRequest& request, Version version);
  void write(net::HttpRequest& request, net::Responder responder, Version version);
  void take(const std::shared_ptr<Request>& request, const registry::DatabaseEntryPtr& database);
  Async<void> create_then_take(std::shared_ptr<Request> request, std::string name);
  void trace(const net::HttpRequest& request, const auth::Identity& identity, const std::string& message);

  Needs needs_;
  std::vector<std::unique_ptr<LineIntake>> intakes_;
};

}  // namespace flux::ingest::line
