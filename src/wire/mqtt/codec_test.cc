#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"
#include "wire/mqtt/topic.h"

namespace flux::wire::mqtt {
namespace {

constexpr std::size_t kLimit = 1 << 20;

Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size() + 1;) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    i += 2;
  }
  return out;
}

Frame frame_of(std::string_view bytes) {
  const auto frame = read_frame(as_bytes(bytes), kLimit);
  EXPECT_TRUE(frame && *frame) << "no whole frame";
  return frame && *frame ? **frame : Frame{};
}

/// Decodes whatever it is, encodes it again; the fault's message when it is none.
std::string recode(std::string_view bytes, Version version) {
  const auto framed = read_frame(as_bytes(bytes), kLimit);
  if (!framed) return framed.error().message;
  if (!*framed) return "incomplete";
  const Frame& frame = **framed;
  Properties properties;
  Properties will;
  std::string out;
  const auto with = [&](auto decoded) -> std::string {
    if (!decoded) return decoded.error().message;
    encode(*decoded, version, properties, out);
    return out;
  };
  switch (frame.type) {
    case PacketType::connect: {
      const auto connect = decode_connect(frame, properties, will);
      if (!connect) return connect.error().message;
      encode(*connect, properties, will, out);
      return out;
    }
    case PacketType::connack: return with(decode_connack(frame, version, properties));
    case PacketType::publish: return with(decode_publish(frame, version, properties));
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp: return with(decode_ack(frame, version, properties));
    case PacketType::subscribe: return with(decode_subscribe(frame, version, properties));
    case PacketType::suback:
    case PacketType::unsuback: return with(decode_suback(frame, version, properties));
    case PacketType::unsubscribe: return with(decode_unsubscribe(frame, version, properties));
    case PacketType::disconnect:
    case PacketType::auth: return with(decode_notice(frame, version, properties));
    case PacketType::pingreq:
    case PacketType::pingresp: {
      const auto ping = decode_ping(frame, version);
      if (!ping) return ping.error().message;
      frame.type == PacketType::pingreq ? encode_pingreq(out) : encode_pingresp(out);
      return out;
    }
  }
  return "?";
}

TEST(MqttCodec, reads_the_worked_example) {
  const std::string bytes = from_hex("30 08 00 03 61 2f 62 00 7b 7d");
  Properties properties;
  const auto publish = decode_publish(frame_of(bytes), Version::v5, properties);
  ASSERT_TRUE(publish);
  EXPECT_EQ(publish->topic, "a/b");
  EXPECT_EQ(as_text(publish->payload), "{}");
  EXPECT_EQ(publish->qos, 0);
}

TEST(MqttCodec, reads_a_connect_of_3_1_1) {
  // As mosquitto_pub sends it: client "c", user "u", password "p", keep alive 60.
  const std::string bytes = from_hex("10 13 00 04 4d 51 54 54 04 c2 00 3c 00 01 63 00 01 75 00 01 70");
  Properties properties;
  Properties will;
  const auto connect = decode_connect(frame_of(bytes), properties, will);
  ASSERT_TRUE(connect) << connect.error().message;
  EXPECT_EQ(connect->version, Version::v3_1_1);
  EXPECT_EQ(connect->keep_alive, 60);
  EXPECT_EQ(connect->client_id, "c");
  EXPECT_EQ(connect->user_name, "u");
  EXPECT_EQ(as_text(*connect->password), "p");
  EXPECT_TRUE(connect->clean_start);
  EXPECT_EQ(recode(bytes, Version::v3_1_1), bytes);
}

TEST(MqttCodec, reads_a_connect_of_3_1) {
  // MQIsdp, version 3, clean session, keep alive 60, client `c`.
  const std::string bytes = from_hex("10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 63");
  Properties properties;
  Properties will;
  EXPECT_EQ(peek_version(frame_of(bytes)), Version::v3_1);
  const auto connect = decode_connect(frame_of(bytes), properties, will);
  ASSERT_TRUE(connect) << connect.error().message;
  EXPECT_EQ(connect->version, Version::v3_1);
  EXPECT_EQ(connect->client_id, "c");
  EXPECT_EQ(recode(bytes, Version::v3_1), bytes);
  EXPECT_EQ(recode(from_hex("10 0e 00 06 4d 51 49 73 64 70 03 02 00 3c 00 00"), Version::v3_1),
            "CONNECT: MQTT 3.1 needs a client identifier");
  EXPECT_EQ(recode(from_hex("10 0f 00 06 4d 51 49 73 64 70 04 02 00 3c 00 01 63"), Version::v3_1),
            "CONNECT: protocol version 4: expected 3 (MQTT 3.1)");
}

