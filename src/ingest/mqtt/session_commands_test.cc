#include <gtest/gtest.h>

#include "ingest/mqtt/command_topics.h"
#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using testing::MqttClient;
using testing::Node;
using wire::mqtt::Reason;
using wire::mqtt::Version;
using Lines = std::vector<std::string>;

class MqttCommands : public ::testing::TestWithParam<Version> {
 protected:
  [[nodiscard]] bool v5() const { return GetParam() == Version::v5; }

  std::optional<Reason> subscribe(MqttClient& client, std::string_view filter, std::uint8_t qos = 1) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Subscribe{.packet_id = 77, .filters = {{filter, {.qos = qos}}}}, GetParam(), {},
                       bytes);
    EXPECT_TRUE(client.socket.send(bytes));
    const auto frame = client.next();
    if (!frame) return std::nullopt;
    const auto suback = wire::mqtt::decode_suback(*frame, GetParam(), client.received);
    EXPECT_TRUE(suback);
    return suback ? std::optional(suback->reasons.front()) : std::nullopt;
  }
  struct Heard {
    std::string topic;
    std::string payload;
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 0;
    bool dup = false;
  };
  Heard hear(MqttClient& client) {
    const auto frame = client.next();
    EXPECT_TRUE(frame);
    if (!frame) return {};
    const auto publish = wire::mqtt::decode_publish(*frame, GetParam(), client.received);
    EXPECT_TRUE(publish) << publish.error().message;
    if (!publish) return {};
    return {std::string(publish->topic),
            {reinterpret_cast<const char*>(publish->payload.data()), publish->payload.size()},
            publish->packet_id,
            publish->qos,
            publish->dup};
  }
  void acknowledge(MqttClient& client, std::uint16_t packet_id, Reason reason = Reason::success) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Ack{.packet_id = packet_id, .reason = reason}, GetParam(), {}, bytes);
    EXPECT_TRUE(client.socket.send(bytes));
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, MqttCommands, ::testing::Values(Version::v3_1_1, Version::v5),
                         [](const auto& info) { return info.param == Version::v5 ? "v5" : "v3_1_1"; });

TEST_P(MqttCommands, are_received_only_with_the_devices_puback) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  ASSERT_EQ(subscribe(client, "v1/commands", 2), Reason::granted_qos_1);
  node.commands.give("pump-1", "c-1");
  const auto first = hear(client);
  EXPECT_EQ(first.topic, "v1/commands");
  EXPECT_EQ(first.qos, 1);
  EXPECT_FALSE(first.dup);
  EXPECT_TRUE(first.payload.starts_with(R"({"id":"c-1","name":"go","payload":{},"expires":")")) << first.payload;
  if (v5()) {
    EXPECT_EQ(client.received.response_topic, "v1/commands/c-1/response");
    EXPECT_EQ(client.received.correlation_data->size(), 3u);
    EXPECT_TRUE(client.received.message_expiry);
  }
  EXPECT_TRUE(client.ping());
  EXPECT_EQ(node.commands.notes(), Lines{});
  acknowledge(client, first.packet_id);
  EXPECT_TRUE(client.ping());
  EXPECT_EQ(node.commands.notes(), Lines{"received pump-1 c-1"});
  node.commands.give("pump-1", "c-2", true);
  EXPECT_TRUE(hear(client).dup);
  client.socket.close();
  EXPECT_TRUE(net::eventually([&] { return !node.commands.subscribed("pump-1"); }));
  EXPECT_EQ(node.commands.notes().size(), 1u);
}

TEST_P(MqttCommands, come_on_the_topics_that_a_credential_may_hear) {
  Node node;
  const auto fails = [&](Reason reason) { return v5() ? reason : Reason::unspecified_error; };
  MqttClient pump(node, GetParam());
  ASSERT_EQ(pump.connect({}), Reason::success);
  EXPECT_EQ(subscribe(pump, "v1/devices/pump-2/commands"), fails(Reason::not_authorized));
  EXPECT_EQ(subscribe(pump, "v1/devices/+/commands"), fails(Reason::not_authorized));
  EXPECT_FALSE(node.commands.subscribed("pump-2"));
  EXPECT_EQ(subscribe(pump, "v1/devices/pump-1/#"), Reason::granted_qos_1);
  node.commands.give("pump-1", "c-1");
  EXPECT_EQ(hear(pump).topic, "v1/devices/pump-1/commands");

  MqttClient key(node, GetParam());
  ASSERT_EQ(key.connect({.client_id = "key", .password = "key"}), Reason::success);
  EXPECT_EQ(subscribe(key, "v1/commands"), fails(Reason::topic_filter_invalid));
  EXPECT_EQ(subscribe(key, "v1/devices/+/commands"), Reason::granted_qos_1);  // hears no commands there
  EXPECT_EQ(subscribe(key, "v1/devices/pump-2/commands"), Reason::granted_qos_1);
  node.commands.give("pump-2", "c-2");
  EXPECT_EQ(hear(key).topic, "v1/devices/pump-2/commands");
  std::string bytes;
  wire::mqtt::encode(wire::mqtt::Unsubscribe{.packet_id = 3, .filters = {"v1/devices/pump-2/commands"}}, GetParam(), {},
                     bytes);
  ASSERT_TRUE(key.socket.send(bytes));
  EXPECT_EQ(to_string(key.next()->type), "UNSUBACK");
  EXPECT_FALSE(node.commands.subscribed("pump-2"));
}

TEST_P(MqttCommands, with_qos_0_ask_for_no_puback) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  ASSERT_EQ(subscribe(client, "v1/commands", 0), Reason::success);
  node.commands.give("pump-1", "c-1", true);
  const auto heard = hear(client);
  EXPECT_EQ(heard.qos, 0);
  EXPECT_FALSE(heard.dup);
}

