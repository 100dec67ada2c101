#include "query/registry_catalog.h"

#include <algorithm>

namespace flux::query {

std::vector<std::string> RegistryCatalog::devices_with(
    TenantId tenant, const std::vector<std::pair<std::string, std::string>>& labels) const {
  registry::DeviceFilter filter;
  filter.labels = labels;
  std::vector<std::string> devices;
  directory_.for_each(tenant, [&](const registry::DeviceEntryPtr& entry) {
    if (registry::Directory::matches(*entry, filter)) devices.push_back(entry->id());
    return true;
  });
  std::ranges::sort(devices);
  return devices;
}

std::string RegistryCatalog::label(TenantId tenant, std::string_view device, std::string_view label) const {
  const auto entry = directory_.find(tenant, device);
  if (!entry) return {};
  const registry::Labels labels = entry->settings()->effective_labels();
  const std::string* value = registry::find_label(labels, label);
  return value == nullptr ? std::string() : *value;
}

std::string RegistryCatalog::unit(TenantId tenant, std::string_view device, std::string_view metric) const {
  const auto entry = directory_.find(tenant, device);
  if (!entry) return {};
  // A unit set for this device's metric wins over what its profile says.
  for (const registry::KnownField& field : *entry->known_fields())
    if (field.name == metric && field.unit) return *field.unit;
  const registry::ProfilePtr profile = entry->settings()->profile();
  const registry::ProfileMetric* known = profile ? profile->find(metric) : nullptr;
  return known != nullptr ? known->unit.value_or("") : std::string();
}

}  // namespace flux::query
