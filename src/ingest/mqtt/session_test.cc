#include <gtest/gtest.h>

#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using testing::MqttClient;
using testing::Node;
using wire::mqtt::Reason;
using wire::mqtt::Version;
using Lines = std::vector<std::string>;

constexpr auto kOwn = "v1/telemetry";
constexpr auto kPump1 = "v1/devices/pump-1/telemetry";

class MqttBoth : public ::testing::TestWithParam<Version> {
 protected:
  [[nodiscard]] bool v5() const { return GetParam() == Version::v5; }
};
INSTANTIATE_TEST_SUITE_P(Versions, MqttBoth, ::testing::Values(Version::v3_1_1, Version::v5),
                         [](const auto& info) { return info.param == Version::v5 ? "v5" : "v3_1_1"; });

TEST_P(MqttBoth, takes_readings_on_both_topics) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  client.publish(kPump1, R"({"time":1767225600,"metrics":{"temperature":21.5}})", 1);
  client.publish(kOwn, R"({"time":1767225601,"temperature":22})", 2);
  client.publish(kOwn, R"([{"time":1767225602,"temperature":23},{"time":1767225603,"temperature":24}])", 3);
  for (std::uint16_t id = 1; id <= 3; ++id) {
    const auto ack = client.puback();
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->packet_id, id);
    EXPECT_EQ(ack->reason, Reason::success);
  }
  EXPECT_EQ(node.rows(),
            (Lines{"pump-1@2026-01-01T00:00:00Z temperature=21.50", "pump-1@2026-01-01T00:00:01Z temperature=22.00",
                   "pump-1@2026-01-01T00:00:02Z temperature=23.00", "pump-1@2026-01-01T00:00:03Z temperature=24.00"}));
  EXPECT_EQ(node.metric("fluxgate_ingest_readings_total", {{"protocol", "mqtt"}}), 4);
}

TEST_P(MqttBoth, acknowledges_only_what_is_durable) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->hold();
  client.publish(kOwn, R"({"a":1})", 7);
  EXPECT_TRUE(client.ping());  // was read, and is not acknowledged
  EXPECT_TRUE(net::eventually([&] { return node.bus->producer().queued_bytes() > 0; }));
  EXPECT_TRUE(client.ping());
  EXPECT_TRUE(node.rows().empty());
  node.bus->release();
  EXPECT_EQ(client.puback()->packet_id, 7);
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, takes_qos_0_without_a_word) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  client.publish(kOwn, R"({"a":1})", 0);
  EXPECT_TRUE(client.ping());
  EXPECT_TRUE(net::eventually([&] { return node.readings() == 1; }));
}

TEST_P(MqttBoth, takes_a_repeated_message_again) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  const auto payload = R"({"time":1767225600,"a":1})";
  client.publish(kOwn, payload, 5);
  EXPECT_EQ(client.puback()->packet_id, 5);
  client.publish(kOwn, payload, 5, true);
  EXPECT_EQ(client.puback()->packet_id, 5);
  EXPECT_EQ(node.rows(), (Lines(2, "pump-1@2026-01-01T00:00:00Z a=1.00")));  // same time: the store keeps one
}

TEST_P(MqttBoth, acknowledges_in_order_across_partitions) {
  Node node({}, 16);
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({.password = "key"}), Reason::success);
  std::string bytes;
  for (std::uint16_t id = 1; id <= 300; ++id)
    bytes += client.publish_bytes("v1/devices/d" + std::to_string(id % 40) + "/telemetry",
                                  id % 7 == 0 ? "broken" : R"({"a":1})", id);
  ASSERT_TRUE(client.socket.send(bytes));
  for (std::uint16_t id = 1; id <= 300; ++id) {
    const auto ack = client.puback();
    ASSERT_TRUE(ack);
    ASSERT_EQ(ack->packet_id, id);
    EXPECT_EQ(ack->reason, v5() && id % 7 == 0 ? Reason::payload_format_invalid : Reason::success);
  }
  EXPECT_EQ(node.readings(), 300u - 300 / 7);
}

