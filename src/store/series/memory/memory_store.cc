#include "store/series/memory/memory_store.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>

namespace flux::store::memory {
namespace {

struct Reading {
  Value value;
  Time received_at;
};

struct Series {
  SeriesInfoPtr info;
  PartitionId partition;  // of the newest append
  std::map<std::int64_t, Reading> readings;
};

using SortKey = std::tuple<std::string, std::string, std::string, std::vector<Tag>, std::string, std::string, TenantId>;

SortKey key_of(const SeriesInfo& info) {
  return {info.device, info.measurement, info.field, info.tags, info.database, info.retention_policy, info.tenant};
}

bool any_of(const std::vector<std::string>& accepted, const std::string& text) {
  return accepted.empty() || std::ranges::find(accepted, text) != accepted.end();
}

bool matches(const SeriesSelector& selector, const SeriesInfo& info) {
  if (info.tenant != selector.tenant) return false;
  if (!selector.database.empty() && info.database != selector.database) return false;
  if (!selector.retention_policy.empty() && info.retention_policy != selector.retention_policy) return false;
  if (!any_of(selector.measurements, info.measurement) || !any_of(selector.devices, info.device)) return false;
  if (!any_of(selector.fields, info.field)) return false;
  return std::ranges::all_of(selector.tags,
                             [&](const Tag& tag) { return std::ranges::find(info.tags, tag) != info.tags.end(); });
}

Cell put(const Value& value, std::string& heap) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    const StringRef ref{static_cast<std::uint32_t>(heap.size()), static_cast<std::uint32_t>(text->size())};
    heap += *text;
    return to_cell(ref);
  }
  if (const auto* number = std::get_if<double>(&value)) return to_cell(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return to_cell(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return to_cell(*number);
  return to_cell(std::get<bool>(value));
}

double as_number(const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*number);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? 1 : 0;
  return 0;
}

bool is_nan(const Value& value) {
  const auto* number = std::get_if<double>(&value);
  return number != nullptr && std::isnan(*number);
}

// Whether `a` is less, with -0.0 below 0.0.
bool less(const Value& a, const Value& b) {
  if (const auto* x = std::get_if<double>(&a)) {
    const double y = std::get<double>(b);
    if (*x == 0 && y == 0) return std::signbit(*x) && !std::signbit(y);
    return *x < y;
  }
  return a < b;
}

std::int64_t window_start(std::int64_t time, const Window& window) {
  const __int128 since = static_cast<__int128>(time) - window.offset.ns;
  __int128 remainder = since % window.width.ns;
  if (remainder < 0) remainder += window.width.ns;
  const __int128 start = static_cast<__int128>(time) - remainder;
  return static_cast<std::int64_t>(std::max<__int128>(start, std::numeric_limits<std::int64_t>::min()));
}

WindowRow summarize(std::int64_t start, std::map<std::int64_t, Reading>::const_iterator from,
                    std::map<std::int64_t, Reading>::const_iterator to, std::string& heap) {
  WindowRow row;
  row.start = start;
  row.first_time = from->first;
  row.last_time = std::prev(to)->first;
  row.first = put(from->second.value, heap);
  row.last = put(std::prev(to)->second.value, heap);
  double compensation = 0;
  const Value* min = nullptr;
  const Value* max = nullptr;
  for (auto at = from; at != to; ++at) {
    ++row.count;
    const Value& value = at->second.value;
    if (std::holds_alternative<std::string>(value)) continue;
    const double number = as_number(value);
    const double total = row.sum + number;
    compensation += std::abs(row.sum) >= std::abs(number) ? (row.sum - total) + number : (number - total) + row.sum;
    row.sum = total;
    if (is_nan(value)) continue;
    if (min == nullptr || less(value, *min)) min = &value;
    if (max == nullptr || less(*max, value)) max = &value;
  }
  if (std::isfinite(row.sum)) row.sum += compensation;
  if (!std::holds_alternative<std::string>(from->second.value)) {
    const Value nan = std::numeric_limits<double>::quiet_NaN();
    row.min = put(min != nullptr ? *min : nan, heap);
    row.max = put(max != nullptr ? *max : nan, heap);
  }
  return row;
}

using Readings = std::map<std::int64_t, Reading>;
struct Span {
  Readings::const_iterator from;
  Readings::const_iterator to;
};

Span within(const Readings& readings, TimeRange range) {
  if (range.from >= range.to) return {readings.end(), readings.end()};
  return {readings.lower_bound(range.from.ns),
          range.to == Time::max() ? readings.end() : readings.lower_bound(range.to.ns)};
}

class Store final : public TimeSeriesStore {
 public:
  Result<> append(PartitionId partition, Offset offset, const TelemetryBatch& batch) override {
    const std::scoped_lock lock(mutex_);
    if (offset < next_[partition]) return {};
    next_[partition] = offset.next();
    for (const auto& group : batch.groups()) append_group(partition, batch, group);
    return {};
  }

  void advance(PartitionId partition, Offset offset) override {
    const std::scoped_lock lock(mutex_);
    next_[partition] = std::max(next_[partition], offset.next());
  }

  [[nodiscard]] Offset resume_from(PartitionId partition) const override {
    const std::scoped_lock lock(mutex_);
    const auto at = durable_.find(partition);
    return at == durable_.end() ? Offset{} : at->second;
  }

  Result<> flush() override {
    const std::scoped_lock lock(mutex_);
    durable_ = next_;
    return {};
  }

