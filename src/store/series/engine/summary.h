#pragma once

#include <cstdint>
#include <span>

#include "core/value.h"

/// What a stretch of one series amounts to: kept per block and per rollup row, and added up by queries.
namespace flux::store::engine {

/// A sum with the part that rounding lost (Neumaier), so that sums of sums are as good as one long sum.
struct Sum {
  double high = 0;
  double low = 0;

  void add(double value);
  void add(const Sum& other);
  [[nodiscard]] double value() const;
};

/// The conventions are `WindowRow`'s: NaN is never min or max where there is anything else, and -0.0 < 0.0.
/// `min`, `max` and `sum` of strings mean nothing.
struct Summary {
  std::uint64_t count = 0;
  Sum sum;
  Cell min = 0;
  Cell max = 0;
  Cell first = 0;
  Cell last = 0;
  std::int64_t first_time = 0;
  std::int64_t last_time = 0;
};

/// Of at least one point, times ascending.
Summary summarize(ValueType type, std::span<const std::int64_t> times, std::span<const Cell> cells);

/// Adds a stretch that is later than all of `into` (which may be empty).
void merge(ValueType type, Summary& into, const Summary& later);

}  // namespace flux::store::engine
