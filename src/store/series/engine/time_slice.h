#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

namespace flux::store::engine {

/// A stretch of event time that readings are kept apart by: a day (UTC), or 8, 64, 512 or 4096 days, or all time.
/// Most readings are recent and lie in parts of one day, which retention drops whole and queries skip; the few that are
/// far away share wider slices, so that readings of a thousand different days do not make a thousand parts.
struct TimeSlice {
  std::uint8_t level = 0;  ///< 0: a day, each level eight times as wide; kTopLevel: all time
  std::int64_t index = 0;  ///< since the epoch
  friend auto operator<=>(const TimeSlice&, const TimeSlice&) = default;
};

inline constexpr std::uint8_t kTopLevel = 5;
inline constexpr std::int64_t kDayNs = 86'400'000'000'000;

std::int64_t day_of(std::int64_t time_ns);
TimeSlice slice_of_day(std::int64_t day, std::uint8_t level);

/// Which slices a set of readings is divided into: at most about ten, and each of a useful size.
class SlicePlan {
 public:
  /// `days`: how many values each day has.
  explicit SlicePlan(const std::map<std::int64_t, std::uint64_t>& days);

  [[nodiscard]] const std::vector<TimeSlice>& slices() const { return slices_; }
  /// Index of the narrowest slice with this time.
  [[nodiscard]] std::size_t slice_for(std::int64_t time_ns) const;

 private:
  std::vector<TimeSlice> slices_;  // narrow ones first
};

}  // namespace flux::store::engine
