#pragma once

#include <functional>
#include <initializer_list>
#include <memory>

#include "runtime/shard.h"

namespace flux::runtime {

/// Calls `callback(signal)` on `shard` for each of the signals, until destroyed. Made and destroyed on that shard.
class SignalWatch {
 public:
  SignalWatch(Shard& shard, std::initializer_list<int> signals, std::move_only_function<void(int)> callback);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace flux::runtime