TEST_P(MqttBoth, refuses_one_bad_message_and_goes_on) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  const struct {
    const char* topic;
    const char* payload;
    Reason reason;
    const char* note;
  } kCases[] = {
      {kOwn, R"({"a":)", Reason::payload_format_invalid,
       "not JSON at byte offset 5: expected a value, but the text ends"},
      {"v1/else", R"({"a":1})", Reason::topic_name_invalid,
       "topic 'v1/else' takes no readings: publish to v1/devices/{device}/telemetry or v1/telemetry"},
      {"v1/devices/pump-2/telemetry", R"({"a":1})", Reason::not_authorized,
       "this credential is for device `pump-1`, not for `pump-2`"},
      {kOwn, R"({"device":"pump-2","metrics":{"a":1}})", Reason::payload_format_invalid,
       "device: the payload names device 'pump-2', topic or credential 'pump-1'"},
      {kOwn, R"({"a":{"b":1}})", Reason::payload_format_invalid,
       "a: expected a number, a boolean or a string, got an object"},
      {kOwn, R"({"time":"now","a":1})", Reason::payload_format_invalid,
       "time: 'now' is not a time: expected RFC 3339, such as 2026-01-01T00:00:00Z"},
  };
  std::uint16_t id = 0;
  for (const auto& test : kCases) {
    client.publish(test.topic, test.payload, ++id);
    client.publish(kOwn, R"({"a":1})", ++id);
    auto ack = client.puback();
    ASSERT_TRUE(ack) << test.note;
    EXPECT_EQ(ack->packet_id, id - 1);
    if (v5()) {
      EXPECT_EQ(to_string(ack->reason), to_string(test.reason)) << test.note;
      EXPECT_EQ(client.note(), test.note);
    }
    ack = client.puback();
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->reason, Reason::success);
  }
  EXPECT_EQ(node.readings(), std::size(kCases));
  const auto trace = node.trace("pump-1");
  EXPECT_TRUE(
      std::ranges::find(trace, "failed parse: not JSON at byte offset 5: expected a value, but the text ends") !=
      trace.end());
  EXPECT_GE(node.metric("fluxgate_ingest_refused_total", {{"reason", "topic"}}), 1);
}

TEST_P(MqttBoth, takes_the_good_values_of_a_message_and_says_which_were_not) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  client.publish(kOwn, R"({"time":1767225600,"metrics":{"a":1,"b":[],"c":3}})", 1);
  ASSERT_EQ(client.puback()->reason, Reason::success);
  if (v5()) EXPECT_EQ(client.note(), "metrics.b: expected a number, a boolean or a string, got an array");
  EXPECT_EQ(node.rows(), (Lines{"pump-1@2026-01-01T00:00:00Z a=1.00 c=3.00"}));
}

TEST_P(MqttBoth, keeps_the_type_of_a_metric) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  client.publish(kOwn, R"({"temperature":21.5})", 1);
  ASSERT_TRUE(client.puback());
  client.publish(kOwn, R"({"temperature":"hot"})", 2);
  const auto ack = client.puback();
  ASSERT_TRUE(ack);
  if (v5()) {
    EXPECT_EQ(ack->reason, Reason::payload_format_invalid);
    EXPECT_EQ(client.note(), "temperature: this metric is double, got a string (\"hot\")");
  }
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, refuses_credentials_that_it_does_not_know) {
  Node node;
  MqttClient client(node, GetParam());
  EXPECT_EQ(client.connect({.password = "wrong"}), Reason::bad_credentials);
  if (v5()) EXPECT_EQ(client.note(), "this token is not known");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(node.metric("fluxgate_ingest_mqtt_connects_refused_total"), 1);
}

TEST_P(MqttBoth, takes_a_token_as_user_name_too) {
  Node node;
  MqttClient client(node, GetParam());
  EXPECT_EQ(client.connect({.user = "token-pump-1", .password = ""}), Reason::success);
}

