#include "ingest/http/telemetry_endpoint.h"

#include <charconv>
#include <optional>

#include "ingest/trace.h"
#include "observe/json.h"

namespace flux::ingest::http {

using registry::ConnectionStage;

namespace {

/// One request that waits for its batches. Lives on the request's shard.
class Pending final : public Answerer {
 public:
  Pending(net::Responder responder, std::uint32_t accepted, std::string refused)
      : responder_(std::move(responder)), accepted_(accepted), refused_(std::move(refused)) {}

  void expect(unsigned batches) { batches_ = batches; }

  void on_batch(std::uint64_t /*first*/, std::uint64_t /*last*/, const Result<>& result) override {
    if (!result && !failure_) failure_ = result.error();
    if (--batches_ == 0) answer();
  }

  static net::HttpResponse busy(const Error& error) {
    net::HttpResponse response = net::HttpResponse::error(error);
    response.header("Retry-After", "1");
    return response;
  }

 private:
  void answer() {
    if (failure_) {
      Error error = *failure_;
      if (error.code == ErrorCode::io) {
        error.code = ErrorCode::unavailable;
        error.message = "whether the readings were stored is not known, send them again: " + error.message;
      }
      responder_.send(busy(error));
      return;
    }
    char text[64] = R"({"accepted":)";
    char* end = std::to_chars(text + 12, text + 40, accepted_).ptr;
    if (refused_.empty()) {
      *end++ = '}';
      return responder_.send_json(200, {text, end});
    }
    responder_.send_json(200, std::string(text, end) + refused_ + "}");
  }

  net::Responder responder_;
  std::uint32_t accepted_;
  std::string refused_;
  unsigned batches_ = 0;
  std::optional<Error> failure_;
};

/// `,"refused":[…],"refused_count":7`, empty when nothing was.
std::string refused_json(const wire::json::TelemetryOutcome& outcome) {
  if (outcome.refused == 0) return {};
  std::string text = R"(,"refused":[)";
  for (const auto& refusal : outcome.refusals) {
    if (text.back() != '[') text += ',';
    text += R"({"index":)" + std::to_string(refusal.index) + R"(,"field":)";
    observe::append_json_string(text, refusal.error.field);
    text += R"(,"code":)";
    observe::append_json_string(text, to_string(refusal.error.code));
    text += R"(,"message":)";
    observe::append_json_string(text, refusal.error.message);
    text += '}';
  }
  return text + R"(],"refused_count":)" + std::to_string(outcome.refused);
}

/// `{"error":{…},"accepted":0,"refused":[…]}`
std::string nothing_accepted(const Error& error, const std::string& refused) {
  std::string text = net::error_json(to_string(error.code), error.message, error.field);
  text.pop_back();  // the closing brace
  return text + R"(,"accepted":0)" + refused + "}";
}

/// As the standard alphabet, with or without padding; nothing when it is neither.
std::optional<std::string> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    else if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    else if (c >= '0' && c <= '9') value = c - '0' + 52;
    else if (c == '+' || c == '-') value = 62;
    else if (c == '/' || c == '_') value = 63;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return out;
}

bool is_json(const net::HttpRequest& request) {
  const std::string type = request.content_type();
  // curl -d says that a form comes; a body that is JSON all the same is taken, as is one that says nothing.
  return type.empty() || type == "application/json" || type.ends_with("+json") || type == "text/json" ||
         type == "application/x-www-form-urlencoded" || type == "text/plain";
}

}  // namespace

TelemetryEndpoint::TelemetryEndpoint(std::vector<std::unique_ptr<ShardIngest>>& shards, const HttpConfig& config,
                                     Metrics& metrics, registry::ConnectionLog& log, UserAccess users)
    : shards_(shards), config_(config), metrics_(metrics), log_(log), users_(std::move(users)) {}

void TelemetryEndpoint::mount(const net::Router::Group& api) {
  net::Router::Group group = api;
  group.use([this](net::HttpRequest& request) { return authenticate(request); });
  group.post("/telemetry", {.name = "telemetry", .access = "device", .body_limit = config_.body_bytes, .overlap = true},
             [this](net::HttpRequest& request, net::Responder responder) { handle(request, std::move(responder)); });
}

