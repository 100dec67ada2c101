#include "net/tcp.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "net/body_budget.h"
#include "net/output_queue.h"
#include "net/test_client.h"
#include "runtime/completion.h"
#include "runtime/spawn.h"

namespace flux::net {
namespace {

using runtime::block_on;
using runtime::Shards;

/// Echoes, with commands in upper case for what a test wants to see.
struct Echo : TcpHandler {
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
    connection.write(data);
    return data.size();
  }
  void on_closed(TcpConnection&, CloseReason why) override {
    reason = why;
    closed = true;
  }
  std::atomic<CloseReason> reason = CloseReason::local;
  std::atomic<bool> closed = false;
};

/// Takes lines of up to any length; answers each with its length.
struct Lines : Echo {
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    std::size_t used = 0;
    for (;;) {
      const auto end = text.find('\n', used);
      if (end == std::string_view::npos) return used;
      const auto line = text.substr(used, end - used);
      used = end + 1;
      if (line == "bye") {
        connection.close();
        return used;
      }
      if (line == "abort") {
        connection.abort();
        return used;
      }
      connection.write(std::to_string(line.size()) + "\n");
    }
  }
};

class TcpTest : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }

  template <class Handler>
  void serve(TcpOptions options = {}) {
    server_ = std::make_unique<TcpServer>(shards_, options, [this](TcpConnection& connection) {
      auto handler = std::make_shared<Handler>();
      const std::lock_guard lock(mutex_);
      handlers_.push_back(handler);
      used_shards_.insert(connection.shard().index());
      return handler;
    });
    const auto listening = server_->listen("127.0.0.1", 0);
    ASSERT_TRUE(listening) << listening.error().message;
  }
  std::shared_ptr<Echo> handler(std::size_t index) {
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return handlers_.size() > index;
    }));
    const std::lock_guard lock(mutex_);
    return handlers_.at(index);
  }
  TestClient connect() { return TestClient(server_->address()); }

  Shards shards_{2, "test"};
  std::mutex mutex_;
  std::vector<std::shared_ptr<Echo>> handlers_;
  std::set<std::size_t> used_shards_;
  std::unique_ptr<TcpServer> server_;
};

TEST_F(TcpTest, EchoesAndSpreadsConnectionsEvenlyOverShards) {
  serve<Echo>();
  EXPECT_NE(server_->address().port, 0);
  std::vector<TestClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send("hello"));
    EXPECT_EQ(clients.back().receive(5), "hello");
  }
  EXPECT_EQ(used_shards_.size(), 2U);
  for (const auto* stats : server_->stats()) {
    EXPECT_EQ(stats->connections_open(), 4U);
    EXPECT_EQ(stats->bytes_in.get(), 20U);
  }
  EXPECT_EQ(server_->connections(), 8U);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(handler(0)->reason, CloseReason::peer);
}

TEST_F(TcpTest, ShowsUnconsumedBytesAgainUntilTheMessageIsWhole) {
  serve<Lines>();
  auto client = connect();
  for (const char c : std::string_view("abc\nde\n")) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_EQ(client.receive(4), "3\n2\n");
  // Longer than any read, so that it is gathered from many.
  const std::string long_line(3'000'000, 'x');
  ASSERT_TRUE(client.send(long_line + "\nab\n"));
  EXPECT_EQ(client.receive_until("\n"), "3000000\n");
  EXPECT_EQ(client.receive_until("\n"), "2\n");
}

TEST_F(TcpTest, CloseFlushesAndAbortResets) {
  serve<Lines>();
  auto polite = connect();
  ASSERT_TRUE(polite.send("12345\nbye\nnever read"));
  bool reset = false;
  EXPECT_EQ(polite.receive_all(&reset), "5\n");
  EXPECT_FALSE(reset);
  polite.close();
  EXPECT_TRUE(eventually([&] { return handler(0)->closed.load(); }));
  EXPECT_EQ(handler(0)->reason, CloseReason::local);

  auto rude = connect();
  ASSERT_TRUE(rude.send("abort\n"));
  rude.receive_all(&reset);
  EXPECT_TRUE(reset);
  EXPECT_TRUE(eventually([&] { return handler(1)->closed.load(); }));
  EXPECT_EQ(handler(1)->reason, CloseReason::aborted);
}

TEST_F(TcpTest, APeerThatKeepsSendingAfterOurCloseIsCutOffInTheEnd) {
  serve<Lines>({.linger_time = 40_ms});
  auto client = connect();
  ASSERT_TRUE(client.send("bye\n"));
  EXPECT_EQ(client.receive_all(), "");
  // Neither closes nor stops: the linger time ends it.
  EXPECT_TRUE(eventually([&] {
    client.send("more");
    return handler(0)->closed.load();
  }));
}