TEST(MqttV5, refuses_a_subscription_identifier_in_a_publish) {
  Node node;
  MqttClient client(node, Version::v5);
  ASSERT_EQ(client.connect({}), Reason::success);
  wire::mqtt::Properties properties;
  properties.subscription_ids = {7};
  const std::string payload = R"({"a":1})";
  std::string bytes;
  wire::mqtt::encode(
      wire::mqtt::Publish{.qos = 1, .topic = kOwn, .packet_id = 1, .payload = std::as_bytes(std::span(payload))},
      Version::v5, properties, bytes);
  ASSERT_TRUE(client.socket.send(bytes));
  EXPECT_EQ(client.disconnected(), Reason::protocol_error);
  EXPECT_EQ(node.readings(), 0u);
}

TEST(MqttV5, sends_no_connack_that_is_larger_than_the_client_takes) {
  Node node;
  std::size_t whole = 0;
  {
    MqttClient client(node, Version::v5);
    ASSERT_EQ(client.connect({}), Reason::success);
    EXPECT_TRUE(client.received.maximum_packet_size);
  }
  // One byte less at a time: first whole, then without what may be left out, then none at all.
  bool shorter = false;
  bool refused = false;
  for (std::uint32_t most = 60; most > 1; --most) {
    MqttClient client(node, Version::v5);
    client.properties.maximum_packet_size = most;
    std::string bytes;
    const std::string token = "token-pump-1";
    wire::mqtt::Connect connect{.version = Version::v5, .keep_alive = 60, .client_id = "c"};
    connect.user_name = "device";
    connect.password = std::as_bytes(std::span(token));
    wire::mqtt::encode(connect, client.properties, {}, bytes);
    ASSERT_TRUE(client.socket.send(bytes));
    const auto frame = client.next();
    if (!frame) {
      refused = true;
      EXPECT_LT(most, 12u);
      continue;
    }
    EXPECT_LE(frame->size, most);
    const auto connack = wire::mqtt::decode_connack(*frame, Version::v5, client.received);
    ASSERT_TRUE(connack);
    if (connack->reason == Reason::success) {
      EXPECT_FALSE(refused);
      EXPECT_TRUE(client.received.receive_maximum);
      if (!client.received.maximum_packet_size) shorter = true;
      else whole = frame->size;
      EXPECT_TRUE(client.ping());
    } else {
      EXPECT_EQ(connack->reason, Reason::packet_too_large);
      EXPECT_TRUE(client.ended());
    }
  }
  EXPECT_GT(whole, 12u);
  EXPECT_TRUE(shorter);
  EXPECT_TRUE(refused);
}

