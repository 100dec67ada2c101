#include "runtime/signals.h"

#include <boost/asio/signal_set.hpp>

#include "runtime/shard_impl.h"

namespace flux::runtime {

struct SignalWatch::State : std::enable_shared_from_this<State> {
  State(Shard& owner, std::move_only_function<void(int)> call)
      : shard(owner), signals(owner.impl().io), callback(std::move(call)) {}

  void wait() {
    signals.async_wait([self = shared_from_this()](boost::system::error_code error, int signal) {
      if (error) return;
      self->shard.post([self, signal] {
        if (self->callback) self->callback(signal);
      });
      self->wait();
    });
  }

  Shard& shard;
  boost::asio::signal_set signals;
  std::move_only_function<void(int)> callback;
};

SignalWatch::SignalWatch(Shard& shard, std::initializer_list<int> signals, std::move_only_function<void(int)> callback)
    : state_(std::make_shared<State>(shard, std::move(callback))) {
  CHECK(shard.is_current());
  for (const int signal : signals) state_->signals.add(signal);
  state_->wait();
}

SignalWatch::~SignalWatch() {
  state_->callback = nullptr;
  state_->signals.cancel();
}

}  // namespace flux::runtime
