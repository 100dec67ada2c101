#include "ingest/http/telemetry_endpoint.h"

#include <charconv>
#include <optional>

#include "auth/device_secret.h"
#include "ingest/http/presented.h"
#include "ingest/trace.h"
#include "observe/json.h"

namespace flux::ingest::http {

using registry::ConnectionStage;

namespace {

constexpr std::size_t kRefusedBody = 16 << 10;
constexpr std::size_t kShownConnections = 64;

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

/// The first `"device":"…"` of a body that may be broken elsewhere; empty when there is none, or one that is escaped.
std::string_view device_named_in(std::string_view body) {
  constexpr std::string_view kKey = R"("device")";
  constexpr std::string_view kBlanks = " \t\r\n";
  body = body.substr(0, kRefusedBody);
  const std::size_t key = body.find(kKey);
  if (key == std::string_view::npos) return {};
  const std::size_t colon = body.find_first_not_of(kBlanks, key + kKey.size());
  if (colon == std::string_view::npos || body[colon] != ':') return {};
  const std::size_t quote = body.find_first_not_of(kBlanks, colon + 1);
  if (quote == std::string_view::npos || body[quote] != '"') return {};
  const std::size_t end = body.find('"', quote + 1);
  if (end == std::string_view::npos) return {};
  const std::string_view device = body.substr(quote + 1, end - quote - 1);
  return device.find('\\') == std::string_view::npos ? device : std::string_view();
}

std::string_view version_of(const net::HttpRequest& request) { return request.is_http_1_0() ? "HTTP/1.0" : "HTTP/1.1"; }

/// A small body that comes at once is read although its credential was refused, since it says which device was meant.
bool may_read_of_stranger(const net::HttpRequest& request) {
  if (request.authorization().first.empty() || request.has_header("Expect") || request.has_header("Content-Encoding"))
    return false;
  const std::string_view length = request.header("Content-Length");
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bytes);
  return error == std::errc() && end == length.data() + length.size() && bytes > 0 && bytes <= kRefusedBody;
}

bool is_json(const net::HttpRequest& request) {
  const std::string type = request.content_type();
  // curl -d says that a form comes; a body that is JSON all the same is taken, as is one that says nothing.
  return type.empty() || type == "application/json" || type.ends_with("+json") || type == "text/json" ||
         type == "application/x-www-form-urlencoded" || type == "text/plain";
}

}  // namespace

TelemetryEndpoint::TelemetryEndpoint(std::vector<std::unique_ptr<ShardIngest>>& shards, const HttpConfig& config,
                                     Metrics& metrics, SignIn& sign_in, registry::ConnectionLog& log, UserAccess users)
    : shards_(shards), config_(config), metrics_(metrics), sign_in_(sign_in), log_(log), users_(std::move(users)) {}

void TelemetryEndpoint::mount(const net::Router::Group& api) {
  net::Router::Group group = api;
  group.use([this](net::HttpRequest& request) { return authenticate(request); });
  group.post("/telemetry", {.name = "telemetry", .access = "device", .body_limit = config_.body_bytes, .overlap = true},
             [this](net::HttpRequest& request, net::Responder responder) { handle(request, std::move(responder)); });
}

Result<auth::IdentityPtr> TelemetryEndpoint::identify(net::HttpRequest& request) {
  ShardIngest& shard = *shards_[request.shard().index()];
  const PresentedCredential presented(request);
  auto identity = shard.credentials.authenticate(presented.get(), wall_now());
  if (!identity && users_) {
    // Who shows no device's credential may be a person; what was wrong with one that is a device's says the first.
    if (auto user = users_(request); user || user.error().code == ErrorCode::permission_denied)
      identity = std::move(user);
  }
  return identity;
}

net::Verdict TelemetryEndpoint::authenticate(net::HttpRequest& request) {
  auto identity = identify(request);
  if (identity) {
    request.principal = *std::move(identity);
    return net::Verdict::proceed();
  }
  // `handle` refuses it, when the body has said which device was meant.
  if (may_read_of_stranger(request) && !sign_in_.must_wait(request.peer())) return net::Verdict::proceed();
  return net::Verdict::answer(refuse(request, std::move(identity).error()));
}

