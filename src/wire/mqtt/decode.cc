#include "wire/mqtt/decode.h"

#include <algorithm>

#include "wire/mqtt/property_table.h"
#include "wire/mqtt/topic.h"

namespace flux::wire::mqtt {
namespace {

/// Of MQTT 3.1, with version 3.
constexpr std::string_view kOldName = "MQIsdp";

constexpr std::uint32_t byte_at(Bytes bytes, std::size_t at) { return std::to_integer<std::uint32_t>(bytes[at]); }

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Reads fields one after another. After the first fault every read gives zeros, so that callers ask once at the end.
class Reader {
 public:
  Reader(PacketType type, Bytes bytes) : type_(type), bytes_(bytes) {}

  [[nodiscard]] bool failed() const { return !message_.empty(); }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] PacketType type() const { return type_; }

  void fault(std::string_view what, Reason reason = Reason::malformed_packet) {
    if (failed()) return;
    message_ = what;
    reason_ = reason;
    at_ = bytes_.size();
  }
  [[nodiscard]] std::unexpected<Fault> unexpected() const {
    return std::unexpected(Fault{reason_, std::string(to_string(type_)) + ": " + message_});
  }

  std::uint8_t u8(std::string_view what) {
    if (!need(1, what)) return 0;
    return static_cast<std::uint8_t>(byte_at(bytes_, at_++));
  }
  std::uint16_t u16(std::string_view what) {
    if (!need(2, what)) return 0;
    const auto value = static_cast<std::uint16_t>(byte_at(bytes_, at_) << 8 | byte_at(bytes_, at_ + 1));
    at_ += 2;
    return value;
  }
  std::uint32_t u32(std::string_view what) {
    const std::uint32_t high = u16(what);
    return high << 16 | u16(what);
  }
  std::uint32_t varint(std::string_view what) {
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      if (!need(1, what)) return 0;
      const std::uint32_t byte = byte_at(bytes_, at_++);
      value |= (byte & 0x7F) << shift;
      if ((byte & 0x80) != 0) continue;
      if (byte == 0 && shift > 0) fault(std::string(what) + " is longer than needed");
      return value;
    }
    fault(std::string(what) + " has more than four bytes");
    return 0;
  }
  Bytes take(std::size_t size, std::string_view what) {
    if (!need(size, what)) return {};
    const Bytes part = bytes_.subspan(at_, size);
    at_ += size;
    return part;
  }
  Bytes binary(std::string_view what) { return take(u16(what), what); }
  std::string_view text(std::string_view what) {
    const std::string_view value = as_text(binary(what));
    if (!is_utf8_string(value)) fault(std::string(what) + " is not UTF-8");
    return value;
  }
  Bytes rest() { return take(left(), {}); }
  void finish() {
    if (left() != 0) fault("bytes after its last field");
  }

 private:
  bool need(std::size_t size, std::string_view what) {
    if (left() >= size) [[likely]]
      return true;
    fault(std::string("ends within ").append(what));
    return false;
  }

  PacketType type_;
  Bytes bytes_;
  std::size_t at_ = 0;
  Reason reason_ = Reason::malformed_packet;
  std::string message_;
};

// --- properties ---

bool fresh(Reader& reader, bool already, std::string_view name) {
  if (already) reader.fault(std::string(name) + " stands twice", Reason::protocol_error);
  return !already;
}

void read_property(Reader& reader, std::string_view name, std::optional<std::uint8_t>& out) {
  if (!fresh(reader, out.has_value(), name)) return;
  out = reader.u8(name);
  if (*out > 1) reader.fault(std::string(name) + " is neither 0 nor 1", Reason::protocol_error);
}
void read_property(Reader& reader, std::string_view name, std::optional<bool>& out) {
  if (!fresh(reader, out.has_value(), name)) return;
  const std::uint8_t value = reader.u8(name);
  if (value > 1) reader.fault(std::string(name) + " is neither 0 nor 1", Reason::protocol_error);
  out = value == 1;
}
void read_property(Reader& reader, std::string_view name, std::optional<std::uint16_t>& out) {
  if (fresh(reader, out.has_value(), name)) out = reader.u16(name);
}
void read_property(Reader& reader, std::string_view name, std::optional<std::uint32_t>& out) {
  if (fresh(reader, out.has_value(), name)) out = reader.u32(name);
}
void read_property(Reader& reader, std::string_view name, std::optional<std::string_view>& out) {
  if (fresh(reader, out.has_value(), name)) out = reader.text(name);
}
void read_property(Reader& reader, std::string_view name, std::optional<Bytes>& out) {
  if (fresh(reader, out.has_value(), name)) out = reader.binary(name);
}
void read_property(Reader& reader, std::string_view name, std::vector<std::uint32_t>& out) {
  if (reader.type() != PacketType::publish && !fresh(reader, !out.empty(), name)) return;
  out.push_back(reader.varint(name));
  if (!reader.failed() && out.back() == 0) reader.fault(std::string(name) + " is 0", Reason::protocol_error);
}
void read_property(Reader& reader, std::string_view name,
                   std::vector<std::pair<std::string_view, std::string_view>>& out) {
  const std::string_view key = reader.text(name);
  out.emplace_back(key, reader.text(name));
}

