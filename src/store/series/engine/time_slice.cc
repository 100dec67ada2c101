#include "store/series/engine/time_slice.h"

#include <algorithm>

namespace flux::store::engine {
namespace {

// A slice of its own is worth it from four blocks on, and when it holds a good share.
constexpr std::uint64_t kLeastValues = 4 * 4096;
constexpr std::uint64_t kGreatestShare = 10;

}  // namespace

std::int64_t day_of(std::int64_t time_ns) { return time_ns / kDayNs - (time_ns % kDayNs < 0 ? 1 : 0); }

TimeSlice slice_of_day(std::int64_t day, std::uint8_t level) {
  if (level >= kTopLevel) return {kTopLevel, 0};
  return {level, day >> (3 * level)};
}

SlicePlan::SlicePlan(const std::map<std::int64_t, std::uint64_t>& days) {
  std::uint64_t total = 0;
  for (const auto& [day, values] : days) total += values;
  const std::uint64_t enough = std::max(kLeastValues, total / kGreatestShare);

  std::map<std::int64_t, std::uint64_t> left = days;
  for (std::uint8_t level = 0; level <= kTopLevel && !left.empty(); ++level) {
    std::map<TimeSlice, std::uint64_t> counts;
    for (const auto& [day, values] : left) counts[slice_of_day(day, level)] += values;
    for (const auto& [slice, values] : counts) {
      if (values < enough && counts.size() > 1 && level < kTopLevel) continue;
      slices_.push_back(slice);
      std::erase_if(left, [&](const auto& entry) { return slice_of_day(entry.first, level) == slice; });
    }
  }
}

std::size_t SlicePlan::slice_for(std::int64_t time_ns) const {
  const std::int64_t day = day_of(time_ns);
  for (std::size_t i = 0; i < slices_.size(); ++i)
    if (slice_of_day(day, slices_[i].level) == slices_[i]) return i;
  return slices_.size() - 1;
}

}  // namespace flux::store::engine