TEST(MqttCodec, passes_a_publish_on_as_it_came) {
  Properties came;
  came.payload_format = 1;
  came.message_expiry = 9;  // counted down, not passed on
  came.content_type = "text/plain";
  came.response_topic = "r";
  came.correlation_data = as_bytes("xyz");
  came.topic_alias = 3;  // of one connection
  came.user = {{"b", "1"}, {"a", "2"}, {"b", "3"}};
  std::string passed_on;
  encode_passed_on(came, passed_on);
  const std::uint32_t ids[] = {1, 200, 2'097'152};
  const std::string payload(300, 'p');
  for (const Version version : {Version::v3_1_1, Version::v5}) {
    for (std::uint8_t qos = 0; qos <= 2; ++qos) {
      const Forward forward{.dup = qos > 0,
                            .qos = qos,
                            .retain = true,
                            .topic = "a/b",
                            .packet_id = static_cast<std::uint16_t>(qos > 0 ? 77 : 0),
                            .passed_on = passed_on,
                            .message_expiry = 5,
                            .topic_alias = 7,
                            .subscription_ids = ids,
                            .payload = payload};
      Properties expected = came;
      expected.message_expiry = 5;
      expected.topic_alias = 7;
      expected.subscription_ids.assign(std::begin(ids), std::end(ids));
      std::string bytes;
      encode(forward, version, bytes);
      EXPECT_EQ(bytes.size(), encoded_bytes(forward, version));
      Properties properties;
      const auto publish = decode_publish(frame_of(bytes), version, properties);
      ASSERT_TRUE(publish) << publish.error().message;
      EXPECT_EQ(publish->topic, "a/b");
      EXPECT_EQ(publish->qos, qos);
      EXPECT_EQ(publish->packet_id, forward.packet_id);
      EXPECT_TRUE(publish->retain);
      EXPECT_EQ(as_text(publish->payload), payload);
      if (version != Version::v5) continue;
      EXPECT_EQ(properties.user, expected.user);
      EXPECT_EQ(properties.subscription_ids, expected.subscription_ids);
      EXPECT_EQ(properties.message_expiry, 5u);
      EXPECT_EQ(properties.topic_alias, 7);
      EXPECT_EQ(properties.response_topic, "r");
      EXPECT_EQ(as_text(*properties.correlation_data), "xyz");
      EXPECT_EQ(properties.content_type, "text/plain");
      EXPECT_EQ(properties.payload_format, 1);
    }
  }
}

