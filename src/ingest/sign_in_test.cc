#include "ingest/sign_in.h"

#include <gtest/gtest.h>

#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using registry::ConnectionEventPtr;
using testing::FakeAuthenticator;
using Lines = std::vector<std::string>;

Duration test_now;
Duration test_clock() { return test_now; }

class SignInTest : public ::testing::Test {
 protected:
  SignInTest() {
    test_now = 10_h;
    directory.ensure({1}, "pump-1");
    directory.ensure({1}, "pump-2");
  }
  SignIn::Refusal refuse(std::string_view user, std::string_view password, const char* from = "10.0.0.1",
                         std::string_view named = {}) {
    const auto peer = net::Address::parse(from, 999).value();
    const std::string_view names[] = {named};
    return sign_in.refused({.version = "MQTT 5", .peer = peer, .presented = {user, password}, .named = names},
                           {ErrorCode::unauthenticated, "no such token", {}});
  }
  Lines trace(std::string_view device, TenantId tenant = {1}) {
    Lines lines;
    for (const ConnectionEventPtr& event : log.recent(tenant, device, 10'000))
      lines.push_back(std::string(event->ok ? "ok " : "failed ") + event->message + " from " + event->peer);
    return lines;
  }

  FakeAuthenticator authenticator;
  registry::Directory directory;
  registry::ConnectionLog log;
  metrics::Registry registry;
  Metrics metrics{registry};
  SignIn sign_in{authenticator, directory, log, metrics, test_clock};
};

TEST_F(SignInTest, shows_a_refusal_with_the_device_that_was_meant) {
  const Lines seen{"ok connected with MQTT 5 from 10.0.0.1:999",
                   "failed credential refused: no such token from 10.0.0.1:999"};
  refuse("pump-1", "wrong");
  EXPECT_EQ(trace("pump-1"), seen);
  EXPECT_TRUE(trace("pump-2").empty());
  refuse("pump-1", "wrong", "10.0.0.1", "pump-2");  // a topic or payload says it better than a user name
  EXPECT_EQ(trace("pump-2"), seen);
  EXPECT_EQ(trace("pump-1").size(), 2u);
  refuse("nobody", "wrong");
  EXPECT_EQ(trace("pump-1").size(), 3u) << "it names no device that there is: it may be any";
  EXPECT_EQ(trace("pump-2").size(), 3u);
}

TEST_F(SignInTest, shows_nothing_to_anybody_where_the_tenant_is_not_known) {
  directory.ensure({2}, "pump-1");
  refuse("pump-1", "wrong");
  refuse("nobody", "wrong");
  EXPECT_TRUE(trace("pump-1").empty());
  EXPECT_TRUE(trace("pump-1", {2}).empty());
}

TEST_F(SignInTest, keeps_no_secret) {
  const std::string token = "fgd_0123456789abcdefghijABCDEFGHIJ012345";
  directory.ensure({1}, token);  // even if somebody named a device so
  refuse(token, token);
  for (const auto& event : log.recent({1}, 100)) {
    EXPECT_EQ(event->message.find("0123456789"), std::string::npos);
    EXPECT_EQ(event->device.find("0123456789"), std::string::npos);
  }
  EXPECT_EQ(without_secrets("topic 'v1/fgk_abcDEF012/x' and fgd_abc"), "topic 'v1/fgk_…/x' and fgd_…");
  EXPECT_EQ(without_secrets("use a device token (fgd_…)"), "use a device token (fgd_…)");
}

TEST_F(SignInTest, asks_those_to_wait_who_fail_again_and_again) {
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(refuse("pump-1", "wrong").try_again) << i;
  const auto told = refuse("pump-1", "wrong");
  EXPECT_EQ(told.error.code, ErrorCode::exhausted);
  EXPECT_EQ(told.error.message, "too many refused credentials: try again in 1 s; no such token");
  EXPECT_EQ(told.try_again, 1_s);
  EXPECT_TRUE(refuse("pump-1", "wrong", "10.0.0.2").try_again) << "the device is guessed at from many addresses";
  EXPECT_FALSE(refuse("pump-2", "wrong", "10.0.0.2").try_again);
  test_now = test_now + 2_s;
  EXPECT_FALSE(refuse("pump-1", "wrong").try_again) << "one more try";
  EXPECT_EQ(refuse("pump-1", "wrong").try_again, 2_s) << "and twice the wait";
  EXPECT_EQ(registry.value("fluxgate_ingest_sign_ins_throttled_total", {{"protocol", "mqtt"}}), 3);
  EXPECT_EQ(registry.value("fluxgate_ingest_sign_ins_refused_total", {{"protocol", "mqtt"}}), 7);
  test_now = test_now + 2_h;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(refuse("pump-1", "wrong").try_again) << "forgotten after an hour";
}

TEST_F(SignInTest, asks_an_address_to_wait_whatever_it_names) {
  const auto peer = net::Address::parse("10.0.0.1", 1).value();
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(sign_in.must_wait(peer));
    EXPECT_FALSE(refuse("someone-" + std::to_string(i), "wrong").try_again) << i;
  }
  EXPECT_TRUE(sign_in.must_wait(peer));
  EXPECT_TRUE(refuse("someone-else", "wrong").try_again);
  EXPECT_FALSE(refuse("someone-else", "wrong", "10.0.0.2").try_again);
  for (int i = 0; i < 20; ++i) refuse("x", "wrong", ("2001:db8:0:1::" + std::to_string(i + 1)).c_str());
  EXPECT_TRUE(refuse("x", "wrong", "2001:db8:0:1::ffff").try_again) << "an IPv6 host owns its /64";
  EXPECT_FALSE(refuse("x", "wrong", "2001:db8:0:2::1").try_again);
}

TEST_F(SignInTest, a_flood_does_not_fill_the_log) {
  for (int i = 0; i < 100'000; ++i) refuse("pump-1", "wrong", ("10.1." + std::to_string(i % 200) + ".1").c_str());
  EXPECT_EQ(trace("pump-1").size(), 20u) << "ten attempts, each with its connection";
  test_now = test_now + 1_s;
  refuse("pump-1", "wrong");
  EXPECT_NE(trace("pump-1").back().find("(and 99990 more before that are not listed)"), std::string::npos)
      << trace("pump-1").back();
  // Many devices: all of them together have a limit too.
  for (int i = 0; i < 1000; ++i) directory.ensure({1}, "d" + std::to_string(i));
  const std::size_t before = log.recent({1}, 100'000).size();
  for (int i = 0; i < 1000; ++i) refuse("d" + std::to_string(i), "wrong");
  EXPECT_LE(log.recent({1}, 100'000).size() - before, 2u * 110);
}

// --- through the protocols ---

TEST(SignInNode, right_credentials_never_wait_for_the_wrong_ones_of_their_address) {
  testing::Node node;
  using Reason = wire::mqtt::Reason;
  for (const auto version : {wire::mqtt::Version::v3_1_1, wire::mqtt::Version::v5}) {
    std::optional<Reason> said;
    std::string note;
    for (int i = 0; i < 30; ++i) {
      testing::MqttClient client(node, version);
      said = client.connect({.user = "pump-1", .password = "wrong"});
      note = client.note();
      EXPECT_TRUE(client.ended());
    }
    EXPECT_EQ(said, version == wire::mqtt::Version::v5 ? Reason::connection_rate_exceeded : Reason::server_unavailable);
    if (version == wire::mqtt::Version::v5) {
      EXPECT_NE(note.find("try again in "), std::string::npos) << note;
      EXPECT_NE(note.find("this token is not known"), std::string::npos) << note;
    }
    testing::MqttClient right(node, version);
    EXPECT_EQ(right.connect({.user = "pump-1"}), Reason::success);
  }
  EXPECT_GT(node.metric("fluxgate_ingest_sign_ins_throttled_total", {{"protocol", "mqtt"}}), 30);
}

TEST(SignInNode, mqtt_shows_why_with_the_device) {
  testing::Node node;
  const auto has = [&](std::string_view device, std::string_view line) {
    return net::eventually([&] {
      return std::ranges::any_of(node.trace(device), [&](const auto& seen) { return seen.starts_with(line); });
    });
  };
  using wire::mqtt::Version;
  testing::MqttClient(node, Version::v5).connect({.user = "pump-1", .password = "wrong"});
  EXPECT_TRUE(has("pump-1", "ok connect: connected with MQTT 5"));
  EXPECT_TRUE(has("pump-1", "failed auth: credential refused: this token is not known"));
  EXPECT_TRUE(node.trace("pump-2").empty());
  testing::MqttClient(node, Version::v3_1_1).connect({.client_id = "pump-2", .user = "x", .password = "wrong"});
  EXPECT_TRUE(has("pump-2", "ok connect: connected with MQTT 3.1.1"));

  testing::MqttClient other(node, Version::v5);
  ASSERT_EQ(other.connect({.user = "pump-1", .password = "token-pump-2"}), wire::mqtt::Reason::success);
  EXPECT_TRUE(has("pump-1", "failed auth: the credential is the token of device `pump-2`, not of `pump-1`"));
  other.publish("v1/devices/pump-1/telemetry", R"({"a":1})", 1);
  ASSERT_TRUE(other.puback());
  EXPECT_TRUE(has("pump-2", "failed publish: this credential is for device `pump-2`, not for `pump-1`"));

  testing::MqttClient broken(node, Version::v5);
  ASSERT_TRUE(broken.socket.send(std::string("\x10\x06\x00\x04MQTX", 8)));
  EXPECT_TRUE(has("pump-1", "failed connect: malformed CONNECT: "));
  testing::MqttClient rude(node, Version::v5);
  rude.publish("v1/telemetry", "{}", 1);
  EXPECT_TRUE(has("pump-1", "failed connect: expected CONNECT as the first packet, got PUBLISH"));
}

}  // namespace
}  // namespace flux::ingest