TEST_P(MqttBoth, makes_a_device_with_its_first_reading_only) {
  Config config;
  config.limits.new_devices_burst = 1;
  config.limits.new_devices_per_second = 1;
  Node node(config, 4, [] { return Duration{1'000'000'000}; });
  MqttClient client(node, GetParam());
  wire::mqtt::Will will{.topic = "v1/devices/of-will/telemetry", .payload = {}};
  ASSERT_EQ(client.connect({.password = "key", .will = will}), Reason::success);
  client.publish("v1/devices/ghost/telemetry", "not json", 1);
  client.publish("v1/devices/ghost/telemetry", R"({"a":{}})", 2);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(client.puback()->reason, v5() ? Reason::payload_format_invalid : Reason::success);
  EXPECT_EQ(node.directory.find({1}, "ghost"), nullptr);
  EXPECT_EQ(node.directory.find({1}, "of-will"), nullptr);
  client.publish("v1/devices/ghost/telemetry", R"({"a":1})", 3);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  const auto ghost = node.directory.find({1}, "ghost");
  ASSERT_NE(ghost, nullptr);
  EXPECT_EQ(ghost->connections(), 1u);
  client.publish("v1/devices/another/telemetry", R"({"a":1})", 4);
  EXPECT_EQ(client.puback()->reason, v5() ? Reason::quota_exceeded : Reason::success);
  if (v5()) EXPECT_NE(client.note().find("ingest.limits.new_devices_per_second"), std::string::npos) << client.note();
  EXPECT_EQ(node.directory.find({1}, "another"), nullptr);
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, creates_devices_only_where_the_key_may) {
  Node node;
  MqttClient creator(node, GetParam());
  ASSERT_EQ(creator.connect({.password = "key"}), Reason::success);
  creator.publish("v1/devices/new-1/telemetry", R"({"a":1})", 1);
  EXPECT_EQ(creator.puback()->reason, Reason::success);
  EXPECT_TRUE(node.directory.find({1}, "new-1"));

  MqttClient other(node, GetParam());
  ASSERT_EQ(other.connect({.client_id = "o", .password = "key-known-only"}), Reason::success);
  other.publish("v1/devices/new-2/telemetry", R"({"a":1})", 1);
  const auto ack = other.puback();
  ASSERT_TRUE(ack);
  if (v5()) EXPECT_EQ(ack->reason, Reason::not_authorized);
  EXPECT_FALSE(node.directory.find({1}, "new-2"));
  other.publish("v1/telemetry", R"([{"device":"pump-2","metrics":{"a":1}},{"device":"nobody","metrics":{"a":1}}])", 2);
  ASSERT_TRUE(other.puback());
  EXPECT_EQ(node.readings(), 2u);
  creator.publish("v1/devices/bad\x01id/telemetry", R"({"a":1})", 2);
  const auto bad = creator.puback();
  ASSERT_TRUE(bad);
  if (v5()) EXPECT_EQ(bad->reason, Reason::topic_name_invalid);
}

TEST_P(MqttBoth, counts_the_device_as_connected_while_the_session_lasts) {
  Node node;
  const auto pump = node.directory.find({1}, "pump-1");
  {
    MqttClient client(node, GetParam());
    ASSERT_EQ(client.connect({}), Reason::success);
    EXPECT_TRUE(net::eventually([&] { return pump->connections() == 1; }));
    client.publish(kPump1, R"({"a":1})", 1);
    ASSERT_TRUE(client.puback());
    EXPECT_EQ(pump->connections(), 1u);
  }
  EXPECT_TRUE(net::eventually([&] { return pump->connections() == 0; }));
}

TEST_P(MqttBoth, ends_the_older_session_of_a_client) {
  Node node;
  MqttClient first(node, GetParam());
  ASSERT_EQ(first.connect({.client_id = "same"}), Reason::success);
  MqttClient stranger(node, GetParam());
  ASSERT_EQ(stranger.connect({.client_id = "same", .password = "token-pump-2"}), Reason::success);
  MqttClient second(node, GetParam());
  ASSERT_EQ(second.connect({.client_id = "same"}), Reason::success);
  if (v5()) EXPECT_EQ(first.disconnected(), Reason::session_taken_over);
  EXPECT_TRUE(first.ended());
  EXPECT_TRUE(second.ping());
  EXPECT_TRUE(stranger.ping());  // another device's identifier is another's
}

TEST_P(MqttBoth, ends_a_session_whose_credential_was_revoked) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  MqttClient other(node, GetParam());
  ASSERT_EQ(other.connect({.password = "token-pump-2"}), Reason::success);
  node.authenticator.revoke("token-pump-1");
  if (v5()) EXPECT_EQ(client.disconnected(), Reason::not_authorized);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(other.ping());
}

TEST_P(MqttBoth, refuses_readings_of_an_expired_credential) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({.password = "expired"}), Reason::success);  // the fake lets it in: expiry comes later
  client.publish(kOwn, R"({"a":1})", 1);
  if (v5()) EXPECT_EQ(client.disconnected(), Reason::not_authorized);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(node.readings(), 0u);
}

TEST_P(MqttBoth, ends_a_session_that_stays_silent) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({.keep_alive = 1}), Reason::success);
  if (v5()) EXPECT_EQ(client.disconnected(), Reason::keep_alive_timeout);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(node.metric("fluxgate_ingest_mqtt_timeouts_total"), 1);
}

TEST_P(MqttBoth, ends_a_connection_without_connect) {
  Config config;
  config.mqtt.connect_timeout = 100_ms;
  Node node(config);
  MqttClient silent(node, GetParam());
  EXPECT_TRUE(silent.ended());
  MqttClient rude(node, GetParam());
  rude.publish(kOwn, "{}", 1);
  EXPECT_TRUE(rude.ended());
}