void check_values(Reader& reader, const Properties& properties) {
  if (properties.receive_maximum == 0) reader.fault("receive_maximum is 0", Reason::protocol_error);
  if (properties.maximum_packet_size == 0u) reader.fault("maximum_packet_size is 0", Reason::protocol_error);
  if (properties.topic_alias == 0) reader.fault("topic_alias is 0", Reason::topic_alias_invalid);
  if (properties.response_topic && !is_topic_name(*properties.response_topic))
    reader.fault("response_topic is no topic name", Reason::protocol_error);
  if (properties.auth_data && !properties.auth_method)
    reader.fault("auth_data without auth_method", Reason::protocol_error);
}

void read_properties(Reader& reader, std::uint32_t home, Properties& properties) {
  properties.clear();
  const std::uint32_t length = reader.varint("the length of its properties");
  if (reader.failed() || length == 0) return;
  Reader inner(reader.type(), reader.take(length, "its properties"));
  if (reader.failed()) return;
  while (inner.left() > 0) {
    const std::uint32_t id = inner.varint("a property identifier");
    switch (id) {
#define FLUX_MQTT_CASE(identifier, member, homes)                                                          \
  case identifier:                                                                                         \
    if (((homes) & home) == 0) inner.fault("must not have the property " #member, Reason::protocol_error); \
    else read_property(inner, #member, properties.member);                                                 \
    break;
      FLUX_MQTT_PROPERTIES(FLUX_MQTT_CASE)
#undef FLUX_MQTT_CASE
      default: inner.fault("has an unknown property " + std::to_string(id));
    }
  }
  if (!inner.failed()) check_values(inner, properties);
  if (inner.failed()) {
    const Fault fault = inner.unexpected().error();
    reader.fault(std::string_view(fault.message).substr(to_string(reader.type()).size() + 2), fault.reason);
  }
}

/// A reader over the body, after what holds for every packet.
Reader open(const Frame& frame, Version version, std::uint8_t flags) {
  Reader reader(frame.type, frame.body);
  if (frame.flags != flags) reader.fault("its fixed header has flags " + std::to_string(frame.flags));
  if (frame.padded_length && version == Version::v5) reader.fault("its remaining length is longer than needed");
  return reader;
}

std::uint16_t packet_id(Reader& reader) {
  const std::uint16_t id = reader.u16("the packet identifier");
  if (id == 0) reader.fault("the packet identifier is 0", Reason::protocol_error);
  return id;
}

constexpr std::uint64_t bits(std::initializer_list<unsigned> codes) {
  std::uint64_t mask = 0;
  for (const unsigned code : codes) mask |= 1ULL << code;
  return mask;
}

/// The reason codes of MQTT 5, table 2-6: success codes as bits, and error codes as bits from 0x80 on.
struct Allowed {
  std::uint64_t good;
  std::uint64_t bad;
};

Allowed allowed_reasons(PacketType type) {
  switch (type) {
    case PacketType::connack:
      return {bits({0}),
              bits({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xC, 0x10, 0x15, 0x17, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1F})};
    case PacketType::puback:
    case PacketType::pubrec: return {bits({0, 0x10}), bits({0, 3, 7, 0x10, 0x11, 0x17, 0x19})};
    case PacketType::pubrel:
    case PacketType::pubcomp: return {bits({0}), bits({0x12})};
    case PacketType::suback: return {bits({0, 1, 2}), bits({0, 3, 7, 0xF, 0x11, 0x17, 0x1E, 0x21, 0x22})};
    case PacketType::unsuback: return {bits({0, 0x11}), bits({0, 3, 7, 0xF, 0x11})};
    case PacketType::disconnect:
      return {bits({0, 4}), bits({0,    1,    2,    3,    7,    9,    0xB,  0xD,  0xE,  0xF,  0x10, 0x13, 0x14, 0x15,
                                  0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x21, 0x22})};
    case PacketType::auth: return {bits({0, 0x18, 0x19}), 0};
    default: return {0, 0};
  }
}

Reason reason_code(Reader& reader) {
  const std::uint8_t code = reader.u8("the reason code");
  const Allowed allowed = allowed_reasons(reader.type());
  const bool known = code < 0x40                   ? ((allowed.good >> code) & 1) != 0
                     : code >= 0x80 && code < 0xC0 ? ((allowed.bad >> (code - 0x80)) & 1) != 0
                                                   : false;
  if (!known) reader.fault("has the unknown reason code " + std::to_string(code));
  return static_cast<Reason>(code);
}

std::unexpected<Fault> wrong_type(const Frame& frame) {
  return std::unexpected(Fault{Reason::protocol_error, std::string(to_string(frame.type)) + " is not expected here"});
}

}  // namespace

Decoded<std::optional<Frame>> read_frame(Bytes data, std::size_t max_bytes) {
  if (data.empty()) return std::nullopt;
  Frame frame;
  const std::uint32_t first = byte_at(data, 0);
  frame.flags = first & 0x0F;
  if ((first >> 4) == 0) return std::unexpected(Fault{Reason::malformed_packet, "a packet of the reserved type 0"});
  frame.type = static_cast<PacketType>(first >> 4);
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (shift == 28) {
      return std::unexpected(Fault{Reason::malformed_packet, std::string(to_string(frame.type)) +
                                                                 ": the remaining length has more than four bytes"});
    }
    if (at == data.size()) return std::nullopt;
    const std::uint32_t byte = byte_at(data, at++);
    length |= static_cast<std::size_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) != 0) continue;
    frame.padded_length = byte == 0 && shift > 0;
    break;
  }
  frame.size = at + length;
  if (frame.size > max_bytes) {
    return std::unexpected(Fault{Reason::packet_too_large, std::string(to_string(frame.type)) + " of " +
                                                               std::to_string(frame.size) + " bytes, at most " +
                                                               std::to_string(max_bytes) + " are taken"});
  }
  if (frame.size > data.size()) return std::nullopt;
  frame.body = data.subspan(at, length);
  return frame;
}

