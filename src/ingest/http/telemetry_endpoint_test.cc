#include <gtest/gtest.h>

#include <thread>

#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using testing::Node;
using Lines = std::vector<std::string>;

class HttpTelemetry : public ::testing::Test {
 protected:
  static std::string request(std::string_view body, std::string_view authorization = "Bearer token-pump-1",
                             std::string_view type = "application/json") {
    std::string text =
        "POST /api/v1/telemetry HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (!authorization.empty()) text += "Authorization: " + std::string(authorization) + "\r\n";
    if (!type.empty()) text += "Content-Type: " + std::string(type) + "\r\n";
    return text + "\r\n" + std::string(body);
  }
  /// Status and body.
  static std::string answer(net::TestClient& client) {
    const std::string response = client.receive_response();
    head = response.substr(0, response.find("\r\n\r\n"));
    if (response.size() < 12) return "no answer";
    return response.substr(9, 3) + " " + response.substr(response.find("\r\n\r\n") + 4);
  }
  static std::string post(Node& node, std::string_view body, std::string_view authorization = "Bearer token-pump-1",
                          std::string_view type = "application/json") {
    net::TestClient client(node.http->address());
    EXPECT_TRUE(client.send(request(body, authorization, type)));
    return answer(client);
  }
  inline static std::string head;
};

TEST_F(HttpTelemetry, takes_the_three_forms) {
  Node node;
  EXPECT_EQ(post(node, R"({"device":"pump-1","time":"2026-01-01T00:00:00Z","metrics":{"a":1,"b":true}})"),
            R"(200 {"accepted":2})");
  EXPECT_EQ(post(node, R"([{"time":1767225601,"metrics":{"a":2,"b":false}},{"time":1767225602,"metrics":{"a":3}}])"),
            R"(200 {"accepted":3})");
  EXPECT_EQ(post(node, R"({"device":"pump-1","readings":[{"time":1767225603,"metrics":{"a":4}}]})"),
            R"(200 {"accepted":1})");
  EXPECT_EQ(node.rows(),
            (Lines{"pump-1@2026-01-01T00:00:00Z a=1.00 b=true", "pump-1@2026-01-01T00:00:01Z a=2.00 b=false",
                   "pump-1@2026-01-01T00:00:02Z a=3.00", "pump-1@2026-01-01T00:00:03Z a=4.00"}));
  EXPECT_EQ(node.metric("fluxgate_ingest_readings_total", {{"protocol", "http"}}), 6);
}

TEST_F(HttpTelemetry, takes_credentials_in_each_scheme) {
  Node node;
  const auto body = R"({"metrics":{"a":1}})";
  EXPECT_EQ(post(node, body, "bearer token-pump-1"), R"(200 {"accepted":1})");
  EXPECT_EQ(post(node, body, "Token token-pump-1"), R"(200 {"accepted":1})");
  EXPECT_EQ(post(node, body, "Basic cHVtcC0xOnRva2VuLXB1bXAtMQ=="), R"(200 {"accepted":1})");  // pump-1:token-pump-1
  EXPECT_EQ(post(node, body, "Basic dG9rZW4tcHVtcC0xOg"), R"(200 {"accepted":1})");            // token-pump-1:
  EXPECT_EQ(post(node, body, ""), R"(401 {"error":{"code":"unauthenticated","message":"no credential"}})");
  EXPECT_NE(head.find("WWW-Authenticate: Bearer"), std::string::npos);
  EXPECT_EQ(post(node, body, "Bearer wrong").substr(0, 3), "401");
  EXPECT_EQ(post(node, body, "Basic ###").substr(0, 3), "401");
  EXPECT_EQ(node.readings(), 4u);
}

TEST_F(HttpTelemetry, shows_connection_credential_and_reading_to_who_watches) {
  Node node;
  const auto watching = node.log.listen({1}, "pump-1", [](const registry::ConnectionEventPtr&) {});
  net::TestClient client(node.http->address());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(request(R"({"metrics":{"a":1}})")));
    EXPECT_EQ(answer(client), R"(200 {"accepted":1})");
  }
  EXPECT_EQ(node.trace("pump-1"), (Lines{"ok connect: connected with HTTP/1.1", "ok auth: its device token is valid",
                                         "ok reading: 1 values taken by POST /api/v1/telemetry",
                                         "ok reading: 1 values taken by POST /api/v1/telemetry"}));
}

