#include "ingest/admission.h"

#include <string>

namespace flux::ingest {

Result<registry::DeviceEntryPtr> Admission::admit(const auth::Identity& identity, std::string_view device) const {
  DO(identity.may_speak_for(device));
  if (auto known = directory_.find(identity.tenant(), device)) return known;
  DO(registry::check_device_id(device));
  if (!identity.create_devices()) {
    return fail(ErrorCode::permission_denied,
                "device '" + std::string(device) + "' is not registered, and this credential may not create devices",
                "device");
  }
  if (directory_.size() >= limits_.devices) {
    return fail(ErrorCode::exhausted,
                "device '" + std::string(device) + "' is new, and there are " + std::to_string(limits_.devices) +
                    " devices already (ingest.limits.devices)",
                "device");
  }
  return directory_.ensure(identity.tenant(), device);
}

}  // namespace flux::ingest
