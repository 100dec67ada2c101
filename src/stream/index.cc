#include "stream/index.h"

#include <algorithm>
#include <mutex>

namespace flux::stream {

/// Calls `visit` for each list that a selection belongs to.
template <class Visit>
void Index::places(const Selector& selector, Visit visit) {
  Tenant& tenant = tenants_[selector.tenant];
  if (!selector.devices.empty()) {
    for (const std::string& device : selector.devices) visit(tenant.devices[device]);
  } else if (!selector.labels.empty()) {
    visit(tenant.labels[selector.labels.front()]);
  } else if (!selector.metrics.empty()) {
    for (const std::string& metric : selector.metrics) visit(tenant.metrics[metric]);
  } else {
    visit(tenant.all);
  }
}

void Index::add(const ChannelPtr& channel) {
  const std::unique_lock lock(mutex_);
  places(channel->selector(), [&](Channels& channels) { channels.push_back(channel); });
  count_.fetch_add(1, std::memory_order_relaxed);
  version_.fetch_add(1, std::memory_order_release);
}

void Index::remove(const ChannelPtr& channel) {
  const std::unique_lock lock(mutex_);
  places(channel->selector(), [&](Channels& channels) { std::erase(channels, channel); });
  Tenant& tenant = tenants_[channel->selector().tenant];
  for (const std::string& device : channel->selector().devices)
    if (const auto at = tenant.devices.find(device); at != tenant.devices.end() && at->second.empty())
      tenant.devices.erase(at);
  for (const std::string& metric : channel->selector().metrics)
    if (const auto at = tenant.metrics.find(metric); at != tenant.metrics.end() && at->second.empty())
      tenant.metrics.erase(at);
  for (const Tag& label : channel->selector().labels)
    if (const auto at = tenant.labels.find(label); at != tenant.labels.end() && at->second.empty())
      tenant.labels.erase(at);
  count_.fetch_sub(1, std::memory_order_relaxed);
  version_.fetch_add(1, std::memory_order_release);
}

void Index::collect(const wire::DeviceContext& device, const ShapeKey* shape, Channels& out) const {
  const auto found = tenants_.find(device.tenant);
  if (found == tenants_.end()) return;
  const Tenant& tenant = found->second;
  const auto take = [&](const Channels& channels) {
    for (const ChannelPtr& channel : channels) {
      const Selector& selector = channel->selector();
      if (!selector.matches(device)) continue;
      if (shape != nullptr && !selector.matches(*shape)) continue;
      out.push_back(channel);
    }
  };
  if (const auto at = tenant.devices.find(device.device); at != tenant.devices.end()) take(at->second);
  for (const Tag& label : device.labels)
    if (const auto at = tenant.labels.find(label); at != tenant.labels.end()) take(at->second);
  if (shape != nullptr) {
    const std::size_t before = out.size();
    for (const FieldDef& field : shape->fields)
      if (const auto at = tenant.metrics.find(field.name); at != tenant.metrics.end()) take(at->second);
    // Only a channel that wants several metrics can have come more than once.
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
    out.erase(std::unique(out.begin() + static_cast<std::ptrdiff_t>(before), out.end()), out.end());
  } else {
    const std::size_t before = out.size();
    for (const auto& [metric, channels] : tenant.metrics) take(channels);
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
    out.erase(std::unique(out.begin() + static_cast<std::ptrdiff_t>(before), out.end()), out.end());
  }
  take(tenant.all);
}

std::vector<ChannelPtr> Index::match(const wire::DeviceContext& device, const ShapeKey& shape) const {
  Channels out;
  const std::shared_lock lock(mutex_);
  collect(device, &shape, out);
  return out;
}

std::vector<ChannelPtr> Index::match(const wire::DeviceContext& device) const {
  Channels out;
  const std::shared_lock lock(mutex_);
  collect(device, nullptr, out);
  return out;
}

}  // namespace flux::stream