TEST_P(MqttBoth, takes_readings_of_qos_2_once) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  const std::string first = client.publish_bytes(kOwn, R"({"a":1})", {.qos = 2, .packet_id = 7});
  ASSERT_TRUE(client.socket.send(first));
  EXPECT_EQ(client.expect("PUBREC")->packet_id, 7);
  // Without our PUBREC the client would send it again.
  ASSERT_TRUE(client.socket.send(client.publish_bytes(kOwn, R"({"a":1})", {.dup = true, .qos = 2, .packet_id = 7})));
  EXPECT_EQ(client.expect("PUBREC")->packet_id, 7);
  EXPECT_EQ(node.readings(), 1u);
  client.acknowledge(wire::mqtt::PacketType::pubrel, 7);
  EXPECT_EQ(client.expect("PUBCOMP")->reason, Reason::success);
  client.acknowledge(wire::mqtt::PacketType::pubrel, 7);
  EXPECT_EQ(client.expect("PUBCOMP")->reason, v5() ? Reason::packet_id_not_found : Reason::success);
  ASSERT_TRUE(client.socket.send(first));
  EXPECT_EQ(client.expect("PUBREC")->packet_id, 7);
  EXPECT_EQ(node.readings(), 2u);
}

TEST_P(MqttBoth, offers_batches_again_until_the_log_takes_them) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->fail_with(Error{ErrorCode::exhausted, "the log is full", {}});
  client.publish(kOwn, R"({"a":1})", 1);
  EXPECT_TRUE(net::eventually([&] { return node.metric("fluxgate_ingest_publish_retries_total") >= 2; }));
  node.bus->fail_with(std::nullopt);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, never_acknowledges_what_the_log_did_not_take) {
  Config config;
  config.outbox.retry_time = 0_ms;
  Node node(config);
  for (const ErrorCode code : {ErrorCode::exhausted, ErrorCode::unavailable, ErrorCode::io}) {
    std::optional<MqttClient> connected;
    ASSERT_TRUE(net::eventually([&] {  // a shard whose log fails asks devices to come later, until it has tried again
      node.bus->fail_with(std::nullopt);
      connected.emplace(node, GetParam());
      return connected->connect({}) == Reason::success;
    }));
    MqttClient& client = *connected;
    node.bus->fail_with(Error{code, "the log cannot", {}});
    client.publish(kOwn, R"({"a":1})", 1);
    if (v5()) {
      const auto ack = client.puback();
      ASSERT_TRUE(ack);
      EXPECT_EQ(ack->reason, code == ErrorCode::exhausted ? Reason::quota_exceeded : Reason::implementation_error);
      EXPECT_EQ(client.note(), "the log cannot");
    } else {
      EXPECT_TRUE(client.ended());
    }
  }
  EXPECT_EQ(node.readings(), 0u);
  EXPECT_EQ(node.metric("fluxgate_ingest_publish_failures_total"), 3);
}

