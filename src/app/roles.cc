#include "app/roles.h"

#include <array>

namespace flux::app {
namespace {

using enum RoleId;

// One row a role: everything that depends on roles is derived from here.
constexpr std::array<Role, 13> kRoles{{
    {registry, "registry", "tenants, devices, profiles, metrics, dashboards", {auth}, {}},
    {auth, "auth", "users, sessions, tokens, device credentials", {registry}, {}},
    {store, "store", "keeps processed readings; the one owner of the time-series store", {process}, {}},
    {stream, "stream", "live readings to subscribers", {process}, {}},
    {process,
     "process",
     "validates, enriches, watches for silence; writes to store and stream",
     {ingest, store, registry},
     {}},
    {query, "query", "answers questions about readings", {store, registry}, {}},
    {ingest, "ingest", "device protocols in: MQTT, HTTP", {process, registry, auth}, {}},
    {gateway, "gateway", "REST, WebSocket, SSE and the web app on one port", {query, stream, registry, auth}, {}},
    {edge,
     "edge",
     "this machine's own readings and the demo site, sent like any device's",
     {ingest, registry, auth},
     {}},
    {alert, "alert", "alarms", {process}, "alarms are not part of this version"},
    {notify, "notify", "notifications", {alert}, "notifications are not part of this version"},
    {admin, "admin", "quotas, audit, backup", {gateway}, "administration is not part of this version"},
    {ml, "ml", "anomaly detection and forecasts", {query}, "detectors are not part of this version"},
}};

const Role* find(std::string_view name) {
  for (const Role& role : kRoles)
    if (role.name == name) return &role;
  return nullptr;
}

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message), "roles");
}

}  // namespace

std::span<const Role> roles() { return kRoles; }

const Role& role(RoleId id) {
  for (const Role& role : kRoles)
    if (role.id == id) return role;
  check_failed("role is in the table", __FILE__, __LINE__, {});
}

RoleSet all_roles() {
  RoleSet set;
  for (const Role& role : kRoles)
    if (role.missing.empty()) set.add(role.id);
  return set;
}

Result<RoleSet> parse_roles(std::string_view text) {
  if (text == "all" || text.empty()) return all_roles();
  RoleSet set;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const Role* found = find(name);
    if (found == nullptr) {
      std::string known;
      for (const Role& role : kRoles) known.append(known.empty() ? "" : ", ").append(role.name);
      return bad("'" + std::string(name) + "' is no role: expected all or some of " + known);
    }
    if (!found->missing.empty()) return bad("role " + std::string(name) + ": " + std::string(found->missing));
    set.add(found->id);
  }
  // The embedded log and stores live in one process: a role whose neighbours are elsewhere would serve nothing.
  for (const Role& role : kRoles) {
    if (!set.has(role.id) || set.covers(role.beside)) continue;
    std::string lacking;
    for (const Role& other : kRoles)
      if (role.beside.has(other.id) && !set.has(other.id))
        lacking.append(lacking.empty() ? "" : ", ").append(other.name);
    return bad("role " + std::string(role.name) + " cannot run alone on the embedded log and stores: it needs " +
               lacking + " in the same process");
  }
  return set;
}

std::vector<std::string> names(RoleSet set) {
  std::vector<std::string> names;
  for (const Role& role : kRoles)
    if (set.has(role.id)) names.emplace_back(role.name);
  return names;
}

}  // namespace flux::app
