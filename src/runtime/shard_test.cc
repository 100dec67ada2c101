#include "runtime/shard.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <latch>
#include <thread>

#include "observe/metrics.h"
#include "runtime/fd_watch.h"
#include "runtime/signals.h"

namespace flux::runtime {
namespace {

class ShardTest : public testing::Test {
 protected:
  void SetUp() override { shard_.start(); }
  void TearDown() override {
    shard_.stop();
    shard_.join();
  }
  Shard shard_{3, "test"};
};

TEST_F(ShardTest, PostedTasksRunInOrderOnTheShardsThread) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) {
    shard_.post([&, i] {
      EXPECT_EQ(Shard::current(), &shard_);
      order.push_back(i);
    });
  }
  run_on(shard_, [] {});
  ASSERT_EQ(order.size(), 1000U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(Shard::current(), nullptr);
  EXPECT_EQ(shard_.index(), 3U);
}

TEST_F(ShardTest, PostFromTheShardItselfRunsAfterTheCall) {
  std::string order;
  run_on(shard_, [&] {
    shard_.post([&] { order += "b"; });
    order += "a";
  });
  run_on(shard_, [] {});
  EXPECT_EQ(order, "ab");
}

TEST_F(ShardTest, ManyThreadsPostAndNothingIsLost) {
  std::size_t count = 0;  // the shard's alone
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) shard_.post([&] { ++count; });
      });
    }
  }
  run_on(shard_, [&] { EXPECT_EQ(count, 80'000U); });
}

TEST_F(ShardTest, TimersRunInOrderOfTimeAndThenOfSetting) {
  std::latch done(1);
  std::string order;
  std::vector<Timer> timers;
  run_on(shard_, [&] {
    timers.push_back(shard_.call_after(20_ms, [&] {
      order += "c";
      done.count_down();
    }));
    timers.push_back(shard_.call_after(1_ms, [&] { order += "a"; }));
    timers.push_back(shard_.call_after(10_ms, [&] { order += "b"; }));
  });
  done.wait();
  run_on(shard_, [&] { timers.clear(); });
  EXPECT_EQ(order, "abc");
}

TEST_F(ShardTest, ACancelledTimerDoesNotRunEvenWhenDue) {
  std::latch done(1);
  bool ran = false;
  Timer victim;
  Timer killer;
  run_on(shard_, [&] {
    killer = shard_.call_after(0_ms, [&] {
      victim.cancel();
      EXPECT_FALSE(victim.active());
    });
    victim = shard_.call_after(0_ms, [&] { ran = true; });
    EXPECT_TRUE(victim.active());
  });
  Timer last;
  run_on(shard_, [&] { last = shard_.call_after(5_ms, [&] { done.count_down(); }); });
  done.wait();
  EXPECT_FALSE(ran);
  run_on(shard_, [&] { last.cancel(); });
}

TEST_F(ShardTest, CountsInTheCellOfItsNumber) {
  run_on(shard_, [&] { EXPECT_EQ(metrics::detail::slot(), shard_.index()); });
}

TEST_F(ShardTest, APeriodicTimerRepeatsAndMayEndItself) {
  std::latch done(5);
  int beats = 0;
  Timer timer;
  run_on(shard_, [&] {
    timer = shard_.call_every(1_ms, [&] {
      if (++beats == 5) timer.cancel();
      done.count_down();
    });
  });
  done.wait();
  std::latch later(1);
  Timer after;
  run_on(shard_, [&] { after = shard_.call_after(10_ms, [&] { later.count_down(); }); });
  later.wait();
  run_on(shard_, [&] {
    EXPECT_EQ(beats, 5);
    after.cancel();
  });
}

TEST_F(ShardTest, ThousandsOfCancelledTimersLeaveTheRestInOrder) {
  std::latch done(1);
  std::vector<int> ran;
  std::vector<Timer> timers;
  run_on(shard_, [&] {
    for (int i = 0; i < 5000; ++i) timers.push_back(shard_.call_after(5_ms, [&, i] { ran.push_back(i); }));
    for (int i = 0; i < 5000; ++i) {
      if (i % 10 != 0) timers[static_cast<std::size_t>(i)].cancel();
    }
    timers.push_back(shard_.call_after(6_ms, [&] { done.count_down(); }));
  });
  done.wait();
  run_on(shard_, [&] {
    EXPECT_EQ(ran.size(), 500U);
    EXPECT_TRUE(std::ranges::is_sorted(ran));
    timers.clear();
  });
}

TEST(ShardLife, ATimerMayOutliveItsShard) {
  Timer timer;
  {
    Shard shard(0, "short");
    shard.start();
    run_on(shard, [&] { timer = shard.call_after(1_h, [] { FAIL(); }); });
  }
  EXPECT_FALSE(timer.active());
}

TEST(ShardLife, TasksAfterStopAreDestroyedWithoutRunning) {
  auto held = std::make_shared<int>(1);
  Shard shard(0, "short");
  shard.start();
  shard.stop();
  shard.join();
  shard.post([held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 1);
}

struct CountingHook final : TurnHook {
  explicit CountingHook(Shard& s) : shard(s) {}
  ~CountingHook() { shard.cancel_turn_end(*this); }
  void on_turn_end() override { ++calls; }
  Shard& shard;
  int calls = 0;
};

TEST_F(ShardTest, ATurnHookRunsOnceAtTheEndOfTheTurn) {
  run_on(shard_, [&] {
    // Posted one after another, the tasks below belong to one turn.
    auto hook = std::make_shared<CountingHook>(shard_);
    for (int i = 0; i < 10; ++i) {
      shard_.post([this, hook] {
        shard_.at_turn_end(*hook);
        EXPECT_EQ(hook->calls, 0);
      });
    }
    shard_.post([this, hook] { shard_.post([hook] { EXPECT_EQ(hook->calls, 1); }); });
  });
  run_on(shard_, [] {});
  run_on(shard_, [&] {
    auto hook = std::make_shared<CountingHook>(shard_);
    shard_.at_turn_end(*hook);  // destroyed while queued
  });
  run_on(shard_, [] {});
}

struct PipeOwner final : FdWatchOwner {
  void on_fd_events(std::uint32_t events) override {
    seen |= events;
    if (on_events) on_events(events);
  }
  std::uint32_t seen = 0;
  std::function<void(std::uint32_t)> on_events;
};

TEST_F(ShardTest, ADescriptorIsReportedUntilReadAndOnlyWhileWanted) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
  PipeOwner owner;
  FdWatch watch;
  std::latch read_done(1);
  std::string text;
  owner.on_events = [&](std::uint32_t events) {
    if ((events & kFdRead) == 0) return;
    char byte = 0;  // one byte at a time: level triggered, so it comes again
    if (::read(pair[0], &byte, 1) == 1) text += byte;
    if (text == "hello") {
      watch.want(kFdHangup);
      read_done.count_down();
    }
  };
  run_on(shard_, [&] { ASSERT_TRUE(watch.add(shard_, pair[0], kFdRead, owner)); });
  ASSERT_EQ(::write(pair[1], "hello", 5), 5);
  read_done.wait();
  run_on(shard_, [&] { owner.seen = 0; });
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  std::latch hangup(1);
  run_on(shard_, [&] {
    owner.on_events = [&](std::uint32_t events) {
      EXPECT_EQ(events & kFdRead, 0U);
      if (events & (kFdHangup | kFdError)) {
        watch.remove();
        hangup.count_down();
      }
    };
  });
  ::shutdown(pair[1], SHUT_WR);
  hangup.wait();
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(ShardTest, SignalsArriveOnTheShard) {
  std::latch seen(1);
  std::unique_ptr<SignalWatch> watch;
  run_on(shard_, [&] {
    watch = std::make_unique<SignalWatch>(shard_, std::initializer_list<int>{SIGUSR1}, [&](int signal) {
      EXPECT_EQ(signal, SIGUSR1);
      EXPECT_EQ(Shard::current(), &shard_);
      seen.count_down();
    });
  });
  ::kill(::getpid(), SIGUSR1);
  seen.wait();
  run_on(shard_, [&] { watch.reset(); });
}

TEST(ShardsTest, ThereAreAsManyAsAskedForAndAtLeastOne) {
  Shards two(2, "pair");
  EXPECT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].index(), 1U);
  EXPECT_EQ(two[1].name(), "pair-1");
  Shards cores;
  EXPECT_GE(cores.size(), 1U);
}

}  // namespace
}  // namespace flux::runtime