std::optional<Version> peek_version(const Frame& connect) {
  const Bytes body = connect.body;
  if (body.size() >= 9 && byte_at(body, 0) == 0 && byte_at(body, 1) == 6 && as_text(body.subspan(2, 6)) == kOldName &&
      byte_at(body, 8) == 3)
    return Version::v3_1;
  if (body.size() < 7 || byte_at(body, 0) != 0 || byte_at(body, 1) != 4 || as_text(body.subspan(2, 4)) != "MQTT")
    return std::nullopt;
  if (byte_at(body, 6) == 4) return Version::v3_1_1;
  if (byte_at(body, 6) == 5) return Version::v5;
  return std::nullopt;
}

Decoded<Connect> decode_connect(const Frame& frame, Properties& properties, Properties& will_properties) {
  if (frame.type != PacketType::connect) return wrong_type(frame);
  properties.clear();
  will_properties.clear();
  Reader reader(frame.type, frame.body);
  const std::string_view name = reader.text("the protocol name");
  const std::uint8_t level = reader.u8("the protocol version");
  if (!reader.failed() && name != "MQTT" && name != kOldName)
    reader.fault("the protocol name is not MQTT", Reason::unsupported_version);
  if (!reader.failed() && (name == kOldName ? level != 3 : level != 4 && level != 5)) {
    reader.fault("protocol version " + std::to_string(level) + ": expected " +
                     (name == kOldName ? "3 (MQTT 3.1)" : "4 (MQTT 3.1.1) or 5"),
                 Reason::unsupported_version);
  }
  if (reader.failed()) return reader.unexpected();

  Connect connect;
  connect.version = static_cast<Version>(level);
  const bool v5 = connect.version == Version::v5;
  if (frame.flags != 0) reader.fault("its fixed header has flags " + std::to_string(frame.flags));
  if (frame.padded_length && v5) reader.fault("its remaining length is longer than needed");
  const std::uint8_t flags = reader.u8("its flags");
  connect.keep_alive = reader.u16("the keep alive time");
  if ((flags & 0x01) != 0) reader.fault("the reserved flag is set");
  connect.clean_start = (flags & 0x02) != 0;
  const bool has_will = (flags & 0x04) != 0;
  const auto will_qos = static_cast<std::uint8_t>((flags >> 3) & 3);
  if (!has_will && (flags & 0x38) != 0) reader.fault("will QoS or will retain without a will");
  if (will_qos > 2) reader.fault("the will's QoS is 3");
  const bool has_user = (flags & 0x80) != 0;
  const bool has_password = (flags & 0x40) != 0;
  if (has_password && !has_user && !v5) reader.fault("a password without a user name");
  if (v5) read_properties(reader, homes::kConnect, properties);
  connect.client_id = reader.text("the client identifier");
  if (!reader.failed() && connect.client_id.empty() && connect.version == Version::v3_1)
    reader.fault("MQTT 3.1 needs a client identifier", Reason::client_id_invalid);
  if (!reader.failed() && connect.client_id.empty() && !v5 && !connect.clean_start)
    reader.fault("an empty client identifier needs a clean session", Reason::client_id_invalid);
  if (has_will) {
    Will will{.qos = will_qos, .retain = (flags & 0x20) != 0};
    if (v5) read_properties(reader, homes::kWill, will_properties);
    will.topic = reader.text("the will's topic");
    will.payload = reader.binary("the will's payload");
    if (!reader.failed() && !is_topic_name(will.topic))
      reader.fault("the will's topic is no topic name", Reason::topic_name_invalid);
    connect.will = will;
  }
  if (has_user) connect.user_name = reader.text("the user name");
  if (has_password) connect.password = reader.binary("the password");
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return connect;
}