TEST_F(TcpTest, ASilentConnectionTimesOutAndABusyOneDoesNot) {
  serve<Echo>({.idle_timeout = 60_ms});
  auto silent = connect();
  auto busy = connect();
  bool over = false;
  std::thread talker([&] {
    while (!handler(0)->closed) {
      if (!busy.send("x")) break;
      busy.receive(1);
    }
    over = true;
  });
  EXPECT_EQ(silent.receive_all(), "");
  talker.join();
  EXPECT_TRUE(over);
  EXPECT_EQ(handler(0)->reason, CloseReason::idle_timeout);
  EXPECT_FALSE(handler(1)->closed);
}

TEST_F(TcpTest, APeerThatReadsNothingIsHeldToTheHighWaterMarkAndThenTimedOut) {
  serve<Echo>({.write_timeout = 150_ms, .high_water = 64_KiB, .low_water = 16_KiB});
  TestClient client(server_->address(), 4096);
  const std::string block(64 * 1024, 'x');
  std::size_t sent = 0;
  // The echo stops reading when its output is full, so that our sending stops too: both sides' memory is bounded.
  while (!handler(0)->closed) {
    const auto more = client.send_some(block);
    sent += more;
    if (more == 0) ::usleep(1000);  // pace: of a client whose socket is full
    ASSERT_LT(sent, 64U << 20) << "the server reads without bound";
  }
  EXPECT_EQ(handler(0)->reason, CloseReason::write_timeout);
}

