#include "runtime/shard.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>

#include "observe/metrics.h"
#include "runtime/shard_impl.h"

namespace flux::runtime {
namespace {

thread_local Shard* current_shard = nullptr;

std::size_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

Shard::Impl::Impl(Shard& owner)
    : shard(owner), work(io.get_executor()), wake_timer(io), poller_ready(io, poller.descriptor()) {}

Shard::Impl::~Impl() {
  poller_ready.release();  // the descriptor is the poller's
}

void Shard::Impl::run() {
  current_shard = &shard;
  pthread_setname_np(pthread_self(), shard.name().substr(0, 15).c_str());
  metrics::set_thread_slot(shard.index());  // shards count most: each has a cell of its own
  wait_for_descriptors();
  io.run();
  clean_up();
  current_shard = nullptr;
}

void Shard::Impl::run_posted() {
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
    wake_pending = false;
  }
  for (auto& task : batch) {
    task();
    task = nullptr;  // what it holds goes with it, not at the end of the batch
    if (io.stopped()) break;
  }
  batch.clear();
  end_turn();
}

void Shard::Impl::wait_for_descriptors() {
  poller_ready.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](boost::system::error_code error) {
    if (error) return;
    poller.dispatch();
    end_turn();
    wait_for_descriptors();
  });
}

void Shard::Impl::arm_timer() {
  const auto due = timers.next_due();
  if (due >= armed_for) return;  // a wake-up for a timer that was cancelled costs less than setting it anew each time
  armed_for = due;
  // Both clocks are CLOCK_MONOTONIC.
  wake_timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(due.ns)));
  wake_timer.async_wait([this](boost::system::error_code error) {
    if (error == boost::asio::error::operation_aborted) return;
    armed_for = TimerHeap::kNever;
    timers.run_due(shard.now());
    end_turn();
  });
}

void Shard::Impl::end_turn() {
  // A hook may queue hooks (its writes make another connection writable): these belong to the same turn.
  while (!hooks.empty()) {
    ending.swap(hooks);
    for (std::size_t i = 0; i < ending.size(); ++i) {
      if (TurnHook* const hook = ending[i]) {
        hook->queued_ = false;
        hook->on_turn_end();
      }
    }
    ending.clear();
  }
  arm_timer();
}

void Shard::Impl::clean_up() {
  for (;;) {
    roots.destroy_all();
    std::vector<std::move_only_function<void()>> dropped;
    {
      const std::lock_guard lock(mutex);
      dropped.swap(posted);
      ended = dropped.empty() && roots.empty();
      if (ended) break;
    }
  }
}

Shard::Shard(std::size_t index, std::string name)
    : index_(index), name_(std::move(name)), impl_(std::make_unique<Impl>(*this)) {}

Shard::~Shard() {
  stop();
  join();
}

Shard* Shard::current() { return current_shard; }

void Shard::post(std::move_only_function<void()> task) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->ended) return;
    impl_->posted.push_back(std::move(task));
    if (impl_->wake_pending) return;
    impl_->wake_pending = true;
  }
  boost::asio::post(impl_->io, [impl = impl_.get()] { impl->run_posted(); });
}

Timer Shard::call_after(Duration delay, std::move_only_function<void()> callback) {
  CHECK(is_current());
  return impl_->timers.add(now() + std::max(delay, Duration{}), Duration{}, std::move(callback));
}

Timer Shard::call_every(Duration period, std::move_only_function<void()> callback) {
  CHECK(is_current() && period.ns > 0);
  return impl_->timers.add(now() + period, period, std::move(callback));
}

void Shard::at_turn_end(TurnHook& hook) {
  if (hook.queued_) return;
  hook.queued_ = true;
  impl_->hooks.push_back(&hook);
}

void Shard::cancel_turn_end(TurnHook& hook) {
  if (!hook.queued_) return;
  hook.queued_ = false;
  std::erase(impl_->hooks, &hook);
  std::ranges::replace(impl_->ending, &hook, nullptr);
}

void Shard::start() {
  CHECK(!impl_->thread.joinable());
  // Signals belong to who watches for them; a shard's thread is not interrupted.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Shard::stop() { impl_->io.stop(); }

void Shard::join() {
  if (impl_->thread.joinable()) impl_->thread.join();
}

Shards::Shards(std::size_t count, const std::string& name_prefix) {
  if (count == 0) count = usable_cores();
  for (std::size_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<Shard>(i, name_prefix + "-" + std::to_string(i)));
  }
}

Shards::~Shards() {
  stop();
  join();
}

void Shards::start() {
  for (auto& shard : shards_) shard->start();
}

void Shards::stop() {
  for (auto& shard : shards_) shard->stop();
}

void Shards::join() {
  for (auto& shard : shards_) shard->join();
}

void run_on(Shard& shard, std::move_only_function<void()> task) {
  CHECK(Shard::current() == nullptr);
  std::mutex mutex;
  std::condition_variable done;
  bool ready = false;
  shard.post([&] {
    task();
    const std::lock_guard lock(mutex);
    ready = true;
    done.notify_all();
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return ready; });
}

}  // namespace flux::runtime
