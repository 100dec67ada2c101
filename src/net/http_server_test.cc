#include "net/http_server.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>

#include "net/content_coding.h"
#include "net/http_test_server.h"
#include "runtime/completion.h"
#include "runtime/spawn.h"

namespace flux::net {
namespace {

using runtime::block_on;

Async<HttpResponse> greet(HttpRequest& request) {
  const auto name = std::string(request.param("name"));
  CO_DO(co_await runtime::sleep(1_ms));
  if (name == "nobody") co_return fail(ErrorCode::not_found, "there is no such person", "name");
  co_return HttpResponse::text(200, "hello " + name);
}

class HttpServerTest : public HttpTest {
 protected:
  void SetUp() override {
    HttpTest::SetUp();
    auto root = router_.group();
    root.get("/hello/{name}", {.name = "hello"}, [](HttpRequest& request) { return greet(request); });
    root.post("/echo", {.name = "echo", .overlap = true}, [](HttpRequest& request, Responder responder) {
      // The promise to simdjson: zeros behind the end.
      for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(request.body().data()[request.body().size() + i], 0);
      responder.send(HttpResponse::text(200, std::string(request.body())));
    });
    root.post("/small", {.name = "small", .body_limit = 10}, [](HttpRequest& request, Responder responder) {
      responder.send_json(200, std::to_string(request.body().size()));
    });
    root.get("/quick", {}, [](HttpRequest&, Responder responder) { responder.send_json(200, "{}"); });
    root.get("/dropped", {}, [](HttpRequest&, Responder) {});
    root.get("/thrown", {}, [](HttpRequest&, Responder) { throw std::runtime_error("boom"); });
    root.put("/thing", {}, [](HttpRequest&, Responder responder) { responder.send(HttpResponse::empty(204)); });
    root.del("/thing", {}, [](HttpRequest&, Responder responder) { responder.send(HttpResponse::empty(204)); });
  }
};

TEST_F(HttpServerTest, AnswersCoroutineAndCallbackHandlers) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/hello/W%C3%B6rld%2Fx")));
  auto response = client.receive_response();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_EQ(body_of(response), "hello Wörld/x");
  EXPECT_NE(response.find("\r\nDate: "), std::string::npos);
  EXPECT_EQ(response.find("Connection:"), std::string::npos);  // kept alive

  ASSERT_TRUE(client.send(get("/hello/nobody")));
  response = client.receive_response();
  EXPECT_EQ(status_of(response), 404);
  EXPECT_EQ(body_of(response), R"({"error":{"code":"not_found","message":"there is no such person","field":"name"}})");

  ASSERT_TRUE(client.send(post("/echo", "abc")));
  EXPECT_EQ(body_of(client.receive_response()), "abc");
  ASSERT_TRUE(client.send(post("/echo", "")));
  EXPECT_EQ(body_of(client.receive_response()), "");
}

TEST_F(HttpServerTest, ADroppedOrThrowingHandlerAnswers500) {
  serve();
  auto client = connect();
  for (const auto* path : {"/dropped", "/thrown"}) {
    ASSERT_TRUE(client.send(get(path)));
    EXPECT_EQ(status_of(client.receive_response()), 500) << path;
  }
}

TEST_F(HttpServerTest, PipelinedAnswersKeepTheOrderOfTheRequests) {
  serve();
  auto client = connect();
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    requests += i % 3 == 0 ? get("/hello/" + std::to_string(i)) : post("/echo", std::to_string(i));
  }
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 200; ++i) {
    const auto expected = i % 3 == 0 ? "hello " + std::to_string(i) : std::to_string(i);
    ASSERT_EQ(body_of(client.receive_response()), expected);
  }
}

TEST_F(HttpServerTest, OverlappingRequestsAreHandledBeforeTheFirstIsAnswered) {
  std::vector<Responder> waiting;  // of one connection, so of one shard
  router_.group().post("/later", {.overlap = true}, [&](HttpRequest&, Responder responder) {
    waiting.push_back(std::move(responder));
    if (waiting.size() < 3) return;
    // Answered in the reverse order; sent in the order of the requests.
    for (std::size_t i = 3; i-- > 0;) waiting[i].send_json(200, std::to_string(i));
  });
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(post("/later", "a") + post("/later", "b") + post("/later", "c")));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(body_of(client.receive_response()), std::to_string(i));
}

