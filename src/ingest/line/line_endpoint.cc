#include "ingest/line/line_endpoint.h"

#include <algorithm>
#include <optional>

#include "ingest/http/presented.h"
#include "ingest/trace.h"
#include "observe/json.h"
#include "runtime/spawn.h"

namespace flux::ingest::line {

namespace {

/// What clients of version 1 are told to be talking to: the dialect that is spoken here, and who speaks it.
constexpr const char* kVersion = "1.8-fluxgate";
/// Lines named in one answer.
constexpr std::size_t kNamed = 20;

net::HttpResponse branded(net::HttpResponse response) {
  response.header("X-Influxdb-Version", kVersion);
  return response;
}

std::string_view code_of(int status) {
  switch (status) {
    case 401: return "unauthorized";
    case 403: return "forbidden";
    case 404: return "not found";
    case 413: return "request too large";
    case 422: return "unprocessable entity";
    case 429: return "too many requests";
    case 503: return "unavailable";
    default: return status < 500 ? "invalid" : "internal error";
  }
}

net::HttpResponse failure(bool v2, int status, std::string_view message) {
  std::string body = "{";
  if (v2) {
    body += R"("code":)";
    observe::append_json_string(body, code_of(status));
    body += R"(,"message":)";
  } else {
    body += R"("error":)";
  }
  observe::append_json_string(body, message);
  body += "}\n";
  auto response = branded(net::HttpResponse::json(status, std::move(body)));
  if (status == 401) response.header("WWW-Authenticate", R"(Basic realm="InfluxDB")");
  if (status == 503) response.header("Retry-After", "1");
  return response;
}

/// What was refused, in InfluxDB's words, with the place.
std::string refusals_text(const wire::line::Outcome& outcome) {
  std::string text;
  std::size_t named = 0;
  for (const auto& refusal : outcome.refusals) {
    if (named++ == kNamed) break;
    if (!text.empty()) text += '\n';
    if (refusal.dropped) text += refusal.error.message;
    else text += "unable to parse '" + refusal.text + "': " + refusal.error.message;
    text += " (line " + std::to_string(refusal.line) + ", column " + std::to_string(refusal.column) + ")";
  }
  if (outcome.refused > named) text += "\nand " + std::to_string(outcome.refused - named) + " lines more";
  return text;
}

bool is_consistency(std::string_view word) {
  return word == "any" || word == "one" || word == "quorum" || word == "all";
}

}  // namespace

/// One write that waits for its batches, or for its database. Lives on the request's shard.
class LineEndpoint::Request final : public Answerer {
 public:
  Request(net::HttpRequest& http, net::Responder responder, bool v2)
      : http_(http), shard_(http.shard()), responder_(std::move(responder)), v2_(v2) {}

  [[nodiscard]] const net::HttpRequest& http() const { return http_; }
  [[nodiscard]] const auth::Identity& identity() const { return *http_.principal_as<auth::Identity>(); }
  [[nodiscard]] runtime::Shard& shard() const { return shard_; }

  void fail(int status, std::string_view message) { responder_.send(failure(v2_, status, message)); }
  void fail(const Error& error) {
    // Senders keep what they could not send for a 503, and drop it for most else.
    const int status = error.code == ErrorCode::exhausted ? 503 : net::status_of(error.code);
    fail(status, error.message);
  }
  /// To be said once everything is durable.
  void answer_later(int status, std::string message, unsigned waits) {
    status_ = status;
    message_ = std::move(message);
    waits_ = waits;
    if (waits_ == 0) answer();
  }
  void on_batch(std::uint64_t /*first*/, std::uint64_t /*last*/, const Result<>& result) override {
    if (!result && !failure_) failure_ = result.error();
    if (--waits_ == 0) answer();
  }

  wire::line::Precision precision = wire::line::Precision::ns;
  std::string retention_policy;

 private:
  void answer() {
    if (failure_) {
      if (failure_->code != ErrorCode::io) return fail(*failure_);
      return fail(503, "whether the points were stored is not known, send them again: " + failure_->message);
    }
    if (!message_.empty()) return fail(status_, message_);
    responder_.send(branded(net::HttpResponse::empty(status_)));
  }

