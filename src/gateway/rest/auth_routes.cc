#include "gateway/rest/auth_routes.h"

#include <algorithm>

#include "gateway/access.h"
#include "gateway/json_input.h"
#include "gateway/json_text.h"
#include "net/websocket.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;
using observe::append_json_string;

void append_user(std::string& out, const auth::User& user) {
  out += R"("user":{"username":)";
  append_json_string(out, user.name);
  out += R"(,"role":")";
  out += to_string(user.role);
  // One tenant so far; its name is fixed until tenants can be managed.
  out += R"(","tenant":"default","has_password":)";
  out += user.has_password ? "true}" : "false}";
}

HttpResponse session_answer(const auth::SignedIn& in) {
  std::string body = "{";
  append_user(body, in.user);
  body += '}';
  const net::Cookie cookie{.name = std::string(kSessionCookie), .value = in.session};
  return HttpResponse::json(200, std::move(body))
      .header("Set-Cookie", cookie.header_value())
      .header("Cache-Control", "no-store");
}

HttpResponse tokens_answer(const auth::Tokens& tokens) {
  std::string body = R"({"access_token":)";
  append_json_string(body, tokens.access_token);
  body += R"(,"token_type":"Bearer","expires_in":)";
  append_integer(body, tokens.expires_in.ns / 1'000'000'000);
  body += R"(,"refresh_token":)";
  append_json_string(body, tokens.refresh_token);
  body += ',';
  append_user(body, tokens.user);
  body += '}';
  return HttpResponse::json(200, std::move(body)).header("Cache-Control", "no-store");
}

/// What an attempt that failed is answered; one that came too soon is told when to come again.
HttpResponse refusal(const Error& error, Duration wait) {
  HttpResponse answer = HttpResponse::error(error);
  if (error.code == ErrorCode::exhausted) {
    const std::int64_t seconds = (wait.ns + 999'999'999) / 1'000'000'000;
    answer.header("Retry-After", std::to_string(std::max<std::int64_t>(seconds, 1)));
  }
  return answer;
}

/// A page elsewhere must not be able to sign its visitor in under another's name.
Result<> from_own_page(const HttpRequest& request) {
  if (net::same_origin(request)) return {};
  return fail(ErrorCode::permission_denied, "the request comes from a page of another server");
}

}  // namespace

void AuthRoutes::mount(net::Router::Group open, net::Router::Group api) {
  constexpr std::size_t kBody = 16 << 10;
  open.post("/api/v1/auth/link", {.name = "auth_link", .body_limit = kBody},
            [this](HttpRequest& r) { return link(r); });
  open.post("/api/v1/auth/login", {.name = "auth_login", .body_limit = kBody},
            [this](HttpRequest& r) { return login(r); });
  open.post("/api/v1/auth/refresh", {.name = "auth_refresh", .body_limit = kBody},
            [this](HttpRequest& r) { return refresh(r); });
  open.get("/.well-known/jwks.json", {.name = "jwks"}, [this](HttpRequest&, net::Responder responder) {
    responder.send(HttpResponse::json(200, accounts_.jwks()).header("Cache-Control", "public, max-age=300"));
  });
  api.post("/auth/logout", {.name = "auth_logout", .access = kSignedIn}, [this](HttpRequest& r) { return logout(r); });
  api.put("/auth/password", {.name = "auth_password", .access = kSignedIn, .body_limit = kBody},
          [this](HttpRequest& r) { return password(r); });
  api.get("/auth/me", {.name = "auth_me", .access = kSignedIn},
          [this](HttpRequest& r, net::Responder responder) { me(r, std::move(responder)); });
}

Async<HttpResponse> AuthRoutes::link(HttpRequest& request) {
  CO_DO(from_own_page(request));
  CO_TRY(const auto body, JsonObject::parse(request.body()));
  CO_DO(body.only({"token"}));
  CO_TRY(auto token, body.required_text("token"));
  const auto in = co_await accounts_.exchange_link(std::move(token), request.peer().ip_text());
  if (!in) co_return refusal(in.error(), accounts_.must_wait({}, request.peer().ip_text()));
  co_return session_answer(*in);
}

Async<HttpResponse> AuthRoutes::login(HttpRequest& request) {
  CO_DO(from_own_page(request));
  CO_TRY(const auto body, JsonObject::parse(request.body()));
  CO_DO(body.only({"username", "password", "session"}));
  CO_TRY(auto name, body.required_text("username"));
  CO_TRY(auto password, body.required_text("password"));
  CO_TRY(const auto session, body.boolean("session"));
  std::string peer = request.peer().ip_text();
  if (session.value_or(false)) {
    const auto in = co_await accounts_.sign_in(name, std::move(password), peer);
    if (!in) co_return refusal(in.error(), accounts_.must_wait(name, peer));
    co_return session_answer(*in);
  }
  const auto tokens = co_await accounts_.sign_in_for_tokens(name, std::move(password), peer);
  if (!tokens) co_return refusal(tokens.error(), accounts_.must_wait(name, peer));
  co_return tokens_answer(*tokens);
}

Async<HttpResponse> AuthRoutes::refresh(HttpRequest& request) {
  CO_TRY(const auto body, JsonObject::parse(request.body()));
  CO_DO(body.only({"refresh_token"}));
  CO_TRY(auto token, body.required_text("refresh_token"));
  CO_TRY(const auto tokens, co_await accounts_.refresh(std::move(token)));
  co_return tokens_answer(tokens);
}

Async<HttpResponse> AuthRoutes::logout(HttpRequest& request) {
  auto principal = shared_caller(request);
  CO_DO(co_await accounts_.sign_out(std::move(principal)));
  const net::Cookie gone{.name = std::string(kSessionCookie), .value = "", .max_age = Duration{}};
  co_return HttpResponse::empty(204).header("Set-Cookie", gone.header_value());
}

Async<HttpResponse> AuthRoutes::password(HttpRequest& request) {
  CO_TRY(const auto body, JsonObject::parse(request.body()));
  CO_DO(body.only({"current", "new"}));
  CO_TRY(auto current, body.text("current"));
  CO_TRY(auto next, body.required_text("new"));
  auto principal = shared_caller(request);
  std::string peer = request.peer().ip_text();
  const auto set = co_await accounts_.set_password(principal, std::move(current), std::move(next), peer);
  if (!set) co_return refusal(set.error(), accounts_.must_wait(principal->user.name, peer));
  co_return HttpResponse::empty(204);
}

void AuthRoutes::me(HttpRequest& request, net::Responder responder) const {
  std::string body = "{";
  append_user(body, caller(request).user);
  body += mode_ == auth::Mode::open ? R"(,"mode":"open"})" : R"(,"mode":"closed"})";
  responder.send_json(200, body);
}

}  // namespace flux::gateway
