#include "query/influxql/windows.h"

#include <cstdlib>

namespace flux::query::influxql {

Windows::Window Windows::at(std::int64_t time) const {
  if (interval.none()) return {from, to + 1};
  using Wide = __int128;
  const std::int64_t width = interval.width;
  const auto clamped = [](Wide t) {
    return static_cast<std::int64_t>(t < kMinTime ? Wide{kMinTime} : t > kMaxTime ? Wide{kMaxTime} : t);
  };
  const std::int64_t t = clamped(static_cast<Wide>(time) - interval.offset);
  const std::int64_t here = offset(t);
  auto into = static_cast<std::int64_t>((static_cast<Wide>(t) + here) % width);
  if (into < 0) into += width;

  Wide start = static_cast<Wide>(t) - into;
  if (start <= kMinTime) start = kMinTime;
  // Where clocks changed within the window, its start is told by the clock that held there. A change as wide as the
  // window moves nothing.
  const auto moves = [&](std::int64_t by) { return by != 0 && std::abs(by) < width; };
  if (zone)
    if (const std::int64_t change = here - offset(clamped(start)); moves(change)) start += change;
  start += interval.offset;

  Wide end = static_cast<Wide>(t) + (width - into);
  if (end >= kMaxTime) end = kMaxTime;
  if (zone) {
    const std::int64_t there = offset(clamped(end));
    const std::int64_t change = here - there;
    if (moves(change) && (change > 0 || offset(clamped(end + change)) == there)) end += change;
  }
  end += interval.offset;
  // The last moment is in a window too.
  return {clamped(start), end > kMaxTime ? INT64_MAX : clamped(end) + (end == kMaxTime ? 1 : 0)};
}

}  // namespace flux::query::influxql
