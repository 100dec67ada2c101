#include <gtest/gtest.h>
#include <zlib.h>

#include <atomic>
#include <latch>
#include <thread>

#include "net/content_coding.h"
#include "net/http_server.h"
#include "net/http_test_server.h"
#include "runtime/spawn.h"

namespace flux::net {
namespace {

using runtime::block_on;

/// The decoded content of a chunked answer; `*complete` when its last chunk was there.
std::string dechunk(std::string_view body, bool* complete = nullptr) {
  std::string out;
  for (;;) {
    const auto end = body.find("\r\n");
    if (end == std::string_view::npos) break;
    const auto size = std::stoul(std::string(body.substr(0, end)), nullptr, 16);
    if (size == 0) {
      if (complete != nullptr) *complete = true;
      return out;
    }
    out += body.substr(end + 2, size);
    if (body.size() < end + size + 4) break;
    body.remove_prefix(end + size + 4);
  }
  if (complete != nullptr) *complete = false;
  return out;
}

std::string gunzipped(std::string_view packed) {
  std::string out;
  const auto unpacked = decompress(
      BodyCoding::gzip, packed,
      [](void* to, std::string_view piece) {
        static_cast<std::string*>(to)->append(piece);
        return true;
      },
      &out);
  EXPECT_TRUE(unpacked) << unpacked.error().message;
  return out;
}

struct Progress {
  std::atomic<std::size_t> written = 0;
  std::atomic<std::size_t> most_buffered = 0;
  std::atomic<int> ended = 0;
  std::atomic<ErrorCode> error = ErrorCode::internal;
};

Async<void> count_to(int limit, BodyWriter& out) {
  for (int i = 0; i < limit; ++i) {
    auto line = std::to_string(i) + "\n";
    CO_DO(co_await out.write(std::move(line)));
  }
  co_return {};
}

Async<void> flood(std::shared_ptr<Progress> progress, BodyWriter& out) {
  for (;;) {
    std::string block(10'000, 'x');
    const auto result = co_await out.write(std::move(block));
    progress->most_buffered = std::max(progress->most_buffered.load(), out.buffered_bytes());
    if (!result) {
      progress->error = result.error().code;
      ++progress->ended;
      co_return std::unexpected(result.error());
    }
    progress->written += 10'000;
  }
}

Async<void> fail_midway(BodyWriter& out) {
  std::string part = "half of";
  CO_DO(co_await out.write(std::move(part)));
  CO_DO(co_await runtime::sleep(1_ms));
  co_return fail(ErrorCode::io, "the disk is gone");
}

Async<void> events_until_closed(BodyWriter& out) {
  auto first = sse_event("hello", "line 1\nline 2", "7");
  CO_DO(co_await out.write(std::move(first)));
  CO_DO(co_await runtime::sleep(1_h, out.closed()));
  co_return {};
}

class HttpStreamTest : public HttpTest {
 protected:
  void SetUp() override {
    HttpTest::SetUp();
    auto root = router_.group();
    root.get("/count", {}, [](HttpRequest& request, Responder responder) {
      const int limit = std::stoi(request.query("n").value_or("3"));
      auto response =
          HttpResponse::stream(200, "text/plain", [limit](BodyWriter& out) { return count_to(limit, out); });
      response.compress_stream = true;
      responder.send(std::move(response));
    });
    root.get("/flood", {}, [this](HttpRequest&, Responder responder) {
      responder.send(
          HttpResponse::stream(200, "text/plain", [p = progress_](BodyWriter& out) { return flood(p, out); }));
    });
    root.get("/broken", {}, [](HttpRequest&, Responder responder) {
      responder.send(HttpResponse::stream(200, "text/plain", [](BodyWriter& out) { return fail_midway(out); }));
    });
    root.get("/events", {}, [](HttpRequest&, Responder responder) {
      responder.send(
          HttpResponse::stream(200, "text/event-stream", [](BodyWriter& out) { return events_until_closed(out); }));
    });
    root.get("/quick", {}, [](HttpRequest&, Responder responder) { responder.send_json(200, "{}"); });
    root.get("/large", {}, [](HttpRequest&, Responder responder) {
      responder.send(HttpResponse::text(200, std::string(20'000, 'l')));
    });
    const auto shared = std::make_shared<const std::string>(300'000, 's');
    root.get("/shared", {}, [shared](HttpRequest&, Responder responder) {
      auto response = HttpResponse::text(200, {});
      response.shared_body = shared;
      responder.send(std::move(response));
    });
  }
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
};

std::string counted(int limit) {
  std::string all;
  for (int i = 0; i < limit; ++i) all += std::to_string(i) + "\n";
  return all;
}

TEST_F(HttpStreamTest, StreamsInChunksAndGoesOn) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/count?n=3") + get("/quick") + get("/count?n=5000")));
  auto head = client.receive_until("\r\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  EXPECT_EQ(client.receive_until("0\r\n\r\n"), "2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(client.receive_response()), "{}");
  client.receive_until("\r\n\r\n");
  bool complete = false;
  EXPECT_EQ(dechunk(client.receive_until("\r\n0\r\n\r\n"), &complete), counted(5000));
  EXPECT_TRUE(complete);
}

TEST_F(HttpStreamTest, StreamsToOldClientsUntilTheEndOfTheConnection) {
  serve();
  const auto response = exchange("GET /count HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(response), "0\n1\n2\n");
  EXPECT_EQ(response.find("chunked"), std::string::npos);
}

TEST_F(HttpStreamTest, HeadOfAStreamRunsNoProducer) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send("HEAD /count HTTP/1.1\r\nHost: x\r\n\r\n" + get("/quick")));
  EXPECT_NE(client.receive_response(true).find("chunked"), std::string::npos);
  EXPECT_EQ(body_of(client.receive_response()), "{}");
}

TEST_F(HttpStreamTest, StreamsAreCompressedWhereWanted) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/count?n=9000", "Accept-Encoding: gzip\r\nConnection: close\r\n")));
  const auto response = client.receive_all();
  EXPECT_NE(response.find("Content-Encoding: gzip\r\n"), std::string::npos);
  EXPECT_EQ(gunzipped(dechunk(body_of(response))), counted(9000));
}

TEST_F(HttpStreamTest, ASlowReaderHoldsTheProducerAtTheHighWaterMark) {
  HttpOptions options;
  options.tcp.high_water = 64_KiB;
  options.tcp.low_water = 16_KiB;
  serve(std::move(options));
  TestClient client(server_->address(), 4096);
  ASSERT_TRUE(client.send(get("/flood")));
  client.receive(1000);
  // It comes to rest: nothing is written between two looks that lie some reads apart.
  std::size_t before = 0;
  ASSERT_TRUE(eventually([&] {
    const auto now = progress_->written.load();
    const bool resting = now == before && now > 100'000;
    before = now;
    ::usleep(3000);  // pace: of our looks
    return resting;
  }));
  EXPECT_LE(progress_->most_buffered, 64_KiB + 11'000);
  // Reading lets it go on.
  client.receive(2'000'000);
  EXPECT_TRUE(eventually([&] { return progress_->written > before; }));
  EXPECT_EQ(progress_->ended, 0);
  client.close();
  EXPECT_TRUE(eventually([&] { return progress_->ended == 1; }));
  EXPECT_EQ(progress_->error, ErrorCode::cancelled);
}

TEST_F(HttpStreamTest, AFailingProducerCutsTheAnswerShortForAllToSee) {
  static std::atomic<int> logged = 0;
  runtime::set_spawn_error_hook([](std::string_view, const Error& error) {
    EXPECT_EQ(error.message, "the disk is gone");
    ++logged;
  });
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/broken")));
  bool complete = true;
  EXPECT_EQ(dechunk(body_of(client.receive_all()), &complete), "half of");
  EXPECT_FALSE(complete);
  EXPECT_TRUE(eventually([&] { return logged == 1; }));
  runtime::set_spawn_error_hook(nullptr);
}

TEST_F(HttpStreamTest, DrainingEndsEventStreamsInOrder) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/events")));
  client.receive_until("\r\n\r\n");
  const std::string event = "event: hello\nid: 7\ndata: line 1\ndata: line 2\n\n";
  EXPECT_EQ(dechunk(client.receive_until("\n\n\r\n")), event);
  std::thread drainer([&] { EXPECT_TRUE(block_on(shards_[0], server_->drain(20_s))); });
  EXPECT_EQ(client.receive_all(), "0\r\n\r\n");
  client.close();
  drainer.join();
}

TEST_F(HttpStreamTest, LargeTextIsCompressedWhereThePeerTakesIt) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/large", "Accept-Encoding: br, gzip;q=0.5\r\n")));
  auto response = client.receive_response();
  EXPECT_NE(response.find("Content-Encoding: gzip\r\n"), std::string::npos);
  EXPECT_NE(response.find("Vary: Accept-Encoding\r\n"), std::string::npos);
  EXPECT_EQ(gunzipped(body_of(response)), std::string(20'000, 'l'));
  ASSERT_TRUE(client.send(get("/large", "Accept-Encoding: gzip;q=0\r\n") + get("/shared")));
  response = client.receive_response();
  EXPECT_EQ(response.find("Content-Encoding"), std::string::npos);
  EXPECT_EQ(body_of(response).size(), 20'000U);
  EXPECT_EQ(body_of(client.receive_response()), std::string(300'000, 's'));
}

}  // namespace
}  // namespace flux::net