/// The answer to somebody whose credential is no good.
net::HttpResponse TelemetryEndpoint::refuse(net::HttpRequest& request, Error why) {
  metrics_.refused_device.add();
  const PresentedCredential presented(request);
  const std::string_view named[] = {device_named_in(request.body())};
  auto refusal = sign_in_.refused({.protocol = registry::ConnectionProtocol::http,
                                   .version = version_of(request),
                                   .peer = request.peer(),
                                   .client_id = {},
                                   .presented = presented.get(),
                                   .named = named},
                                  std::move(why));
  net::HttpResponse response = net::HttpResponse::error(refusal.error);
  if (response.status == 401) response.header("WWW-Authenticate", R"(Bearer realm="fluxgate")");
  if (refusal.try_again) response.header("Retry-After", std::to_string(refusal.try_again->ns / 1'000'000'000));
  return response;
}

/// Once for each connection and device that somebody watches: from where it came, and that it was let in.
void TelemetryEndpoint::show_connection(const net::HttpRequest& request, const auth::Identity& identity,
                                        std::string_view device) {
  auto& shown = shards_[request.shard().index()]->shown;
  std::string which = request.peer().text() + " " + std::string(device);
  if (std::ranges::find(shown, which) != shown.end()) return;
  shown.push_back(std::move(which));
  if (shown.size() > kShownConnections) shown.pop_front();
  Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
  tracer.set_device(identity.tenant(), std::string(device));
  tracer.ok(ConnectionStage::connect, "connected with " + std::string(version_of(request)));
  tracer.ok(ConnectionStage::auth, identity.kind() == auth::Identity::Kind::device ? "its device token is valid"
                                   : identity.kind() == auth::Identity::Kind::open
                                       ? "no credential is asked for (auth.mode=open)"
                                   : identity.credential_id().starts_with("user ")
                                       ? "the " + identity.credential_id() + " may send in its name"
                                       : "its ingest key is valid");
}

void TelemetryEndpoint::handle(net::HttpRequest& request, net::Responder responder) {
  ShardIngest& shard = *shards_[request.shard().index()];
  if (request.principal == nullptr) {
    auto again = identify(request);
    if (!again) return responder.send(refuse(request, std::move(again).error()));
    request.principal = *std::move(again);
  }
  const auto& identity = *static_cast<const auth::Identity*>(request.principal.get());
  metrics_.messages_http.add();
  if (!shard.outbox->accepting()) {
    metrics_.refused_busy.add();
    return responder.send(Pending::busy(shard.outbox->refusal()));
  }
  const auto failed = [&](std::string_view of, std::string message) {
    if (log_.watched(identity.tenant(), of)) show_connection(request, identity, of);
    Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
    tracer.set_device(identity.tenant(), std::string(of));
    tracer.failed(ConnectionStage::parse, std::move(message));
  };
  if (!is_json(request)) {
    std::string message = "expected Content-Type: application/json, got " + request.content_type();
    failed(identity.device(), message);
    return responder.send(net::HttpResponse::error(415, "invalid_argument", message));
  }

  const auto read = shard.intake.read(request.body(), wire::json::TelemetryForm::enveloped, {identity});
  const auto& outcome = shard.intake.outcome();
  const bool taken = read && outcome.readings > 0;
  const DeviceSlotPtr& device = shard.intake.first_device();
  const std::string_view device_id = device                       ? std::string_view(device->id())
                                     : !identity.device().empty() ? std::string_view(identity.device())
                                     : !taken                     ? device_named_in(request.body())
                                                                  : std::string_view();
  if (!read || outcome.refused > 0) {
    (read ? metrics_.refused_values : metrics_.refused_payload).add(read ? outcome.refused : 1);
    const Error& error = read ? outcome.refusals.front().error : read.error();
    failed(device_id, error.field.empty() ? error.message : error.field + ": " + error.message);
    if (error.code == ErrorCode::permission_denied) {
      const std::string_view named[] = {device_named_in(request.body())};
      sign_in_.mistaken({.protocol = registry::ConnectionProtocol::http,
                         .version = version_of(request),
                         .peer = request.peer(),
                         .client_id = {},
                         .presented = {},
                         .named = named},
                        identity);
    }
  }
  if (!taken) {
    shard.intake.commit(nullptr, 0);
    const Error& error = read ? outcome.refusals.front().error : read.error();
    const int status = read ? 400 : net::status_of(error.code);
    // What the credential may not do is no fault of the body.
    const bool forbidden = read && std::ranges::all_of(outcome.refusals, [](const auto& refusal) {
                             return refusal.error.code == ErrorCode::permission_denied;
                           });
    // Nor is what would be one device too many: another time it may be taken.
    const bool later = read && std::ranges::all_of(outcome.refusals, [](const auto& refusal) {
                         return refusal.error.code == ErrorCode::exhausted;
                       });
    std::string body = nothing_accepted(error, refused_json(outcome));
    if (later) {
      net::HttpResponse response = net::HttpResponse::json(429, std::move(body));
      response.header("Retry-After", "1");
      return responder.send(std::move(response));
    }
    return responder.send_json(forbidden ? 403 : status, std::move(body));
  }
  metrics_.readings_http.add(outcome.readings);
  if (log_.watched(identity.tenant(), device_id)) {
    show_connection(request, identity, device_id);
    Tracer tracer(log_, registry::ConnectionProtocol::http, request.peer().text());
    tracer.set_device(identity.tenant(), std::string(device_id));
    tracer.ok(ConnectionStage::reading, std::to_string(outcome.readings) + " values taken by POST /api/v1/telemetry");
  }
  const auto pending = std::make_shared<Pending>(std::move(responder), outcome.readings, refused_json(outcome));
  pending->expect(shard.intake.commit(pending, 0));
}

}  // namespace flux::ingest::http
