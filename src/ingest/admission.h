#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "auth/device_auth.h"
#include "core/result.h"
#include "core/time.h"
#include "ingest/config.h"
#include "registry/directory.h"

namespace flux::ingest {

/// Says whether a credential may publish for a device, finds the device, and makes those that nobody registered. One
/// for the process; any thread.
class Admission {
 public:
  using Clock = Duration (*)();
  Admission(registry::Directory& directory, const LimitsConfig& limits, Clock clock = monotonic_now)
      : directory_(directory), limits_(limits), clock_(clock) {}

  /// The device; null when there is none and the credential may make it. `permission_denied` when the credential is
  /// another device's, or may not create the device; `invalid_argument` when it cannot be a device's id.
  [[nodiscard]] Result<registry::DeviceEntryPtr> admit(const auth::Identity& identity, std::string_view device) const;
  [[nodiscard]] registry::DeviceEntryPtr known(TenantId tenant, std::string_view device) const {
    return directory_.find(tenant, device);
  }

  /// Makes a device that was admitted, now that a reading of it is taken. `exhausted` names the limit: on all devices,
  /// on the tenant's, or on how many the credential may make in a while.
  Result<registry::DeviceEntryPtr> make(const auth::Identity& identity, std::string_view device);

 private:
  struct Budget {
    double left = 0;
    Duration at;
  };
  /// Takes one device out of the credential's budget; false when it is used up.
  bool spend(const auth::Identity& identity);

  registry::Directory& directory_;
  const LimitsConfig& limits_;
  const Clock clock_;
  std::mutex mutex_;
  std::map<std::string, Budget, std::less<>> budgets_;  // by credential; guarded by mutex_
};

}  // namespace flux::ingest
