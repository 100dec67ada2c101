#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"

namespace flux::runtime {

/// A coroutine that returns `Result<T>`: lazily started by `co_await`, runs on the awaiting shard, resumes its awaiter
/// by symmetric transfer. A value, an `Error` (`co_return fail(...)`) or a whole `Result<T>` may be returned;
/// `Async<>` ends with `co_return {};`. An exception that escapes becomes `ErrorCode::internal`.
///
///   Async<std::size_t> Reader::count() {
///     CO_TRY(auto names, co_await directory_.list("*.part"));
///     co_return names.size();
///   }
///
/// Destroying an `Async` that waits destroys its frame and all it awaits: nothing of it runs any more.
template <class T = void>
class Async;

namespace detail {

Error error_of(const std::exception_ptr& exception);

struct AsyncPromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
      return done.promise().continuation;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Async {
 public:
  struct promise_type : detail::AsyncPromiseBase {
    std::optional<Result<T>> result;

    Async get_return_object() { return Async(std::coroutine_handle<promise_type>::from_promise(*this)); }
    void return_value(Result<T> value) { result.emplace(std::move(value)); }
    void unhandled_exception() { result.emplace(std::unexpected(detail::error_of(std::current_exception()))); }
  };

  using value_type = T;

  Async(Async&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Async& operator=(Async&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Async() {
    if (handle_) handle_.destroy();
  }

  /// Awaiting starts it; each `Async` is awaited once.
  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle.promise().continuation = awaiting;
        return handle;
      }
      Result<T> await_resume() { return std::move(*handle.promise().result); }
    };
    return Awaiter{handle_};
  }

  /// For combinators: runs it now, up to its first wait, without an awaiter. Its owner keeps it and drops the result.
  void start() { handle_.resume(); }

 private:
  explicit Async(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

}  // namespace flux::runtime

namespace flux {
using runtime::Async;
}

/// `CO_TRY(auto rows, co_await store.scan(options));` in a coroutine: binds the value or returns the error.
#define CO_TRY(declaration, expression)                                                  \
  auto FLUX_CONCAT(co_try_result_, __LINE__) = (expression);                             \
  if (!FLUX_CONCAT(co_try_result_, __LINE__)) [[unlikely]]                               \
    co_return std::unexpected(std::move(FLUX_CONCAT(co_try_result_, __LINE__)).error()); \
  declaration = *std::move(FLUX_CONCAT(co_try_result_, __LINE__))

/// `CO_DO(co_await file.sync());` for a `Result<>` without a value.
#define CO_DO(expression)                                               \
  do {                                                                  \
    if (auto co_do_result_ = (expression); !co_do_result_) [[unlikely]] \
      co_return std::unexpected(std::move(co_do_result_).error());      \
  } while (false)
