#include "ingest/dead_letters.h"

#include <gtest/gtest.h>

#include "ingest/testing.h"

namespace flux::ingest {
namespace {

using testing::MqttClient;
using testing::Node;
using wire::mqtt::Reason;
using wire::mqtt::Version;
using Lines = std::vector<std::string>;

/// What stands behind `"name":` in each letter of the topic, in the order of partitions.
Lines members(bus::Bus& bus, std::string_view name) {
  Lines found;
  for (std::size_t p = 0; p < bus.partition_count(); ++p) {
    const auto reader = bus.reader(bus::Topic::dead_letters, PartitionId{static_cast<std::uint16_t>(p)}, {}).value();
    for (auto records = reader->read(1 << 20).value(); !records.empty(); records = reader->read(1 << 20).value()) {
      for (const bus::Record& record : records) {
        EXPECT_FALSE(record.origin) << "would be taken for processing's";
        const std::string& json = *record.payload;
        const std::string member = "\"" + std::string(name) + "\":";
        const std::size_t at = json.find(member);
        if (at == std::string::npos) continue;
        const std::size_t from = at + member.size();
        std::size_t end = from;
        while (end < json.size() && (json[end] != ',' && json[end] != '}')) {
          if (json[end++] != '"') continue;
          while (json[end] != '"') end += json[end] == '\\' ? 2 : 1;
          ++end;
        }
        found.push_back(json.substr(from, end - from));
      }
    }
  }
  return found;
}

class DeadLettersOfOneShard : public ::testing::Test {
 protected:
  void add(std::string_view device, Duration now, TenantId tenant = {1}, std::string_view client = "c") {
    letters().add({.tenant = tenant,
                   .device = device,
                   .client = client,
                   .topic = "v1/telemetry",
                   .payload = "{",
                   .reason = "invalid_payload",
                   .message = "not JSON",
                   .received_at = Time{1'767'225'600'000'000'000}},
                  now);
  }
  DeadLetters& letters() {
    if (!letters_) letters_.emplace(0, bus->producer(), 2, config, metrics);
    return *letters_;
  }
  [[nodiscard]] std::size_t written() const { return members(*bus, "id").size(); }

