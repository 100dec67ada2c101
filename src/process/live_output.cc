#include "process/live_output.h"

namespace flux::process {

Result<> LiveOutput::write(const Outputs& outputs) {
  if (outputs.position.offset < from_) return {};
  if (outputs.readings.batch) live_.on_batch(outputs.readings);
  for (const Signal& signal : outputs.signals) {
    if (!signal.event) continue;
    live_.on_event(signal.tenant, signal.device, signal.json);
    if (*signal.event == EventType::metric_discovered) continue;
    live_.on_state({.device = signal.state->context,
                    .online = *signal.event != EventType::device_silent,
                    .last_seen = signal.state->last_arrival});
  }
  return {};
}

}  // namespace flux::process
