#include "stream/selector.h"

#include <algorithm>

namespace flux::stream {
namespace {

template <class T>
void sort_unique(std::vector<T>& items) {
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

}  // namespace

void Selector::normalize() {
  sort_unique(devices);
  sort_unique(labels);
  sort_unique(metrics);
}

bool Selector::matches(const wire::DeviceContext& device) const {
  if (device.tenant != tenant) return false;
  if (!devices.empty() && !std::ranges::binary_search(devices, device.device)) return false;
  return std::ranges::all_of(labels, [&](const Tag& wanted) {
    const std::string* const value = device.label(wanted.key);
    return value != nullptr && *value == wanted.value;
  });
}

bool Selector::matches_metric(std::string_view metric) const {
  return metrics.empty() ||
         std::ranges::binary_search(metrics, metric, {}, [](const auto& m) { return std::string_view(m); });
}

}  // namespace flux::stream
