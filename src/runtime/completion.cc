#include "runtime/completion.h"

namespace flux::runtime::detail {

void CompletionCore::wake_locked() {
  if (!waiter_) return;
  // The frame may be destroyed before the task runs: the waiter is looked up only then.
  shard_->post([self = shared_from_this()] { self->resume(); });
}

bool CompletionCore::suspend(std::coroutine_handle<> waiter) {
  Shard* const shard = Shard::current();
  CHECK_MSG(shard != nullptr, "a completion is awaited off a shard");
  const std::lock_guard lock(mutex_);
  if (resolved_) return false;
  CHECK_MSG(!waiter_, "a completion is awaited twice");
  waiter_ = waiter;
  shard_ = shard;
  return true;
}

void CompletionCore::abandon() {
  const std::lock_guard lock(mutex_);
  waiter_ = nullptr;
}

void CompletionCore::resume() {
  std::coroutine_handle<> waiter;
  {
    const std::lock_guard lock(mutex_);
    waiter = std::exchange(waiter_, nullptr);
  }
  if (waiter) waiter.resume();
}

}  // namespace flux::runtime::detail
