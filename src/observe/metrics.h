#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"

/// Counters, gauges and histograms in the Prometheus manner.
///
/// A room declares its own once and keeps references:
///
///     struct Metrics {
///       explicit Metrics(metrics::Registry& registry)
///           : appended(registry.counter("fluxgate_bus_appended_events_total", "Events appended to the log.")) {}
///       metrics::Counter& appended;
///     };
///
/// Writing costs one relaxed atomic add on a cache line of the calling thread; reading sums them up at the scrape.
namespace flux::metrics {

inline constexpr std::size_t kCells = 16;  ///< threads beyond this share cells, correctly but with contention
inline constexpr std::size_t kCacheLine = 64;

/// Gives the calling thread cell `slot` (modulo kCells): shards take their own number. Other threads get one in turn.
void set_thread_slot(std::size_t slot);

namespace detail {
inline constinit thread_local std::size_t thread_slot = SIZE_MAX;
std::size_t assign_thread_slot();
inline std::size_t slot() { return thread_slot != SIZE_MAX ? thread_slot : assign_thread_slot(); }
}  // namespace detail

/// Only grows. Any thread.
class Counter {
 public:
  Counter() = default;
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void add(std::uint64_t amount = 1) noexcept {
    cells_[detail::slot()].count.fetch_add(amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct alignas(kCacheLine) Cell {
    std::atomic<std::uint64_t> count{0};
  };
  std::array<Cell, kCells> cells_;
};

/// A level that rises and falls. `set` from one owner, or `add` from any thread.
class Gauge {
 public:
  Gauge() = default;
  Gauge(const Gauge&) = delete;
  Gauge& operator=(const Gauge&) = delete;

  void set(double value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }
  [[nodiscard]] double value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(kCacheLine) std::atomic<double> value_{0};
};

/// Upper bounds of a histogram's buckets, ascending, without the +Inf that always follows.
class Buckets {
 public:
  static Buckets fixed(std::vector<double> bounds);
  /// Each power of two between `min` and `max` cut into `steps` equal parts: the relative error stays below 1 / steps.
  static Buckets log_linear(double min, double max, int steps = 2);
  /// 50 µs to about 13 s, for latencies.
  static Buckets seconds() { return log_linear(50e-6, 10.0, 2); }
  /// 64 B to 64 MiB by powers of four.
  static Buckets bytes();

  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }

 private:
  explicit Buckets(std::vector<double> bounds) : bounds_(std::move(bounds)) {}
  std::vector<double> bounds_;
};

/// How values are spread. Any thread.
class Histogram {
 public:
  explicit Histogram(const Buckets& buckets);
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  void observe(double value) noexcept { observe(value, 1); }
  void observe(Duration duration) noexcept { observe(duration.seconds(), 1); }
  /// `times` equal values at once, such as the readings of one batch.
  void observe(double value, std::uint64_t times) noexcept;

  struct Snapshot {
    std::vector<double> bounds;
    std::vector<std::uint64_t> counts;  ///< one per bound, then the ones above all; not cumulative
    std::uint64_t count = 0;
    double sum = 0;
    /// The `q` quantile (0 to 1), linear within its bucket; 0 when empty, the greatest bound when above all.
    [[nodiscard]] double quantile(double q) const;
  };
  [[nodiscard]] Snapshot snapshot() const;

 private:
  struct alignas(kCacheLine) Line {
    std::array<std::atomic<std::uint64_t>, kCacheLine / sizeof(std::uint64_t)> words{};
  };
  [[nodiscard]] std::atomic<std::uint64_t>& word(std::size_t cell, std::size_t index) const noexcept;

  std::vector<double> bounds_;
  std::size_t lines_per_cell_;
  std::unique_ptr<Line[]> lines_;  // per cell: sum (a double's bits), then bounds_.size() + 1 counts
};

/// Label names and values, such as `{{"protocol", "mqtt"}}`. Values come from small sets: never a device or user.
using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Registry;

/// Keeps a callback gauge or counter in its registry as long as it lives. The registry must outlive it.
class [[nodiscard]] Registration {
 public:
  Registration() = default;
  Registration(Registration&& other) noexcept;
  Registration& operator=(Registration&& other) noexcept;
  ~Registration();

 private:
  friend class Registry;
  Registration(Registry& registry, std::uint64_t id) : registry_(&registry), id_(id) {}
  Registry* registry_ = nullptr;
  std::uint64_t id_ = 0;
};

/// Owns the metrics of a process (of one test, in tests). Registering takes a lock; references stay valid as long as
/// the registry. The same name and labels give the same metric again.
///
/// Names read `fluxgate_<room>_<what>_<unit>`, with the units `seconds` and `bytes`. Checked is that they are
/// snake_case, begin so (or with `process_`), and that a counter, and nothing else, ends in `_total`.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const Buckets& buckets, Labels labels = {});

  /// `read` is asked at each scrape, on the scraping thread, and must neither block nor call the registry.
  /// Once the Registration is destroyed it is not running and never called again.
  Registration callback_gauge(std::string_view name, std::string_view help, Labels labels,
                              std::function<double()> read);
  Registration callback_counter(std::string_view name, std::string_view help, Labels labels,
                                std::function<double()> read);

  /// Prometheus text format 0.0.4 (`text/plain; version=0.0.4; charset=utf-8`), families by name. Any thread.
  [[nodiscard]] std::string render() const;

  /// The present value of a counter or gauge (0 when there is none), for tests and the admin page.
  [[nodiscard]] double value(std::string_view name, Labels labels = {}) const;

 private:
  friend class Registration;
  void remove(std::uint64_t id);

  struct State;
  std::unique_ptr<State> state_;
};

/// CPU time, memory, open files, threads and start time of this process, under the usual `process_*` names.
std::vector<Registration> register_process_metrics(Registry& registry);

}  // namespace flux::metrics