TEST_P(MqttBoth, reads_no_further_while_the_log_is_slow) {
  Config config;
  config.outbox.pending_bytes = 1_MiB;
  config.mqtt.receive_maximum = 65'535;
  Node node(config);
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->hold();
  // A megabyte of readings is taken; then nothing more is read, and the sockets fill up.
  std::string bytes;
  const std::string payload = R"({"text":")" + std::string(4000, 'x') + R"("})";
  std::uint16_t sent = 0;
  std::string chunk;
  while (sent < 20'000) {
    if (chunk.empty()) chunk = client.publish_bytes(kOwn, payload, ++sent);
    const std::size_t took = client.socket.send_some(chunk);
    chunk.erase(0, took);
    if (took == 0 && node.metric("fluxgate_ingest_pauses_total") >= 1) {
      ::usleep(20'000);  // pace: a server that wrongly reads on would do so meanwhile
      if (client.socket.send_some(chunk.substr(0, 1)) == 0) break;  // still no room: the server has stopped reading
      chunk.erase(0, 1);
    }
  }
  EXPECT_LT(sent, 20'000);
  EXPECT_GE(node.metric("fluxgate_ingest_pauses_total"), 1);
  node.bus->release();
  ASSERT_TRUE(client.socket.send(chunk));
  for (std::uint16_t id = 1; id <= sent; ++id) {
    const auto ack = client.puback();
    ASSERT_TRUE(ack);
    ASSERT_EQ(ack->packet_id, id);
  }
  EXPECT_EQ(node.readings(), sent);
}

TEST_P(MqttBoth, gives_growing_times_to_readings_without_one) {
  Node node;
  MqttClient one(node, GetParam());
  MqttClient two(node, GetParam());
  ASSERT_EQ(one.connect({.client_id = "one"}), Reason::success);
  ASSERT_EQ(two.connect({.client_id = "two"}), Reason::success);
  std::string bytes_one;
  std::string bytes_two;
  for (std::uint16_t id = 1; id <= 200; ++id) {
    bytes_one += one.publish_bytes(kOwn, R"([{"a":1},{"a":2}])", id);
    bytes_two += two.publish_bytes(kOwn, R"({"a":3})", id);
  }
  ASSERT_TRUE(one.socket.send(bytes_one) && two.socket.send(bytes_two));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(one.puback() && two.puback());
  std::vector<std::string> rows = node.rows();
  ASSERT_EQ(rows.size(), 600u);
  std::set<std::string> times;
  for (const auto& row : rows) times.insert(row.substr(0, row.find(' ')));
  EXPECT_EQ(times.size(), 600u);
}

TEST_P(MqttBoth, acknowledges_everything_before_it_stops) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->hold();
  client.publish(kOwn, R"({"a":1})", 1);
  ASSERT_TRUE(client.ping());
  std::thread drain([&] { EXPECT_TRUE(node.drain()); });
  node.bus->release();
  EXPECT_EQ(client.puback()->packet_id, 1);
  if (v5()) EXPECT_EQ(client.disconnected(), Reason::server_shutting_down);
  EXPECT_TRUE(client.ended());
  client.socket.close();
  drain.join();
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, publishes_the_will_of_a_client_that_vanished) {
  Node node;
  const std::string payload = R"({"online":false})";
  const wire::mqtt::Will will{.topic = kPump1, .payload = std::as_bytes(std::span(payload)), .qos = 1};
  {
    MqttClient polite(node, GetParam());
    ASSERT_EQ(polite.connect({.client_id = "polite", .will = will}), Reason::success);
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Notice{}, GetParam(), {}, bytes);
    ASSERT_TRUE(polite.socket.send(bytes));
    EXPECT_TRUE(polite.ended());
  }
  {
    MqttClient gone(node, GetParam());
    ASSERT_EQ(gone.connect({.client_id = "gone", .will = will}), Reason::success);
  }
  EXPECT_TRUE(net::eventually([&] { return node.readings() == 1; }));
  const wire::mqtt::Will elsewhere{.topic = "a/b", .payload = {}, .qos = 1};
  MqttClient wrong(node, GetParam());
  EXPECT_EQ(wrong.connect({.will = elsewhere}), Reason::not_authorized);
  EXPECT_EQ(node.readings(), 1u);
}

