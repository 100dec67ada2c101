#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "net/body_budget.h"
#include "net/http_test_server.h"
#include "net/websocket.h"
#include "runtime/completion.h"
#include "runtime/spawn.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FLUX_CHECKED_MALLOC  // ends the process instead of failing
#endif
#endif

namespace flux::net {
namespace {

TEST(BodyBuffer, WithoutMemoryItSaysSoAndKeepsWhatItHas) {
  BodyBuffer buffer;
  ASSERT_TRUE(buffer.reserve(10));
  buffer.append("0123456789");
  EXPECT_FALSE(buffer.reserve(std::numeric_limits<std::size_t>::max()));
#ifndef FLUX_CHECKED_MALLOC
  EXPECT_FALSE(buffer.reserve(std::size_t{1} << 60));
#endif
  ASSERT_TRUE(buffer.reserve(20));
  buffer.append("abc");
  EXPECT_EQ(buffer.finish(), "0123456789abc");
}

TEST(BodyBudget, KeepsAnEighthForSmallBodies) {
  const auto budget = std::make_shared<BodyBudget>(8_MiB);
  BodyShare large;
  BodyShare other;
  EXPECT_TRUE(large.raise(budget, 7_MiB));
  EXPECT_FALSE(other.raise(budget, BodyBudget::kSmallBytes + 1));
  EXPECT_EQ(other.bytes(), 0U);
  EXPECT_TRUE(other.raise(budget, BodyBudget::kSmallBytes));
  EXPECT_FALSE(other.raise(budget, BodyBudget::kSmallBytes + 1)) << "it would be a large one";
  EXPECT_EQ(budget->used(), 7_MiB + BodyBudget::kSmallBytes);
  other.give_back();
  large.lower(1_MiB);
  EXPECT_EQ(budget->used(), 1_MiB);
  EXPECT_TRUE(other.raise(budget, 6_MiB));
}

TEST(BodyBudget, OneAddressGetsItsShareOnly) {
  const auto budget = std::make_shared<BodyBudget>(8_MiB, 2_MiB);
  const Holder one = holder_of(Address::parse("192.0.2.1", 1000).value(), false);
  const Holder same = holder_of(Address::parse("192.0.2.1", 2000).value(), false);
  const Holder other = holder_of(Address::parse("192.0.2.2", 1000).value(), false);
  BodyShare a;
  BodyShare b;
  BodyShare c;
  EXPECT_TRUE(a.raise(budget, 1_MiB, one));
  EXPECT_FALSE(b.raise(budget, 1_MiB + 1, same));
  EXPECT_TRUE(b.is_holders_fault());
  EXPECT_FALSE(budget->short_of_room(monotonic_now())) << "nobody else need make way";
  EXPECT_TRUE(b.raise(budget, 1_MiB, same));
  EXPECT_TRUE(c.raise(budget, 2_MiB, other));
  EXPECT_FALSE(c.raise(budget, 2_MiB + 1, other));
  EXPECT_EQ(budget->used(), 4_MiB);
  a.give_back();
  b.lower(512_KiB);
  EXPECT_EQ(budget->used(), 2_MiB + 512_KiB);
  EXPECT_TRUE(b.raise(budget, 2_MiB, same));

  const Address loopback = Address::parse("127.0.0.1", 1000).value();
  EXPECT_EQ(holder_of(loopback, false), std::nullopt) << "it may be a proxy";
  EXPECT_NE(holder_of(loopback, true), std::nullopt);
  BodyShare proxied;
  EXPECT_TRUE(proxied.raise(budget, 3_MiB));
  BodyShare more;
  EXPECT_FALSE(more.raise(budget, 3_MiB));
  EXPECT_FALSE(more.is_holders_fault());
}

TEST(BodyBudget, IsShortWhileWhatWasTurnedAwayDoesNotFit) {
  const auto budget = std::make_shared<BodyBudget>(8_MiB);
  BodyShare large;
  BodyShare other;
  const Duration now = monotonic_now();
  EXPECT_TRUE(large.raise(budget, 6_MiB));
  EXPECT_FALSE(budget->short_of_room(now));
  EXPECT_FALSE(other.raise(budget, 2_MiB));
  EXPECT_TRUE(budget->short_of_room(now));
  EXPECT_FALSE(budget->short_of_room(now + 1_min)) << "whoever was turned away has not come again";
  large.lower(5_MiB);
  EXPECT_FALSE(budget->short_of_room(now));
}

class HttpBodyTest : public HttpTest {
 protected:
  void SetUp() override {
    HttpTest::SetUp();
    auto root = router_.group();
    root.post("/size", {}, [](HttpRequest& request, Responder responder) {
      responder.send_json(200, std::to_string(request.body().size()));
    });
    root.get("/quick", {}, [](HttpRequest&, Responder responder) { responder.send_json(200, "{}"); });
    root.get("/flood", {}, [](HttpRequest&, Responder responder) {
      responder.send(HttpResponse::stream(200, "text/plain", [](BodyWriter& out) { return flood(out); }));
    });
  }
  static Async<void> flood(BodyWriter& out) {
    while (!out.closed().cancelled()) CO_DO(co_await out.write(std::string(100'000, 'x')));
    co_return {};
  }
  static Async<void> flood_after(runtime::Completion<> go, BodyWriter& out) {
    CO_DO(co_await go);
    co_return co_await flood(out);
  }
  static HttpOptions narrow() {
    HttpOptions options;
    options.bodies_bytes = 1_MiB;
    options.body_bytes = 512_KiB;
    return options;
  }
  /// Has begun a body of `size` bytes and says nothing more.
  TestClient begin(std::size_t size) {
    auto client = connect();
    EXPECT_TRUE(
        client.send("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n[1,"));
    return client;
  }
};

TEST_F(HttpBodyTest, BodiesTogetherHoldNoMoreThanTheyMay) {
  serve(narrow());
  auto first = begin(400'000);
  auto second = begin(400'000);
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 800'000; }));
  auto third = connect();
  ASSERT_TRUE(third.send(post("/size", std::string(400'000, ' '))));
  const auto refused = third.receive_all();
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("\"code\":\"exhausted\""), std::string::npos) << refused;
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(faults(HttpFault::no_room), 1U);

  // What a device sends fits all the same, whatever large bodies hold.
  auto device = connect();
  ASSERT_TRUE(device.send(post("/size", std::string(60'000, ' ')) + post("/size", "{}")));
  EXPECT_EQ(body_of(device.receive_response()), "60000");
  EXPECT_EQ(body_of(device.receive_response()), "2");

  // And whoever says nothing makes way for one that does.
  ASSERT_TRUE(eventually([&] {
    auto again = connect();
    return again.send(post("/size", std::string(400'000, ' '))) && status_of(again.receive_response()) == 200;
  }));
  EXPECT_GE(faults(HttpFault::room_needed), 1U);
  first.close();
  second.close();
  EXPECT_TRUE(eventually([&] { return server_->bodies_bytes() == 0; }));
}

TEST_F(HttpBodyTest, OneAddressHoldsNoMoreThanItsShare) {
  HttpOptions options = narrow();
  options.bodies_bytes_per_peer = 512_KiB;
  options.tcp.limit_loopback = true;
  serve(std::move(options));
  auto first = begin(400'000);
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 400'000; }));
  auto second = connect();
  ASSERT_TRUE(second.send(post("/size", std::string(200'000, ' '))));
  const auto refused = second.receive_all();
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_NE(refused.find("\"code\":\"exhausted\""), std::string::npos) << refused;
  EXPECT_NE(refused.find("(524288)"), std::string::npos) << refused;
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(faults(HttpFault::no_room_for_address), 1U);
  first.close();
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 0; }));
  auto third = connect();
  ASSERT_TRUE(third.send(post("/size", std::string(200'000, ' '))));
  EXPECT_EQ(body_of(third.receive_response()), "200000");
}

TEST_F(HttpBodyTest, WhatGrowsWithoutSayingHowFarIsCountedToo) {
  serve(narrow());
  auto first = begin(400'000);
  auto second = begin(400'000);
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 800'000; }));
  const std::string text(400'000, 'a');
  EXPECT_EQ(status_of(exchange(post("/size", gzip(text), "Content-Encoding: gzip\r\n"))), 503);
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  EXPECT_EQ(status_of(exchange("POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               std::string(size) + text + "\r\n0\r\n\r\n")),
            503);
  EXPECT_EQ(server_->bodies_bytes(), 800'000U) << "what was refused holds nothing";
}

TEST_F(HttpBodyTest, ABodyWhoseAnswersAreNotReadMakesWay) {
  const runtime::Completion<> go;
  router_.group().get("/flood-later", {}, [&](HttpRequest&, Responder responder) {
    responder.send(HttpResponse::stream(200, "text/plain", [&](BodyWriter& out) { return flood_after(go, out); }));
  });
  serve(narrow());
  TestClient stuck(server_->address(), 4096);
  ASSERT_TRUE(stuck.send(get("/flood-later") + post("/size", std::string(500'000, ' '))));
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 500'000; }));
  go.resolve({});
  ASSERT_TRUE(eventually([&] {
    auto other = connect();
    return other.send(post("/size", std::string(450'000, ' '))) && status_of(other.receive_response()) == 200;
  }));
  EXPECT_EQ(faults(HttpFault::room_needed), 1U);
}

TEST_F(HttpBodyTest, ABodyThatTricklesIsCutOff) {
  HttpOptions options;
  options.body_rate = 100'000;
  options.body_rate_grace = 100_ms;
  serve(std::move(options));
  auto slow = begin(1'000'000);
  const auto answer = slow.receive_all();
  EXPECT_EQ(status_of(answer), 408);
  EXPECT_NE(answer.find("slower than 100000 bytes a second"), std::string::npos) << answer;
  EXPECT_EQ(faults(HttpFault::body_too_slow), 1U);
  EXPECT_EQ(server_->bodies_bytes(), 0U);
}

TEST_F(HttpBodyTest, ADrainWaitsForNobodyWhoStandsStill) {
  struct Silent : WebSocketHandler {
    void on_message(WebSocket&, MessageKind, std::string_view) override {}
    void on_closed(WebSocket&, std::uint16_t, std::string_view) override {}
  };
  router_.group().websocket("/socket", {}, [](HttpRequest&, WebSocket&) -> Result<std::shared_ptr<WebSocketHandler>> {
    return std::make_shared<Silent>();
  });
  HttpOptions options;
  options.tcp.drain_grace = 100_ms;
  options.tcp.linger_time = 100_ms;
  serve(std::move(options));
  auto head = connect();
  ASSERT_TRUE(head.send("GET /quick HTT"));
  auto body = begin(1000);
  TestClient unread(server_->address(), 4096);
  ASSERT_TRUE(unread.send(get("/flood")));
  auto socket = connect();
  ASSERT_TRUE(socket.send(get("/socket",
                              "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")));
  EXPECT_EQ(status_of(socket.receive_until("\r\n\r\n")), 101);
  ASSERT_TRUE(eventually([&] {
    return server_->bodies_bytes() == 1000 && sum([](const NetStats& s) -> const Count& { return s.requests; }) == 3;
  }));
  const auto drained =
      runtime::block_on(shards_[0], server_->drain(4_s));  // a close frame alone would be waited for 5 s
  EXPECT_TRUE(drained) << drained.error().message;
  EXPECT_EQ(status_of(head.receive_all()), 408);
  EXPECT_EQ(status_of(body.receive_all()), 503);
}

TEST_F(HttpBodyTest, ADrainWaitsForABodyThatComes) {
  HttpOptions options;
  options.tcp.drain_grace = 20_s;
  serve(std::move(options));
  auto idle = connect();
  ASSERT_TRUE(idle.send(get("/quick")));
  EXPECT_EQ(status_of(idle.receive_response()), 200);
  auto body = begin(6);
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() == 6; }));
  std::thread drainer([&] { EXPECT_TRUE(runtime::block_on(shards_[0], server_->drain(20_s))); });
  EXPECT_EQ(idle.receive_all(), "");  // the drain has begun
  idle.close();
  ASSERT_TRUE(body.send("2]\n"));
  EXPECT_EQ(body_of(body.receive_all()), "6");
  body.close();
  drainer.join();
}

}  // namespace
}  // namespace flux::net
