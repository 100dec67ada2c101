#pragma once

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/result.h"
#include "runtime/shard.h"

namespace flux::runtime {

namespace detail {

/// The part of a completion that does not depend on its value: who waits, and on which shard.
class CompletionCore : public std::enable_shared_from_this<CompletionCore> {
 public:
  virtual ~CompletionCore() = default;

 protected:
  friend struct CompletionWaiter;
  /// Called with `mutex_` held after the value was stored; posts the waiter to its shard.
  void wake_locked();
  /// False when the value is there already: the caller goes on at once.
  bool suspend(std::coroutine_handle<> waiter);
  void abandon();

  std::mutex mutex_;
  bool resolved_ = false;

 private:
  void resume();
  std::coroutine_handle<> waiter_;
  Shard* shard_ = nullptr;
};

template <class T>
class CompletionState final : public CompletionCore {
 public:
  bool resolve(Result<T> result) {
    const std::lock_guard lock(mutex_);
    if (resolved_) return false;
    result_.emplace(std::move(result));
    resolved_ = true;
    wake_locked();
    return true;
  }
  bool resolved() {
    const std::lock_guard lock(mutex_);
    return resolved_;
  }
  Result<T> take() {
    const std::lock_guard lock(mutex_);
    return std::move(*result_);
  }

 private:
  std::optional<Result<T>> result_;
};

struct CompletionWaiter {
  static bool suspend(CompletionCore& core, std::coroutine_handle<> waiter) { return core.suspend(waiter); }
  static void abandon(CompletionCore& core) { core.abandon(); }
};

}  // namespace detail

/// Bridge from callbacks to coroutines: one side resolves it once (any thread), the other awaits it once (on a shard)
/// and goes on there, never inside `resolve`. Copies are handles of the same completion.
///
///   Completion<Position> done;
///   log.append(batch, [done](Result<Position> position) { done.resolve(std::move(position)); });
///   CO_TRY(auto position, co_await done);
///
/// A completion that is never resolved keeps its awaiter waiting until the frame is destroyed.
template <class T = void>
class Completion {
 public:
  Completion() : state_(std::make_shared<detail::CompletionState<T>>()) {}

  /// False when it had been resolved before; the first result stays.
  bool resolve(Result<T> result) const { return state_->resolve(std::move(result)); }
  [[nodiscard]] bool resolved() const { return state_->resolved(); }

  class Awaiter {
   public:
    explicit Awaiter(std::shared_ptr<detail::CompletionState<T>> state) : state_(std::move(state)) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
      if (suspended_) detail::CompletionWaiter::abandon(*state_);
    }
    bool await_ready() { return state_->resolved(); }
    bool await_suspend(std::coroutine_handle<> waiter) {
      suspended_ = true;
      if (detail::CompletionWaiter::suspend(*state_, waiter)) return true;
      suspended_ = false;
      return false;
    }
    Result<T> await_resume() {
      suspended_ = false;
      return state_->take();
    }

   private:
    std::shared_ptr<detail::CompletionState<T>> state_;
    bool suspended_ = false;
  };

  Awaiter operator co_await() const { return Awaiter(state_); }

 private:
  std::shared_ptr<detail::CompletionState<T>> state_;
};

}  // namespace flux::runtime
