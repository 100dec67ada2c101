#include "process/registry_sink.h"

#include "observe/log.h"

namespace flux::process {

registry::DeviceEntry* RegistrySink::find(const DeviceState& device) {
  if (!device.entry || device.entry->removed()) device.entry = directory_.find(device.tenant, device.id);
  return device.entry.get();
}

registry::DeviceEntry& RegistrySink::ensure(const DeviceState& device) {
  if (!device.entry || device.entry->removed()) device.entry = directory_.ensure(device.tenant, device.id);
  return *device.entry;
}

void RegistrySink::learn(registry::DeviceEntry& entry, const KnownMetrics& metrics) {
  for (const KnownMetric& metric : metrics) {
    if (const auto known = entry.check_or_set_type(metric.measurement, metric.field, metric.type); !known)
      log::debug("a metric is known with another type", {{"device", entry.id()}, {"reason", known.error()}});
  }
}

Result<> RegistrySink::write(const Outputs& outputs) {
  if (!live_) return {};
  for (const Signal& signal : outputs.signals) {
    if (!signal.event) continue;
    const bool is_new = *signal.event == EventType::device_discovered;
    registry::DeviceEntry* const entry = is_new ? &ensure(*signal.state) : find(*signal.state);
    if (entry == nullptr) continue;
    switch (*signal.event) {
      case EventType::metric_discovered: learn(*entry, signal.metrics); break;
      case EventType::device_silent: entry->set_state(registry::DeviceState::silent); break;
      case EventType::device_discovered:
      case EventType::device_online: entry->set_state(registry::DeviceState::online); break;
    }
  }
  for (const DeviceStatePtr& device : outputs.heard) {
    registry::DeviceEntry* const entry = find(*device);
    if (entry == nullptr) continue;
    entry->seen(outputs.received_at);
    if (entry->state() == registry::DeviceState::never) entry->set_state(registry::DeviceState::online);
  }
  return {};
}

void RegistrySink::caught_up(const PartitionState& state) {
  live_ = true;
  state.for_each([&](const DeviceStatePtr& device) {
    if (device->last_arrival == Time::min()) return;  // set up by people, never heard from
    registry::DeviceEntry& entry = ensure(*device);
    entry.seen(device->last_arrival);
    if (device->last_event != Time::min()) entry.raise_assigned_time(device->last_event);
    entry.set_state(device->silent ? registry::DeviceState::silent : registry::DeviceState::online);
    learn(entry, *device->metrics);
  });
}

}  // namespace flux::process
