#include "runtime/async.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>

#include "runtime/cancel.h"
#include "runtime/completion.h"
#include "runtime/gate.h"
#include "runtime/spawn.h"

namespace flux::runtime {
namespace {

class AsyncTest : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }
  Shards shards_{2, "test"};
  Shard& shard_ = shards_[0];
};

Async<int> answer() { co_return 42; }
Async<int> failing() { co_return fail(ErrorCode::not_found, "no such thing"); }
Async<int> throwing() {
  throw std::runtime_error("boom");
  co_return 1;
}
Async<int> doubled(Async<int> inner) {
  CO_TRY(const int value, co_await std::move(inner));
  co_return value * 2;
}
Async<> done(Async<int> inner) {
  CO_DO(co_await std::move(inner));
  co_return {};
}
Async<int> deep(int depth) {
  if (depth == 0) co_return 0;
  CO_TRY(const int below, co_await deep(depth - 1));
  co_return below + 1;
}
Async<int> many(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) {
    CO_TRY(const int value, co_await answer());
    sum += value;
  }
  co_return sum;
}

TEST_F(AsyncTest, ReturnsValuesErrorsAndExceptionsAsResults) {
  EXPECT_EQ(block_on(shard_, doubled(answer())).value(), 84);
  EXPECT_EQ(block_on(shard_, doubled(failing())).error().code, ErrorCode::not_found);
  const auto thrown = block_on(shard_, doubled(throwing()));
  EXPECT_EQ(thrown.error().code, ErrorCode::internal);
  EXPECT_NE(thrown.error().message.find("boom"), std::string::npos);
  EXPECT_TRUE(block_on(shard_, done(answer())));
  EXPECT_FALSE(block_on(shard_, done(failing())));
}

TEST_F(AsyncTest, AMillionAwaitsInARowUseNoStack) {
  EXPECT_EQ(block_on(shard_, many(1'000'000)).value(), 42'000'000);
  EXPECT_EQ(block_on(shard_, deep(1000)).value(), 1000);
}

