#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/poller.h"
#include "runtime/roots.h"
#include "runtime/shard.h"
#include "runtime/timers.h"

namespace flux::runtime {

/// All code of a shard runs inside one of three entries of the loop: posted tasks, ready descriptors, due timers.
struct Shard::Impl {
  explicit Impl(Shard& shard);
  ~Impl();

  void run();
  void run_posted();
  void wait_for_descriptors();
  void arm_timer();
  void end_turn();
  void clean_up();

  Shard& shard;
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
  boost::asio::steady_timer wake_timer;
  Poller poller;
  boost::asio::posix::stream_descriptor poller_ready;
  std::thread thread;

  // Of the shard's thread alone:
  TimerHeap timers;
  Duration armed_for = TimerHeap::kNever;
  std::vector<TurnHook*> hooks;
  std::vector<TurnHook*> ending;
  std::vector<std::move_only_function<void()>> batch;
  RootList roots;

  std::mutex mutex;  // guards what follows
  std::vector<std::move_only_function<void()>> posted;
  bool wake_pending = false;
  bool ended = false;
};

}  // namespace flux::runtime
