#include "store/series/engine/version.h"

#include <algorithm>

namespace flux::store::engine {
namespace {

bool contains(const std::vector<std::string>& accepted, std::string_view text) {
  return accepted.empty() || std::ranges::find(accepted, text) != accepted.end();
}

}  // namespace

bool matches(const SeriesSelector& selector, const Stem& stem, std::string_view field) {
  if (stem.tenant != selector.tenant) return false;
  if (!selector.database.empty() && stem.database != selector.database) return false;
  if (!selector.retention_policy.empty() && stem.retention_policy != selector.retention_policy) return false;
  if (!contains(selector.measurements, stem.measurement) || !contains(selector.devices, stem.device)) return false;
  if (!contains(selector.fields, field)) return false;
  return std::ranges::all_of(selector.tags, [&](const Tag& tag) {
    return std::ranges::any_of(stem.tags,
                               [&](const auto& ours) { return ours.first == tag.key && ours.second == tag.value; });
  });
}

}  // namespace flux::store::engine