TEST_P(MqttCommands, are_answered_and_the_answer_acknowledged_when_it_is_kept) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  client.publish("v1/commands/c-1/response", R"({"status":"succeeded","result":{"a":[1,2]}})", 1);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  client.publish("v1/devices/pump-1/commands/c-2/response", R"({"status":"failed","reason":"no water"})", 2);
  EXPECT_EQ(client.puback()->reason, Reason::success);
  EXPECT_EQ(node.commands.notes(), (Lines{R"(succeeded pump-1 c-1 {"a":[1,2]})", "failed pump-1 c-2 - no water"}));
  const struct {
    const char* topic;
    const char* payload;
    Reason reason;
    const char* note;
  } kCases[] = {
      {"v1/commands/c/response", "{", Reason::payload_format_invalid, nullptr},
      {"v1/commands/c/response", "[]", Reason::payload_format_invalid,
       R"(expected an object such as {"status":"succeeded","result":…})"},
      {"v1/commands/c/response", R"({"status":"done"})", Reason::payload_format_invalid,
       "status: expected succeeded or failed"},
      {"v1/commands/c/response", R"({"status":"failed","why":1})", Reason::payload_format_invalid,
       "why: unknown field: expected status, result, reason"},
      {"v1/devices/pump-2/commands/c/response", R"({"status":"failed"})", Reason::not_authorized, nullptr},
      {"v1/commands//response", R"({"status":"failed"})", Reason::topic_name_invalid, nullptr},
  };
  for (const auto& test : kCases) {
    client.publish(test.topic, test.payload, 9);
    const auto ack = client.puback();
    ASSERT_TRUE(ack) << test.payload;
    if (!v5()) continue;
    EXPECT_EQ(to_string(ack->reason), to_string(test.reason)) << test.topic << " " << test.payload;
    if (test.note != nullptr) EXPECT_EQ(client.note(), test.note);
  }
  EXPECT_EQ(node.commands.notes().size(), 2u);
  EXPECT_EQ(node.readings(), 0u);

  node.commands.outcome = fail(ErrorCode::not_found, "no command `x` was sent to device `pump-1`");
  client.publish("v1/commands/x/response", R"({"status":"succeeded"})", 3);
  EXPECT_EQ(client.puback()->reason, v5() ? Reason::topic_name_invalid : Reason::success);
  // What the database did not take is to be sent again: no PUBACK with 3.1.1, which has no word for it.
  node.commands.outcome = fail(ErrorCode::unavailable, "the disk is full");
  client.publish("v1/commands/x/response", R"({"status":"succeeded"})", 4);
  if (v5()) EXPECT_EQ(client.puback()->reason, Reason::implementation_error);
  else EXPECT_TRUE(client.ended());
}

TEST_P(MqttCommands, a_puback_for_nothing_is_a_fault) {
  Node node;
  MqttClient client(node, GetParam());
  ASSERT_EQ(client.connect({}), Reason::success);
  acknowledge(client, 5);
  if (v5()) EXPECT_EQ(client.disconnected(), Reason::protocol_error);
  EXPECT_TRUE(client.ended());
}

TEST(MqttCommandsV5, keep_to_the_clients_receive_maximum_and_packet_size) {
  Node node;
  MqttClient client(node, Version::v5);
  client.properties.receive_maximum = 2;
  client.properties.maximum_packet_size = 300;
  ASSERT_EQ(client.connect({.password = "key"}), Reason::success);
  const auto publish = [&]() -> std::optional<std::pair<std::uint16_t, std::string>> {
    const auto frame = client.next();
    if (!frame) return std::nullopt;
    const auto heard = wire::mqtt::decode_publish(*frame, Version::v5, client.received);
    return heard ? std::optional(std::pair(heard->packet_id, std::string(heard->topic))) : std::nullopt;
  };
  for (const char* device : {"a", "b", "c"}) {
    std::string bytes;
    const std::string filter = mqtt::commands_topic(device);
    wire::mqtt::encode(wire::mqtt::Subscribe{.packet_id = 1, .filters = {{filter, {.qos = 1}}}}, Version::v5, {},
                       bytes);
    ASSERT_TRUE(client.socket.send(bytes));
    ASSERT_EQ(to_string(client.next()->type), "SUBACK");
  }
  for (const char* device : {"a", "b", "c"}) node.commands.give(device, std::string("to-") + device);
  const auto first = publish();
  const auto second = publish();
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->first, second->first);
  EXPECT_TRUE(client.ping());  // the third waits
  std::string ack;
  wire::mqtt::encode(wire::mqtt::Ack{.packet_id = first->first, .reason = Reason::payload_format_invalid}, Version::v5,
                     {}, ack);
  ASSERT_TRUE(client.socket.send(ack));
  const auto third = publish();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->second, "v1/devices/c/commands");
  node.commands.give("a", std::string(300, 'x'));
  std::string acks;
  for (const std::uint16_t id : {second->first, third->first}) wire::mqtt::encode_puback(id, acks);
  ASSERT_TRUE(client.socket.send(acks));
  EXPECT_TRUE(net::eventually([&] { return node.commands.notes().size() == 4; }));
  const auto notes = node.commands.notes();
  EXPECT_EQ(notes[0], "refused by the device a to-a: the device refused it: payload format invalid");
  EXPECT_TRUE(std::ranges::any_of(notes, [](const std::string& note) {
    return note.starts_with("refused a xxx") && note.ends_with("and the device takes no more than 300");
  }));
}

}  // namespace
}  // namespace flux::ingest
