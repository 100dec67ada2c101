#include "gateway/influx/sign_in.h"

#include <algorithm>
#include <utility>

#include "auth/secrets.h"
#include "gateway/access.h"
#include "net/base64.h"
#include "net/websocket.h"
#include "observe/json.h"

namespace flux::gateway::influx {
namespace {

constexpr std::size_t kRemembered = 1'000;

bool is_device_secret(std::string_view text) { return text.starts_with("fgd_") || text.starts_with("fgk_"); }

}  // namespace

net::HttpResponse failure(int status, std::string_view message) {
  std::string body = R"({"error":)";
  observe::append_json_string(body, message);
  body += "}\n";
  auto response = net::HttpResponse::json(status, std::move(body));
  response.header("X-Influxdb-Version", "1.8-fluxgate");
  std::string line(message);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  response.header("X-Influxdb-Error", std::move(line));
  if (status == 401) response.header("WWW-Authenticate", R"(Basic realm="InfluxDB")");
  return response;
}

SignIn::Shown SignIn::shown_by(const net::HttpRequest& request) {
  Shown shown;
  const auto [scheme, credential] = request.authorization();
  if (net::equals_ignoring_case(scheme, "Bearer") || net::equals_ignoring_case(scheme, "Token")) {
    shown.bearer = net::equals_ignoring_case(scheme, "Bearer");
    shown.password = credential;
    if (const std::size_t colon = shown.password.find(':'); colon != std::string::npos) {
      shown.user = shown.password.substr(0, colon);
      shown.password.erase(0, colon + 1);
    }
  } else if (net::equals_ignoring_case(scheme, "Basic")) {
    if (auto decoded = net::from_base64(credential)) {
      const std::size_t colon = std::min(decoded->find(':'), decoded->size());
      shown.user = decoded->substr(0, colon);
      if (colon < decoded->size()) shown.password = decoded->substr(colon + 1);
    }
  } else {
    shown.user = request.query("u").value_or("");
    shown.password = request.query("p").value_or("");
  }
  return shown;
}

Asker SignIn::asker_for(const auth::Principal& principal) {
  const bool manages = principal.allows(auth::Permission::manage_devices);
  return {.tenant = principal.tenant(),
          .may_read = principal.allows(auth::Permission::read),
          .may_create = manages,
          .may_manage = manages};
}

Result<Asker> SignIn::known(const net::HttpRequest& request, const Shown& shown) {
  const Time now = wall_now();
  if (needs_.mode == auth::Mode::open) return asker_for(*needs_.accounts.anyone());
  if (is_device_secret(shown.password) || is_device_secret(shown.user)) {
    TRY(const auto identity, needs_.devices.authenticate({shown.user, shown.password}, now));
    const bool key = identity->kind() == auth::Identity::Kind::ingest_key;
    return Asker{.tenant = identity->tenant(),
                 .may_read = key && needs_.keys_read,
                 .may_create = key && identity->create_devices(),
                 .may_manage = false};
  }
  if (shown.bearer) {
    TRY(const auto principal, needs_.accounts.by_bearer(shown.password, now));
    return asker_for(*principal);
  }
  if (shown.user.empty() && shown.password.empty()) {
    const std::string_view cookie = request.cookie(kSessionCookie);
    if (cookie.empty()) return fail(ErrorCode::unauthenticated, "unable to parse authentication credentials");
    // A page elsewhere can make a browser send the cookie along; only ours may have the answer, or change something.
    const bool reads = request.method() == net::Method::get || request.method() == net::Method::head;
    if (!reads && (!request.has_header("Origin") || !net::same_origin(request)))
      return fail(ErrorCode::permission_denied, "a request with a session cookie must come from a page of this server");
    TRY(const auto principal, needs_.accounts.by_session(cookie, now));
    return asker_for(*principal);
  }
  std::string token;
  {
    const std::lock_guard lock(mutex_);
    const auto at = tokens_.find(auth::hash_token(shown.user + '\0' + shown.password));
    if (at != tokens_.end()) token = at->second;
  }
  if (token.empty()) return fail(ErrorCode::not_found, "not seen yet");
  TRY(const auto principal, needs_.accounts.by_bearer(token, now));
  return asker_for(*principal);
}

Async<std::optional<net::HttpResponse>> SignIn::by_password(net::HttpRequest& request, Shown shown) {
  std::string key = auth::hash_token(shown.user + '\0' + shown.password);
  auto tokens =
      co_await needs_.accounts.sign_in_for_tokens(shown.user, std::move(shown.password), request.peer().ip_text());
  if (!tokens) {
    const bool wait = tokens.error().code == ErrorCode::exhausted;
    co_return failure(wait ? 429 : 401, "authorization failed: " + tokens.error().message);
  }
  auto principal = needs_.accounts.by_bearer(tokens->access_token, wall_now());
  if (!principal) co_return failure(401, "authorization failed: " + principal.error().message);
  {
    const std::lock_guard lock(mutex_);
    if (tokens_.size() >= kRemembered) tokens_.clear();
    tokens_[std::move(key)] = tokens->access_token;
  }
  request.principal = std::make_shared<const Asker>(asker_for(**principal));
  co_return std::optional<net::HttpResponse>();
}

net::Verdict SignIn::operator()(net::HttpRequest& request) {
  Shown shown = shown_by(request);
  auto asker = known(request, shown);
  if (asker) {
    request.principal = std::make_shared<const Asker>(*asker);
    return net::Verdict::proceed();
  }
  const bool named = !shown.user.empty() && !shown.password.empty() && !shown.bearer &&
                     !is_device_secret(shown.password) && !is_device_secret(shown.user);
  if (named) return net::Verdict::wait(by_password(request, std::move(shown)));
  return net::Verdict::answer(
      failure(net::status_of(asker.error().code), "authorization failed: " + asker.error().message));
}

}  // namespace flux::gateway::influx
