#include "runtime/spawn.h"

#include <atomic>
#include <cstdio>

#include "runtime/completion.h"
#include "runtime/roots.h"
#include "runtime/shard_impl.h"

namespace flux::runtime {
namespace detail {

Error error_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& caught) {
    return {ErrorCode::internal, std::string("an exception escaped: ") + caught.what(), {}};
  } catch (...) {
    return {ErrorCode::internal, "an exception of unknown type escaped", {}};
  }
}

}  // namespace detail

namespace {

void report_to_stderr(std::string_view task_name, const Error& error) {
  std::fprintf(stderr, "task %.*s failed: %s: %s\n", static_cast<int>(task_name.size()), task_name.data(),
               std::string(to_string(error.code)).c_str(), error.message.c_str());
}

std::atomic<SpawnErrorHook> spawn_error_hook = report_to_stderr;

struct Detached {
  struct promise_type : RootNode {
    Detached get_return_object() {
      handle = std::coroutine_handle<promise_type>::from_promise(*this);
      return {this};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  RootNode* root;
};

Detached run_root(Async<void> task, std::string name) {
  const auto result = co_await std::move(task);
  if (!result && result.error().code != ErrorCode::cancelled) spawn_error_hook.load()(name, result.error());
}

/// Owns a root that has not started: a task that is dropped must not leak it.
struct Unstarted {
  explicit Unstarted(RootNode* r) : root(r) {}
  Unstarted(Unstarted&& other) noexcept : root(std::exchange(other.root, nullptr)) {}
  Unstarted& operator=(Unstarted&&) = delete;
  ~Unstarted() {
    if (root != nullptr) root->handle.destroy();
  }
  RootNode* root;
};

}  // namespace

void set_spawn_error_hook(SpawnErrorHook hook) { spawn_error_hook = hook != nullptr ? hook : report_to_stderr; }

void spawn(Shard& shard, Async<void> task, std::string name) {
  Unstarted unstarted(run_root(std::move(task), std::move(name)).root);
  shard.post([&shard, owned = std::move(unstarted)]() mutable {
    RootNode* const root = std::exchange(owned.root, nullptr);
    shard.impl().roots.add(*root);
    root->handle.resume();
  });
}

void spawn_now(Async<void> task, std::string name) {
  Shard* const shard = Shard::current();
  CHECK(shard != nullptr);
  RootNode* const root = run_root(std::move(task), std::move(name)).root;
  shard->impl().roots.add(*root);
  root->handle.resume();
}

Async<void> sleep(Duration duration, CancelToken token) {
  Completion<> done;
  const auto cancelled =
      token.on_cancel([done] { done.resolve(fail(ErrorCode::cancelled, "the wait was cancelled")); });
  const auto timer = Shard::current()->call_after(duration, [done] { done.resolve({}); });
  co_return co_await done;
}

}  // namespace flux::runtime