TEST_F(AsyncTest, IsLazyAndFreesAnUnstartedFrame) {
  auto held = std::make_shared<int>(0);
  auto lazy = [](std::shared_ptr<int> counter) -> Async<> {
    ++*counter;
    co_return {};
  };
  {
    const auto task = lazy(held);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

Async<int> await_completion(Completion<int> completion) {
  const Shard* const before = Shard::current();
  CO_TRY(const int value, co_await completion);
  EXPECT_EQ(Shard::current(), before);
  co_return value;
}

TEST_F(AsyncTest, ACompletionResumesOnTheAwaitingShard) {
  const Completion<int> completion;
  std::jthread resolver([completion] { EXPECT_TRUE(completion.resolve(7)); });
  EXPECT_EQ(block_on(shard_, await_completion(completion)).value(), 7);
  EXPECT_FALSE(completion.resolve(8));
  EXPECT_TRUE(completion.resolved());
}

TEST_F(AsyncTest, CompletionsResolvedByRacingThreadsAllArrive) {
  for (int i = 0; i < 500; ++i) {
    const Completion<int> completion;
    std::atomic<int> won = 0;
    std::jthread a([&] { won += completion.resolve(1) ? 1 : 0; });
    std::jthread b([&] { won += completion.resolve(2) ? 1 : 0; });
    const auto value = block_on(shard_, await_completion(completion)).value();
    EXPECT_TRUE(value == 1 || value == 2);
    a.join();
    b.join();
    EXPECT_EQ(won, 1);
  }
}

struct Flag {
  std::shared_ptr<std::atomic<int>> destroyed;
  ~Flag() { ++*destroyed; }
};

Async<> wait_forever(Completion<> never, std::shared_ptr<std::atomic<int>> destroyed, Shard* home) {
  const Flag flag{std::move(destroyed)};
  CO_DO(co_await never);
  EXPECT_EQ(Shard::current(), home);
  ADD_FAILURE() << "resumed";
  co_return {};
}

TEST(AsyncLife, WaitingTasksAreDestroyedWithTheirShard) {
  auto destroyed = std::make_shared<std::atomic<int>>(0);
  const Completion<> never;
  {
    Shard shard(0, "short");
    shard.start();
    spawn(shard, wait_forever(never, destroyed, &shard));
    run_on(shard, [] {});
    EXPECT_EQ(*destroyed, 0);
  }
  EXPECT_EQ(*destroyed, 1);
  EXPECT_TRUE(never.resolve({}));  // nobody is there any more
}

std::atomic<int> hook_calls = 0;
std::string hook_text;

TEST_F(AsyncTest, AFailedSpawnedTaskReachesTheHook) {
  set_spawn_error_hook([](std::string_view name, const Error& error) {
    hook_text = std::string(name) + ": " + error.message;
    ++hook_calls;
  });
  spawn(shard_, done(failing()), "looker");
  spawn(shard_, done(answer()), "quiet");
  auto cancelled = []() -> Async<> { co_return fail(ErrorCode::cancelled, "gone"); };
  spawn(shard_, cancelled(), "cancelled");
  run_on(shard_, [] {});
  run_on(shard_, [] {});
  EXPECT_EQ(hook_calls, 1);
  EXPECT_EQ(hook_text, "looker: no such thing");
  set_spawn_error_hook(nullptr);
}

TEST_F(AsyncTest, SleepWaitsAndIsCancelled) {
  const auto start = monotonic_now();
  EXPECT_TRUE(block_on(shard_, sleep(5_ms)));
  EXPECT_GE(monotonic_now() - start, 5_ms);

  const CancelSource source;
  auto waiting = sleep(1_h, source.token());
  std::jthread canceller([&] { source.cancel(); });
  EXPECT_EQ(block_on(shard_, std::move(waiting)).error().code, ErrorCode::cancelled);
  EXPECT_EQ(block_on(shard_, sleep(1_h, source.token())).error().code, ErrorCode::cancelled);
}

TEST_F(AsyncTest, WithTimeoutDestroysWhatTakesTooLong) {
  auto destroyed = std::make_shared<std::atomic<int>>(0);
  const Completion<> never;
  const auto result = block_on(shard_, with_timeout(wait_forever(never, destroyed, &shard_), 2_ms, "waiting"));
  EXPECT_EQ(result.error().code, ErrorCode::timed_out);
  EXPECT_EQ(result.error().message, "waiting took longer than 2ms");
  EXPECT_EQ(*destroyed, 1);
  EXPECT_EQ(block_on(shard_, with_timeout(answer(), 1_h, "answering")).value(), 42);
}

TEST(CancelTest, CallbacksRunOnceAndNotAfterTheirRegistrationIsGone) {
  const CancelSource source;
  int first = 0;
  int second = 0;
  const auto keep = source.token().on_cancel([&] { ++first; });
  {
    const auto drop = source.token().on_cancel([&] { ++second; });
  }
  EXPECT_FALSE(source.cancelled());
  source.cancel();
  source.cancel();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  const auto late = source.token().on_cancel([&] { ++second; });
  EXPECT_EQ(second, 1);
  EXPECT_FALSE(CancelToken().cancelled());
}

TEST(CancelTest, ARegistrationWaitsForItsRunningCallback) {
  for (int i = 0; i < 200; ++i) {
    const CancelSource source;
    std::latch running(1);
    std::atomic<bool> finished = false;
    auto registration = std::make_optional(source.token().on_cancel([&] {
      running.count_down();
      for (int turns = 0; turns < 20; ++turns) std::this_thread::yield();
      finished = true;
    }));
    std::jthread canceller([&] { source.cancel(); });
    running.wait();
    registration.reset();
    EXPECT_TRUE(finished);
  }
}

Async<> hold(Gate gate, Completion<> until, std::latch* inside) {
  const auto pass = gate.enter();
  EXPECT_TRUE(pass);
  inside->count_down();
  CO_DO(co_await until);
  co_return {};
}

TEST_F(AsyncTest, AGateClosesWhenTheLastPassIsGone) {
  const Gate gate;
  const std::array<Completion<>, 3> release;
  std::latch inside(3);
  for (std::size_t i = 0; i < 3; ++i) spawn(shards_[i % 2], hold(gate, release[i], &inside));
  inside.wait();
  EXPECT_EQ(gate.inside(), 3U);

  std::atomic<bool> closed = false;
  std::jthread closer([&] {
    EXPECT_TRUE(block_on(shard_, gate.close()));
    closed = true;
  });
  while (!gate.closed()) std::this_thread::yield();
  EXPECT_FALSE(gate.enter());
  release[0].resolve({});
  release[1].resolve({});
  while (gate.inside() > 1) std::this_thread::yield();
  EXPECT_FALSE(closed);
  release[2].resolve({});
  closer.join();
  EXPECT_TRUE(closed);
  EXPECT_TRUE(block_on(shard_, gate.close()));
}

}  // namespace
}  // namespace flux::runtime
