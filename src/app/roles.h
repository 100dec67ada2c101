#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

/// The services of a node as one table: what each is for, what it needs beside it, and whether it can run apart.
namespace flux::app {

enum class RoleId : std::uint8_t {
  registry,
  auth,
  store,
  process,
  stream,
  query,
  ingest,
  alert,
  notify,
  admin,
  ml,
  gateway,
  edge,
};

/// A set of roles, one bit each.
class RoleSet {
 public:
  constexpr RoleSet() = default;
  constexpr RoleSet(std::initializer_list<RoleId> roles) {
    for (const RoleId role : roles) add(role);
  }
  constexpr void add(RoleId role) { bits_ |= 1U << static_cast<unsigned>(role); }
  [[nodiscard]] constexpr bool has(RoleId role) const { return (bits_ >> static_cast<unsigned>(role) & 1U) != 0; }
  [[nodiscard]] constexpr bool covers(RoleSet other) const { return (bits_ & other.bits_) == other.bits_; }
  friend constexpr bool operator==(RoleSet, RoleSet) = default;

 private:
  std::uint32_t bits_ = 0;
};

struct Role {
  RoleId id;
  std::string_view name;
  std::string_view purpose;
  /// Roles that must be in the same process as long as the log and the stores are embedded ones.
  RoleSet beside;
  /// Empty: it runs. Else why this version cannot run it.
  std::string_view missing;
};

/// In starting order; drained and stopped in reverse.
std::span<const Role> roles();
const Role& role(RoleId id);

/// Every role that this version can run.
RoleSet all_roles();

/// `ingest,process`; `all`. `invalid_argument` names an unknown role (with the known ones), one that this version
/// lacks, or what a role needs beside it.
Result<RoleSet> parse_roles(std::string_view text);
std::vector<std::string> names(RoleSet set);

}  // namespace flux::app
