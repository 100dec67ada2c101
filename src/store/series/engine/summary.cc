#include "store/series/engine/summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace flux::store::engine {
namespace {

constexpr Cell kNan = std::bit_cast<Cell>(std::numeric_limits<double>::quiet_NaN());

constexpr Cell kZero = std::bit_cast<Cell>(0.0);
constexpr Cell kNegativeZero = std::bit_cast<Cell>(-0.0);

bool has(std::span<const Cell> cells, Cell wanted) {
  bool found = false;
  for (const Cell cell : cells) found |= cell == wanted;
  return found;
}

// Order of doubles with -0.0 below 0.0.
bool less(double a, double b) {
  if (a == 0 && b == 0) return std::signbit(a) && !std::signbit(b);
  return a < b;
}

void summarize_floats(std::span<const Cell> cells, Summary& out) {
  // Independent lanes keep the additions from waiting for each other, and turn into vector instructions.
  constexpr std::size_t kLanes = 8;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::array<double, kLanes> high{};
  std::array<double, kLanes> low{};
  std::array<double, kLanes> min;
  std::array<double, kLanes> max;
  min.fill(kInfinity);
  max.fill(-kInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= cells.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = as_float64(cells[i + lane]);
      const double total = high[lane] + value;
      // The error of a + b without asking which is greater (Knuth's two-sum).
      const double part = total - high[lane];
      low[lane] += (high[lane] - (total - part)) + (value - part);
      high[lane] = total;
      min[lane] = value < min[lane] ? value : min[lane];
      max[lane] = value > max[lane] ? value : max[lane];
    }
  }
  Sum sum;
  for (std::size_t lane = 0; lane < kLanes; ++lane) sum.add({high[lane], low[lane]});
  double least = kInfinity;
  double greatest = -kInfinity;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (min[lane] < least) least = min[lane];
    if (max[lane] > greatest) greatest = max[lane];
  }
  for (; i < cells.size(); ++i) {
    const double value = as_float64(cells[i]);
    sum.add(value);
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  out.sum = sum;
  out.min = to_cell(least);
  out.max = to_cell(greatest);
  // What the loop does not tell apart: zeros of both signs, and nothing but NaN (or infinities).
  if (least == 0) out.min = has(cells, kNegativeZero) ? kNegativeZero : kZero;
  if (greatest == 0) out.max = has(cells, kZero) ? kZero : kNegativeZero;
  if (least == kInfinity || greatest == -kInfinity) {
    if (std::ranges::all_of(cells, [](Cell cell) { return std::isnan(as_float64(cell)); })) out.min = out.max = kNan;
  }
}

template <class Integer>
void summarize_integers(std::span<const Cell> cells, Summary& out) {
  Integer min = std::bit_cast<Integer>(cells[0]);
  Integer max = min;
  __int128 sum = 0;
  for (const Cell cell : cells) {
    const auto value = std::bit_cast<Integer>(cell);
    min = value < min ? value : min;
    max = value > max ? value : max;
    sum += value;
  }
  out.min = to_cell(min);
  out.max = to_cell(max);
  out.sum.high = static_cast<double>(sum);
  out.sum.low = static_cast<double>(sum - static_cast<__int128>(out.sum.high));
}

}  // namespace

void Sum::add(double value) {
  const double total = high + value;
  low += std::abs(high) >= std::abs(value) ? (high - total) + value : (value - total) + high;
  high = total;
}

void Sum::add(const Sum& other) {
  add(other.high);
  low += other.low;
}

double Sum::value() const { return std::isfinite(high) && std::isfinite(low) ? high + low : high; }

Summary summarize(ValueType type, std::span<const std::int64_t> times, std::span<const Cell> cells) {
  Summary out;
  out.count = cells.size();
  out.first = cells.front();
  out.last = cells.back();
  out.first_time = times.front();
  out.last_time = times.back();
  switch (type) {
    case ValueType::float64: summarize_floats(cells, out); break;
    case ValueType::int64: summarize_integers<std::int64_t>(cells, out); break;
    case ValueType::uint64:
    case ValueType::boolean: summarize_integers<std::uint64_t>(cells, out); break;
    case ValueType::string: break;
  }
  return out;
}

void merge(ValueType type, Summary& into, const Summary& later) {
  if (into.count == 0) {
    into = later;
    return;
  }
  into.count += later.count;
  into.sum.add(later.sum);
  into.last = later.last;
  into.last_time = later.last_time;
  switch (type) {
    case ValueType::float64: {
      if (std::isnan(as_float64(later.min))) break;
      const bool nothing = std::isnan(as_float64(into.min));
      if (nothing || less(as_float64(later.min), as_float64(into.min))) into.min = later.min;
      if (nothing || less(as_float64(into.max), as_float64(later.max))) into.max = later.max;
      break;
    }
    case ValueType::int64:
      if (as_int64(later.min) < as_int64(into.min)) into.min = later.min;
      if (as_int64(later.max) > as_int64(into.max)) into.max = later.max;
      break;
    case ValueType::uint64:
    case ValueType::boolean:
      if (later.min < into.min) into.min = later.min;
      if (later.max > into.max) into.max = later.max;
      break;
    case ValueType::string: break;
  }
}

}  // namespace flux::store::engine
