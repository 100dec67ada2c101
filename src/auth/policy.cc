#include "auth/policy.h"

namespace flux::auth {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::viewer: return "viewer";
    case Role::operator_: return "operator";
    case Role::administrator: return "administrator";
  }
  return "?";
}

std::optional<Role> role_from(std::string_view text) {
  for (const Role role : {Role::viewer, Role::operator_, Role::administrator})
    if (text == to_string(role)) return role;
  return std::nullopt;
}

std::optional<Permission> permission_from(std::string_view name) {
  for (const PermissionRow& row : kPermissions)
    if (row.name == name) return row.permission;
  return std::nullopt;
}

bool allows(Role role, Permission permission) {
  for (const PermissionRow& row : kPermissions)
    if (row.permission == permission) return role >= row.least;
  return false;
}

}  // namespace flux::auth