TEST(MqttCodec, names_what_is_wrong) {
  const struct {
    const char* hex;
    Version version;
    const char* message;
    Reason reason;
  } kCases[] = {
      {"00 00", Version::v5, "a packet of the reserved type 0", Reason::malformed_packet},
      {"30 ff ff ff ff 01", Version::v5, "PUBLISH: the remaining length has more than four bytes",
       Reason::malformed_packet},
      {"30 ff ff ff 7f", Version::v5, "PUBLISH of 268435460 bytes, at most 1048576 are taken",
       Reason::packet_too_large},
      {"36 05 00 01 61 00 01", Version::v3_1_1, "PUBLISH: its QoS is 3", Reason::malformed_packet},
      {"38 03 00 01 61", Version::v3_1_1, "PUBLISH: DUP with QoS 0", Reason::malformed_packet},
      {"32 05 00 01 61 00 00", Version::v3_1_1, "PUBLISH: the packet identifier is 0", Reason::protocol_error},
      {"30 03 00 05 61", Version::v3_1_1, "PUBLISH: ends within the topic", Reason::malformed_packet},
      {"30 03 00 01 ff", Version::v3_1_1, "PUBLISH: the topic is not UTF-8", Reason::malformed_packet},
      {"30 03 00 01 00", Version::v3_1_1, "PUBLISH: the topic is not UTF-8", Reason::malformed_packet},
      {"30 03 00 01 23", Version::v3_1_1, "PUBLISH: the topic has a wildcard", Reason::topic_name_invalid},
      {"30 02 00 00", Version::v3_1_1, "PUBLISH: the topic is empty", Reason::protocol_error},
      {"30 03 00 00 00", Version::v5, "PUBLISH: the topic is empty", Reason::protocol_error},
      {"30 83 00 00 01 61", Version::v5, "PUBLISH: its remaining length is longer than needed",
       Reason::malformed_packet},
      {"30 07 00 01 61 03 23 00 00", Version::v5, "PUBLISH: topic_alias is 0", Reason::topic_alias_invalid},
      {"30 06 00 01 61 02 01 02", Version::v5, "PUBLISH: payload_format is neither 0 nor 1", Reason::protocol_error},
      {"30 08 00 01 61 04 01 01 01 01", Version::v5, "PUBLISH: payload_format stands twice", Reason::protocol_error},
      {"30 07 00 01 61 03 21 00 01", Version::v5, "PUBLISH: must not have the property receive_maximum",
       Reason::protocol_error},
      {"30 06 00 01 61 02 7e 00", Version::v5, "PUBLISH: has an unknown property 126", Reason::malformed_packet},
      {"30 05 00 01 61 80 00", Version::v5, "PUBLISH: the length of its properties is longer than needed",
       Reason::malformed_packet},
      {"30 04 00 01 61 05", Version::v5, "PUBLISH: ends within its properties", Reason::malformed_packet},
      {"40 02 00 00", Version::v5, "PUBACK: the packet identifier is 0", Reason::protocol_error},
      {"41 02 00 01", Version::v5, "PUBACK: its fixed header has flags 1", Reason::malformed_packet},
      {"40 03 00 01 05", Version::v5, "PUBACK: has the unknown reason code 5", Reason::malformed_packet},
      {"40 03 00 01 00", Version::v3_1_1, "PUBACK: bytes after its last field", Reason::malformed_packet},
      {"60 02 00 01", Version::v5, "PUBREL: its fixed header has flags 0", Reason::malformed_packet},
      {"82 02 00 01", Version::v3_1_1, "SUBSCRIBE: has no topic filter", Reason::protocol_error},
      {"82 06 00 01 00 01 61 03", Version::v3_1_1, "SUBSCRIBE: asks for QoS 3", Reason::malformed_packet},
      {"82 06 00 01 00 01 61 04", Version::v3_1_1, "SUBSCRIBE: sets reserved options", Reason::malformed_packet},
      {"82 08 00 01 00 00 03 61 23 62 00", Version::v5, "SUBSCRIBE: ends within the options of a topic filter",
       Reason::malformed_packet},
      {"82 09 00 01 00 00 03 61 23 62 00", Version::v5, "SUBSCRIBE: 'a#b' is no topic filter",
       Reason::topic_filter_invalid},
      {"a2 02 00 01", Version::v3_1_1, "UNSUBSCRIBE: has no topic filter", Reason::protocol_error},
      {"c0 01 00", Version::v5, "PINGREQ: bytes after its last field", Reason::malformed_packet},
      {"e0 01 05", Version::v5, "DISCONNECT: has the unknown reason code 5", Reason::malformed_packet},
      {"e0 01 00", Version::v3_1_1, "DISCONNECT: bytes after its last field", Reason::malformed_packet},
      {"f0 00", Version::v3_1_1, "AUTH is not expected here", Reason::protocol_error},
      {"20 02 02 00", Version::v3_1_1, "CONNACK: reserved flags are set", Reason::malformed_packet},
      {"20 02 01 05", Version::v3_1_1, "CONNACK: session present with a refusal", Reason::protocol_error},
      {"10 0c 00 04 4d 51 54 54 03 02 00 00 00 00", Version::v3_1_1,
       "CONNECT: protocol version 3: expected 4 (MQTT 3.1.1) or 5", Reason::unsupported_version},
      {"10 0c 00 04 4d 51 54 55 04 02 00 00 00 00", Version::v3_1_1, "CONNECT: the protocol name is not MQTT",
       Reason::unsupported_version},
      {"10 0c 00 04 4d 51 54 54 04 03 00 00 00 00", Version::v3_1_1, "CONNECT: the reserved flag is set",
       Reason::malformed_packet},
      {"10 0c 00 04 4d 51 54 54 04 00 00 00 00 00", Version::v3_1_1,
       "CONNECT: an empty client identifier needs a clean session", Reason::client_id_invalid},
      {"10 0c 00 04 4d 51 54 54 04 42 00 00 00 00", Version::v3_1_1, "CONNECT: a password without a user name",
       Reason::malformed_packet},
      {"10 0c 00 04 4d 51 54 54 04 12 00 00 00 00", Version::v3_1_1, "CONNECT: will QoS or will retain without a will",
       Reason::malformed_packet},
      {"10 10 00 04 4d 51 54 54 05 02 00 00 03 21 00 00 00 00", Version::v5, "CONNECT: receive_maximum is 0",
       Reason::protocol_error},
  };
  for (const auto& test : kCases) {
    const std::string bytes = from_hex(test.hex);
    EXPECT_EQ(recode(bytes, test.version), test.message) << test.hex;
  }
  // Reasons, for one of each kind.
  Properties properties;
  for (const auto& test : kCases) {
    const std::string bytes = from_hex(test.hex);
    if ((static_cast<unsigned char>(bytes[0]) >> 4) != 3) continue;
    const auto frame = read_frame(as_bytes(bytes), kLimit);
    const Fault fault = frame ? decode_publish(**frame, test.version, properties).error() : frame.error();
    EXPECT_EQ(fault.reason, test.reason) << test.hex;
  }
}

