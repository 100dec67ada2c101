#include "gateway/access.h"

#include <utility>

#include "auth/secrets.h"
#include "net/websocket.h"

namespace flux::gateway {
namespace {

bool is_safe(net::Method method) {
  return method == net::Method::get || method == net::Method::head || method == net::Method::options;
}

Result<auth::PrincipalPtr> identify(const net::HttpRequest& request, auth::Accounts& accounts, auth::Mode mode) {
  if (mode == auth::Mode::open) return accounts.anyone();
  const auto [scheme, credential] = request.authorization();
  if (!scheme.empty()) {
    if (credential.starts_with("fgd_") || credential.starts_with("fgk_"))
      return fail(ErrorCode::permission_denied,
                  "a device's credential sends telemetry; the API is for people and programs");
    if (!net::equals_ignoring_case(scheme, "Bearer"))
      return fail(ErrorCode::unauthenticated, "expected 'Authorization: Bearer' and an access token");
    return accounts.by_bearer(credential, wall_now());
  }
  const std::string_view cookie = request.cookie(kSessionCookie);
  if (cookie.empty()) return fail(ErrorCode::unauthenticated, "sign in first: there is neither a session nor a token");
  if (!is_safe(request.method()) && (!request.has_header("Origin") || !net::same_origin(request)))
    return fail(ErrorCode::permission_denied, "a request with a session cookie must come from a page of this server");
  return accounts.by_session(cookie, wall_now());
}

}  // namespace

net::Middleware require_access(auth::Accounts& accounts, auth::Mode mode) {
  return [&accounts, mode](net::HttpRequest& request) {
    auto principal = identify(request, accounts, mode);
    if (!principal) {
      auto answer = net::HttpResponse::error(principal.error());
      if (answer.status == 401) answer.header("WWW-Authenticate", "Bearer");
      return net::Verdict::answer(std::move(answer));
    }
    const std::string& needed = request.route().access;
    if (needed != kSignedIn) {
      const auto permission = auth::permission_from(needed);
      CHECK_MSG(permission.has_value(), "route " + request.route().pattern + " names no permission");
      if (!(*principal)->allows(*permission))
        return net::Verdict::answer(net::HttpResponse::error(
            Error{ErrorCode::permission_denied, "this needs the permission '" + needed + "'", {}}));
    }
    request.principal = *std::move(principal);
    return net::Verdict::proceed();
  };
}

net::Middleware token_or(std::string token, net::Middleware otherwise) {
  return [token = std::move(token), otherwise = std::move(otherwise)](net::HttpRequest& request) {
    const auto [scheme, credential] = request.authorization();
    if (!token.empty() && net::equals_ignoring_case(scheme, "Bearer") &&
        auth::equal_in_constant_time(credential, token))
      return net::Verdict::proceed();
    return otherwise(request);
  };
}

auth::PrincipalPtr shared_caller(const net::HttpRequest& request) {
  return std::static_pointer_cast<const auth::Principal>(request.principal);
}

}  // namespace flux::gateway