net::Verdict TelemetryEndpoint::authenticate(net::HttpRequest& request) {
  ShardIngest& shard = *shards_[request.shard().index()];
  const auto [scheme, credential] = request.authorization();
  auth::Presented presented;
  std::string basic;
  if (net::equals_ignoring_case(scheme, "Bearer") || net::equals_ignoring_case(scheme, "Token")) {
    presented.password = credential;
  } else if (net::equals_ignoring_case(scheme, "Basic")) {
    if (auto decoded = from_base64(credential)) {
      basic = *std::move(decoded);
      const std::size_t colon = std::min(basic.find(':'), basic.size());
      presented.user_name = std::string_view(basic).substr(0, colon);
      if (colon < basic.size()) presented.password = std::string_view(basic).substr(colon + 1);
    }
  }
  auto identity = shard.credentials.authenticate(presented, wall_now());
  if (!identity && users_) {
    if (auto user = users_(request)) identity = std::move(user);
  }
  if (identity) {
    request.principal = *std::move(identity);
    return net::Verdict::proceed();
  }
  metrics_.refused_device.add();
  Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
  tracer.failed(ConnectionStage::auth, identity.error().message);
  net::HttpResponse response = net::HttpResponse::error(identity.error());
  if (response.status == 401) response.header("WWW-Authenticate", R"(Bearer realm="fluxgate")");
  return net::Verdict::answer(std::move(response));
}

void TelemetryEndpoint::handle(net::HttpRequest& request, net::Responder responder) {
  ShardIngest& shard = *shards_[request.shard().index()];
  const auto& identity = *static_cast<const auth::Identity*>(request.principal.get());
  metrics_.messages_http.add();
  if (!shard.outbox->accepting()) {
    metrics_.refused_busy.add();
    return responder.send(Pending::busy(shard.outbox->refusal()));
  }
  if (!is_json(request)) {
    return responder.send(net::HttpResponse::error(
        415, "invalid_argument", "expected Content-Type: application/json, got " + request.content_type()));
  }

  const auto read = shard.intake.read(request.body(), wire::json::TelemetryForm::enveloped, {identity});
  const auto& outcome = shard.intake.outcome();
  const bool taken = read && outcome.readings > 0;
  const DeviceSlotPtr& device = shard.intake.first_device();
  const std::string_view device_id = device ? std::string_view(device->entry().id()) : identity.device();
  if (!read || outcome.refused > 0) {
    (read ? metrics_.refused_values : metrics_.refused_payload).add(read ? outcome.refused : 1);
    const Error& error = read ? outcome.refusals.front().error : read.error();
    Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
    tracer.set_device(identity.tenant(), std::string(device_id));
    tracer.failed(ConnectionStage::parse, error.field.empty() ? error.message : error.field + ": " + error.message);
  }
  if (!taken) {
    shard.intake.commit(nullptr, 0);
    const Error& error = read ? outcome.refusals.front().error : read.error();
    const int status = read ? 400 : net::status_of(error.code);
    // What the credential may not do is no fault of the body.
    const bool forbidden = read && std::ranges::all_of(outcome.refusals, [](const auto& refusal) {
                             return refusal.error.code == ErrorCode::permission_denied;
                           });
    return responder.send_json(forbidden ? 403 : status, nothing_accepted(error, refused_json(outcome)));
  }
  metrics_.readings_http.add(outcome.readings);
  if (log_.watched(identity.tenant(), device_id)) {
    Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
    tracer.set_device(identity.tenant(), std::string(device_id));
    tracer.ok(ConnectionStage::reading, std::to_string(outcome.readings) + " values taken by POST /api/v1/telemetry");
  }
  const auto pending = std::make_shared<Pending>(std::move(responder), outcome.readings, refused_json(outcome));
  pending->expect(shard.intake.commit(pending, 0));
}

}  // namespace flux::ingest::http
