#include "control/lanes.h"

#include <algorithm>

#include "observe/log.h"

namespace flux::control {
namespace {
constexpr Duration kRetry = 1_s;
log::Throttle take_throttle(1_min);
}  // namespace

std::string Lanes::key(TenantId tenant, const std::string& device) {
  return std::to_string(tenant.value) + "/" + device;
}

Lanes::Lane* Lanes::find(TenantId tenant, const std::string& device) {
  const auto found = lanes_.find(key(tenant, device));
  return found == lanes_.end() ? nullptr : found->second.get();
}

void Lanes::attach(TenantId tenant, const std::string& device, LinkPtr link) {
  auto& lane = lanes_[key(tenant, device)];
  if (!lane)
    lane = std::make_unique<Lane>(Lane{.tenant = tenant, .device = device, .links = {}, .in_flight = {}, .retry = {}});
  lane->links.push_back(std::move(link));
  // The one before may be a connection that is gone and does not know it: what it did not confirm goes to the new one.
  land(*lane);
  step(*lane);
}

void Lanes::detach(TenantId tenant, const std::string& device, const LinkPtr& link) {
  Lane* const lane = find(tenant, device);
  if (lane == nullptr) return;
  const bool newest = !lane->links.empty() && lane->links.back() == link;
  std::erase(lane->links, link);
  if (newest) land(*lane);
  if (lane->links.empty() && !lane->taking) {
    lanes_.erase(key(tenant, device));
    return;
  }
  step(*lane);
}

void Lanes::wake(TenantId tenant, const std::string& device) {
  if (Lane* const lane = find(tenant, device)) step(*lane);
}

void Lanes::settled(TenantId tenant, const std::string& device, const std::string& id) {
  Lane* const lane = find(tenant, device);
  if (lane == nullptr || lane->in_flight != id) return;
  land(*lane);
  step(*lane);
}

void Lanes::clear() {
  for (auto& [name, lane] : lanes_) land(*lane);
  lanes_.clear();
}

void Lanes::land(Lane& lane) {
  if (lane.in_flight) metrics_.in_flight.add(-1);
  lane.in_flight.reset();
}

void Lanes::step(Lane& lane) {
  if (lane.taking) {
    lane.again = true;
    return;
  }
  if (lane.in_flight || lane.links.empty()) return;
  lane.taking = true;
  lane.again = false;
  take_(lane.tenant, lane.device,
        [this, name = key(lane.tenant, lane.device)](auto next) { taken(name, std::move(next)); });
}

void Lanes::taken(const std::string& name, Result<std::optional<Command>> next) {
  const auto found = lanes_.find(name);
  if (found == lanes_.end()) return;
  Lane& lane = *found->second;
  lane.taking = false;
  if (lane.links.empty()) {  // whatever was taken stays `sent`, and goes out when the device is back
    lanes_.erase(found);
    return;
  }
  if (!next) {
    metrics_.retries.add();
    log::warn(take_throttle, "commands wait for the database", {{"device", lane.device}, {"error", next.error()}});
    lane.retry = shard_.call_after(kRetry, [this, name] {
      if (const auto again = lanes_.find(name); again != lanes_.end()) step(*again->second);
    });
    return;
  }
  if (!*next) {
    if (lane.again) step(lane);
    return;
  }
  lane.in_flight = (*next)->id;
  metrics_.in_flight.add(1);
  metrics_.deliveries.add();
  lane.links.back()->deliver(**next);
}

}  // namespace flux::control