TEST_F(HttpTelemetry, shows_why_a_credential_was_refused_with_the_device_that_was_meant) {
  Node node;
  const std::string body = R"({"device":"pump-1","metrics":{"a":1}})";
  const Lines seen{"ok connect: connected with HTTP/1.1", "failed auth: credential refused: this token is not known"};
  EXPECT_EQ(post(node, body, "Bearer wrong").substr(0, 3), "401");  // by the body
  EXPECT_EQ(node.trace("pump-1"), seen);
  EXPECT_EQ(post(node, R"({"a":1})", "Basic cHVtcC0yOndyb25n").substr(0, 3), "401");  // pump-2:wrong
  EXPECT_EQ(node.trace("pump-2"), seen);
  EXPECT_EQ(post(node, R"({"device": "pump-2", "metrics":{"a":}})", "Bearer token-pump-1").substr(0, 3), "400");
  EXPECT_EQ(node.trace("pump-1").back().substr(0, 37), "failed parse: not JSON at byte offset");
  EXPECT_EQ(post(node, R"({"device":"pump-2","metrics":{"a":1}})", "Bearer token-pump-1").substr(0, 3), "403");
  EXPECT_EQ(node.trace("pump-2").back(),
            "failed auth: the credential is the token of device `pump-1`, not of `pump-2`");
  EXPECT_EQ(post(node, body, "Bearer token-pump-1", "text/csv").substr(0, 3), "415");
  EXPECT_EQ(node.trace("pump-1").back(), "failed parse: expected Content-Type: application/json, got text/csv");
}

TEST_F(HttpTelemetry, asks_who_fails_again_and_again_to_wait_and_nobody_else) {
  Node node;
  const std::string body = R"({"device":"pump-1","metrics":{"a":1}})";
  std::string last;
  for (int i = 0; i < 10 && !last.starts_with("429"); ++i) last = post(node, body, "Bearer wrong");
  EXPECT_EQ(last.substr(0, 3), "429") << last;
  EXPECT_NE(head.find("Retry-After: "), std::string::npos) << head;
  EXPECT_EQ(post(node, body), R"(200 {"accepted":1})");
  EXPECT_GE(node.metric("fluxgate_ingest_sign_ins_throttled_total", {{"protocol", "http"}}), 1);
}

TEST_F(HttpTelemetry, makes_a_device_with_its_first_reading_only) {
  Node node;
  const std::size_t before = node.directory.size();
  std::string refused = "[";
  for (int i = 0; i < 100; ++i) {
    if (i > 0) refused += ',';
    refused += R"({"device":"ghost-)" + std::to_string(i) + R"(","metrics":{"m":{}}})";
  }
  refused += ']';
  EXPECT_EQ(post(node, refused, "Bearer key").substr(0, 3), "400");
  EXPECT_EQ(post(node, R"({"device":"ghost","time":"never","metrics":{"m":1}})", "Bearer key").substr(0, 3), "400");
  EXPECT_EQ(post(node, R"([{"device":"ghost","metrics":{"m":1}})", "Bearer key").substr(0, 3), "400");
  EXPECT_EQ(node.directory.size(), before);
  // One message, the bad before the good and the other way round, each device twice.
  const std::string mixed = R"([{"device":"n1","metrics":{"m":[]}},{"device":"n2","metrics":{"m":1}},)"
                            R"({"device":"n1","metrics":{"m":2}},{"device":"n2","metrics":{"m":{}}},)"
                            R"({"device":"n3","metrics":{"m":null}}])";
  EXPECT_EQ(post(node, mixed, "Bearer key").substr(0, 18), R"(200 {"accepted":2,)");
  EXPECT_NE(node.directory.find({1}, "n1"), nullptr);
  EXPECT_NE(node.directory.find({1}, "n2"), nullptr);
  EXPECT_EQ(node.directory.find({1}, "n3"), nullptr);
  EXPECT_EQ(post(node, R"({"device":"n1","metrics":{"m":"text"}})", "Bearer key").substr(0, 3), "400");
}

