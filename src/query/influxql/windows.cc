#include "query/influxql/windows.h"

#include <cstdlib>

namespace flux::query::influxql {

Windows::Window Windows::at(std::int64_t time) const {
  if (interval.none()) return {from, to + 1};
  const std::int64_t width = interval.width;
  std::int64_t t = 0;
  if (__builtin_sub_overflow(time, interval.offset, &t)) t = kMinTime;
  const std::int64_t here = offset(t);
  auto into = static_cast<std::int64_t>((static_cast<__int128>(t) + here) % width);
  if (into < 0) into += width;

  std::int64_t start = t - kMinTime <= into && t < 0 ? kMinTime : t - into;
  // Where clocks changed within the window, its start is told by the clock that held there. A change as wide as the
  // window moves nothing.
  const auto moves = [&](std::int64_t by) { return by != 0 && std::abs(by) < width; };
  if (zone)
    if (const std::int64_t change = here - offset(start); moves(change)) start += change;
  start += interval.offset;

  const std::int64_t rest = width - into;
  std::int64_t end = kMaxTime - rest <= t ? kMaxTime : t + rest;
  if (zone) {
    const std::int64_t there = offset(end);
    const std::int64_t change = here - there;
    if (moves(change) && (change > 0 || offset(end + change) == there)) end += change;
  }
  if (__builtin_add_overflow(end, interval.offset, &end)) end = kMaxTime;
  return {start, end};
}

}  // namespace flux::query::influxql