TEST(MqttCodec, spells_refusals_for_3_1_1) {
  std::string out;
  encode(Connack{.reason = Reason::bad_credentials}, Version::v3_1_1, {}, out);
  EXPECT_EQ(out, from_hex("20 02 00 04"));
  out.clear();
  encode(Suback{.packet_id = 7, .reasons = {Reason::granted_qos_1, Reason::not_authorized}}, Version::v3_1_1, {}, out);
  EXPECT_EQ(out, from_hex("90 04 00 07 01 80"));
  out.clear();
  encode(Ack{.packet_id = 9, .reason = Reason::not_authorized}, Version::v3_1_1, {}, out);
  EXPECT_EQ(out, from_hex("40 02 00 09"));
  out.clear();
  encode(Ack{.packet_id = 9, .reason = Reason::not_authorized}, Version::v5, {}, out);
  EXPECT_EQ(out, from_hex("40 03 00 09 87"));
}

// --- round trips ---

/// Owns what the views of a random packet point to.
struct Arena {
  std::vector<std::unique_ptr<std::string>> texts;
  std::string_view text(std::size_t max = 40) {
    const auto letters = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 6));
    auto owned = std::make_unique<std::string>();
    constexpr const char* kPieces[] = {"a", "/", "é", "Z", "漢", "\xF0\x9F\x98\x80"};
    for (const int letter : letters) {
      if (owned->size() + 4 > max) break;
      *owned += kPieces[letter];
    }
    texts.push_back(std::move(owned));
    return *texts.back();
  }
  std::string_view topic() {
    auto owned = std::make_unique<std::string>("t/");
    *owned += text();
    texts.push_back(std::move(owned));
    return *texts.back();
  }
  Bytes binary() {
    texts.push_back(std::make_unique<std::string>(*rc::gen::string<std::string>()));
    return as_bytes(*texts.back());
  }
};