TEST_F(HttpServerTest, UnsafeRequestsWaitForThoseBeforeThem) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  router_.group().post("/one-by-one", {}, [&](HttpRequest&) -> Async<HttpResponse> {
    most = std::max(most.load(), ++running);
    CO_DO(co_await runtime::sleep(1_ms));
    --running;
    co_return HttpResponse::json(200, "{}");
  });
  serve();
  auto client = connect();
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += post("/one-by-one", "body");
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(status_of(client.receive_response()), 200);
  EXPECT_EQ(most, 1);
}

TEST_F(HttpServerTest, EverySplitOfARequestReadsTheSame) {
  serve();
  const std::string request = post("/echo", "hello body", "X-Test: yes\r\n") +
                              "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n6;a=b\r\n chunk\r\n0\r\nTrailer: x\r\n\r\n";
  for (std::size_t at = 1; at < request.size(); ++at) {
    auto client = connect();
    ASSERT_TRUE(client.send(std::string_view(request).substr(0, at)));
    // Let the first part be read alone: the server has counted its bytes.
    const auto before = sum([](const NetStats& s) -> const Count& { return s.bytes_in; });
    ASSERT_TRUE(eventually([&] {
      return sum([](const NetStats& s) -> const Count& { return s.bytes_in; }) % request.size() == at || before == 0;
    }));
    ASSERT_TRUE(client.send(std::string_view(request).substr(at)));
    ASSERT_EQ(body_of(client.receive_response()), "hello body") << "split at " << at;
    ASSERT_EQ(body_of(client.receive_response()), "hello chunk") << "split at " << at;
  }
}

TEST_F(HttpServerTest, EveryByteAloneReadsTheSame) {
  serve();
  auto client = connect();
  const std::string request =
      "\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
  for (const char& c : request) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_EQ(body_of(client.receive_response()), "abcd");
}

