#include "stream/selector.h"

#include <algorithm>

namespace flux::stream {
namespace {

template <class T>
void sort_unique(std::vector<T>& items) {
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

bool any_or_listed(const std::vector<std::string>& sorted, std::string_view name) {
  return sorted.empty() ||
         std::ranges::binary_search(sorted, name, {}, [](const auto& item) { return std::string_view(item); });
}

}  // namespace

void Selector::normalize() {
  sort_unique(devices);
  sort_unique(labels);
  sort_unique(metrics);
  sort_unique(measurements);
}

bool Selector::matches(const wire::DeviceContext& device) const {
  if (device.tenant != tenant) return false;
  if (!devices.empty() && !std::ranges::binary_search(devices, device.device)) return false;
  return std::ranges::all_of(labels, [&](const Tag& wanted) {
    const std::string* const value = device.label(wanted.key);
    return value != nullptr && *value == wanted.value;
  });
}

bool Selector::matches_metric(std::string_view metric) const { return any_or_listed(metrics, metric); }

bool Selector::matches_measurement(std::string_view measurement) const {
  return any_or_listed(measurements, measurement);
}

bool Selector::matches(const ShapeKey& shape) const {
  return matches_measurement(shape.measurement) &&
         std::ranges::any_of(shape.fields, [&](const FieldDef& field) { return matches_metric(field.name); });
}

}  // namespace flux::stream