bool flip() { return *rc::gen::arbitrary<bool>(); }
std::uint16_t number16() { return *rc::gen::inRange<std::uint16_t>(1, 65'535); }
std::uint32_t number32() { return *rc::gen::inRange<std::uint32_t>(1, UINT32_MAX); }

Properties random_properties(Arena& arena) {
  Properties p;
  if (flip()) p.payload_format = static_cast<std::uint8_t>(*rc::gen::inRange(0, 2));
  if (flip()) p.message_expiry = number32();
  if (flip()) p.content_type = arena.text();
  if (flip()) p.response_topic = arena.topic();
  if (flip()) p.correlation_data = arena.binary();
  if (flip()) p.subscription_ids.push_back(*rc::gen::inRange<std::uint32_t>(1, 268'435'455));
  if (flip()) p.session_expiry = number32();
  if (flip()) p.assigned_client_id = arena.text();
  if (flip()) p.server_keep_alive = number16();
  if (flip()) {
    p.auth_method = arena.text();
    if (flip()) p.auth_data = arena.binary();
  }
  if (flip()) p.request_problem_info = flip();
  if (flip()) p.will_delay = number32();
  if (flip()) p.request_response_info = flip();
  if (flip()) p.response_info = arena.text();
  if (flip()) p.server_reference = arena.text();
  if (flip()) p.reason_string = arena.text();
  if (flip()) p.receive_maximum = number16();
  if (flip()) p.topic_alias_maximum = number16();
  if (flip()) p.topic_alias = number16();
  if (flip()) p.maximum_qos = static_cast<std::uint8_t>(*rc::gen::inRange(0, 2));
  if (flip()) p.retain_available = flip();
  while (flip()) p.user.emplace_back(arena.text(), arena.text());
  if (flip()) p.maximum_packet_size = number32();
  if (flip()) p.wildcards_available = flip();
  if (flip()) p.subscription_ids_available = flip();
  if (flip()) p.shared_available = flip();
  return p;
}

std::string random_packet(Version version) {
  Arena arena;
  const Properties properties = random_properties(arena);
  std::string out;
  switch (*rc::gen::inRange(0, 9)) {
    case 0: {
      Connect connect{.version = version, .clean_start = true, .keep_alive = number16(), .client_id = arena.text()};
      Properties will_properties = random_properties(arena);
      if (flip())
        connect.will = Will{arena.topic(), arena.binary(), static_cast<std::uint8_t>(*rc::gen::inRange(0, 3)), flip()};
      if (flip()) connect.user_name = arena.text();
      if (connect.user_name && flip()) connect.password = arena.binary();
      encode(connect, properties, will_properties, out);
      break;
    }
    case 1: encode(Connack{.session_present = flip()}, version, properties, out); break;
    case 2: {
      Publish publish{.retain = flip(), .topic = arena.topic(), .payload = arena.binary()};
      publish.qos = static_cast<std::uint8_t>(*rc::gen::inRange(0, 3));
      publish.dup = publish.qos > 0 && flip();
      if (publish.qos > 0) publish.packet_id = number16();
      encode(publish, version, properties, out);
      break;
    }
    case 3:
      encode(Ack{.type =
                     *rc::gen::element(PacketType::puback, PacketType::pubrec, PacketType::pubrel, PacketType::pubcomp),
                 .packet_id = number16()},
             version, properties, out);
      break;
    case 4: {
      Subscribe subscribe{.packet_id = number16(), .filters = {{arena.topic(), {.qos = 1}}}};
      if (flip())
        subscribe.filters.emplace_back("$share/g/+/#",
                                       SubscribeOptions{.qos = 2, .retain_as_published = version == Version::v5});
      encode(subscribe, version, properties, out);
      break;
    }
    case 5:
      encode(Suback{.type = PacketType::suback,
                    .packet_id = number16(),
                    .reasons = {Reason::granted_qos_2, Reason::unspecified_error}},
             version, properties, out);
      break;
    case 6:
      encode(Suback{.type = PacketType::unsuback, .packet_id = number16(), .reasons = {Reason::success}}, version,
             properties, out);
      break;
    case 7:
      encode(Unsubscribe{.packet_id = number16(), .filters = {arena.topic(), "a/+"}}, version, properties, out);
      break;
    default: encode(Notice{.type = PacketType::disconnect}, version, properties, out); break;
  }
  return out;
}

TEST(MqttCodec, gives_back_what_was_encoded) {
  EXPECT_TRUE(rc::check("decode and encode give the same bytes", [] {
    const Version version = *rc::gen::element(Version::v3_1_1, Version::v5);
    const std::string bytes = random_packet(version);
    RC_ASSERT(recode(bytes, version) == bytes);
  }));
}

TEST(MqttCodec, waits_for_the_rest_at_every_byte) {
  EXPECT_TRUE(rc::check("no prefix of a packet is a packet or a fault", [] {
    const std::string bytes = random_packet(*rc::gen::element(Version::v3_1_1, Version::v5));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto frame = read_frame(as_bytes(std::string_view(bytes).substr(0, size)), kLimit);
      RC_ASSERT(frame.has_value());
      RC_ASSERT(!frame->has_value());
    }
    const auto whole = read_frame(as_bytes(bytes + "more"), kLimit);
    RC_ASSERT(whole && *whole);
    RC_ASSERT((*whole)->size == bytes.size());
  }));
}

TEST(MqttCodec, survives_changed_bytes) {
  EXPECT_TRUE(rc::check("a changed packet is refused or encodes to what decodes the same", [] {
    const Version version = *rc::gen::element(Version::v3_1_1, Version::v5);
    std::string bytes = random_packet(version);
    const auto at = *rc::gen::inRange<std::size_t>(2, std::max<std::size_t>(bytes.size(), 3));
    if (at < bytes.size()) bytes[at] = static_cast<char>(*rc::gen::inRange(0, 256));
    const std::string once = recode(bytes, version);
    // And not a fault's sentence, which may quote bytes beyond ASCII.
    const bool is_packet = !std::ranges::all_of(once, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
    if (is_packet) RC_ASSERT(recode(once, version) == once);
  }));
}

TEST(MqttCodec, checks_utf8) {
  EXPECT_TRUE(is_utf8_string("plain ascii of more than eight bytes"));
  EXPECT_TRUE(is_utf8_string("h\xC3\xA9llo w\xC3\xB6rld \xF0\x9F\x98\x80"));
  EXPECT_TRUE(is_utf8_string(""));
  EXPECT_FALSE(is_utf8_string(std::string_view("eightbyt\0eight", 14)));
  EXPECT_FALSE(is_utf8_string(std::string_view("\0", 1)));
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80", "abcdefgh\xFF",
                          "\xE0\x80\x80", "\xF0\x80\x80\x80"})
    EXPECT_FALSE(is_utf8_string(bad));
}

