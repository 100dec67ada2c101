#include <gtest/gtest.h>

#include "ingest/testing.h"

/// What only MQTT 5 has, between clients.
namespace flux::ingest {
namespace {

using testing::MqttClient;
using testing::Node;
using wire::mqtt::PacketType;
using wire::mqtt::Properties;
using wire::mqtt::Reason;
using wire::mqtt::Version;

std::unique_ptr<MqttClient> join(const Node& node, const std::string& id, const Properties& properties = {},
                                 bool clean_start = true) {
  auto client = std::make_unique<MqttClient>(node, Version::v5);
  client->properties = properties;
  EXPECT_EQ(client->connect({.client_id = id, .password = "key", .clean_start = clean_start}), Reason::success);
  return client;
}

std::string_view text_of(wire::mqtt::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MqttBrokerV5, passes_properties_on_as_they_came) {
  Node node;
  const auto listener = join(node, "listener");
  listener->subscribe("a", {.qos = 1});
  const auto talker = join(node, "talker");
  const std::string correlation = "\x01\x02";
  Properties with;
  with.payload_format = 1;
  with.content_type = "text/plain";
  with.response_topic = "answers/1";
  with.correlation_data = std::as_bytes(std::span(correlation));
  with.user = {{"b", "1"}, {"a", "2"}, {"b", "3"}};
  with.topic_alias = 1;
  for (const bool retain : {false, true}) {
    talker->say("a", "x", {.qos = 1, .retain = retain}, with);
    ASSERT_TRUE(listener->heard());
    EXPECT_EQ(listener->received.user, with.user);
    EXPECT_EQ(listener->received.payload_format, 1);
    EXPECT_EQ(listener->received.content_type, "text/plain");
    EXPECT_EQ(listener->received.response_topic, "answers/1");
    EXPECT_EQ(text_of(*listener->received.correlation_data), correlation);
    EXPECT_FALSE(listener->received.topic_alias);
  }
  const auto late = join(node, "late");
  late->subscribe("a");
  ASSERT_TRUE(late->heard());
  EXPECT_EQ(late->received.user, with.user);
  node.restart();
  const auto later = join(node, "later");
  later->subscribe("a");
  ASSERT_TRUE(later->heard());
  EXPECT_EQ(later->received.user, with.user);
}

TEST(MqttBrokerV5, names_the_subscriptions_that_led_to_a_message) {
  Node node;
  const auto listener = join(node, "listener");
  listener->subscribe("a/#", {.qos = 0}, 1);
  listener->subscribe("a/+", {.qos = 2}, 268'435'455);
  listener->subscribe("+/b", {.qos = 1});
  const auto talker = join(node, "talker");
  talker->say("a/b", "x", {.qos = 2});
  const auto publish = listener->heard();  // once, with the highest QoS
  EXPECT_EQ(publish->qos, 2);
  std::ranges::sort(listener->received.subscription_ids);
  EXPECT_EQ(listener->received.subscription_ids, (std::vector<std::uint32_t>{1, 268'435'455}));
  EXPECT_TRUE(listener->ping());
  listener->subscribe("a/+", {.qos = 2});  // replaced, without an identifier
  talker->say("a/b", "y");
  ASSERT_TRUE(listener->heard());
  EXPECT_EQ(listener->received.subscription_ids, (std::vector<std::uint32_t>{1}));
}

TEST(MqttBrokerV5, keeps_subscription_options) {
  Node node;
  const auto client = join(node, "c");
  client->subscribe("a", {.qos = 0, .no_local = true});
  client->subscribe("b", {.qos = 0, .retain_as_published = true});
  const auto talker = join(node, "talker");
  client->say("a", "mine");
  talker->say("a", "theirs", {.qos = 1, .retain = true});
  EXPECT_EQ(client->hear(), "a=theirs");
  talker->say("b", "x", {.qos = 1, .retain = true});
  EXPECT_EQ(client->hear(), "b=x retain");
  // Another subscription without "no local" still hears what is its own, and once.
  client->subscribe("+", {.qos = 0, .retain_handling = 2});
  client->say("a", "mine");
  EXPECT_EQ(client->hear(), "a=mine");
  EXPECT_TRUE(client->ping());
}

TEST(MqttBrokerV5, sends_retained_messages_as_asked) {
  Node node;
  const auto talker = join(node, "talker");
  talker->say("a", "x", {.qos = 1, .retain = true});
  const auto client = join(node, "c");
  client->subscribe("a", {.retain_handling = 2});
  EXPECT_TRUE(client->ping());
  client->subscribe("a", {.retain_handling = 1});  // not new
  EXPECT_TRUE(client->ping());
  client->subscribe("a", {.retain_handling = 0});
  EXPECT_EQ(client->hear(), "a=x retain");
  client->unsubscribe("a");
  client->subscribe("a", {.retain_handling = 1});
  EXPECT_EQ(client->hear(), "a=x retain");
  client->subscribe("$share/g/a");
  EXPECT_TRUE(client->ping());  // never for shared ones
}

TEST(MqttBrokerV5, counts_the_expiry_of_messages_down) {
  Node node;
  auto sleeper = join(node, "sleeper", {.session_expiry = 100}, false);
  sleeper->subscribe("a", {.qos = 1});
  sleeper->disconnect();
  const auto talker = join(node, "talker");
  Properties soon;
  soon.message_expiry = 1;
  Properties late;
  late.message_expiry = 100;
  talker->say("a", "late", {.qos = 1, .retain = true}, late);
  talker->say("a", "soon", {.qos = 1}, soon);
  talker->say("b", "soon", {.qos = 1, .retain = true}, soon);
  const Time then = wall_now();
  ASSERT_TRUE(net::eventually([&] { return wall_now() - then > 1_s; }));
  sleeper = join(node, "sleeper", {.session_expiry = 100}, false);
  ASSERT_TRUE(sleeper->heard());
  EXPECT_TRUE(sleeper->received.message_expiry);
  EXPECT_LT(*sleeper->received.message_expiry, 100u);
  EXPECT_GT(*sleeper->received.message_expiry, 50u);
  EXPECT_TRUE(sleeper->ping());
  EXPECT_EQ(node.metric("fluxgate_broker_dropped_total", {{"reason", "expired"}}), 1);
  sleeper->subscribe("b");
  EXPECT_TRUE(sleeper->ping());
}

TEST(MqttBrokerV5, ends_sessions_that_nobody_comes_back_for) {
  Node node;
  auto client = join(node, "c", {.session_expiry = 1}, false);
  client->subscribe("a", {.qos = 1});
  client->disconnect();
  EXPECT_TRUE(net::eventually([&] { return node.metric("fluxgate_broker_sessions") == 0; }));
  EXPECT_EQ(node.metric("fluxgate_broker_sessions_expired_total"), 1);
  client = join(node, "c", {.session_expiry = 100}, false);
  EXPECT_FALSE(client->session_present);
  client->subscribe("a", {.qos = 1});
  client->disconnect(Reason::success, 0);  // changed its mind
  client = join(node, "c", {.session_expiry = 100}, false);
  EXPECT_FALSE(client->session_present);
  client->disconnect();
  node.restart();
  client = join(node, "c", {}, false);
  EXPECT_TRUE(client->session_present);
  client->disconnect();
  client = join(node, "c", {}, false);
  EXPECT_FALSE(client->session_present);
  EXPECT_EQ(client->session_present, false);
  std::string bytes;
  Properties longer;
  longer.session_expiry = 10;
  wire::mqtt::encode(wire::mqtt::Notice{}, Version::v5, longer, bytes);
  ASSERT_TRUE(client->socket.send(bytes));
  EXPECT_EQ(client->disconnected(), Reason::protocol_error);  // it had none
}

TEST(MqttBrokerV5, delays_the_will) {
  Node node;
  const auto listener = join(node, "listener");
  listener->subscribe("will");
  const std::string payload = "gone";
  const auto dying = [&](std::uint32_t delay, std::uint32_t expiry) {
    auto client = std::make_unique<MqttClient>(node, Version::v5);
    client->properties.session_expiry = expiry;
    client->will_properties.will_delay = delay;
    client->will_properties.content_type = "text/plain";
    const wire::mqtt::Will will{.topic = "will", .payload = std::as_bytes(std::span(payload))};
    EXPECT_EQ(client->connect({.client_id = "dying", .password = "key", .will = will, .clean_start = false}),
              Reason::success);
    return client;
  };
  dying(1, 100)->socket.close();
  EXPECT_TRUE(listener->ping());
  EXPECT_EQ(listener->hear(), "will=gone");
  EXPECT_EQ(listener->received.content_type, "text/plain");
  dying(3'600, 100)->socket.close();
  auto back = dying(3'600, 100);  // in time
  EXPECT_TRUE(back->session_present);
  EXPECT_TRUE(listener->ping());
  back->disconnect(Reason::disconnect_with_will, 1);  // the session's end comes before the delay's
  EXPECT_EQ(listener->hear(), "will=gone");
}

TEST(MqttBrokerV5, sets_topic_aliases_where_the_client_takes_them) {
  Node node;
  Properties two;
  two.topic_alias_maximum = 2;
  const auto listener = join(node, "listener", two);
  listener->subscribe("+", {.qos = 1});
  const auto talker = join(node, "talker");
  for (const char* topic : {"a", "b", "c"}) talker->say(topic, "1");
  EXPECT_EQ(listener->hear(), "a=1");
  EXPECT_EQ(listener->received.topic_alias, 1);
  EXPECT_EQ(listener->hear(), "b=1");
  EXPECT_EQ(listener->received.topic_alias, 2);
  EXPECT_EQ(listener->hear(), "c=1");
  EXPECT_FALSE(listener->received.topic_alias);
  talker->say("b", "2", {.qos = 1});
  EXPECT_EQ(listener->hear(), "=2 q1");
  EXPECT_EQ(listener->received.topic_alias, 2);
}

TEST(MqttBrokerV5, has_no_more_in_flight_than_the_client_takes) {
  Node node;
  Properties three;
  three.receive_maximum = 3;
  const auto listener = join(node, "listener", three);
  listener->subscribe("a", {.qos = 2});
  const auto talker = join(node, "talker");
  for (int i = 0; i < 6; ++i) talker->say("a", std::to_string(i), {.qos = static_cast<std::uint8_t>(1 + i % 2)});
  std::vector<std::uint16_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(listener->heard()->packet_id);
  talker->say("a", "unnumbered");  // QoS 0 is not held back
  EXPECT_EQ(listener->hear(), "a=unnumbered");
  EXPECT_TRUE(listener->ping());
  listener->acknowledge(PacketType::puback, ids[0]);
  EXPECT_EQ(listener->heard()->qos, 2);
  EXPECT_TRUE(listener->ping());
  listener->acknowledge(PacketType::pubrec, ids[1]);
  EXPECT_EQ(listener->expect("PUBREL")->packet_id, ids[1]);
  EXPECT_TRUE(listener->ping());  // counts until PUBCOMP
  listener->acknowledge(PacketType::pubcomp, ids[1]);
  EXPECT_EQ(listener->hear(), "a=4 q1");
  EXPECT_EQ(listener->heard()->qos, 2);
}

TEST(MqttBrokerV5, sends_nothing_larger_than_the_client_takes) {
  Node node;
  Properties small;
  small.maximum_packet_size = 60;
  const auto listener = join(node, "listener", small);
  listener->subscribe("a", {.qos = 1});
  const auto talker = join(node, "talker");
  for (const std::uint8_t qos : {std::uint8_t{0}, std::uint8_t{1}}) {
    talker->say("a", std::string(100, 'x'), {.qos = qos});
    talker->say("a", "small", {.qos = qos});
    EXPECT_TRUE(listener->hear().starts_with("a=small"));
  }
  EXPECT_EQ(node.metric("fluxgate_broker_dropped_total", {{"reason", "too_large"}}), 2);
}

TEST(MqttBrokerV5, goes_on_after_a_refused_message) {
  Node node;
  auto listener = join(node, "listener", {.session_expiry = 100}, false);
  listener->subscribe("a", {.qos = 2});
  const auto talker = join(node, "talker");
  talker->say("a", "1", {.qos = 2});
  talker->say("a", "2", {.qos = 1});
  listener->acknowledge(PacketType::pubrec, listener->heard()->packet_id, Reason::quota_exceeded);
  EXPECT_EQ(listener->hear(), "a=2 q1");
  EXPECT_TRUE(listener->ping());
  listener->acknowledge(PacketType::pubrec, 77);
  EXPECT_EQ(listener->expect("PUBREL")->reason, Reason::packet_id_not_found);
  listener->acknowledge(PacketType::puback, 78);
  EXPECT_EQ(listener->disconnected(), Reason::protocol_error);
}

TEST(MqttBrokerV5, limits_retained_messages_and_sessions) {
  Config config;
  config.mqtt.broker.retained_messages = 20;  // $SYS has some of them
  config.mqtt.broker.sessions = 2;
  Node node(config);
  const auto talker = join(node, "talker");
  Reason last = Reason::success;
  for (int i = 0; i < 20 && !is_error(last); ++i)
    last = *talker->say("r/" + std::to_string(i), "x", {.qos = 1, .retain = true});
  EXPECT_EQ(last, Reason::quota_exceeded);
  EXPECT_TRUE(talker->note().contains("ingest.mqtt.broker.retained_messages")) << talker->note();
  const auto other = join(node, "other");
  MqttClient third(node, Version::v5);
  EXPECT_EQ(third.connect({.client_id = "third", .password = "key"}), Reason::quota_exceeded);
  EXPECT_TRUE(third.note().contains("ingest.mqtt.broker.sessions"));
}

}  // namespace
}  // namespace flux::ingest
