#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ingest/shard_ingest.h"
#include "ingest/sign_in.h"
#include "net/router.h"
#include "registry/connection_log.h"

namespace flux::ingest::http {

/// `POST /api/v1/telemetry`. Devices and ingest keys come with `Authorization: Bearer`, `Token` or `Basic`.
///
/// Answered when the readings are durable: 200 `{"accepted":N}`, with `"refused":[{index, field, code, message}, …]`
/// (the first hundred) and `"refused_count"` where something was not taken; 400 when nothing was; 429 or 503 with
/// `Retry-After` when the log cannot keep up or cannot write: nothing was promised then, and sending the same readings
/// again is safe where they have times. 401 says why a credential was refused, 429 that too many were.
class TelemetryEndpoint {
 public:
  /// Lets in people too (a session or an access token): says who they are for devices, or why not. May be empty.
  using UserAccess = std::function<Result<auth::IdentityPtr>(net::HttpRequest&)>;

  TelemetryEndpoint(std::vector<std::unique_ptr<ShardIngest>>& shards, const HttpConfig& config, Metrics& metrics,
                    SignIn& sign_in, registry::ConnectionLog& log, UserAccess users);

  /// Adds the route `/telemetry` below `api` (`/api/v1`), with its own check of credentials.
  void mount(const net::Router::Group& api);

 private:
  net::Verdict authenticate(net::HttpRequest& request);
  Result<auth::IdentityPtr> identify(net::HttpRequest& request);
  net::HttpResponse refuse(net::HttpRequest& request, Error why);
  void show_connection(const net::HttpRequest& request, const auth::Identity& identity, std::string_view device);
  void handle(net::HttpRequest& request, net::Responder responder);

  std::vector<std::unique_ptr<ShardIngest>>& shards_;
  const HttpConfig& config_;
  Metrics& metrics_;
  SignIn& sign_in_;
  registry::ConnectionLog& log_;
  UserAccess users_;
};

}  // namespace flux::ingest::http
