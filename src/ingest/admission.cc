#include "ingest/admission.h"

#include <algorithm>

namespace flux::ingest {

namespace {

constexpr std::size_t kBudgets = 4'096;

std::unexpected<Error> too_many(std::string_view device, const std::string& why) {
  // Without a field: it is no field of the reading that is wrong.
  return fail(ErrorCode::exhausted, "device '" + std::string(device) + "' is new, and " + why);
}

}  // namespace

Result<registry::DeviceEntryPtr> Admission::admit(const auth::Identity& identity, std::string_view device) const {
  DO(identity.may_speak_for(device));
  if (auto known = directory_.find(identity.tenant(), device)) return known;
  DO(registry::check_device_id(device));
  if (!identity.create_devices()) {
    return fail(ErrorCode::permission_denied,
                "device '" + std::string(device) + "' is not registered, and this credential may not create devices",
                "device");
  }
  return registry::DeviceEntryPtr();
}

Result<registry::DeviceEntryPtr> Admission::make(const auth::Identity& identity, std::string_view device) {
  // Anew: another credential may have been admitted than the one that sends now.
  TRY(auto known, admit(identity, device));
  if (known) return known;
  if (directory_.size() >= limits_.devices) {
    return too_many(device,
                    "there are " + std::to_string(limits_.devices) + " devices already (ingest.limits.devices)");
  }
  if (directory_.size(identity.tenant()) >= limits_.devices_per_tenant) {
    return too_many(device, "its tenant has " + std::to_string(limits_.devices_per_tenant) +
                                " devices already (ingest.limits.devices_per_tenant)");
  }
  if (!spend(identity)) {
    return too_many(device, "this credential has created so many that it may create " +
                                std::to_string(limits_.new_devices_per_second) +
                                " a second now (ingest.limits.new_devices_per_second): send it again later");
  }
  return directory_.ensure(identity.tenant(), device);
}

bool Admission::spend(const auth::Identity& identity) {
  const double rate = limits_.new_devices_per_second;
  const double burst = limits_.new_devices_burst;
  const Duration now = clock_();
  const std::string key = std::to_string(identity.tenant().value) + " " + identity.credential_id();
  const std::lock_guard lock(mutex_);
  if (budgets_.size() >= kBudgets && !budgets_.contains(key)) {
    // What has refilled is as good as new.
    std::erase_if(budgets_, [&](const auto& item) {
      return item.second.left + (now - item.second.at).seconds() * rate >= burst;
    });
  }
  const auto [at, fresh] = budgets_.try_emplace(key, Budget{burst, now});
  Budget& budget = at->second;
  if (!fresh) {
    budget.left = std::min(burst, budget.left + (now - budget.at).seconds() * rate);
    budget.at = now;
  }
  if (budget.left < 1) return false;
  budget.left -= 1;
  return true;
}

}  // namespace flux::ingest