  DeadLettersConfig config{.device_per_minute = 2, .device_burst = 3, .tenant_per_minute = 4, .tenant_burst = 5};
  metrics::Registry registry;
  Metrics metrics{registry};
  std::unique_ptr<bus::memory::MemoryBus> bus = bus::memory::make_memory_bus(2);
  std::optional<DeadLetters> letters_;
};

TEST_F(DeadLettersOfOneShard, have_what_is_known_of_the_message) {
  letters().add({.tenant = {7},
                 .device = "pump-1",
                 .client = "client \"x\"",
                 .topic = "v1/telemetry",
                 .payload = "\x01\xff{\"token\":\"fgd_abc123\"}" + std::string(1000, 'x'),
                 .reason = "invalid_payload",
                 .message = "not JSON",
                 .received_at = Time{1'767'225'600'000'000'000}},
                1_s);
  const auto one = [&](std::string_view name) { return members(*bus, name).at(0); };
  EXPECT_EQ(one("tenant"), "7");
  EXPECT_EQ(one("device"), R"("pump-1")");
  EXPECT_EQ(one("client"), R"("client \"x\"")");
  EXPECT_EQ(one("reason"), R"("invalid_payload")");
  EXPECT_EQ(one("received_at"), R"("2026-01-01T00:00:00Z")");
  EXPECT_EQ(one("source"), "null");
  EXPECT_EQ(one("payload_bytes"), "1024");
  const std::string payload = one("payload");
  EXPECT_LT(payload.size(), 550U);
  EXPECT_TRUE(payload.ends_with("x…\"")) << payload;
  EXPECT_EQ(payload.find("abc123"), std::string::npos) << "a credential is not kept";
  EXPECT_TRUE(payload.starts_with("\"\\u0001\xEF\xBF\xBD{")) << payload;
}

TEST_F(DeadLettersOfOneShard, are_so_many_for_a_device_and_say_what_was_left_out) {
  for (int i = 0; i < 10; ++i) add("a", 1_s);
  EXPECT_EQ(written(), 3U);
  EXPECT_EQ(metrics.dead_letters.value(), 3U);
  EXPECT_EQ(metrics.dead_letters_left_out.value(), 7U);
  add("b", 1_s);
  EXPECT_EQ(written(), 4U) << "another device's are its own";
  add("a", 32_s);  // half a minute: one more
  add("a", 32_s);
  EXPECT_EQ(written(), 5U);
  Lines said = members(*bus, "message");
  EXPECT_EQ(std::ranges::count(said, "\"not JSON (and 7 more before it that have no dead letter)\""), 1);
  EXPECT_EQ(std::ranges::count(said, R"("not JSON")"), 4);
}

TEST_F(DeadLettersOfOneShard, are_so_many_for_a_tenant_however_many_names_it_uses) {
  for (int i = 0; i < 10'000; ++i) add(i % 2 == 0 ? "d" + std::to_string(i) : "", 1_s, {1}, "c" + std::to_string(i));
  EXPECT_EQ(written(), 5U);
  EXPECT_EQ(metrics.dead_letters_left_out.value(), 9'995U);
  add("a", 1_s, {2});
  EXPECT_EQ(written(), 6U) << "another tenant's are its own";
}

TEST_F(DeadLettersOfOneShard, do_not_wait_for_a_log_that_takes_none) {
  bus->fail_with(Error{ErrorCode::unavailable, "the disk is full", {}});
  add("a", 1_s);
  bus->fail_with(std::nullopt);
  add("a", 1_s);
  EXPECT_EQ(written(), 1U);
  EXPECT_EQ(metrics.dead_letters_left_out.value(), 1U);

  config.device_burst = config.tenant_burst = 1'000'000;
  letters_.reset();
  bus->hold();
  for (int i = 0; i < 10'000; ++i) add("a", 1_s);
  EXPECT_LT(bus->producer().queued_bytes(), 1U << 20);
  bus->release();
  add("b", 1_s);
  EXPECT_EQ(written(), metrics.dead_letters.value() - 1);
  EXPECT_EQ(metrics.dead_letters.value() + metrics.dead_letters_left_out.value(), 10'004U);
}

constexpr auto kOwn = "v1/telemetry";

TEST(DeadLettersOfMqtt, are_for_those_whom_puback_does_not_tell) {
  Node node;
  const auto reasons = [&] { return members(*node.bus, "reason"); };
  MqttClient modern(node, Version::v5);
  ASSERT_EQ(modern.connect({.client_id = "modern"}), Reason::success);
  modern.publish(kOwn, "{", 1);
  EXPECT_EQ(modern.puback()->reason, Reason::payload_format_invalid);
  EXPECT_TRUE(reasons().empty()) << "it was told";
  modern.publish(kOwn, "{", 0);
  EXPECT_TRUE(modern.ping());
  EXPECT_EQ(reasons(), Lines{R"("invalid_payload")"});

  MqttClient old(node, Version::v3_1_1);
  ASSERT_EQ(old.connect({.client_id = "old"}), Reason::success);
  old.publish(kOwn, R"({"a":)", 1);
  old.publish("v1/else", R"({"a":1})", 2);
  old.publish("v1/devices/pump-2/telemetry", R"({"a":1})", 3);
  old.publish(kOwn, R"({"a":1,"b":{}})", 4);
  for (int id = 1; id <= 4; ++id) EXPECT_EQ(old.puback()->packet_id, id);
  old.publish(kOwn, "[", 0);
  EXPECT_TRUE(old.ping());
  EXPECT_EQ(reasons(), (Lines{R"("invalid_payload")", R"("invalid_payload")", R"("invalid_topic")",
                              R"("not_authorized")", R"("invalid_value")", R"("invalid_payload")"}));
  EXPECT_EQ(members(*node.bus, "device"), Lines(6, R"("pump-1")")) << "whose credential it is, whatever it names";
  EXPECT_EQ(members(*node.bus, "client").back(), R"("old")");
  EXPECT_EQ(node.readings(), 1U) << "what was good beside it is taken";
}

TEST(DeadLettersOfMqtt, of_a_key_are_for_the_device_that_is_named) {
  Node node;
  MqttClient client(node, Version::v3_1_1);
  ASSERT_EQ(client.connect({.password = "key"}), Reason::success);
  client.publish("v1/devices/new/telemetry", "{", 1);
  client.publish(kOwn, "{", 2);
  client.publish("v1/devices/" + std::string(200, 'x') + "/telemetry", "{", 3);
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(client.puback()->packet_id, id);
  Lines devices = members(*node.bus, "device");
  std::ranges::sort(devices);
  EXPECT_EQ(devices, (Lines{R"("new")", "null", "null"}));
}

}  // namespace
}  // namespace flux::ingest
