#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"
#include "runtime/async.h"
#include "runtime/cancel.h"
#include "runtime/completion.h"
#include "runtime/shard.h"

namespace flux::runtime {

/// Starts `task` on `shard` and lets it run on its own. An error it ends with (except `cancelled`) goes to the hook
/// with `name`. What still waits when the shard stops is destroyed. Any thread.
void spawn(Shard& shard, Async<void> task, std::string name = "task");

/// The same on the current shard, begun within the call: no hop, so for what may well be done without waiting.
void spawn_now(Async<void> task, std::string name = "task");

/// Who hears of failed spawned tasks. The default writes one line to stderr; `app` sets the log's. Set it before shards
/// start.
using SpawnErrorHook = void (*)(std::string_view task_name, const Error& error);
void set_spawn_error_hook(SpawnErrorHook hook);

/// Waits on the current shard. Ends early with `cancelled` when the token is cancelled.
Async<void> sleep(Duration duration, CancelToken token = {});

namespace detail {

template <class T>
struct BlockingResult {
  std::mutex mutex;
  std::condition_variable done;
  std::optional<Result<T>> result;
};

template <class T>
Async<void> run_into(std::shared_ptr<BlockingResult<T>> out, Async<T> task) {
  auto result = co_await std::move(task);
  const std::lock_guard lock(out->mutex);
  out->result.emplace(std::move(result));
  out->done.notify_all();
  co_return {};
}

template <class T>
Async<void> resolve_with(Completion<T> done, Async<T> task) {
  auto result = co_await std::move(task);
  done.resolve(std::move(result));
  co_return {};
}

}  // namespace detail

/// Runs `task`; after `limit` destroys it and returns `timed_out` naming `what`. On a shard.
template <class T>
Async<T> with_timeout(Async<T> task, Duration limit, std::string what) {
  Completion<T> done;
  auto timer = Shard::current()->call_after(limit, [done, what, limit] {
    done.resolve(fail(ErrorCode::timed_out, what + " took longer than " + to_string(limit)));
  });
  Async<void> running = detail::resolve_with<T>(done, std::move(task));
  running.start();
  co_return co_await done;
}

/// Runs `task` on `shard` and blocks until it is done: for main, commands and tests. Never from a shard.
template <class T>
Result<T> block_on(Shard& shard, Async<T> task) {
  CHECK(Shard::current() == nullptr);
  auto out = std::make_shared<detail::BlockingResult<T>>();
  spawn(shard, detail::run_into<T>(out, std::move(task)), "block_on");
  std::unique_lock lock(out->mutex);
  out->done.wait(lock, [&] { return out->result.has_value(); });
  return std::move(*out->result);
}

}  // namespace flux::runtime
