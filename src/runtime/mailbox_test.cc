#include "runtime/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

#include "runtime/spawn.h"

namespace flux::runtime {
namespace {

class MailboxTest : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }
  Shards shards_{3, "test"};
};

struct Item {
  int sender;
  int number;
};

Async<> send_all(const Mailbox<Item>& mailbox, int sender, int count) {
  for (int i = 0; i < count; ++i) {
    Item item{sender, i};
    CO_DO(co_await mailbox.send(item));
  }
  co_return {};
}

TEST_F(MailboxTest, KeepsEachSendersOrderAndNeverHoldsMoreThanItsCapacity) {
  constexpr int kCount = 20'000;
  std::array<int, 2> next{};
  std::size_t most = 0;
  std::optional<Mailbox<Item>> mailbox;
  mailbox.emplace(shards_[2], 8, [&](Item item) {
    EXPECT_EQ(Shard::current(), &shards_[2]);
    EXPECT_EQ(item.number, next[static_cast<std::size_t>(item.sender)]++);
    most = std::max(most, mailbox->size());
  });
  std::jthread other([&] { EXPECT_TRUE(block_on(shards_[1], send_all(*mailbox, 1, kCount))); });
  EXPECT_TRUE(block_on(shards_[0], send_all(*mailbox, 0, kCount)));
  other.join();
  run_on(shards_[2], [] {});
  run_on(shards_[2], [&] {
    EXPECT_EQ(next[0], kCount);
    EXPECT_EQ(next[1], kCount);
    EXPECT_LE(most, 8U);
    EXPECT_GT(most, 0U);
    mailbox.reset();
  });
}

TEST_F(MailboxTest, AFullMailboxRefusesKeepsTheItemAndCallsWhenThereIsRoom) {
  std::latch release(1);
  std::latch blocked(1);
  std::latch room(1);
  std::atomic<int> received = 0;
  auto mailbox = std::make_unique<Mailbox<std::unique_ptr<int>>>(shards_[1], 4,
                                                                 [&](std::unique_ptr<int> item) { received += *item; });
  shards_[1].post([&] {
    blocked.count_down();
    release.wait();
  });
  blocked.wait();
  run_on(shards_[0], [&] {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(mailbox->try_send(std::make_unique<int>(1)));
    auto item = std::make_unique<int>(5);
    EXPECT_FALSE(mailbox->try_send(item));
    ASSERT_NE(item, nullptr);
    mailbox->when_room([&, kept = std::move(item)]() mutable {
      EXPECT_EQ(Shard::current(), &shards_[0]);
      EXPECT_TRUE(mailbox->try_send(kept));
      EXPECT_EQ(kept, nullptr);
      room.count_down();
    });
  });
  EXPECT_EQ(mailbox->size(), 4U);
  release.count_down();
  room.wait();
  run_on(shards_[1], [] {});
  run_on(shards_[1], [&] { mailbox.reset(); });
  EXPECT_EQ(received, 9);
}

TEST_F(MailboxTest, SendersWaitingAtAClosedMailboxAreToldSo) {
  std::latch release(1);
  std::latch blocked(1);
  auto mailbox = std::make_unique<Mailbox<Item>>(shards_[1], 1, [](Item) { ADD_FAILURE() << "closed before"; });
  shards_[1].post([&] {
    blocked.count_down();
    release.wait();
    mailbox.reset();
  });
  blocked.wait();
  Completion<> sent;
  run_on(shards_[0], [&] { EXPECT_TRUE(mailbox->try_send(Item{0, 0})); });
  spawn(shards_[0], detail::resolve_with<void>(sent, mailbox->send(Item{0, 1})));
  run_on(shards_[0], [] {});
  run_on(shards_[0], [] {});
  release.count_down();
  auto wait = [](Completion<> completion) -> Async<> { co_return co_await completion; };
  EXPECT_EQ(block_on(shards_[0], wait(sent)).error().code, ErrorCode::cancelled);
}

}  // namespace
}  // namespace flux::runtime