TEST_F(HttpServerTest, LargeBodiesArriveWholeInAnyFraming) {
  serve();
  std::string body(5'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 % 251);
  auto client = connect();
  std::thread sender([&] { ASSERT_TRUE(client.send(post("/echo", body))); });
  EXPECT_TRUE(body_of(client.receive_response()) == body);
  sender.join();

  auto chunked = connect();
  std::thread chunker([&] {
    std::string text = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::size_t size = 1;
    for (std::size_t at = 0; at < body.size(); at += size, size = size * 7 % 99'991 + 1) {
      const auto part = std::string_view(body).substr(at, size);
      char head[20];
      std::snprintf(head, sizeof head, "%zx\r\n", part.size());
      text.append(head).append(part).append("\r\n");
    }
    ASSERT_TRUE(chunked.send(text + "0\r\n\r\n"));
  });
  EXPECT_TRUE(body_of(chunked.receive_response()) == body);
  chunker.join();
}

TEST_F(HttpServerTest, KeepAliveFollowsTheVersionAndTheHeader) {
  serve();
  EXPECT_NE(
      exchange("GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get("/quick")).find("Connection: close"),
      std::string::npos);
  auto closing = connect();
  ASSERT_TRUE(closing.send("GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get("/quick")));
  const auto all = closing.receive_all();
  EXPECT_EQ(all.find("HTTP/1.1 200", 5), std::string::npos);  // one answer only
  auto old = connect();
  ASSERT_TRUE(old.send("GET /quick HTTP/1.0\r\n\r\n"));
  EXPECT_NE(old.receive_all().find("Connection: close"), std::string::npos);
  auto kept = connect();
  ASSERT_TRUE(kept.send("GET /quick HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_NE(kept.receive_response().find("Connection: keep-alive"), std::string::npos);
  ASSERT_TRUE(kept.send(get("/quick")));
  EXPECT_EQ(status_of(kept.receive_response()), 200);
}

TEST_F(HttpServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send("HEAD /hello/you HTTP/1.1\r\nHost: x\r\n\r\n" + get("/quick")));
  const auto head = client.receive_response(true);
  EXPECT_NE(head.find("Content-Length: 9\r\n"), std::string::npos);
  EXPECT_EQ(body_of(client.receive_response()), "{}");
  ASSERT_TRUE(client.send("HEAD /quick HTTP/1.1\r\nHost: x\r\n\r\n" + get("/quick")));
  EXPECT_NE(client.receive_response(true).find("Content-Length: 2\r\n"), std::string::npos);
  EXPECT_EQ(body_of(client.receive_response()), "{}");
}

TEST_F(HttpServerTest, UnknownPathsAndMethodsAreAnsweredWithWhatIsAllowed) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/nothing")));
  EXPECT_EQ(status_of(client.receive_response()), 404);
  ASSERT_TRUE(client.send(post("/thing", "small body")));
  auto response = client.receive_response();
  EXPECT_EQ(status_of(response), 405);
  EXPECT_NE(response.find("Allow: PUT, DELETE, OPTIONS\r\n"), std::string::npos);
  ASSERT_TRUE(client.send("OPTIONS /hello/x HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"));
  response = client.receive_response();
  EXPECT_EQ(status_of(response), 204);
  EXPECT_NE(response.find("Allow: GET, HEAD, OPTIONS\r\n"), std::string::npos);
  EXPECT_EQ(response.find("Content-Length"), std::string::npos);
  EXPECT_EQ(status_of(client.receive_response()), 204);
  ASSERT_TRUE(client.send("GET http://localhost/quick?x HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_EQ(status_of(client.receive_response()), 200);
  EXPECT_EQ(faults(HttpFault::not_found), 1U);
  EXPECT_EQ(faults(HttpFault::method_not_allowed), 1U);
}

struct Bad {
  const char* request;
  int status;
};

TEST_F(HttpServerTest, AmbiguousAndBrokenRequestsAreRefusedAndTheConnectionEnds) {
  serve();
  const std::vector<Bad> cases = {
      // Framing that two readers could see differently.
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
      {"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0b"
       "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"GET /quick HTTP/1.1\nHost: x\n\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\n Host: x\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\nB\xc3\xa4"
       "d: name\r\n\r\n",
       400},
      {"GET /quick HTTP/1.1\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"GET /quick HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET  /quick HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /quick  HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /qu\x01ick HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET quick HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /quick#part HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /hello/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /hello/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /quick HTTP/2.0\r\nHost: x\r\n\r\n", 505},
      {"GET /quick HTTP/1.2\r\nHost: x\r\n\r\n", 505},
      {"GET /quick HTTP/1.1x\r\nHost: x\r\n\r\n", 400},
      {"GET /quick\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", 501},
      {"CONNECT host:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nContent-Length: 3\r\n\r\nabc", 417},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
      // Chunks.
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 400},
  };
  for (const auto& [request, status] : cases) {
    // A request behind it must never be read: that is what smuggling is.
    auto client = connect();
    ASSERT_TRUE(client.send(std::string(request) + get("/quick")));
    const auto response = client.receive_all();
    EXPECT_EQ(status_of(response), status) << request << "\n" << response;
    EXPECT_NE(response.find(R"({"error":{"code":")"), std::string::npos) << request;
    EXPECT_NE(response.find("Connection: close"), std::string::npos) << request;
    EXPECT_EQ(response.find("HTTP/1.1 2"), std::string::npos) << request << "\n" << response;
  }
  auto client = connect();
  ASSERT_TRUE(client.send(get("/quick")));
  EXPECT_EQ(status_of(client.receive_response()), 200);
}

TEST_F(HttpServerTest, SizesAboveTheLimitsAreNamed) {
  HttpOptions options;
  options.header_bytes = 1000;
  options.target_bytes = 100;
  options.body_bytes = 1000;
  serve(std::move(options));
  const auto check = [&](const std::string& request, int status, const char* words) {
    auto client = connect();
    client.send(request);
    const auto response = client.receive_all();
    EXPECT_EQ(status_of(response), status) << request.substr(0, 200);
    EXPECT_NE(response.find(words), std::string::npos) << response;
    EXPECT_NE(response.find("too_large"), std::string::npos) << response;
  };
  check(get("/quick", "X: " + std::string(1200, 'x') + "\r\n"), 431, "longer than 1000 bytes");
  check("GET /quick HTTP/1.1\r\nX: " + std::string(5000, 'x'), 431, "longer than 1000 bytes");
  check(get("/" + std::string(120, 'x')), 414, "longer than 100 bytes");
  check("GET /" + std::string(5000, 'x'), 414, "longer than 100 bytes");
  check(post("/echo", std::string(1001, 'x')), 413, "larger than 1000 bytes");
  check(post("/small", "12345678901"), 413, "larger than 10 bytes");
  check(
      "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n",
      413, "larger than 10 bytes");
  check("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + std::string(100'000, 'x'),
        413, "larger than 10 bytes");
  auto fits = connect();
  ASSERT_TRUE(fits.send(post("/small", "1234567890") + post("/echo", std::string(1000, 'x'))));
  EXPECT_EQ(body_of(fits.receive_response()), "10");
  EXPECT_EQ(body_of(fits.receive_response()).size(), 1000U);
  EXPECT_EQ(faults(HttpFault::body_too_large), 4U);
}

TEST_F(HttpServerTest, AnEndlessChunkSizeLineEnds) {
  serve();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;" + std::string(40'000, 'x'));
  EXPECT_EQ(status_of(client.receive_all()), 400);
}

TEST_F(HttpServerTest, SlowHeadsBodiesAndIdleConnectionsTimeOut) {
  HttpOptions options;
  options.header_time = 50_ms;
  options.body_time = 50_ms;
  options.keep_alive_time = 50_ms;
  serve(std::move(options));
  auto head = connect();
  auto body = connect();
  auto idle = connect();
  auto untouched = connect();
  ASSERT_TRUE(head.send("GET /quick HTT"));
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  ASSERT_TRUE(idle.send(get("/quick")));
  EXPECT_EQ(status_of(idle.receive_response()), 200);
  const auto head_answer = head.receive_all();
  EXPECT_EQ(status_of(head_answer), 408);
  EXPECT_NE(head_answer.find("timed_out"), std::string::npos);
  EXPECT_EQ(status_of(body.receive_all()), 408);
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_EQ(untouched.receive_all(), "");
  EXPECT_EQ(faults(HttpFault::header_timeout), 1U);
  EXPECT_EQ(faults(HttpFault::body_timeout), 1U);

  // One byte now and then does not keep a head open.
  auto dripping = connect();
  ASSERT_TRUE(dripping.send("GET /quick HTTP/1.1\r\nX: "));
  std::thread dripper([&] {
    while (dripping.send("x")) ::usleep(5000);  // pace: a slow client
  });
  EXPECT_EQ(status_of(dripping.receive_response()), 408);
  ::shutdown(dripping.fd(), SHUT_RDWR);
  dripper.join();
}

TEST_F(HttpServerTest, ContinueIsSentBeforeTheBodyAndOnlyWhenItIsWanted) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("abc"));
  EXPECT_EQ(body_of(client.receive_response()), "abc");
  // Behind another request the interim answer waits its turn.
  ASSERT_TRUE(client.send(get("/hello/you") +
                          "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"));
  EXPECT_EQ(body_of(client.receive_response()), "hello you");
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("z"));
  EXPECT_EQ(body_of(client.receive_response()), "z");
  // A refusal comes at once, and without the body nothing more can be read.
  ASSERT_TRUE(client.send("POST /none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(status_of(client.receive_all()), 404);
}

TEST_F(HttpServerTest, CompressedBodiesAreDecodedWithinTheLimit) {
  HttpOptions options;
  options.body_bytes = 100'000;
  serve(std::move(options));
  auto client = connect();
  const std::string text(50'000, 'a');
  ASSERT_TRUE(client.send(post("/echo", gzip(text), "Content-Encoding: gzip\r\n")));
  EXPECT_EQ(body_of(client.receive_response()), text);
  // zstd of 10 x 'a' by the reference tool (one raw block).
  const std::string packed(
      "\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00"
      "aaaaaaaaaa",
      19);
  ASSERT_TRUE(client.send(post("/echo", packed, "Content-Encoding: zstd\r\n")));
  EXPECT_EQ(body_of(client.receive_response()), "aaaaaaaaaa");
  // Two frames, one after the other.
  ASSERT_TRUE(client.send(post("/echo", packed + packed, "Content-Encoding: zstd\r\n")));
  EXPECT_EQ(body_of(client.receive_response()), std::string(20, 'a'));
  // 90,000 zeros, more than one piece: a frame whose one block says "this byte, so many times".
  const std::string zeros("\x28\xb5\x2f\xfd\xa0\x90\x5f\x01\x00\x83\xfc\x0a\x00", 13);
  ASSERT_TRUE(client.send(post("/echo", zeros, "Content-Encoding: zstd\r\n")));
  EXPECT_EQ(body_of(client.receive_response()), std::string(90'000, '\0'));
  ASSERT_TRUE(client.send(post("/echo", "abc", "Content-Encoding: br\r\n")));
  const auto refused = client.receive_response();
  EXPECT_EQ(status_of(refused), 415);
  EXPECT_NE(refused.find("Accept-Encoding: gzip, zstd"), std::string::npos);
  EXPECT_EQ(status_of(exchange(post("/echo", gzip(std::string(200'000, 'a')), "Content-Encoding: gzip\r\n"))), 413);
  EXPECT_EQ(status_of(exchange(post("/echo", "not gzip", "Content-Encoding: gzip\r\n"))), 400);
  EXPECT_EQ(status_of(exchange(post("/echo", gzip(text).substr(0, 40), "Content-Encoding: gzip\r\n"))), 400);
  EXPECT_EQ(status_of(exchange(post("/echo", packed.substr(0, 12), "Content-Encoding: zstd\r\n"))), 400);
  EXPECT_EQ(status_of(exchange(post("/echo", "zzzz", "Content-Encoding: zstd\r\n"))), 400);
}

TEST_F(HttpServerTest, OpenModeServesLoopbackNamesOnly) {
  HttpOptions options;
  options.loopback_host_only = true;
  serve(std::move(options));
  const auto status = [&](std::string_view headers) {
    return status_of(exchange("GET /quick HTTP/1.1\r\n" + std::string(headers) + "\r\n"));
  };
  EXPECT_EQ(status("Host: localhost:8080\r\n"), 200);
  EXPECT_EQ(status("Host: LOCALHOST\r\n"), 200);
  EXPECT_EQ(status("Host: 127.0.0.1:1\r\n"), 200);
  EXPECT_EQ(status("Host: [::1]:1\r\n"), 200);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://localhost:8080\r\n"), 200);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost:80\r\n"), 200);
  EXPECT_EQ(status("Host: evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost.evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: [::2]\r\n"), 403);
  EXPECT_EQ(status("Host: \r\n"), 403);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://localhost:9090\r\n"), 403);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: null\r\n"), 403);
}

TEST_F(HttpServerTest, MiddlewareMayAnswerWaitOrProceedBeforeTheBodyIsThere) {
  struct User {
    std::string name;
  };
  std::atomic<int> handled = 0;
  const Middleware authenticate = [](HttpRequest& request) {
    const auto [scheme, token] = request.authorization();
    if (token.empty()) {
      return Verdict::answer(
          HttpResponse::error(401, "unauthenticated", "who are you?").header("WWW-Authenticate", "Bearer"));
    }
    EXPECT_EQ(request.route().access, "things");
    if (token == "slow" || token == "bad") {
      auto later = [](HttpRequest& asked, bool fine) -> Async<std::optional<HttpResponse>> {
        CO_DO(co_await runtime::sleep(1_ms));
        if (!fine) co_return HttpResponse::error(403, "permission_denied", "not you");
        asked.principal = std::make_shared<const User>(User{"slow"});
        co_return std::nullopt;
      };
      return Verdict::wait(later(request, token == "slow"));
    }
    request.principal = std::make_shared<const User>(User{std::string(token)});
    return Verdict::proceed();
  };
  auto group = router_.group("/api").use(authenticate);
  group.after([](const HttpRequest&, HttpResponse& response) { response.header("X-After", "yes"); });
  group.post("/things", {.access = "things"}, [&](HttpRequest& request, Responder responder) {
    ++handled;
    responder.send(HttpResponse::text(200, request.principal_as<User>()->name + ":" + std::string(request.body())));
  });
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(post("/api/things", "1", "Authorization: Bearer ann\r\n") +
                          post("/api/things", "2", "Authorization: Bearer slow\r\n") +
                          post("/api/things", "3", "Authorization: Bearer bad\r\n") + post("/api/things", "4") +
                          post("/api/things", "5", "authorization: bearer  bob \r\n")));
  auto first = client.receive_response();
  EXPECT_EQ(body_of(first), "ann:1");
  EXPECT_NE(first.find("X-After: yes"), std::string::npos);
  EXPECT_EQ(body_of(client.receive_response()), "slow:2");
  EXPECT_EQ(status_of(client.receive_response()), 403);
  const auto unknown = client.receive_response();
  EXPECT_EQ(status_of(unknown), 401);
  EXPECT_NE(unknown.find("WWW-Authenticate: Bearer\r\n"), std::string::npos);
  EXPECT_EQ(body_of(client.receive_response()), "bob:5");
  EXPECT_EQ(handled, 3);
  // Nobody unknown makes us read a large body.
  auto stranger = connect();
  ASSERT_TRUE(stranger.send("POST /api/things HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n"));
  EXPECT_EQ(status_of(stranger.receive_all()), 401);
}

TEST_F(HttpServerTest, ReportsEveryRequest) {
  std::atomic<int> count = 0;
  std::atomic<int> statuses = 0;
  const Duration begun = monotonic_now();
  server_ = std::make_unique<HttpServer>(shards_, router_, HttpOptions{});
  server_->on_request([&](const RequestReport& report) {
    if (report.request != nullptr) EXPECT_EQ(report.request->route().name, "hello");
    EXPECT_GT(report.duration, Duration{});
    EXPECT_LT(report.duration, monotonic_now() - begun);
    statuses += report.status;
    ++count;
  });
  ASSERT_TRUE(server_->listen("127.0.0.1", 0));
  auto client = connect();
  ASSERT_TRUE(client.send(get("/hello/a") + get("/nothing") + get("/hello/b")));
  for (int i = 0; i < 3; ++i) client.receive_response();
  EXPECT_TRUE(eventually([&] { return count == 3; }));
  EXPECT_EQ(statuses, 200 + 404 + 200);
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.requests; }), 3U);
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.responses[2]; }), 2U);
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.responses[4]; }), 1U);
}

TEST_F(HttpServerTest, AResponderOutlivesItsConnection) {
  std::optional<Responder> kept;
  std::latch arrived(1);
  runtime::Shard* shard = nullptr;
  router_.group().post("/keep", {}, [&](HttpRequest& request, Responder responder) {
    shard = &request.shard();
    kept.emplace(std::move(responder));
    arrived.count_down();
  });
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(post("/keep", "kept body")));
  arrived.wait();
  const auto on_shard = [&](auto question) {
    bool value = false;
    runtime::run_on(*shard, [&] { value = question(); });
    return value;
  };
  EXPECT_FALSE(on_shard([&] { return kept->gone() || kept->request().cancelled().cancelled(); }));
  client.finish_sending();  // perhaps it still reads, but nobody knows: long work may end
  EXPECT_TRUE(eventually([&] { return on_shard([&] { return kept->request().cancelled().cancelled(); }); }));
  EXPECT_FALSE(on_shard([&] { return kept->gone(); }));
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client.close();
  EXPECT_TRUE(eventually([&] { return on_shard([&] { return kept->gone(); }); }));
  runtime::run_on(*shard, [&] {
    EXPECT_EQ(kept->request().body(), "kept body");
    kept->send_json(200, "{}");
    kept.reset();
  });
}

TEST_F(HttpServerTest, DrainFinishesWhatIsUnderWay) {
  std::latch arrived(1);
  const runtime::Completion<> release;
  router_.group().get("/slow", {}, [&](HttpRequest&) -> Async<HttpResponse> {
    arrived.count_down();
    CO_DO(co_await release);
    co_return HttpResponse::text(200, "done");
  });
  serve();
  auto idle = connect();
  ASSERT_TRUE(idle.send(get("/quick")));
  EXPECT_EQ(status_of(idle.receive_response()), 200);
  auto busy = connect();
  ASSERT_TRUE(busy.send(get("/slow")));
  arrived.wait();
  std::thread drainer([&] { EXPECT_TRUE(block_on(shards_[0], server_->drain(20_s))); });
  EXPECT_EQ(idle.receive_all(), "");
  idle.close();
  release.resolve({});
  const auto last = busy.receive_all();
  EXPECT_EQ(body_of(last), "done");
  EXPECT_NE(last.find("Connection: close"), std::string::npos);
  busy.close();
  drainer.join();
}

}  // namespace
}  // namespace flux::net
