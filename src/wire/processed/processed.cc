#include "wire/processed/processed.h"

#include <algorithm>

namespace flux::wire {

std::string_view DeviceContext::unit_of(std::string_view metric) const {
  const auto at = std::ranges::lower_bound(units, metric, {}, [](const auto& unit) { return std::string_view(unit.first); });
  return at != units.end() && at->first == metric ? std::string_view(at->second) : std::string_view();
}

const std::string* DeviceContext::label(std::string_view key) const {
  const auto at = std::ranges::lower_bound(labels, key, {}, [](const Tag& tag) { return std::string_view(tag.key); });
  return at != labels.end() && at->key == key ? &at->value : nullptr;
}

}  // namespace flux::wire
