#include "runtime/gate.h"

#include <mutex>
#include <vector>

#include "runtime/completion.h"

namespace flux::runtime {

class Gate::State {
 public:
  bool enter() {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }

  void leave() {
    std::vector<Completion<>> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (--inside_ > 0) return;
      waiting.swap(waiting_);
    }
    for (const auto& waiter : waiting) waiter.resolve({});
  }

  Completion<> close() {
    Completion<> empty;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (inside_ == 0) {
      empty.resolve({});
    } else {
      waiting_.push_back(empty);
    }
    return empty;
  }

  std::size_t inside() {
    const std::lock_guard lock(mutex_);
    return inside_;
  }

  bool closed() {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  std::mutex mutex_;
  std::size_t inside_ = 0;
  bool closed_ = false;
  std::vector<Completion<>> waiting_;  // only filled once closed: `leave` at zero before that finds it empty
};

Gate::Pass::~Pass() {
  if (state_) state_->leave();
}

Gate::Gate() : state_(std::make_shared<State>()) {}
Gate::~Gate() = default;

std::optional<Gate::Pass> Gate::enter() const {
  if (!state_->enter()) return std::nullopt;
  return Pass(state_);
}

std::size_t Gate::inside() const { return state_->inside(); }
bool Gate::closed() const { return state_->closed(); }

Async<void> Gate::close() const {
  const auto empty = state_->close();
  co_return co_await empty;
}

}  // namespace flux::runtime