TEST_P(MqttBoth, hands_readings_to_subscribers) {
  Node node;
  MqttClient listener(node, GetParam());
  ASSERT_EQ(listener.connect({.client_id = "listener", .password = "key"}), Reason::success);
  MqttClient pump2(node, GetParam());
  ASSERT_EQ(pump2.connect({.client_id = "p2", .password = "token-pump-2"}), Reason::success);
  const auto subscribe = [&](MqttClient& client,
                             std::vector<std::pair<std::string_view, wire::mqtt::SubscribeOptions>> filters) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Subscribe{.packet_id = 9, .filters = std::move(filters)}, GetParam(), {}, bytes);
    EXPECT_TRUE(client.socket.send(bytes));
    const auto frame = client.next();
    EXPECT_TRUE(frame);
    return wire::mqtt::decode_suback(*frame, GetParam(), client.received)->reasons;
  };
  EXPECT_EQ(subscribe(listener, {{"v1/devices/+/telemetry", {.qos = 0}}}), (std::vector{Reason::success}));
  const auto refused =
      subscribe(pump2, {{"v1/devices/pump-2/commands/#", {}}, {"v1/devices/+/telemetry", {}}, {"$share/g/a", {}}});
  ASSERT_EQ(refused.size(), 3u);
  EXPECT_EQ(refused[0], Reason::success);
  EXPECT_EQ(refused[1], v5() ? Reason::not_authorized : Reason::unspecified_error);
  EXPECT_EQ(refused[2], v5() ? Reason::not_authorized : Reason::unspecified_error);

  MqttClient pump1(node, GetParam());
  ASSERT_EQ(pump1.connect({.client_id = "p1"}), Reason::success);
  pump1.publish(kOwn, R"({"a":1})", 1);
  ASSERT_TRUE(pump1.puback());
  const auto frame = listener.next();
  ASSERT_TRUE(frame);
  const auto heard = wire::mqtt::decode_publish(*frame, GetParam(), listener.received);
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->topic, kPump1);
  EXPECT_EQ(heard->payload.size(), 7u);
  EXPECT_TRUE(pump2.ping());  // heard nothing

  std::string bytes;
  wire::mqtt::encode(wire::mqtt::Unsubscribe{.packet_id = 3, .filters = {"v1/devices/+/telemetry"}}, GetParam(), {},
                     bytes);
  ASSERT_TRUE(listener.socket.send(bytes));
  EXPECT_EQ(to_string(listener.next()->type), "UNSUBACK");
  pump1.publish(kOwn, R"({"a":1})", 2);
  ASSERT_TRUE(pump1.puback());
  EXPECT_TRUE(listener.ping());
}

TEST_P(MqttBoth, tells_how_a_device_connected) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({.client_id = "mine"}), Reason::success);
  client.publish(kOwn, R"({"a":1})", 1);
  ASSERT_TRUE(client.puback());
  client.publish(kOwn, R"({"a":1})", 2);
  ASSERT_TRUE(client.puback());
  EXPECT_EQ(node.trace("pump-1"),
            (Lines{std::string("ok connect: connected with MQTT ") + (v5() ? "5" : "3.1.1") + ", keep alive 1m",
                   "ok auth: its device token is valid", "ok publish: PUBLISH to v1/telemetry, 7 bytes, QoS 1",
                   "ok reading: first reading: 1 value taken from v1/telemetry"}));
}

