#include "process/presence.h"

namespace flux::process {
namespace {

std::string quoted_time(Time time) { return "\"" + to_rfc3339(time) + "\""; }

/// To the second where it is long: people read it.
Duration rounded(Duration duration) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return duration.ns < 10 * kSecond ? Duration{duration.ns / 1'000'000 * 1'000'000}
                                    : Duration{duration.ns / kSecond * kSecond};
}

}  // namespace

void Presence::apply(Work& work, Signals& signals) {
  for (const ShapePlan* plan : work.plans) {
    const DeviceStatePtr& device = plan->device;
    const Time before = device->last_arrival;
    if (!state_.heard(device, work.received_at) && before != Time::min()) [[likely]]
      continue;
    if (before == Time::min()) {
      if (device->settings) {
        signals.event(EventType::device_online, device, work.received_at, device->id + " reports for the first time",
                      "{\"first\":true}");
      } else {
        signals.event(EventType::device_discovered, device, work.received_at, device->id + " was discovered", "{}");
      }
      continue;
    }
    const Duration gap = work.received_at - before;
    signals.event(EventType::device_online, device, work.received_at,
                  device->id + " reports again after " + to_string(rounded(gap)),
                  "{\"since\":" + quoted_time(before) + ",\"duration_ms\":" + std::to_string(gap.millis()) + "}");
  }
}

void Presence::apply(const wire::control::Tick& tick, Signals& signals) {
  for (const DeviceStatePtr& device : state_.tick(tick)) {
    signals.event(
        EventType::device_silent, device, state_.clock(),
        device->id + " has not been heard from for " + to_string(rounded(state_.clock() - device->last_arrival)),
        "{\"since\":" + quoted_time(device->last_arrival) +
            ",\"silent_after_ms\":" + std::to_string(device->silent_after.millis()) + "}");
  }
}

}  // namespace flux::process
