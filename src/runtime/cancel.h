#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace flux::runtime {

namespace detail {
class CancelState;
}

/// Says whether the work it was given to is still wanted. Copies are cheap; a default one is never cancelled.
class CancelToken {
 public:
  CancelToken() = default;

  [[nodiscard]] bool cancelled() const;

  /// Unregisters its callback when destroyed.
  class Registration {
   public:
    Registration() = default;
    Registration(Registration&& other) noexcept;
    Registration& operator=(Registration&& other) noexcept;
    ~Registration();

   private:
    friend class CancelToken;
    std::weak_ptr<detail::CancelState> state_;
    std::uint64_t id_ = 0;
  };

  /// Runs `callback` once on the thread that cancels, or at once when it is cancelled already. When the registration
  /// has been destroyed, the callback neither runs nor is running (unless it is the callback that destroys it).
  [[nodiscard]] Registration on_cancel(std::move_only_function<void()> callback) const;

 private:
  friend class CancelSource;
  explicit CancelToken(std::shared_ptr<detail::CancelState> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::CancelState> state_;
};

/// Owns the decision to cancel; hands out tokens. Does not cancel by itself when destroyed. Any thread.
class CancelSource {
 public:
  CancelSource();
  [[nodiscard]] CancelToken token() const { return CancelToken(state_); }
  /// The first call runs all callbacks; later ones do nothing.
  void cancel() const;
  [[nodiscard]] bool cancelled() const;

 private:
  std::shared_ptr<detail::CancelState> state_;
};

}  // namespace flux::runtime