TEST(MqttV5, says_what_it_serves) {
  Node node;
  MqttClient client(node, Version::v5);
  client.properties.session_expiry = 100;
  ASSERT_EQ(client.connect({.client_id = "", .keep_alive = 0}), Reason::success);
  EXPECT_TRUE(client.received.assigned_client_id);
  EXPECT_FALSE(client.received.session_expiry);  // as it asked
  EXPECT_EQ(client.received.server_keep_alive, 1800);
  EXPECT_EQ(client.received.receive_maximum, 1000);
  EXPECT_EQ(client.received.topic_alias_maximum, 32);
  EXPECT_EQ(client.received.maximum_packet_size, 1u << 20);
  // What is not said is served: QoS 2, retained messages, wildcards, identifiers, shared subscriptions.
  EXPECT_FALSE(client.received.maximum_qos);
  EXPECT_FALSE(client.received.retain_available);
  EXPECT_FALSE(client.received.wildcards_available);
  EXPECT_FALSE(client.received.subscription_ids_available);
  EXPECT_FALSE(client.received.shared_available);
  MqttClient lasting(node, Version::v5);
  lasting.properties.session_expiry = UINT32_MAX;
  ASSERT_EQ(lasting.connect({.client_id = "lasting"}), Reason::success);
  EXPECT_EQ(lasting.received.session_expiry, 7u * 86'400);
}

TEST(MqttV5, resolves_topic_aliases) {
  Node node;
  MqttClient client(node, Version::v5);
  ASSERT_EQ(client.connect({}), Reason::success);
  const auto publish = [&](std::string_view topic, std::uint16_t alias, std::uint16_t id) {
    wire::mqtt::Properties properties;
    properties.topic_alias = alias;
    std::string bytes;
    const std::string payload = R"({"a":1})";
    wire::mqtt::encode(
        wire::mqtt::Publish{.qos = 1, .topic = topic, .packet_id = id, .payload = std::as_bytes(std::span(payload))},
        Version::v5, properties, bytes);
    EXPECT_TRUE(client.socket.send(bytes));
  };
  publish(kOwn, 3, 1);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  publish("", 3, 2);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  publish("", 4, 3);
  EXPECT_EQ(client.disconnected(), Reason::protocol_error);
  EXPECT_EQ(node.readings(), 2u);
}

TEST(MqttV5, ends_when_more_is_in_flight_than_agreed) {
  Config config;
  config.mqtt.receive_maximum = 3;
  Node node(config);
  MqttClient client(node, Version::v5);
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->hold();
  for (std::uint16_t id = 1; id <= 4; ++id) client.publish(kOwn, R"({"a":1})", id);
  EXPECT_EQ(client.disconnected(), Reason::receive_maximum_exceeded);
}

TEST(MqttV3, waits_when_too_much_is_in_flight) {
  Config config;
  config.mqtt.receive_maximum = 3;
  Node node(config);
  MqttClient client(node, Version::v3_1_1);
  ASSERT_EQ(client.connect({}), Reason::success);
  node.bus->hold();
  for (std::uint16_t id = 1; id <= 10; ++id) client.publish(kOwn, R"({"a":1})", id);
  EXPECT_TRUE(net::eventually([&] { return node.bus->producer().queued_bytes() > 0; }));
  node.bus->release();
  for (std::uint16_t id = 1; id <= 10; ++id) EXPECT_EQ(client.puback()->packet_id, id);
}

TEST(MqttV5, gives_reasons_for_broken_packets) {
  Node node;
  MqttClient client(node, Version::v5);
  ASSERT_EQ(client.connect({}), Reason::success);
  ASSERT_TRUE(client.socket.send(std::string("\x36\x05\x00\x01\x61\x00\x01", 7)));
  EXPECT_EQ(client.disconnected(), Reason::malformed_packet);
  EXPECT_EQ(client.note(), "PUBLISH: its QoS is 3");
  EXPECT_TRUE(client.ended());
  MqttClient large(node, Version::v5);
  ASSERT_EQ(large.connect({}), Reason::success);
  ASSERT_TRUE(large.socket.send(std::string("\x30\xff\xff\xff\x7f", 5)));
  EXPECT_EQ(large.disconnected(), Reason::packet_too_large);
  MqttClient extended(node, Version::v5);
  extended.properties.auth_method = "SCRAM";
  EXPECT_EQ(extended.connect({}), Reason::bad_auth_method);
}

TEST(MqttV3, answers_old_and_unknown_versions) {
  Node node;
  net::TestClient old(node.mqtt());  // MQTT 3.1, whose identifiers are never empty
  ASSERT_TRUE(old.send(std::string("\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", 16)));
  EXPECT_EQ(old.receive_all(), std::string("\x20\x02\x00\x02", 4));
  net::TestClient unknown(node.mqtt());
  ASSERT_TRUE(unknown.send(std::string("\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00", 14)));
  EXPECT_EQ(unknown.receive_all(), std::string("\x20\x02\x00\x01", 4));
  net::TestClient empty(node.mqtt());
  ASSERT_TRUE(empty.send(std::string("\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", 14)));
  EXPECT_EQ(empty.receive_all(), std::string("\x20\x02\x00\x02", 4));
}

TEST(MqttV3, takes_a_packet_in_single_bytes) {
  Node node;
  MqttClient client(node, Version::v3_1_1);
  ASSERT_EQ(client.connect({}), Reason::success);
  for (const char c : client.publish_bytes(kOwn, R"({"a":1})", 1)) ASSERT_TRUE(client.socket.send({&c, 1}));
  EXPECT_EQ(client.puback()->packet_id, 1);
}

}  // namespace
}  // namespace flux::ingest
