#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace flux::runtime {

class Shard;

/// Handle of one timer: cancels when destroyed. Belongs to the shard that made it; use it there only.
class Timer {
 public:
  struct State;

  Timer() = default;
  explicit Timer(std::shared_ptr<State> state);
  Timer(Timer&& other) noexcept;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer();

  /// After this the callback does not run any more, not even when it is already due.
  void cancel();
  /// A callback is still to come.
  [[nodiscard]] bool active() const;

 private:
  std::shared_ptr<State> state_;
};

/// Something that wants one call when the events at hand are handled, before the shard sleeps or looks for new ones:
/// connections use it to write everything that one turn produced with one system call.
class TurnHook {
 public:
  TurnHook() = default;
  TurnHook(const TurnHook&) = delete;
  TurnHook& operator=(const TurnHook&) = delete;
  virtual void on_turn_end() = 0;

 protected:
  ~TurnHook() = default;  // derived classes call Shard::cancel_turn_end from theirs

 private:
  friend class Shard;
  bool queued_ = false;
};

/// One thread, one event loop, and all that this thread owns. Code of a shard runs to completion without locks.
class Shard {
 public:
  /// The thread starts with `start`. `name` (at most 15 bytes) is what `top -H` shows.
  Shard(std::size_t index, std::string name);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  /// The shard whose thread this is; null on other threads (main, workers).
  static Shard* current();

  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool is_current() const { return current() == this; }

  /// Runs `task` on this shard, after what is already posted. Any thread. Never runs it inside the call. Cheap: a busy
  /// shard is woken once for any number of tasks. Tasks posted after `stop` are destroyed without running.
  void post(std::move_only_function<void()> task);

  /// Monotonic time: comparable within the process only.
  [[nodiscard]] Duration now() const { return monotonic_now(); }

  /// Runs `callback` once after `delay`, or every `period` (skipping beats that were missed). On this shard only.
  [[nodiscard]] Timer call_after(Duration delay, std::move_only_function<void()> callback);
  [[nodiscard]] Timer call_every(Duration period, std::move_only_function<void()> callback);

  /// Calls `hook.on_turn_end()` once, at the end of this turn (once however often it is asked for). On this shard only.
  void at_turn_end(TurnHook& hook);
  /// Must be called before a hook that may be queued is destroyed. On this shard only.
  void cancel_turn_end(TurnHook& hook);

  void start();
  /// Asks the loop to end after the running task; waiting coroutines started by `spawn` are then destroyed on the
  /// shard's thread. Any thread.
  void stop();
  /// Waits for the thread to end. Not from the shard itself.
  void join();

  struct Impl;
  /// For this room and `net` only.
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::size_t index_;
  std::string name_;
  std::unique_ptr<Impl> impl_;
};

/// The shards of a process: as many as cores, made by `app`.
class Shards {
 public:
  /// `count` 0 means one for each core that this process may use.
  explicit Shards(std::size_t count = 0, const std::string& name_prefix = "shard");
  ~Shards();  ///< stops and joins

  void start();
  void stop();
  void join();

  [[nodiscard]] std::size_t size() const { return shards_.size(); }
  [[nodiscard]] Shard& operator[](std::size_t index) { return *shards_[index]; }
  [[nodiscard]] auto begin() { return shards_.begin(); }  ///< iterates over `std::unique_ptr<Shard>`
  [[nodiscard]] auto end() { return shards_.end(); }

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
};

/// Runs `task` on `shard` and waits until it is done. From threads that are no shard (main, tests).
void run_on(Shard& shard, std::move_only_function<void()> task);

}  // namespace flux::runtime
