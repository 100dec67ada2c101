#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/time.h"
#include "runtime/shard.h"

namespace flux::runtime {

class TimerHeap;

struct Timer::State {
  TimerHeap* heap = nullptr;  // null once the shard is gone
  std::move_only_function<void()> callback;
  Duration period{};  // 0: once
  bool active = false;
  bool running = false;
};

/// All timers of a shard, so that the loop needs a single one of the kernel's. Cancelled ones stay in the heap until
/// they are due or outnumber the rest.
class TimerHeap {
 public:
  ~TimerHeap();

  Timer add(Duration due, Duration period, std::move_only_function<void()> callback);
  void cancel(Timer::State& state);

  /// Runs what is due at `now`.
  void run_due(Duration now);
  /// When to call `run_due` next; `kNever` without timers.
  [[nodiscard]] Duration next_due() const;

  static constexpr Duration kNever{INT64_MAX};

 private:
  struct Entry {
    Duration due;
    std::uint64_t order;  // equal times run in the order in which they were set
    std::shared_ptr<Timer::State> state;
  };
  static bool later(const Entry& a, const Entry& b);
  void push(Duration due, std::shared_ptr<Timer::State> state);
  void pop();

  std::vector<Entry> heap_;
  std::uint64_t next_order_ = 0;
  std::size_t cancelled_ = 0;
};

}  // namespace flux::runtime
