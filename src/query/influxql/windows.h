#pragma once

#include <cstdint>

#include "query/influxql/plan.h"

namespace flux::query::influxql {

/// The windows of one query, by its clocks. Without an interval there is one: the query's range.
struct Windows {
  Interval interval;
  TimeZonePtr zone;
  std::int64_t from = kMinTime;  ///< of the query, inclusive
  std::int64_t to = kMaxTime;    ///< inclusive

  struct Window {
    std::int64_t start = 0;
    std::int64_t end = 0;  ///< exclusive
  };
  [[nodiscard]] Window at(std::int64_t time) const;
  /// What to add to UTC; 0 without a zone.
  [[nodiscard]] std::int64_t offset(std::int64_t time) const { return zone ? zone->offset_at(time) : 0; }
};

}  // namespace flux::query::influxql
