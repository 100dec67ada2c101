#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flux::auth {

/// What a person may be. The words are in the database and in tokens.
enum class Role : std::uint8_t { viewer = 1, operator_ = 2, administrator = 3 };
std::string_view to_string(Role role);  ///< `viewer`, `operator`, `administrator`
std::optional<Role> role_from(std::string_view text);

/// What can be allowed. Routes name the one that they need by its word (`RouteOptions::access`).
enum class Permission : std::uint8_t {
  read,            ///< devices, readings, events, dashboards
  send,            ///< telemetry in the name of any device
  control,         ///< commands to devices
  manage_devices,  ///< devices and profiles
  manage_dashboards,
  manage_credentials,  ///< device tokens, ingest keys
  manage_system,       ///< demo site, settings, users
};

struct PermissionRow {
  Permission permission;
  std::string_view name;
  Role least;  ///< the least role that has it
};

/// The whole policy: the only place that says who may do what.
inline constexpr std::array<PermissionRow, 7> kPermissions{{
    {Permission::read, "read", Role::viewer},
    {Permission::send, "send", Role::operator_},
    {Permission::control, "control", Role::operator_},
    {Permission::manage_devices, "manage_devices", Role::operator_},
    {Permission::manage_dashboards, "manage_dashboards", Role::operator_},
    {Permission::manage_credentials, "manage_credentials", Role::administrator},
    {Permission::manage_system, "manage_system", Role::administrator},
}};

std::optional<Permission> permission_from(std::string_view name);
bool allows(Role role, Permission permission);

}  // namespace flux::auth