  net::HttpRequest& http_;
  runtime::Shard& shard_;
  net::Responder responder_;
  const bool v2_;
  int status_ = 204;
  std::string message_;
  unsigned waits_ = 0;
  std::optional<Error> failure_;
};

LineEndpoint::LineEndpoint(Needs needs) : needs_(std::move(needs)) {
  for (const auto& shard : needs_.shards)
    intakes_.push_back(std::make_unique<LineIntake>(*shard->outbox, needs_.admission, needs_.directory, needs_.config));
}

void LineEndpoint::mount(const net::Router::Group& root) {
  const auto options = [this](const char* name) {
    return net::RouteOptions{
        .name = name, .access = "device", .body_limit = needs_.config.line.body_bytes, .overlap = true};
  };
  net::Router::Group v1 = root;
  v1.use([this](net::HttpRequest& request) { return authenticate(request, Version::v1); });
  v1.post("/write", options("influx_write"), [this](net::HttpRequest& request, net::Responder responder) {
    write(request, std::move(responder), Version::v1);
  });
  net::Router::Group v2 = root;
  v2.use([this](net::HttpRequest& request) { return authenticate(request, Version::v2); });
  v2.post("/api/v2/write", options("influx_v2_write"), [this](net::HttpRequest& request, net::Responder responder) {
    write(request, std::move(responder), Version::v2);
  });
  net::Router::Group open = root;
  const auto ping = [](net::HttpRequest& request, net::Responder responder) {
    const auto verbose = request.query("verbose");
    if (!verbose || verbose->empty() || *verbose == "0" || *verbose == "false")
      return responder.send(branded(net::HttpResponse::empty(204)));
    responder.send(branded(net::HttpResponse::json(200, "{\"version\":\"" + std::string(kVersion) + "\"}")));
  };
  open.get("/ping", {.name = "influx_ping", .access = "public"}, ping);
  open.post("/ping", {.name = "influx_ping", .access = "public"}, ping);
}

void LineEndpoint::trace(const net::HttpRequest& request, const auth::Identity& identity, const std::string& message) {
  Tracer tracer(needs_.log, registry::ConnectionProtocol::http, request.peer().text());
  tracer.set_device(identity.tenant(), identity.device());
  tracer.failed(registry::ConnectionStage::parse, message);
}

net::Verdict LineEndpoint::authenticate(net::HttpRequest& request, Version version) {
  const http::PresentedCredential header(request);
  auth::Presented presented = header.get();
  const auto user = request.query("u");
  const auto password = request.query("p");
  if (presented.password.empty() && presented.user_name.empty()) {
    if (user) presented.user_name = *user;
    if (password) presented.password = *password;
  } else if (const std::size_t colon = presented.password.find(':');
             presented.user_name.empty() && colon != std::string_view::npos) {
    // `Token user:password`, as clients of version 2 speak to servers of version 1.
    presented.user_name = presented.password.substr(0, colon);
    presented.password = presented.password.substr(colon + 1);
  }
  auto identity = needs_.shards[request.shard().index()]->credentials.authenticate(presented, wall_now());
  if (!identity && needs_.users) {
    if (auto person = needs_.users(request); person || person.error().code == ErrorCode::permission_denied)
      identity = std::move(person);
  }
  if (identity) {
    request.principal = *std::move(identity);
    return net::Verdict::proceed();
  }
  needs_.metrics.refused_device.add();
  const auto refusal = needs_.sign_in.refused({.protocol = registry::ConnectionProtocol::http,
                                               .version = request.is_http_1_0() ? "HTTP/1.0" : "HTTP/1.1",
                                               .peer = request.peer(),
                                               .client_id = {},
                                               .presented = presented,
                                               .named = {}},
                                              std::move(identity).error());
  net::HttpResponse response = failure(version == Version::v2, net::status_of(refusal.error.code),
                                       "authorization failed: " + refusal.error.message);
  if (refusal.try_again) response.header("Retry-After", std::to_string(refusal.try_again->ns / 1'000'000'000));
  return net::Verdict::answer(std::move(response));
}

void LineEndpoint::write(net::HttpRequest& http, net::Responder responder, Version version) {
  needs_.metrics.messages_line.add();
  const bool v2 = version == Version::v2;
  const auto request = std::make_shared<Request>(http, std::move(responder), v2);
  const ShardIngest& shard = *needs_.shards[http.shard().index()];
  if (!shard.outbox->accepting()) {
    needs_.metrics.refused_busy.add();
    return request->fail(shard.outbox->refusal());
  }
  auto precision = wire::line::parse_precision(http.query("precision").value_or(""));
  if (!precision) return request->fail(precision.error());
  request->precision = *precision;
  std::string name;
  if (v2) {
    name = http.query("bucket").value_or("");
    if (name.empty()) return request->fail(400, "bucket is required: a database, or database/retention-policy");
    if (const std::size_t slash = name.find('/'); slash != std::string::npos) {
      request->retention_policy = name.substr(slash + 1);
      name.resize(slash);
    }
  } else {
    name = http.query("db").value_or("");
    if (name.empty()) return request->fail(400, "database is required");
    request->retention_policy = http.query("rp").value_or("");
    if (const auto consistency = http.query("consistency"); consistency && !is_consistency(*consistency))
      return request->fail(400, "invalid consistency level");
  }
  if (auto database = needs_.databases.find(request->identity().tenant(), name)) return take(request, database);
  if (!needs_.config.line.create_databases || !request->identity().create_devices())
    return request->fail(404, "database not found: \"" + name + "\"");
  runtime::Shard& home = http.shard();
  auto later = create_then_take(request, std::move(name));
  runtime::spawn(home, std::move(later), "database for line protocol");
}

Async<void> LineEndpoint::create_then_take(std::shared_ptr<Request> request, std::string name) {
  registry::NewDatabase wanted;
  wanted.name = std::move(name);
  auto made = co_await needs_.databases.ensure(request->identity().tenant(), std::move(wanted));
  if (!made) request->fail(made.error());
  else take(request, *made);
  co_return {};
}

void LineEndpoint::take(const std::shared_ptr<Request>& request, const registry::DatabaseEntryPtr& database) {
  if (request->retention_policy.empty())
    request->retention_policy = database->settings().retention_policies.front().name;
  else if (!database->has_policy(request->retention_policy))
    return request->fail(404, "retention policy not found: \"" + request->retention_policy + "\"");
  const auth::Identity& identity = request->identity();
  LineIntake& intake = *intakes_[request->shard().index()];
  intake.read(request->http().body(), request->precision, {identity, database, request->retention_policy});
  const auto& outcome = intake.outcome();
  std::string message;
  int status = 204;
  if (outcome.refused > 0) {
    const std::string refusals = refusals_text(outcome);
    const bool forbidden = outcome.rows == 0 && std::ranges::all_of(outcome.refusals, [](const auto& refusal) {
                             return refusal.error.code == ErrorCode::permission_denied;
                           });
    status = forbidden ? 403 : 400;
    message = outcome.rows == 0 && outcome.dropped == 0
                  ? refusals
                  : "partial write: " + refusals + " dropped=" + std::to_string(outcome.dropped);
    needs_.metrics.refused_values.add(outcome.refused);
    trace(request->http(), identity, refusals.substr(0, refusals.find('\n')));
  }
  needs_.metrics.readings_line.add(outcome.readings);
  unsigned waits = intake.commit(request, 0);
  const bool save = database->unsaved();
  // Neither the log nor the database answers within this call, so that the count stands before the first does.
  request->answer_later(status, std::move(message), waits + (save ? 1 : 0));
  if (!save) return;
  needs_.databases.save_fields(database, [request](Result<> result) {
    runtime::Shard& shard = request->shard();
    shard.post([request, result = std::move(result)] { request->on_batch(0, 0, result); });
  });
}

}  // namespace flux::ingest::line