  Result<std::vector<SeriesInfoPtr>> list(const SeriesSelector& selector, std::size_t limit,
                                          std::optional<SeriesId> after) const override {
    const std::scoped_lock lock(mutex_);
    std::vector<SeriesInfoPtr> found;
    bool passed = !after;
    for (const auto& [key, series] : series_) {
      if (!matches(selector, *series.info)) continue;
      if (passed && !series.readings.empty() && found.size() < limit) found.push_back(series.info);
      if (after && series.info->id == *after) passed = true;
    }
    if (!passed) return fail(ErrorCode::invalid_argument, "no selected series has the id to start after", "after");
    return found;
  }

  Result<std::vector<LastPoint>> latest(const SeriesSelector& selector) const override {
    const std::scoped_lock lock(mutex_);
    std::vector<LastPoint> found;
    for (const auto& [key, series] : series_) {
      if (series.readings.empty() || !matches(selector, *series.info)) continue;
      const auto& [time, reading] = *series.readings.rbegin();
      found.push_back({series.info, Time{time}, reading.received_at, reading.value});
    }
    return found;
  }

  Result<> scan(const SeriesSelector& selector, TimeRange range, Order order, std::size_t limit,
                const QueryLimits& limits, std::stop_token stop, ChunkSink<Points> sink) const override {
    const std::scoped_lock lock(mutex_);
    std::size_t points = 0;
    DO(check_series(selector, limits));
    for (const auto& [key, series] : series_) {
      if (!matches(selector, *series.info)) continue;
      if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the query was cancelled");
      Points chunk{series.info, {}, {}, {}};
      const auto take = [&](const auto& reading) {
        if (chunk.times.size() == limit) return;
        chunk.times.push_back(reading.first);
        chunk.cells.push_back(put(reading.second.value, chunk.heap));
      };
      const auto [from, to] = within(series.readings, range);
      if (order == Order::oldest_first) {
        for (auto at = from; at != to; ++at) take(*at);
      } else {
        for (auto at = to; at != from;) take(*--at);
      }
      points += chunk.times.size();
      if (points > limits.max_points) return fail(ErrorCode::exhausted, "the query passed max_points");
      if (!chunk.times.empty() && !sink(std::move(chunk))) return {};
    }
    return {};
  }

  Result<> aggregate(const SeriesSelector& selector, TimeRange range, Window window, const QueryLimits& limits,
                     std::stop_token stop, ChunkSink<WindowedPoints> sink) const override {
    if (window.width.ns <= 0) return fail(ErrorCode::invalid_argument, "a window is wider than 0", "window.width");
    const std::scoped_lock lock(mutex_);
    std::size_t points = 0;
    DO(check_series(selector, limits));
    for (const auto& [key, series] : series_) {
      if (!matches(selector, *series.info)) continue;
      if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the query was cancelled");
      WindowedPoints chunk{series.info, {}, {}};
      const auto [from, to] = within(series.readings, range);
      for (auto at = from; at != to;) {
        const std::int64_t start = window_start(at->first, window);
        auto end = at;
        while (end != to && window_start(end->first, window) == start) ++end;
        chunk.rows.push_back(summarize(start, at, end, chunk.heap));
        at = end;
      }
      points += chunk.rows.size();
      if (points > limits.max_points) return fail(ErrorCode::exhausted, "the query passed max_points");
      if (!chunk.rows.empty() && !sink(std::move(chunk))) return {};
    }
    return {};
  }

  Result<> erase(PartitionId partition, Offset offset, const SeriesSelector& selector, TimeRange range) override {
    const std::scoped_lock lock(mutex_);
    if (offset < next_[partition]) return {};
    next_[partition] = offset.next();
    for (auto& [key, series] : series_) {
      if (series.partition != partition || !matches(selector, *series.info)) continue;
      const auto [from, to] = within(series.readings, range);
      series.readings.erase(from, to);
    }
    return {};
  }

  [[nodiscard]] StoreStats stats() const override {
    const std::scoped_lock lock(mutex_);
    StoreStats stats;
    for (const auto& [key, series] : series_) {
      if (!series.readings.empty()) ++stats.series;
      stats.points += series.readings.size();
    }
    return stats;
  }

 private:
  void append_group(PartitionId partition, const TelemetryBatch& batch, const TelemetryBatch::Group& group) {
    const ShapeKey& shape = group.shape().key();
    for (std::size_t field = 0; field < shape.fields.size(); ++field) {
      const SeriesInfo info{group.shape().series(field), shape.tenant, shape.database, shape.retention_policy,
                            shape.measurement,           shape.device, shape.tags,     shape.fields[field].name,
                            shape.fields[field].type};
      Series& series = series_[key_of(info)];
      if (series.info == nullptr) series.info = std::make_shared<const SeriesInfo>(info);
      if (series.info->type != info.type) continue;
      series.partition = partition;
      for (std::size_t row = 0; row < group.rows(); ++row) {
        if (!batch.has(group, field, row)) continue;
        series.readings[batch.times(group)[row]] = {batch.value(group, field, row), batch.received_at()};
      }
    }
  }

  Result<> check_series(const SeriesSelector& selector, const QueryLimits& limits) const {
    std::size_t count = 0;
    for (const auto& [key, series] : series_)
      if (!series.readings.empty() && matches(selector, *series.info)) ++count;
    if (count > limits.max_series) return fail(ErrorCode::exhausted, "the query passed max_series");
    return {};
  }

  mutable std::mutex mutex_;
  std::map<SortKey, Series> series_;
  std::map<PartitionId, Offset> next_;
  std::map<PartitionId, Offset> durable_;
};

}  // namespace

std::unique_ptr<TimeSeriesStore> make_store() { return std::make_unique<Store>(); }

}  // namespace flux::store::memory
