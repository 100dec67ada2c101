#include "runtime/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/service.h"
#include "runtime/spawn.h"

namespace flux::runtime {
namespace {

class WorkersTest : public testing::Test {
 protected:
  void SetUp() override { shard_.start(); }
  Workers workers_{2, 4};
  Shard shard_{0, "test"};  // ends first: its coroutines await the workers
};

Async<int> square_on(Workers& workers, int value) {
  const Shard* const home = Shard::current();
  auto work = [value, home] {
    EXPECT_EQ(Shard::current(), nullptr);
    EXPECT_NE(home, nullptr);
    return value * value;
  };
  CO_TRY(const int squared, co_await workers.run(std::move(work)));
  EXPECT_EQ(Shard::current(), home);
  co_return squared;
}

TEST_F(WorkersTest, RunsElsewhereAndResumesHere) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(block_on(shard_, square_on(workers_, i)).value(), i * i);
}

TEST_F(WorkersTest, PassesOnVoidResultsErrorsAndExceptions) {
  auto nothing = [] {};
  EXPECT_TRUE(block_on(shard_, workers_.run(nothing)));
  auto failing = []() -> Result<int> { return fail(ErrorCode::io, "disk"); };
  EXPECT_EQ(block_on(shard_, workers_.run(failing)).error().code, ErrorCode::io);
  auto throwing = []() -> int { throw std::runtime_error("boom"); };
  EXPECT_EQ(block_on(shard_, workers_.run(throwing)).error().code, ErrorCode::internal);
}

TEST_F(WorkersTest, AFullQueueRefuses) {
  std::latch release(1);
  std::latch busy(2);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(workers_.try_submit([&] {
      busy.count_down();
      release.wait();
    }));
  }
  busy.wait();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(workers_.try_submit([&] { ++ran; }));
  EXPECT_FALSE(workers_.try_submit([&] { ++ran; }));
  EXPECT_EQ(block_on(shard_, square_on(workers_, 3)).error().code, ErrorCode::exhausted);
  EXPECT_EQ(workers_.queued(), 4U);
  release.count_down();
  workers_.stop();  // runs what is queued
  EXPECT_EQ(ran, 4);
  EXPECT_FALSE(workers_.try_submit([] {}));
}

struct Part final : Service {
  Part(std::string part_name, std::string& journal) : name_(std::move(part_name)), log(journal) {}
  [[nodiscard]] std::string_view name() const override { return name_; }
  Async<void> start() override {
    log += "+" + name_;
    if (refuses) co_return fail(ErrorCode::unavailable, "not today");
    co_return {};
  }
  Async<void> drain() override {
    log += "~" + name_;
    if (hangs) co_return co_await sleep(1_h);
    co_return {};
  }
  Async<void> stop() override {
    log += "-" + name_;
    co_return {};
  }
  std::string name_;
  std::string& log;
  bool refuses = false;
  bool hangs = false;
};

TEST_F(WorkersTest, TasksThatWaitForOthersHoldNobodyUp) {
  std::latch both_wait{2};
  std::latch go_on{1};
  std::latch done{2};
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(workers_.try_submit([&] {
      {
        const auto waiting = workers_.begin_waiting();
        EXPECT_TRUE(waiting);
        both_wait.count_down();
        go_on.wait();
      }
      done.count_down();
    }));
  }
  both_wait.wait();
  EXPECT_EQ(workers_.threads(), 2U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(block_on(shard_, square_on(workers_, i)).value(), i * i);
  go_on.count_down();
  done.wait();
  // Whoever is one too many goes when it has nothing to do; what is handed in meanwhile is done.
  for (int i = 0; i < 100; ++i) EXPECT_EQ(block_on(shard_, square_on(workers_, i)).value(), i * i);
  while (workers_.threads() > 2) std::this_thread::yield();
}

TEST_F(WorkersTest, OnlySoManyMayWait) {
  std::vector<Workers::Waiting> waiting;
  for (std::size_t i = 0; i < Workers::kMostWaiting; ++i) {
    auto one = workers_.begin_waiting();
    ASSERT_TRUE(one);
    waiting.push_back(*std::move(one));
  }
  EXPECT_FALSE(workers_.begin_waiting());
  waiting.pop_back();
  EXPECT_TRUE(workers_.begin_waiting());
}

TEST_F(WorkersTest, ServicesStopInReverseOrder) {
  std::string log;
  Part a("a", log);
  Part b("b", log);
  Part c("c", log);
  ServiceGroup group;
  for (auto* part : {&a, &b, &c}) group.add(*part);
  EXPECT_TRUE(block_on(shard_, group.start()));
  EXPECT_TRUE(block_on(shard_, group.drain(1_s)));
  EXPECT_TRUE(block_on(shard_, group.stop()));
  EXPECT_EQ(log, "+a+b+c~c~b~a-c-b-a");
}

TEST_F(WorkersTest, AServiceThatCannotStartStopsTheOthers) {
  std::string log;
  Part a("a", log);
  Part b("b", log);
  b.refuses = true;
  ServiceGroup group;
  group.add(a);
  group.add(b);
  const auto started = block_on(shard_, group.start());
  EXPECT_EQ(started.error().message, "b cannot start: not today");
  EXPECT_EQ(log, "+a+b-a");
}

TEST_F(WorkersTest, AServiceThatHangsWhileDrainingIsLeftBehind) {
  std::string log;
  Part a("a", log);
  Part b("b", log);
  b.hangs = true;
  ServiceGroup group;
  group.add(a);
  group.add(b);
  EXPECT_TRUE(block_on(shard_, group.start()));
  const auto drained = block_on(shard_, group.drain(20_ms));
  EXPECT_EQ(drained.error().code, ErrorCode::timed_out);
  EXPECT_EQ(log, "+a+b~b~a");
}

}  // namespace
}  // namespace flux::runtime