TEST(MqttTopic, knows_names_and_filters) {
  EXPECT_TRUE(is_topic_name("v1/devices/pump-1/telemetry"));
  EXPECT_FALSE(is_topic_name(""));
  EXPECT_FALSE(is_topic_name("a/+"));
  EXPECT_FALSE(is_topic_name("a#"));
  for (const char* good : {"#", "+", "/", "a/+/b", "+/+", "a/#", "$SYS/#", "$share/g/a", "$share/g/#", "a//b"})
    EXPECT_TRUE(is_topic_filter(good)) << good;
  for (const char* bad : {"", "a+", "+a/b", "a/#/b", "#/a", "a/b#", "$share/", "$share//a", "$share/g", "$share/g/",
                          "$share/+/a", "$share"})
    EXPECT_FALSE(is_topic_filter(bad)) << bad;
  ASSERT_TRUE(shared_filter("$share/g/a/#"));
  EXPECT_EQ(shared_filter("$share/g/a/#")->filter, "a/#");
}

TEST(MqttTopic, matches_as_the_standard_says) {
  const struct {
    const char* filter;
    const char* topic;
    bool matches;
  } kCases[] = {
      {"sport/tennis/player1/#", "sport/tennis/player1", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
      {"sport/#", "sport", true},
      {"#", "a/b", true},
      {"sport/tennis/+", "sport/tennis/player1", true},
      {"sport/tennis/+", "sport/tennis/player1/ranking", false},
      {"sport/+", "sport", false},
      {"sport/+", "sport/", true},
      {"+/+", "/finance", true},
      {"/+", "/finance", true},
      {"+", "/finance", false},
      {"#", "$SYS/a", false},
      {"+/a", "$SYS/a", false},
      {"$SYS/#", "$SYS/a", true},
      {"a/b", "a/b", true},
      {"a/b", "a/c", false},
      {"a/b", "a/b/c", false},
      {"a", "ab", false},
      {"a//b", "a//b", true},
      {"a/+/b", "a//b", true},
  };
  for (const auto& test : kCases)
    EXPECT_EQ(matches(test.filter, test.topic), test.matches) << test.filter << " " << test.topic;
}

}  // namespace
}  // namespace flux::wire::mqtt