TEST_F(TcpTest, ASlowReaderGetsEverythingInTheEnd) {
  serve<Echo>({.high_water = 64_KiB, .low_water = 16_KiB});
  TestClient client(server_->address(), 8192);
  std::string text(8 << 20, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26 + i / 1000 % 3);
  std::thread sender([&] {
    EXPECT_TRUE(client.send(text));
    client.finish_sending();
  });
  std::string echoed;
  while (echoed.size() < text.size()) {
    const auto part = client.receive(std::min<std::size_t>(10'000, text.size() - echoed.size()));
    if (part.empty()) break;
    echoed += part;
  }
  sender.join();
  EXPECT_TRUE(echoed == text);
}

TEST_F(TcpTest, ConnectionsOverTheLimitAreToldSo) {
  serve<Echo>({.max_connections = 2, .refusal = "full\n"});
  auto first = connect();
  auto second = connect();
  ASSERT_TRUE(first.send("1") && second.send("2"));
  EXPECT_EQ(first.receive(1) + second.receive(1), "12");
  auto third = connect();
  EXPECT_EQ(third.receive_all(), "full\n");
  EXPECT_EQ(server_->stats()[0]->connections_refused[static_cast<std::size_t>(Refusal::total_limit)].get(), 1U);
  first.close();
  EXPECT_TRUE(eventually([&] { return server_->connections() == 1; }));
  auto fourth = connect();
  ASSERT_TRUE(fourth.send("4"));
  EXPECT_EQ(fourth.receive(1), "4");
}

/// Answers what finds no room, and closes.
struct TalkingLines final : Lines {
  void on_no_room(TcpConnection& connection, bool own) override {
    connection.write(own ? "no room for you\n" : "no room\n");
    connection.close();
  }
};

TEST_F(TcpTest, WhatIsUnconsumedHasRoomTogether) {
  const auto budget = std::make_shared<BodyBudget>(1_MiB);
  serve<TalkingLines>({.unconsumed = budget});
  auto first = connect();
  ASSERT_TRUE(first.send(std::string(500'000, 'x')));
  ASSERT_TRUE(eventually([&] { return budget->used() >= 500'000; }));
  auto second = connect();
  ASSERT_TRUE(second.send(std::string(600'000, 'x')));
  EXPECT_EQ(second.receive_all(), "no room\n");
  // Little is free, and what is consumed holds nothing.
  auto small = connect();
  ASSERT_TRUE(small.send("half and "));
  ASSERT_TRUE(small.send("half\n"));
  EXPECT_EQ(small.receive(3), "13\n");
  ASSERT_TRUE(first.send("\n"));
  EXPECT_EQ(first.receive(7), "500000\n");
  EXPECT_TRUE(eventually([&] { return budget->used() == 0; }));
  {
    auto gone = connect();
    ASSERT_TRUE(gone.send(std::string(300'000, 'x')));
    ASSERT_TRUE(eventually([&] { return budget->used() >= 300'000; }));
  }
  EXPECT_TRUE(eventually([&] { return budget->used() == 0; })) << "a closed connection holds nothing";
}

TEST_F(TcpTest, WhatIsUnconsumedOfOnePeerHasItsShare) {
  const auto budget = std::make_shared<BodyBudget>(8_MiB, 1_MiB);
  serve<TalkingLines>({.limit_loopback = true, .unconsumed = budget});
  auto first = connect();
  ASSERT_TRUE(first.send(std::string(500'000, 'x')));
  ASSERT_TRUE(eventually([&] { return budget->used() >= 500'000; }));
  auto second = connect();
  ASSERT_TRUE(second.send(std::string(600'000, 'x')));
  EXPECT_EQ(second.receive_all(), "no room for you\n");
}

TEST_F(TcpTest, WithoutAnAnswerWhatFindsNoRoomEndsTheConnection) {
  const auto budget = std::make_shared<BodyBudget>(64_KiB);
  serve<Lines>({.unconsumed = budget});
  auto client = connect();
  (void)client.send(std::string(500'000, 'x'));
  EXPECT_TRUE(eventually([&] { return handler(0)->closed.load(); }));
  EXPECT_EQ(handler(0)->reason, CloseReason::overflow);
}

TEST_F(TcpTest, OnePeerGetsItsShareOnly) {
  serve<Echo>({.max_connections_per_peer = 1, .limit_loopback = true, .refusal = "full\n"});
  {
    auto first = connect();
    ASSERT_TRUE(first.send("1"));
    EXPECT_EQ(first.receive(1), "1");
    EXPECT_EQ(connect().receive_all(), "full\n");
    EXPECT_EQ(server_->stats()[0]->connections_refused[static_cast<std::size_t>(Refusal::peer_limit)].get(), 1U);
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  auto again = connect();
  ASSERT_TRUE(again.send("2"));
  EXPECT_EQ(again.receive(1), "2");
}

Async<void> serve_and_destroy(Shards& shards) {
  auto server =
      std::make_unique<TcpServer>(shards, TcpOptions{}, [](TcpConnection&) { return std::make_shared<Echo>(); });
  CO_DO(server->listen("127.0.0.1", 0));
  CO_DO(co_await server->close());
  server.reset();
  co_return {};
}

TEST_F(TcpTest, AClosedServerMayBeDestroyedOnAShard) { EXPECT_TRUE(block_on(shards_[0], serve_and_destroy(shards_))); }

TEST_F(TcpTest, DrainWaitsForTheHandlersAndRefusesNewcomers) {
  serve<Echo>();
  auto client = connect();
  ASSERT_TRUE(client.send("x"));
  EXPECT_EQ(client.receive(1), "x");
  std::thread drainer([&] { EXPECT_TRUE(block_on(shards_[1], server_->drain(20_s))); });
  EXPECT_EQ(client.receive_all(), "");  // the default handler closes
  client.close();
  drainer.join();
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_FALSE(connect().connected());
}

struct Stubborn final : Echo {
  void on_drain(TcpConnection&) override {}
};

TEST_F(TcpTest, DrainGivesUpAfterItsLimitAndCloseEndsTheRest) {
  serve<Stubborn>();
  auto client = connect();
  ASSERT_TRUE(client.send("x"));
  EXPECT_EQ(client.receive(1), "x");
  const auto drained = block_on(shards_[0], server_->drain(10_ms));
  EXPECT_EQ(drained.error().code, ErrorCode::timed_out);
  EXPECT_TRUE(block_on(shards_[0], server_->close()));
  EXPECT_TRUE(handler(0)->closed);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(TcpTest, StopWorksBeforeAndAfterTheShardsHaveEnded) {
  serve<Echo>();
  auto client = connect();
  ASSERT_TRUE(client.send("x"));
  EXPECT_EQ(client.receive(1), "x");
  shards_.stop();
  shards_.join();
  server_->stop();
  EXPECT_TRUE(handler(0)->closed);
  server_->stop();
}

TEST_F(TcpTest, ListenSaysWhatIsWrong) {
  serve<Echo>();
  const auto taken = server_->listen("127.0.0.1", server_->address().port);
  EXPECT_EQ(taken.error().code, ErrorCode::io);
  EXPECT_NE(taken.error().message.find(server_->address().text()), std::string::npos);
  EXPECT_EQ(server_->listen("no-such-host", 1).error().code, ErrorCode::invalid_argument);
}

struct Asker final : Echo {
  explicit Asker(runtime::Completion<std::string> done) : answer(std::move(done)) {}
  void on_open(TcpConnection& connection) override { connection.write(std::string_view("ping")); }
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
    if (data.size() < 4) return 0;
    answer.resolve(std::string(reinterpret_cast<const char*>(data.data()), data.size()));
    connection.close();
    return data.size();
  }
  runtime::Completion<std::string> answer;
};

Async<std::string> ask(TcpClient& client, Address address) {
  runtime::Completion<std::string> answer;
  const auto asker = std::make_shared<Asker>(answer);
  CO_DO(co_await client.connect(address, 5_s, asker));
  co_return co_await answer;
}

TEST_F(TcpTest, AClientConnectsAsksAndIsRefused) {
  serve<Echo>();
  TcpClient client(shards_);
  EXPECT_EQ(block_on(shards_[1], ask(client, server_->address())).value(), "ping");
  const auto address = server_->address();
  server_->stop();
  const auto refused = block_on(shards_[0], ask(client, address));
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("refused"), std::string::npos);
}

TEST(AddressTest, ParsesAndPrints) {
  EXPECT_EQ(Address::parse("127.0.0.1", 80)->text(), "127.0.0.1:80");
  EXPECT_EQ(Address::parse("localhost", 1)->ip_text(), "127.0.0.1");
  EXPECT_EQ(Address::parse("[::1]", 80)->text(), "[::1]:80");
  EXPECT_EQ(Address::parse("*", 80)->text(), "[::]:80");
  EXPECT_TRUE(Address::parse("::1", 80)->is_loopback());
  EXPECT_TRUE(Address::parse("127.8.0.1", 80)->is_loopback());
  EXPECT_FALSE(Address::parse("10.0.0.1", 80)->is_loopback());
  EXPECT_FALSE(Address::parse("2001:db8::1", 80)->is_loopback());
}

TEST(OutputQueueTest, GathersSmallWritesAndRefersToLargeOnes) {
  OutputQueue queue;
  std::string expected;
  const auto shared = std::make_shared<const std::string>(100'000, 's');
  for (int i = 0; i < 5000; ++i) {
    const std::string small = "item " + std::to_string(i) + ";";
    queue.append(small);
    expected += small;
    if (i % 1000 == 0) {
      queue.append(shared, *shared);
      expected += *shared;
    }
  }
  EXPECT_EQ(shared.use_count(), 6);
  std::string out;
  std::array<Transport::Slice, 3> slices;
  std::size_t step = 1;
  while (!queue.empty()) {
    ASSERT_EQ(queue.size(), expected.size() - out.size());
    const auto count = queue.peek(slices);
    ASSERT_GT(count, 0U);
    std::size_t take = 0;
    for (std::size_t i = 0; i < count && take < step; ++i) {
      const auto part = std::min(slices[i].size, step - take);
      out.append(static_cast<const char*>(slices[i].data), part);
      take += part;
    }
    queue.consume(take);
    step = step * 3 % 50'021 + 1;
  }
  EXPECT_TRUE(out == expected);
  EXPECT_EQ(shared.use_count(), 1);
}

/// Answers each line with the shard it was read on; `go N` is not consumed but taken to shard N, where it is `go` done.
struct Traveller final : Echo {
  explicit Traveller(Shards& shards) : shards_(shards) {}
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    std::size_t used = 0;
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', used)) {
      const auto line = text.substr(used, end - used);
      if (line.starts_with("go ")) {
        const auto to = static_cast<std::size_t>(line[3] - '0');
        if (to != connection.shard().index()) {
          connection.move_to(shards_[to]);
          return used;
        }
      }
      used = end + 1;
      connection.write(std::to_string(connection.shard().index()) + "\n");
    }
    return used;
  }
  Shards& shards_;
};

TEST(TcpMoveTest, a_connection_goes_on_at_another_shard_with_what_it_has_sent) {
  Shards shards(3);
  shards.start();
  std::mutex mutex;
  std::vector<std::shared_ptr<Traveller>> made;
  TcpServer server(shards, {}, [&](TcpConnection&) {
    const std::lock_guard lock(mutex);
    return made.emplace_back(std::make_shared<Traveller>(shards));
  });
  ASSERT_TRUE(server.listen("127.0.0.1", 0));
  for (char to = '0'; to < '3'; ++to) {
    TestClient client(server.address());
    // What follows the line in the same read, and what comes later, is read over there.
    ASSERT_TRUE(client.send(std::string("go ") + to + "\nx\nhal"));
    const std::string there = std::string(1, to) + "\n";
    EXPECT_EQ(client.receive(4), there + there);
    ASSERT_TRUE(client.send("f\n"));
    EXPECT_EQ(client.receive(2), there);
  }
  EXPECT_TRUE(eventually([&] { return server.connections() == 0; }));
  server.stop();
  std::size_t moved = 0;
  for (const auto& one : made) moved += one->reason == CloseReason::moved ? 1 : 0;
  EXPECT_EQ(moved, made.size() - 3);
  EXPECT_GE(moved, 1u);
  shards.stop();
  shards.join();
}

}  // namespace
}  // namespace flux::net