TEST_F(HttpTelemetry, says_which_limit_on_devices_was_met) {
  const auto try_one = [](Node& node, const std::string& device) {
    return post(node, R"({"device":")" + device + R"(","metrics":{"m":1}})", "Bearer key");
  };
  {
    Config config;
    config.limits.new_devices_burst = 3;
    Node node(config);
    for (const char* device : {"a", "b", "c"}) EXPECT_EQ(try_one(node, device).substr(0, 3), "200");
    for (const char* device : {"a", "b", "c"}) EXPECT_EQ(try_one(node, device).substr(0, 3), "200");
  }
  {
    Config config;
    config.limits.new_devices_burst = 2;
    config.limits.new_devices_per_second = 1;
    Node node(config, 4, [] { return Duration{1'000'000'000}; });
    EXPECT_EQ(try_one(node, "a").substr(0, 3), "200");
    EXPECT_EQ(try_one(node, "b").substr(0, 3), "200");
    const std::string third = try_one(node, "c");
    EXPECT_EQ(third.substr(0, 3), "429");
    EXPECT_NE(third.find("exhausted"), std::string::npos) << third;
    EXPECT_NE(third.find("ingest.limits.new_devices_per_second"), std::string::npos) << third;
    EXPECT_NE(third.find(R"("field":"device")"), std::string::npos) << third;
    EXPECT_NE(head.find("Retry-After"), std::string::npos) << head;
    EXPECT_EQ(node.directory.find({1}, "c"), nullptr);
    EXPECT_EQ(try_one(node, "a").substr(0, 3), "200");  // what is known goes on
    // What could be taken of a message is, and the rest is told.
    const std::string part =
        post(node, R"([{"device":"a","metrics":{"device":2}},{"device":"d","metrics":{"device":2}}])", "Bearer key");
    EXPECT_EQ(part.substr(0, 18), R"(200 {"accepted":1,)");
    EXPECT_NE(part.find(R"("field":"[1].device","code":"exhausted")"), std::string::npos) << part;
  }
  {
    Config config;
    config.limits.devices_per_tenant = 3;  // two are there
    Node node(config);
    node.directory.ensure({2}, "another tenant's");
    EXPECT_EQ(try_one(node, "a").substr(0, 3), "200");
    const std::string fourth = try_one(node, "b");
    EXPECT_EQ(fourth.substr(0, 3), "429");
    EXPECT_NE(fourth.find("ingest.limits.devices_per_tenant"), std::string::npos) << fourth;
  }
}

TEST_F(HttpTelemetry, takes_many_devices_with_a_key) {
  Node node;
  std::string body = "[";
  for (int i = 0; i < 50; ++i)
    body +=
        std::string(i ? "," : "") + R"({"device":"d)" + std::to_string(i) + R"(","time":1767225600,"metrics":{"a":1}})";
  EXPECT_EQ(post(node, body + "]", "Bearer key"), R"(200 {"accepted":50})");
  EXPECT_EQ(node.readings(), 50u);
  EXPECT_EQ(
      post(node, R"({"metrics":{"a":1}})", "Bearer key"),
      R"(400 {"error":{"code":"invalid_argument","message":"is missing: the credential names no device, so the payload must","field":"device"},"accepted":0,"refused":[{"index":0,"field":"device","code":"invalid_argument","message":"is missing: the credential names no device, so the payload must"}],"refused_count":1})");
}

TEST_F(HttpTelemetry, says_what_was_refused_and_keeps_the_rest) {
  Node node;
  EXPECT_EQ(
      post(
          node,
          R"([{"time":1767225600,"metrics":{"a":1}},{"time":"soon","metrics":{"a":2}},{"device":"pump-2","metrics":{"a":1}},{"metrics":{"a":{"x":1}}}])"),
      R"(200 {"accepted":1,"refused":[{"index":1,"field":"[1].time","code":"invalid_argument","message":"'soon' is not a time: expected RFC 3339, such as 2026-01-01T00:00:00Z"},)"
      R"({"index":2,"field":"[2].device","code":"permission_denied","message":"this credential is for device `pump-1`, not for `pump-2`"},)"
      R"({"index":3,"field":"[3].metrics.a","code":"invalid_argument","message":"expected a number, a boolean or a string, got an object"}],"refused_count":3})");
  EXPECT_EQ(node.rows(), (Lines{"pump-1@2026-01-01T00:00:00Z a=1.00"}));
}

TEST_F(HttpTelemetry, answers_400_403_413_415_where_nothing_was_taken) {
  Config config;
  config.http.body_bytes = 2000;
  Node node(config);
  EXPECT_EQ(
      post(node, R"({"metrics":{"a":1})"),
      R"(400 {"error":{"code":"invalid_argument","message":"not JSON at byte offset 18: expected ',' or '}' after a value, but the text ends"},"accepted":0})");
  EXPECT_EQ(post(node, "").substr(0, 3), "400");
  EXPECT_EQ(post(node, R"({"a":1})").substr(0, 3), "400");  // the flat form is MQTT's
  EXPECT_EQ(post(node, R"({"device":"pump-2","metrics":{"a":1}})").substr(0, 3), "403");
  EXPECT_EQ(post(node, std::string(3000, ' ')).substr(0, 3), "413");
  EXPECT_EQ(post(node, R"({"metrics":{"a":1}})", "Bearer token-pump-1", "application/xml").substr(0, 3), "415");
  EXPECT_EQ(node.readings(), 0u);
}

TEST_F(HttpTelemetry, answers_when_the_readings_are_durable) {
  Node node;
  net::TestClient client(node.http->address());
  node.bus->hold();
  ASSERT_TRUE(client.send(request(R"({"metrics":{"a":1}})")));
  EXPECT_TRUE(net::eventually([&] { return node.bus->producer().queued_bytes() > 0; }));
  char byte = 0;
  EXPECT_EQ(::recv(client.fd(), &byte, 1, MSG_DONTWAIT), -1);
  node.bus->release();
  EXPECT_EQ(answer(client), R"(200 {"accepted":1})");
}

TEST_F(HttpTelemetry, answers_429_and_503_when_the_log_does_not_take_more) {
  Config config;
  config.outbox.retry_time = 0_ms;
  config.outbox.pending_bytes = 1_MiB;
  Node node(config);
  const auto body = R"({"metrics":{"a":1}})";
  node.bus->fail_with(Error{ErrorCode::exhausted, "the log is full", {}});
  EXPECT_EQ(post(node, body), R"(429 {"error":{"code":"exhausted","message":"the log is full"}})");
  EXPECT_NE(head.find("Retry-After: 1"), std::string::npos);
  node.bus->fail_with(Error{ErrorCode::unavailable, "the disk is full", {}});
  EXPECT_EQ(post(node, body), R"(503 {"error":{"code":"unavailable","message":"the disk is full"}})");
  node.bus->fail_with(Error{ErrorCode::io, "fsync failed", {}});
  EXPECT_EQ(post(node, body).substr(0, 3), "503");
  node.bus->fail_with(std::nullopt);
  EXPECT_EQ(post(node, body), R"(200 {"accepted":1})");
}

TEST_F(HttpTelemetry, answers_429_while_too_much_waits) {
  Config config;
  config.outbox.pending_bytes = 256_KiB;
  Node node(config);
  node.bus->hold();
  net::TestClient filler(node.http->address());
  const std::string big = R"({"metrics":{"text":")" + std::string(16'000, 'x') + R"("}})";
  std::string all;
  for (int i = 0; i < 200; ++i) all += request(big);
  std::thread send([&] { EXPECT_TRUE(filler.send(all)); });
  int accepted = 0;
  int refused = 0;
  EXPECT_TRUE(net::eventually([&] { return node.metric("fluxgate_ingest_refused_total", {{"reason", "busy"}}) > 0; }));
  node.bus->release();
  for (int i = 0; i < 200; ++i) {
    const std::string got = answer(filler);
    accepted += got.starts_with("200");
    refused += got.starts_with("429");
  }
  send.join();
  EXPECT_EQ(accepted + refused, 200);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(node.readings(), static_cast<std::size_t>(accepted));
}

TEST_F(HttpTelemetry, answers_pipelined_requests_in_order) {
  Node node;
  net::TestClient client(node.http->address());
  std::string all;
  for (int i = 0; i < 30; ++i) all += request(i % 3 == 0 ? "broken" : R"({"metrics":{"a":1}})");
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(answer(client).substr(0, 3), i % 3 == 0 ? "400" : "200");
}

TEST_F(HttpTelemetry, shows_failures_in_the_connection_log) {
  Node node;
  post(node, R"({"metrics":{"a":[]}})");
  EXPECT_EQ(node.trace("pump-1"),
            (Lines{"failed parse: metrics.a: expected a number, a boolean or a string, got an array"}));
}

}  // namespace
}  // namespace flux::ingest
