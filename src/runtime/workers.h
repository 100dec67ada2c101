#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "runtime/async.h"
#include "runtime/completion.h"

namespace flux::runtime {

namespace detail {
template <class R>
struct Unwrapped {
  using type = R;
};
template <class T>
struct Unwrapped<Result<T>> {
  using type = T;
};
}  // namespace detail

/// Threads for what blocks (files, foreign libraries) and what is heavy (hashes, merges), with a bounded queue.
/// Work is given data that no longer changes. Safe from any thread.
class Workers {
 public:
  Workers(std::size_t threads, std::size_t queue_limit, const std::string& name = "worker");
  ~Workers();  ///< as `stop`
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// False when the queue is full or the pool is stopped: `work` was not taken and is destroyed.
  [[nodiscard]] bool try_submit(std::move_only_function<void()> work);

  /// Runs `work` on a worker and resumes on the calling shard with what it returned (`T` or `Result<T>`).
  /// `exhausted` when the queue is full: nothing was run.
  ///
  ///   auto hash = [password] { return hash_password(password); };
  ///   CO_TRY(auto hashed, co_await workers.run(std::move(hash)));
  template <class Work>
  Async<typename detail::Unwrapped<std::invoke_result_t<Work&>>::type> run(Work work) {
    using T = typename detail::Unwrapped<std::invoke_result_t<Work&>>::type;
    Completion<T> done;
    auto task = [done, inner = std::move(work)]() mutable { done.resolve(guarded<T>(inner)); };
    if (!try_submit(std::move(task))) co_return fail(ErrorCode::exhausted, "the queue of the workers is full");
    co_return co_await done;
  }

  /// While one of these lives, the task that took it is known to wait for somebody outside, and another thread does its
  /// share of the work.
  class Waiting {
   public:
    explicit Waiting(Workers& workers) : workers_(&workers) {}
    Waiting(Waiting&& other) noexcept : workers_(std::exchange(other.workers_, nullptr)) {}
    Waiting& operator=(Waiting&&) = delete;
    ~Waiting();

   private:
    Workers* workers_;
  };
  /// Before a task of these workers waits for a slow peer: others are not to wait with it. Nothing when `kMostWaiting`
  /// tasks wait already: give up then, and say so.
  [[nodiscard]] std::optional<Waiting> begin_waiting();
  static constexpr std::size_t kMostWaiting = 64;

  [[nodiscard]] std::size_t queued() const;
  /// Those that work or could, without the waiting ones.
  [[nodiscard]] std::size_t threads() const;

  /// Refuses new work, runs what is queued, joins the threads.
  void stop();

 private:
  template <class T, class Work>
  static Result<T> guarded(Work& work) {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
        work();
        return {};
      } else {
        return work();
      }
    } catch (...) {
      return std::unexpected(detail::error_of(std::current_exception()));
    }
  }

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::runtime
