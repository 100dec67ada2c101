#include <gtest/gtest.h>

#include "ingest/testing.h"

/// Clients among themselves: the broker as they see it.
namespace flux::ingest {
namespace {

using testing::MqttClient;
using testing::Node;
using wire::mqtt::PacketType;
using wire::mqtt::Reason;
using wire::mqtt::Version;
using Lines = std::vector<std::string>;

class MqttBroker : public ::testing::TestWithParam<Version> {
 protected:
  [[nodiscard]] bool v5() const { return GetParam() == Version::v5; }
  [[nodiscard]] Reason failure(Reason reason) const { return v5() ? reason : Reason::unspecified_error; }

  /// A client with the tenant's key.
  std::unique_ptr<MqttClient> join(const Node& node, const std::string& id, bool clean_start = true,
                                   std::uint32_t expiry = 0) {
    auto client = std::make_unique<MqttClient>(node, GetParam());
    if (expiry != 0) client->properties.session_expiry = expiry;
    EXPECT_EQ(client->connect({.client_id = id, .password = "key", .clean_start = clean_start}), Reason::success);
    return client;
  }
  /// One whose session outlives the connection.
  std::unique_ptr<MqttClient> stay(const Node& node, const std::string& id) { return join(node, id, false, 3'600); }
};
INSTANTIATE_TEST_SUITE_P(Versions, MqttBroker, ::testing::Values(Version::v3_1, Version::v3_1_1, Version::v5),
                         [](const auto& info) {
                           return info.param == Version::v5 ? "v5" : info.param == Version::v3_1 ? "v3_1" : "v3_1_1";
                         });

TEST_P(MqttBroker, carries_messages_of_every_qos) {
  Node node;
  // Enough of them that both shards have some.
  std::vector<std::unique_ptr<MqttClient>> listeners;
  for (std::uint8_t qos = 0; qos < 3; ++qos) {
    listeners.push_back(join(node, "l" + std::to_string(qos)));
    EXPECT_EQ(listeners.back()->subscribe("plant/+/state", {.qos = qos}), static_cast<Reason>(qos));
  }
  const auto talker = join(node, "talker");
  for (std::uint8_t qos = 0; qos < 3; ++qos) {
    const auto reason = talker->say("plant/1/state", "on", {.qos = qos});
    if (qos > 0) EXPECT_EQ(reason, Reason::success);
    for (std::uint8_t granted = 0; granted < 3; ++granted) {
      const int least = std::min(qos, granted);
      EXPECT_EQ(listeners[granted]->hear(), "plant/1/state=on" + (least > 0 ? " q" + std::to_string(least) : ""));
    }
  }
  EXPECT_FALSE(is_error(*talker->say("plant/1/other", "x", {.qos = 1})));
  for (const auto& listener : listeners) EXPECT_TRUE(listener->ping());
  EXPECT_EQ(listeners[0]->unsubscribe("plant/+/state").value_or(Reason::success), Reason::success);
  talker->say("plant/1/state", "off", {.qos = 1});
  EXPECT_TRUE(listeners[0]->ping());
  EXPECT_EQ(listeners[1]->hear(), "plant/1/state=off q1");
}

TEST_P(MqttBroker, says_that_nobody_subscribes) {
  Node node;
  const auto talker = join(node, "talker");
  for (std::uint8_t qos = 1; qos < 3; ++qos)
    EXPECT_EQ(talker->say("a", "x", {.qos = qos}), v5() ? Reason::no_matching_subscribers : Reason::success);
}

TEST_P(MqttBroker, hears_its_own_messages_in_order) {
  Node node;
  const auto client = join(node, "c");
  client->subscribe("#", {.qos = 1});
  for (int i = 0; i < 100; ++i) client->say("n", std::to_string(i));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client->hear(), "n=" + std::to_string(i));
}

TEST_P(MqttBroker, keeps_tenant_and_device_apart) {
  Node node;
  MqttClient pump(node, GetParam());
  ASSERT_EQ(pump.connect({.client_id = "p"}), Reason::success);
  EXPECT_EQ(pump.subscribe("#"), failure(Reason::not_authorized));
  EXPECT_EQ(pump.subscribe("v1/devices/pump-2/#"), failure(Reason::not_authorized));
  EXPECT_EQ(pump.subscribe("$SYS/#"), failure(Reason::not_authorized));
  EXPECT_EQ(pump.subscribe("v1/devices/pump-1/#", {.qos = 1}), Reason::granted_qos_1);
  const auto key = join(node, "key");
  key->subscribe("#", {.qos = 1});
  const auto refused = [&](Reason reason) { return v5() ? reason : Reason::success; };
  EXPECT_EQ(pump.say("plant/1", "x", {.qos = 1}), refused(Reason::not_authorized));
  EXPECT_EQ(pump.say("v1/devices/pump-2/x", "x", {.qos = 1}), refused(Reason::not_authorized));
  EXPECT_EQ(pump.say("$SYS/broker/version", "x", {.qos = 1}), refused(Reason::topic_name_invalid));
  EXPECT_EQ(key->say("v1/devices/pump-1/commands", "x", {.qos = 1}), refused(Reason::not_authorized));
  EXPECT_EQ(key->say("v1/telemetri", "x", {.qos = 1}), refused(Reason::topic_name_invalid));
  EXPECT_TRUE(key->ping());  // heard none of it
  EXPECT_EQ(key->say("v1/devices/pump-1/hello", "to", {.qos = 0}), std::nullopt);
  EXPECT_EQ(key->hear(), "v1/devices/pump-1/hello=to");
  EXPECT_EQ(pump.hear(), "v1/devices/pump-1/hello=to");
  // Its messages and its readings alike.
  pump.say("v1/devices/pump-1/note", "from");
  EXPECT_EQ(key->hear(), "v1/devices/pump-1/note=from");
  EXPECT_EQ(pump.hear(), "v1/devices/pump-1/note=from");
  pump.say("v1/telemetry", R"({"a":1})");
  EXPECT_EQ(key->hear(), R"(v1/devices/pump-1/telemetry={"a":1})");
  EXPECT_EQ(pump.hear(), R"(v1/devices/pump-1/telemetry={"a":1})");
  EXPECT_TRUE(net::eventually([&] { return node.readings() == 1; }));
}

TEST_P(MqttBroker, retains_the_last_message_of_a_topic) {
  Node node;
  const auto talker = join(node, "talker");
  talker->say("a/b", "1", {.qos = 1, .retain = true});
  talker->say("a/b", "2", {.qos = 1, .retain = true});
  talker->say("a/c", "3", {.qos = 1, .retain = true});
  talker->say("a/d", "4", {.qos = 1});
  const auto listener = join(node, "listener");
  EXPECT_EQ(listener->subscribe("a/+", {.qos = 0}), Reason::success);
  EXPECT_EQ(listener->hear(), "a/b=2 retain");
  EXPECT_EQ(listener->hear(), "a/c=3 retain");
  talker->say("a/b", "5", {.qos = 1, .retain = true});
  EXPECT_EQ(listener->hear(), "a/b=5");  // it was subscribed already
  talker->say("a/c", "", {.qos = 1, .retain = true});
  EXPECT_EQ(listener->hear(), "a/c=");
  EXPECT_EQ(listener->subscribe("a/#", {.qos = 1}), Reason::granted_qos_1);
  EXPECT_EQ(listener->hear(), "a/b=5 q1 retain");
  EXPECT_TRUE(listener->ping());
  EXPECT_EQ(node.metric("fluxgate_broker_retained_messages") >= 1, true);
}

TEST_P(MqttBroker, keeps_the_session_of_a_client_that_is_away) {
  Node node;
  auto sleeper = stay(node, "sleeper");
  EXPECT_FALSE(sleeper->session_present);
  ASSERT_EQ(sleeper->subscribe("a", {.qos = 2}), Reason::granted_qos_2);
  sleeper->disconnect();
  const auto talker = join(node, "talker");
  for (std::uint8_t qos = 0; qos < 3; ++qos) talker->say("a", std::to_string(qos), {.qos = qos});
  for (int again = 0; again < 6; ++again) {  // from either shard
    sleeper = stay(node, "sleeper");
    EXPECT_EQ(sleeper->session_present, GetParam() != Version::v3_1 || true);
    if (again == 0) {
      EXPECT_EQ(sleeper->hear(), "a=1 q1");  // QoS 0 waits for nobody
      EXPECT_EQ(sleeper->hear(), "a=2 q2");
    }
    EXPECT_TRUE(sleeper->ping());
    sleeper->disconnect();
  }
  sleeper = join(node, "sleeper");  // a clean start
  EXPECT_FALSE(sleeper->session_present);
  talker->say("a", "3", {.qos = 1});
  EXPECT_TRUE(sleeper->ping());
}

TEST_P(MqttBroker, sends_again_what_was_not_acknowledged) {
  Node node;
  auto client = stay(node, "c");
  client->subscribe("a", {.qos = 2});
  const auto talker = join(node, "talker");
  talker->say("a", "1", {.qos = 1});
  talker->say("a", "2", {.qos = 2});
  talker->say("a", "3", {.qos = 2});
  const auto first = client->heard();
  ASSERT_TRUE(first);
  const std::uint16_t id_1 = first->packet_id;
  const std::uint16_t id_2 = client->heard()->packet_id;
  const std::uint16_t id_3 = client->heard()->packet_id;
  client->acknowledge(PacketType::pubrec, id_3);
  EXPECT_EQ(client->expect("PUBREL")->packet_id, id_3);
  client->socket.close();
  client = stay(node, "c");
  ASSERT_TRUE(client->session_present);
  const auto again = client->heard();
  EXPECT_TRUE(again->dup);
  EXPECT_EQ(again->packet_id, id_1);
  client->acknowledge(PacketType::puback, id_1);
  const auto second = client->heard();
  EXPECT_TRUE(second->dup);
  EXPECT_EQ(second->packet_id, id_2);
  EXPECT_EQ(client->expect("PUBREL")->packet_id, id_3);  // that one has it already
  client->acknowledge(PacketType::pubcomp, id_3);
  client->acknowledge(PacketType::pubrec, id_2);
  EXPECT_EQ(client->expect("PUBREL")->packet_id, id_2);
  client->acknowledge(PacketType::pubcomp, id_2);
  EXPECT_TRUE(client->ping());
}

TEST_P(MqttBroker, survives_a_restart) {
  Node node;
  auto sleeper = stay(node, "sleeper");
  sleeper->subscribe("a/#", {.qos = 2});
  sleeper->disconnect();
  {
    const auto talker = join(node, "talker");
    talker->say("a/1", "kept", {.qos = 1, .retain = true});
    talker->say("a/2", "gone", {.qos = 1, .retain = true});
    talker->say("a/2", "", {.qos = 1, .retain = true});
    for (int i = 0; i < 300; ++i) talker->say("a/n", std::to_string(i), {.qos = static_cast<std::uint8_t>(1 + i % 2)});
  }
  for (int round = 0; round < 3; ++round) node.restart();
  sleeper = stay(node, "sleeper");
  EXPECT_TRUE(sleeper->session_present);
  EXPECT_EQ(sleeper->hear(), "a/1=kept q1");
  EXPECT_EQ(sleeper->hear(), "a/2=gone q1");
  EXPECT_EQ(sleeper->hear(), "a/2= q1");
  for (int i = 0; i < 150; ++i)
    EXPECT_EQ(sleeper->hear(), "a/n=" + std::to_string(i) + " q" + std::to_string(1 + i % 2));
  EXPECT_EQ(sleeper->heard()->topic, "a/n");  // not acknowledged
  sleeper->disconnect();
  node.restart();
  sleeper = stay(node, "sleeper");
  for (int i = 150; i < 300; ++i) {
    const std::string heard = sleeper->hear();
    EXPECT_TRUE(heard.starts_with("a/n=" + std::to_string(i) + " q" + std::to_string(1 + i % 2))) << heard << " " << i;
  }
  EXPECT_TRUE(sleeper->ping());
  const auto listener = join(node, "listener");
  listener->subscribe("a/#");
  EXPECT_EQ(listener->hear(), "a/1=kept retain");
  EXPECT_TRUE(listener->ping());
}

TEST_P(MqttBroker, acknowledges_what_a_lasting_session_wants_when_it_is_durable) {
  Node node;
  auto sleeper = stay(node, "sleeper");
  sleeper->subscribe("a", {.qos = 1});
  sleeper->disconnect();
  const auto talker = join(node, "talker");
  node.bus->hold();
  ASSERT_TRUE(talker->socket.send(talker->publish_bytes("a", "1", {.qos = 1, .packet_id = 7})));
  EXPECT_TRUE(talker->ping());  // was read, and is not acknowledged
  EXPECT_TRUE(net::eventually([&] { return node.bus->producer().queued_bytes() > 0; }));
  EXPECT_TRUE(talker->ping());
  node.bus->release();
  EXPECT_EQ(talker->puback()->packet_id, 7);
  // What only clean sessions want does not wait for the log.
  const auto listener = join(node, "listener");
  listener->subscribe("b", {.qos = 1});
  node.bus->hold();
  EXPECT_EQ(talker->say("b", "2", {.qos = 1}), Reason::success);
  EXPECT_EQ(listener->hear(), "b=2 q1");
  node.bus->release();
}

TEST_P(MqttBroker, takes_a_message_of_qos_2_once_across_a_restart) {
  Node node;
  auto listener = stay(node, "listener");
  listener->subscribe("a", {.qos = 2});
  auto talker = stay(node, "talker");
  ASSERT_TRUE(talker->socket.send(talker->publish_bytes("a", "1", {.qos = 2, .packet_id = 7})));
  EXPECT_EQ(talker->expect("PUBREC")->packet_id, 7);
  node.restart();
  talker = stay(node, "talker");
  EXPECT_TRUE(talker->session_present);
  ASSERT_TRUE(talker->socket.send(talker->publish_bytes("a", "1", {.dup = true, .qos = 2, .packet_id = 7})));
  EXPECT_EQ(talker->expect("PUBREC")->packet_id, 7);
  talker->acknowledge(PacketType::pubrel, 7);
  EXPECT_EQ(talker->expect("PUBCOMP")->reason, Reason::success);
  listener = stay(node, "listener");
  EXPECT_TRUE(listener->hear().starts_with("a=1 q2"));
  EXPECT_TRUE(listener->ping());
}

TEST_P(MqttBroker, hands_a_session_to_the_newer_connection) {
  Node node;
  auto first = stay(node, "same");
  first->subscribe("a", {.qos = 1});
  for (int i = 0; i < 4; ++i) {
    auto second = stay(node, "same");
    EXPECT_TRUE(second->session_present);
    if (v5()) EXPECT_EQ(first->disconnected(), Reason::session_taken_over);
    EXPECT_TRUE(first->ended());
    const auto talker = join(node, "talker");
    talker->say("a", "x", {.qos = 1});
    EXPECT_EQ(second->hear(), "a=x q1");
    first = std::move(second);
  }
  EXPECT_TRUE(net::eventually([&] { return node.metric("fluxgate_broker_sessions_connected") == 1; }));
}

TEST_P(MqttBroker, publishes_wills) {
  Node node;
  const auto listener = join(node, "listener");
  listener->subscribe("will/#", {.qos = 1});
  const std::string gone = "gone";
  const auto with_will = [&](const std::string& id) {
    auto client = std::make_unique<MqttClient>(node, GetParam());
    const wire::mqtt::Will will{.topic = "will/x", .payload = std::as_bytes(std::span(gone)), .qos = 1, .retain = true};
    EXPECT_EQ(client->connect({.client_id = id, .password = "key", .will = will}), Reason::success);
    return client;
  };
  with_will("polite")->disconnect();
  with_will("rude")->socket.close();
  EXPECT_EQ(listener->hear(), "will/x=gone q1");
  const auto broken = with_will("broken");
  ASSERT_TRUE(broken->socket.send(std::string("\x36\x05\x00\x01\x61\x00\x01", 7)));
  EXPECT_EQ(listener->hear(), "will/x=gone q1");
  const auto older = with_will("taken");
  const auto newer = join(node, "taken");
  EXPECT_EQ(listener->hear(), "will/x=gone q1");
  EXPECT_TRUE(listener->ping());
  const auto late = join(node, "late");
  late->subscribe("will/x");
  EXPECT_EQ(late->hear(), "will/x=gone retain");
}

TEST_P(MqttBroker, bounds_what_waits_for_a_slow_client) {
  Config config;
  config.mqtt.broker.queue_messages = 20;
  Node node(config);
  auto slow = stay(node, "slow");
  slow->subscribe("a", {.qos = 1});
  slow->disconnect();
  const auto talker = join(node, "talker");
  for (int i = 0; i < 50; ++i) talker->say("a", std::to_string(i), {.qos = 1});
  EXPECT_EQ(node.metric("fluxgate_broker_dropped_total", {{"reason", "queue_full"}}), 30);
  slow = stay(node, "slow");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(slow->hear(), "a=" + std::to_string(i) + " q1");
  EXPECT_TRUE(slow->ping());
}

TEST_P(MqttBroker, lets_shared_subscriptions_share) {
  Node node;
  std::vector<std::unique_ptr<MqttClient>> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(join(node, "w" + std::to_string(i)));
    EXPECT_EQ(workers.back()->subscribe("$share/g/jobs/+", {.qos = 1}), Reason::granted_qos_1);
  }
  const auto all = join(node, "all");
  all->subscribe("jobs/#", {.qos = 0});
  const auto talker = join(node, "talker");
  for (int i = 0; i < 30; ++i) talker->say("jobs/1", std::to_string(i), {.qos = 1});
  for (int i = 0; i < 30; ++i) EXPECT_EQ(all->hear(), "jobs/1=" + std::to_string(i));
  std::set<std::string> done;
  for (const auto& worker : workers)
    for (int i = 0; i < 10; ++i) done.insert(worker->hear());
  EXPECT_EQ(done.size(), 30u);
  for (const auto& worker : workers) EXPECT_TRUE(worker->ping());
  workers[0]->unsubscribe("$share/g/jobs/+");
  workers[1]->socket.close();
  ASSERT_TRUE(net::eventually([&] { return node.metric("fluxgate_broker_subscriptions") == 2; }));
  for (int i = 0; i < 5; ++i) talker->say("jobs/1", "n" + std::to_string(i), {.qos = 1});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(workers[2]->hear(), "jobs/1=n" + std::to_string(i) + " q1");
}

TEST_P(MqttBroker, says_of_itself) {
  Config config;
  config.mqtt.broker.sys_interval = 10_ms;
  Node node(config);
  const auto client = join(node, "c");
  EXPECT_EQ(client->subscribe("$SYS/broker/version"), Reason::success);
  EXPECT_EQ(client->hear(), "$SYS/broker/version=test retain");
  EXPECT_EQ(client->subscribe("#"), Reason::success);
  EXPECT_TRUE(client->ping());  // wildcards do not reach below $
  EXPECT_EQ(client->subscribe("$SYS/broker/clients/connected"), Reason::success);
  std::string heard;
  while (!heard.starts_with("$SYS/broker/clients/connected=1")) heard = client->hear();
}

}  // namespace
}  // namespace flux::ingest