Decoded<Connack> decode_connack(const Frame& frame, Version version, Properties& properties) {
  if (frame.type != PacketType::connack) return wrong_type(frame);
  Reader reader = open(frame, version, 0);
  Connack connack;
  const std::uint8_t flags = reader.u8("its flags");
  if (flags > 1) reader.fault("reserved flags are set");
  connack.session_present = flags == 1;
  if (version == Version::v5) {
    connack.reason = reason_code(reader);
    read_properties(reader, homes::kConnack, properties);
  } else {
    constexpr Reason kReturnCodes[] = {Reason::success,           Reason::unsupported_version,
                                       Reason::client_id_invalid, Reason::server_unavailable,
                                       Reason::bad_credentials,   Reason::not_authorized};
    const std::uint8_t code = reader.u8("the return code");
    if (code < std::size(kReturnCodes)) connack.reason = kReturnCodes[code];
    else reader.fault("has the unknown return code " + std::to_string(code));
  }
  if (connack.session_present && connack.reason != Reason::success)
    reader.fault("session present with a refusal", Reason::protocol_error);
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return connack;
}

Decoded<Publish> decode_publish(const Frame& frame, Version version, Properties& properties) {
  if (frame.type != PacketType::publish) return wrong_type(frame);
  Publish publish;
  publish.dup = (frame.flags & 0x08) != 0;
  publish.qos = static_cast<std::uint8_t>((frame.flags >> 1) & 3);
  publish.retain = (frame.flags & 0x01) != 0;
  Reader reader = open(frame, version, frame.flags);
  if (publish.qos == 3) reader.fault("its QoS is 3");
  if (publish.dup && publish.qos == 0) reader.fault("DUP with QoS 0");
  publish.topic = reader.text("the topic");
  if (publish.qos > 0) publish.packet_id = packet_id(reader);
  if (version == Version::v5) read_properties(reader, homes::kPublish, properties);
  publish.payload = reader.rest();
  if (!reader.failed() && !is_topic_name(publish.topic)) {
    const bool aliased = publish.topic.empty() && version == Version::v5 && properties.topic_alias.has_value();
    if (!aliased) {
      // An empty topic without an alias breaks the protocol; a wildcard in it makes the name invalid.
      reader.fault(publish.topic.empty() ? "the topic is empty" : "the topic has a wildcard",
                   publish.topic.empty() ? Reason::protocol_error : Reason::topic_name_invalid);
    }
  }
  if (reader.failed()) return reader.unexpected();
  return publish;
}

Decoded<Ack> decode_ack(const Frame& frame, Version version, Properties& properties) {
  if (frame.type < PacketType::puback || frame.type > PacketType::pubcomp) return wrong_type(frame);
  Reader reader = open(frame, version, frame.type == PacketType::pubrel ? 2 : 0);
  Ack ack{.type = frame.type};
  ack.packet_id = packet_id(reader);
  if (version == Version::v5) {
    properties.clear();
    if (reader.left() > 0) ack.reason = reason_code(reader);
    if (reader.left() > 0) read_properties(reader, property_home(frame.type), properties);
  }
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return ack;
}

