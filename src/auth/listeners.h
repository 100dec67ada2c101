#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace flux::auth {

/// Stops listening when destroyed: the callback is then neither running nor called again.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(std::function<void()> end) : end_(std::move(end)) {}
  Subscription(Subscription&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      if (end_) end_();
      end_ = std::exchange(other.end_, nullptr);
    }
    return *this;
  }
  ~Subscription() {
    if (end_) end_();
  }

 private:
  std::function<void()> end_;
};

/// Those who want to hear of something. Any thread; a subscription may outlive this.
template <class... Args>
class Listeners {
 public:
  using Callback = std::function<void(const Args&...)>;

  [[nodiscard]] Subscription add(Callback callback) {
    auto one = std::make_shared<One>();
    one->callback = std::move(callback);
    {
      const std::lock_guard lock(all_->mutex);
      all_->listeners.push_back(one);
    }
    return Subscription([weak = std::weak_ptr(all_), one] {
      if (const auto all = weak.lock()) {
        const std::lock_guard lock(all->mutex);
        std::erase(all->listeners, one);
      }
      const std::lock_guard lock(one->mutex);
      one->callback = nullptr;
    });
  }

  /// Calls all of them, one after the other, on this thread.
  void tell(const Args&... args) const {
    std::vector<std::shared_ptr<One>> told;
    {
      const std::lock_guard lock(all_->mutex);
      told = all_->listeners;
    }
    for (const auto& one : told) {
      const std::lock_guard lock(one->mutex);
      if (const auto callback = one->callback) callback(args...);
    }
  }

 private:
  struct One {
    std::recursive_mutex mutex;  // recursive: a listener may end itself
    Callback callback;
  };
  struct All {
    std::mutex mutex;
    std::vector<std::shared_ptr<One>> listeners;
  };
  const std::shared_ptr<All> all_ = std::make_shared<All>();
};

}  // namespace flux::auth
