#pragma once

#include "auth/accounts.h"
#include "net/http.h"
#include "net/router.h"

namespace flux::gateway {

inline constexpr std::string_view kSessionCookie = "fluxgate_session";
/// `RouteOptions::access` of a route that any signed-in person may use.
inline constexpr const char* kSignedIn = "signed_in";

/// Says who calls, from the session cookie or `Authorization: Bearer`, and whether the route's permission
/// (`RouteOptions::access`, a word of auth::Permission or `kSignedIn`) is theirs. 401, 403, or on with the principal in
/// the request. A cookie counts only where the request comes from a page of ours: an unsafe method needs an Origin that
/// is the Host.
net::Middleware require_access(auth::Accounts& accounts, auth::Mode mode);

/// Lets the bearer of `token` through, who is nobody then (there is no principal), and asks `otherwise` about the rest.
/// An empty token lets nobody through.
net::Middleware token_or(std::string token, net::Middleware otherwise);

/// Of a request that passed `require_access`.
inline const auth::Principal& caller(const net::HttpRequest& request) {
  return *request.principal_as<auth::Principal>();
}
auth::PrincipalPtr shared_caller(const net::HttpRequest& request);

}  // namespace flux::gateway
