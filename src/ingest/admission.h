#pragma once

#include <string_view>

#include "auth/device_auth.h"
#include "core/result.h"
#include "ingest/config.h"
#include "registry/directory.h"

namespace flux::ingest {

/// Says whether a credential may publish for a device, and finds the device. Any thread.
class Admission {
 public:
  Admission(registry::Directory& directory, const LimitsConfig& limits) : directory_(directory), limits_(limits) {}

  /// The device; made if it is new and the credential may do that. `permission_denied` when the credential is another
  /// device's, or may not create the device; `invalid_argument` when it cannot be a device's id; `exhausted` when there
  /// are as many devices as the limit allows.
  [[nodiscard]] Result<registry::DeviceEntryPtr> admit(const auth::Identity& identity, std::string_view device) const;

 private:
  registry::Directory& directory_;
  const LimitsConfig& limits_;
};

}  // namespace flux::ingest
