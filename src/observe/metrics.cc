#include "observe/metrics.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "core/result.h"

namespace flux::metrics {

namespace {

/// The nearest number with six digits: bounds are read by people.
double rounded(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 6).ptr;
  std::from_chars(text.data(), end, value);
  return value;
}

}  // namespace

void set_thread_slot(std::size_t slot) { detail::thread_slot = slot % kCells; }

std::size_t detail::assign_thread_slot() {
  static std::atomic<std::size_t> next{kCells / 2};  // shards hold the first cells
  thread_slot = next.fetch_add(1, std::memory_order_relaxed) % kCells;
  return thread_slot;
}

std::uint64_t Counter::value() const noexcept {
  std::uint64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.count.load(std::memory_order_relaxed);
  return sum;
}

Buckets Buckets::fixed(std::vector<double> bounds) {
  CHECK_MSG(!bounds.empty() && std::ranges::adjacent_find(bounds, std::greater_equal{}) == bounds.end(),
            "bounds must ascend");
  return Buckets(std::move(bounds));
}

Buckets Buckets::log_linear(double min, double max, int steps) {
  CHECK(min > 0 && max > min && steps > 0);
  std::vector<double> bounds;
  for (double octave = min;; octave *= 2) {
    for (int step = 0; step < steps; ++step) {
      const double bound = rounded(octave * (1.0 + static_cast<double>(step) / steps));
      bounds.push_back(bound);
      if (bound >= max) return Buckets(std::move(bounds));
    }
  }
}

Buckets Buckets::bytes() {
  std::vector<double> bounds;
  for (double bound = 64; bound <= 64.0 * 1024 * 1024; bound *= 4) bounds.push_back(bound);
  return Buckets(std::move(bounds));
}

Histogram::Histogram(const Buckets& buckets)
    : bounds_(buckets.bounds().begin(), buckets.bounds().end()),
      lines_per_cell_((bounds_.size() + 2 + 7) / 8),
      lines_(std::make_unique<Line[]>(lines_per_cell_ * kCells)) {}

std::atomic<std::uint64_t>& Histogram::word(std::size_t cell, std::size_t index) const noexcept {
  return lines_[cell * lines_per_cell_ + index / 8].words[index % 8];
}

void Histogram::observe(double value, std::uint64_t times) noexcept {
  if (std::isnan(value)) return;
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  const std::size_t cell = detail::slot();
  word(cell, 1 + bucket).fetch_add(times, std::memory_order_relaxed);
  std::atomic<std::uint64_t>& sum = word(cell, 0);
  std::uint64_t before = sum.load(std::memory_order_relaxed);
  const double amount = value * static_cast<double>(times);
  while (!sum.compare_exchange_weak(before, std::bit_cast<std::uint64_t>(std::bit_cast<double>(before) + amount),
                                    std::memory_order_relaxed)) {
  }
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot snapshot{.bounds = bounds_, .counts = std::vector<std::uint64_t>(bounds_.size() + 1)};
  for (std::size_t cell = 0; cell < kCells; ++cell) {
    snapshot.sum += std::bit_cast<double>(word(cell, 0).load(std::memory_order_relaxed));
    for (std::size_t bucket = 0; bucket <= bounds_.size(); ++bucket) {
      const std::uint64_t count = word(cell, 1 + bucket).load(std::memory_order_relaxed);
      snapshot.counts[bucket] += count;
      snapshot.count += count;
    }
  }
  return snapshot;
}

double Histogram::Snapshot::quantile(double q) const {
  if (count == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count);
  double below = 0;
  for (std::size_t bucket = 0; bucket < bounds.size(); ++bucket) {
    const auto here = static_cast<double>(counts[bucket]);
    if (here > 0 && below + here >= rank) {
      const double low = bucket == 0 ? 0 : bounds[bucket - 1];
      return low + (bounds[bucket] - low) * (rank - below) / here;
    }
    below += here;
  }
  return bounds.back();
}

}  // namespace flux::metrics
