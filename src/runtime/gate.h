#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/async.h"

namespace flux::runtime {

/// Counts work under way so that an owner can wait for it: work enters and holds a pass; `close` refuses newcomers and
/// resolves when the last pass is gone. Any thread.
///
///   auto pass = gate_.enter();
///   if (!pass) return fail(ErrorCode::unavailable, "draining");
class Gate {
 public:
  class State;

  class Pass {
   public:
    Pass(Pass&& other) noexcept : state_(std::move(other.state_)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(state_, other.state_);
      return *this;
    }
    ~Pass();

   private:
    friend class Gate;
    explicit Pass(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  Gate();
  ~Gate();

  /// Nothing when the gate is closed.
  [[nodiscard]] std::optional<Pass> enter() const;
  [[nodiscard]] std::size_t inside() const;
  [[nodiscard]] bool closed() const;

  /// Closes for good and waits until nobody is inside. Several may wait.
  Async<void> close() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace flux::runtime