Decoded<Subscribe> decode_subscribe(const Frame& frame, Version version, Properties& properties) {
  if (frame.type != PacketType::subscribe) return wrong_type(frame);
  const bool v5 = version == Version::v5;
  Reader reader = open(frame, version, 2);
  Subscribe subscribe;
  subscribe.packet_id = packet_id(reader);
  if (v5) read_properties(reader, homes::kSubscribe, properties);
  if (!reader.failed() && reader.left() == 0) reader.fault("has no topic filter", Reason::protocol_error);
  while (reader.left() > 0) {
    const std::string_view filter = reader.text("a topic filter");
    const std::uint8_t bits_of = reader.u8("the options of a topic filter");
    SubscribeOptions options{.qos = static_cast<std::uint8_t>(bits_of & 3)};
    if (options.qos == 3) reader.fault("asks for QoS 3");
    if ((bits_of & (v5 ? 0xC0 : 0xFC)) != 0) reader.fault("sets reserved options");
    if (v5) {
      options.no_local = (bits_of & 0x04) != 0;
      options.retain_as_published = (bits_of & 0x08) != 0;
      options.retain_handling = static_cast<std::uint8_t>((bits_of >> 4) & 3);
      if (options.retain_handling == 3) reader.fault("retain handling is 3", Reason::protocol_error);
      if (options.no_local && filter.starts_with("$share/"))
        reader.fault("no local on a shared subscription", Reason::protocol_error);
    }
    if (!reader.failed() && !is_topic_filter(filter))
      reader.fault("'" + std::string(filter.substr(0, 64)) + "' is no topic filter", Reason::topic_filter_invalid);
    subscribe.filters.emplace_back(filter, options);
  }
  if (reader.failed()) return reader.unexpected();
  return subscribe;
}

Decoded<Suback> decode_suback(const Frame& frame, Version version, Properties& properties) {
  if (frame.type != PacketType::suback && frame.type != PacketType::unsuback) return wrong_type(frame);
  Reader reader = open(frame, version, 0);
  Suback suback{.type = frame.type};
  suback.packet_id = packet_id(reader);
  const bool v5 = version == Version::v5;
  if (v5) read_properties(reader, homes::kSubacks, properties);
  const bool has_codes = v5 || frame.type == PacketType::suback;
  if (has_codes && !reader.failed() && reader.left() == 0) reader.fault("has no reason code", Reason::protocol_error);
  while (has_codes && reader.left() > 0) {
    const Reason reason = reason_code(reader);
    if (!v5 && is_error(reason) && reason != Reason::unspecified_error) reader.fault("has an unknown return code");
    suback.reasons.push_back(reason);
  }
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return suback;
}

Decoded<Unsubscribe> decode_unsubscribe(const Frame& frame, Version version, Properties& properties) {
  if (frame.type != PacketType::unsubscribe) return wrong_type(frame);
  Reader reader = open(frame, version, 2);
  Unsubscribe unsubscribe;
  unsubscribe.packet_id = packet_id(reader);
  if (version == Version::v5) read_properties(reader, homes::kUnsubscribe, properties);
  if (!reader.failed() && reader.left() == 0) reader.fault("has no topic filter", Reason::protocol_error);
  while (reader.left() > 0) {
    const std::string_view filter = reader.text("a topic filter");
    if (!reader.failed() && !is_topic_filter(filter))
      reader.fault("'" + std::string(filter.substr(0, 64)) + "' is no topic filter", Reason::topic_filter_invalid);
    unsubscribe.filters.push_back(filter);
  }
  if (reader.failed()) return reader.unexpected();
  return unsubscribe;
}

Decoded<Notice> decode_notice(const Frame& frame, Version version, Properties& properties) {
  const bool v5 = version == Version::v5;
  if (frame.type != PacketType::disconnect && !(v5 && frame.type == PacketType::auth)) return wrong_type(frame);
  Reader reader = open(frame, version, 0);
  Notice notice{.type = frame.type};
  if (v5) {
    properties.clear();
    if (reader.left() > 0) notice.reason = reason_code(reader);
    if (reader.left() > 0) read_properties(reader, property_home(frame.type), properties);
  }
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return notice;
}

Decoded<void> decode_ping(const Frame& frame, Version version) {
  if (frame.type != PacketType::pingreq && frame.type != PacketType::pingresp) return wrong_type(frame);
  Reader reader = open(frame, version, 0);
  reader.finish();
  if (reader.failed()) return reader.unexpected();
  return {};
}

}  // namespace flux::wire::mqtt
