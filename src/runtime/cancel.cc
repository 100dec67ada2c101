#include "runtime/cancel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace flux::runtime {
namespace detail {

class CancelState {
 public:
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  /// 0 when cancelled already: the callback was not taken.
  std::uint64_t add(std::move_only_function<void()>& callback) {
    const std::lock_guard lock(mutex_);
    if (cancelled()) return 0;
    callbacks_.emplace_back(++last_id_, std::move(callback));
    return last_id_;
  }

  void remove(std::uint64_t id) {
    std::move_only_function<void()> removed;  // destroyed after the lock
    std::unique_lock lock(mutex_);
    const auto found =
        std::ranges::find(callbacks_, id, &std::pair<std::uint64_t, std::move_only_function<void()>>::first);
    if (found != callbacks_.end()) {
      removed = std::move(found->second);
      callbacks_.erase(found);
      return;
    }
    if (running_ != id || runner_ == std::this_thread::get_id()) return;
    ran_.wait(lock, [&] { return running_ != id; });
  }

  void cancel() {
    std::unique_lock lock(mutex_);
    if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
    runner_ = std::this_thread::get_id();
    while (!callbacks_.empty()) {
      auto [id, callback] = std::move(callbacks_.front());
      callbacks_.erase(callbacks_.begin());
      running_ = id;
      lock.unlock();
      callback();
      callback = nullptr;
      lock.lock();
      running_ = 0;
      ran_.notify_all();
    }
  }

 private:
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable ran_;
  std::vector<std::pair<std::uint64_t, std::move_only_function<void()>>> callbacks_;
  std::uint64_t last_id_ = 0;
  std::uint64_t running_ = 0;
  std::thread::id runner_;
};

}  // namespace detail

bool CancelToken::cancelled() const { return state_ && state_->cancelled(); }

CancelToken::Registration CancelToken::on_cancel(std::move_only_function<void()> callback) const {
  Registration registration;
  if (!state_) return registration;
  registration.id_ = state_->add(callback);
  if (registration.id_ == 0) {
    callback();
  } else {
    registration.state_ = state_;
  }
  return registration;
}

CancelToken::Registration::Registration(Registration&& other) noexcept
    : state_(std::move(other.state_)), id_(std::exchange(other.id_, 0)) {}

CancelToken::Registration& CancelToken::Registration::operator=(Registration&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(id_, other.id_);
  return *this;
}

CancelToken::Registration::~Registration() {
  if (id_ == 0) return;
  if (const auto state = state_.lock()) state->remove(id_);
}

CancelSource::CancelSource() : state_(std::make_shared<detail::CancelState>()) {}
void CancelSource::cancel() const { state_->cancel(); }
bool CancelSource::cancelled() const { return state_->cancelled(); }

}  // namespace flux::runtime
