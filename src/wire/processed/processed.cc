#include "wire/processed/processed.h"

#include <algorithm>
#include <charconv>

namespace flux::wire {

std::string_view DeviceContext::unit_of(std::string_view metric) const {
  const auto at =
      std::ranges::lower_bound(units, metric, {}, [](const auto& unit) { return std::string_view(unit.first); });
  return at != units.end() && at->first == metric ? std::string_view(at->second) : std::string_view();
}

const std::string* DeviceContext::label(std::string_view key) const {
  const auto at = std::ranges::lower_bound(labels, key, {}, [](const Tag& tag) { return std::string_view(tag.key); });
  return at != labels.end() && at->key == key ? &at->value : nullptr;
}

Result<TopicObject> split_tenant(std::string_view json) {
  constexpr std::string_view kBegin = "{\"tenant\":";
  TopicObject object;
  if (json.starts_with(kBegin)) {
    const char* const end = json.data() + json.size();
    const auto [at, status] = std::from_chars(json.data() + kBegin.size(), end, object.tenant.value);
    if (status == std::errc() && at != end && *at == ',') {
      object.json = '{';
      object.json.append(at + 1, end);
      return object;
    }
  }
  return fail(ErrorCode::corrupt, "an object of a topic that does not begin with its tenant");
}

}  // namespace flux::wire
