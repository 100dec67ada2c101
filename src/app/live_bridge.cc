#include "app/live_bridge.h"

#include "observe/log.h"

namespace flux::app {
namespace {
log::Throttle unreadable_throttle(1_min);
}

void LiveBridge::on_state(const process::StateChange& change) {
  // Whether a connection is open is the registry's to know: processing sees the log only.
  const auto entry = directory_.find(change.device->tenant, change.device->device);
  hub_.on_state(*change.device, change.online ? registry::DeviceState::online : registry::DeviceState::silent,
                entry && entry->connections() > 0, change.last_seen);
}

void LiveBridge::on_event(TenantId tenant, const std::string& device, const std::shared_ptr<const std::string>& json) {
  const auto shown = wire::split_tenant(*json);
  if (!shown) return log::error(unreadable_throttle, "an event cannot be shown", {{"error", shown.error().message}});
  hub_.on_event(tenant, device, shown->json);
}

}  // namespace flux::app
