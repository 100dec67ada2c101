#include "wire/mqtt/encode.h"

#include "core/result.h"
#include "wire/mqtt/property_table.h"

namespace flux::wire::mqtt {
namespace {

constexpr std::size_t kMaxRemaining = 268'435'455;

void put_u8(std::string& out, std::uint32_t value) { out.push_back(static_cast<char>(value)); }
void put_u16(std::string& out, std::uint32_t value) {
  put_u8(out, value >> 8);
  put_u8(out, value & 0xFF);
}
void put_u32(std::string& out, std::uint32_t value) {
  put_u16(out, value >> 16);
  put_u16(out, value & 0xFFFF);
}
std::size_t write_varint(char* out, std::size_t value) {
  std::size_t size = 0;
  do {
    const std::size_t byte = value & 0x7F;
    value >>= 7;
    out[size++] = static_cast<char>(byte | (value > 0 ? 0x80 : 0));
  } while (value > 0);
  return size;
}
void put_varint(std::string& out, std::size_t value) {
  char bytes[5];
  out.append(bytes, write_varint(bytes, value));
}
void put_bytes(std::string& out, Bytes bytes) { out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
void put_text(std::string& out, std::string_view text) {
  CHECK(text.size() <= 65'535);
  put_u16(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}
void put_binary(std::string& out, Bytes bytes) {
  put_text(out, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Begins a stretch whose length stands in front of it, as a variable byte integer of up to four bytes.
class Sized {
 public:
  explicit Sized(std::string& out) : out_(out), at_(out.size()) { out.append(1, '\0'); }
  ~Sized() {
    const std::size_t length = out_.size() - at_ - 1;
    CHECK(length <= kMaxRemaining);
    char bytes[5];
    const std::size_t size = write_varint(bytes, length);
    if (size == 1) out_[at_] = bytes[0];
    else out_.replace(at_, 1, bytes, size);
  }
  Sized(const Sized&) = delete;
  Sized& operator=(const Sized&) = delete;

 private:
  std::string& out_;
  std::size_t at_;
};

void put_header(std::string& out, PacketType type, std::uint32_t flags) {
  put_u8(out, static_cast<std::uint32_t>(type) << 4 | flags);
}

// --- properties ---

void put_property(std::string& out, std::uint8_t id, const std::optional<std::uint8_t>& value) {
  if (!value) return;
  put_u8(out, id);
  put_u8(out, *value);
}
void put_property(std::string& out, std::uint8_t id, const std::optional<bool>& value) {
  if (!value) return;
  put_u8(out, id);
  put_u8(out, *value ? 1 : 0);
}
void put_property(std::string& out, std::uint8_t id, const std::optional<std::uint16_t>& value) {
  if (!value) return;
  put_u8(out, id);
  put_u16(out, *value);
}
void put_property(std::string& out, std::uint8_t id, const std::optional<std::uint32_t>& value) {
  if (!value) return;
  put_u8(out, id);
  put_u32(out, *value);
}
void put_property(std::string& out, std::uint8_t id, const std::optional<std::string_view>& value) {
  if (!value) return;
  put_u8(out, id);
  put_text(out, *value);
}
void put_property(std::string& out, std::uint8_t id, const std::optional<Bytes>& value) {
  if (!value) return;
  put_u8(out, id);
  put_binary(out, *value);
}
void put_property(std::string& out, std::uint8_t id, const std::vector<std::uint32_t>& values) {
  for (const std::uint32_t value : values) {
    put_u8(out, id);
    put_varint(out, value);
  }
}
void put_property(std::string& out, std::uint8_t id,
                  const std::vector<std::pair<std::string_view, std::string_view>>& values) {
  for (const auto& [key, value] : values) {
    put_u8(out, id);
    put_text(out, key);
    put_text(out, value);
  }
}

void put_properties(std::string& out, std::uint32_t home, const Properties& properties) {
  const Sized sized(out);
#define FLUX_MQTT_PUT(identifier, member, homes) \
  if (((homes) & home) != 0) put_property(out, identifier, properties.member);
  FLUX_MQTT_PROPERTIES(FLUX_MQTT_PUT)
#undef FLUX_MQTT_PUT
}

/// Reason and properties at the end of a packet, left out as far as they say nothing (MQTT 5, 3.4.2.1).
void put_short_tail(std::string& out, PacketType type, Reason reason, const Properties& properties) {
  const std::size_t start = out.size();
  put_u8(out, static_cast<std::uint32_t>(reason));
  put_properties(out, property_home(type), properties);
  if (out.size() - start > 2) return;
  out.resize(reason == Reason::success ? start : start + 1);
}

}  // namespace

void encode(const Connect& connect, const Properties& properties, const Properties& will_properties, std::string& out) {
  put_header(out, PacketType::connect, 0);
  const Sized sized(out);
  const bool v5 = connect.version == Version::v5;
  put_text(out, connect.version == Version::v3_1 ? "MQIsdp" : "MQTT");
  put_u8(out, static_cast<std::uint32_t>(connect.version));
  std::uint32_t flags = connect.clean_start ? 0x02 : 0;
  if (connect.will)
    flags |= 0x04U | static_cast<std::uint32_t>(connect.will->qos << 3) | (connect.will->retain ? 0x20U : 0U);
  if (connect.user_name) flags |= 0x80;
  if (connect.password) flags |= 0x40;
  put_u8(out, flags);
  put_u16(out, connect.keep_alive);
  if (v5) put_properties(out, homes::kConnect, properties);
  put_text(out, connect.client_id);
  if (connect.will) {
    if (v5) put_properties(out, homes::kWill, will_properties);
    put_text(out, connect.will->topic);
    put_binary(out, connect.will->payload);
  }
  if (connect.user_name) put_text(out, *connect.user_name);
  if (connect.password) put_binary(out, *connect.password);
}

void encode(const Connack& connack, Version version, const Properties& properties, std::string& out) {
  put_header(out, PacketType::connack, 0);
  const Sized sized(out);
  put_u8(out, connack.session_present ? 1 : 0);
  if (version == Version::v5) {
    put_u8(out, static_cast<std::uint32_t>(connack.reason));
    put_properties(out, homes::kConnack, properties);
  } else {
    put_u8(out, connect_return_code(connack.reason));
  }
}

void encode(const Publish& publish, Version version, const Properties& properties, std::string& out) {
  const std::uint32_t flags =
      (publish.dup ? 8U : 0U) | static_cast<std::uint32_t>(publish.qos << 1) | (publish.retain ? 1U : 0U);
  put_header(out, PacketType::publish, flags);
  const Sized sized(out);
  put_text(out, publish.topic);
  if (publish.qos > 0) put_u16(out, publish.packet_id);
  if (version == Version::v5) put_properties(out, homes::kPublish, properties);
  put_bytes(out, publish.payload);
}

void encode_passed_on(const Properties& properties, std::string& out) {
  put_property(out, 0x01, properties.payload_format);
  put_property(out, 0x03, properties.content_type);
  put_property(out, 0x08, properties.response_topic);
  put_property(out, 0x09, properties.correlation_data);
  put_property(out, 0x26, properties.user);
}

namespace {

std::size_t varint_size(std::size_t value) { return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4; }

struct ForwardSizes {
  std::size_t properties = 0;
  std::size_t body = 0;
  [[nodiscard]] std::size_t whole() const { return 1 + varint_size(body) + body; }
};

ForwardSizes sizes_of(const Forward& forward, Version version) {
  ForwardSizes sizes;
  sizes.body = 2 + forward.topic.size() + (forward.qos > 0 ? 2 : 0) + forward.payload.size();
  if (version != Version::v5) return sizes;
  sizes.properties = forward.passed_on.size();
  if (forward.message_expiry) sizes.properties += 5;
  if (forward.topic_alias != 0) sizes.properties += 3;
  for (const std::uint32_t id : forward.subscription_ids) sizes.properties += 1 + varint_size(id);
  sizes.body += varint_size(sizes.properties) + sizes.properties;
  return sizes;
}

}  // namespace

std::size_t encoded_bytes(const Forward& forward, Version version) { return sizes_of(forward, version).whole(); }

void encode(const Forward& forward, Version version, std::string& out) {
  const ForwardSizes sizes = sizes_of(forward, version);
  const std::uint32_t flags =
      (forward.dup ? 8U : 0U) | static_cast<std::uint32_t>(forward.qos << 1) | (forward.retain ? 1U : 0U);
  put_header(out, PacketType::publish, flags);
  put_varint(out, sizes.body);
  put_text(out, forward.topic);
  if (forward.qos > 0) put_u16(out, forward.packet_id);
  if (version == Version::v5) {
    put_varint(out, sizes.properties);
    if (forward.message_expiry) {
      put_u8(out, 0x02);
      put_u32(out, *forward.message_expiry);
    }
    if (forward.topic_alias != 0) {
      put_u8(out, 0x23);
      put_u16(out, forward.topic_alias);
    }
    for (const std::uint32_t id : forward.subscription_ids) {
      put_u8(out, 0x0B);
      put_varint(out, id);
    }
    out.append(forward.passed_on);
  }
  out.append(forward.payload);
}

void encode(const Ack& ack, Version version, const Properties& properties, std::string& out) {
  put_header(out, ack.type, ack.type == PacketType::pubrel ? 2 : 0);
  const Sized sized(out);
  put_u16(out, ack.packet_id);
  if (version == Version::v5) put_short_tail(out, ack.type, ack.reason, properties);
}

void encode(const Subscribe& subscribe, Version version, const Properties& properties, std::string& out) {
  put_header(out, PacketType::subscribe, 2);
  const Sized sized(out);
  put_u16(out, subscribe.packet_id);
  if (version == Version::v5) put_properties(out, homes::kSubscribe, properties);
  for (const auto& [filter, options] : subscribe.filters) {
    put_text(out, filter);
    std::uint32_t bits = options.qos;
    if (version == Version::v5) {
      bits |= (options.no_local ? 4U : 0U) | (options.retain_as_published ? 8U : 0U) |
              static_cast<std::uint32_t>(options.retain_handling << 4);
    }
    put_u8(out, bits);
  }
}

void encode(const Suback& suback, Version version, const Properties& properties, std::string& out) {
  put_header(out, suback.type, 0);
  const Sized sized(out);
  put_u16(out, suback.packet_id);
  const bool v5 = version == Version::v5;
  if (v5) put_properties(out, homes::kSubacks, properties);
  if (!v5 && suback.type == PacketType::unsuback) return;
  for (const Reason reason : suback.reasons)
    put_u8(out, static_cast<std::uint32_t>(!v5 && is_error(reason) ? Reason::unspecified_error : reason));
}

void encode(const Unsubscribe& unsubscribe, Version version, const Properties& properties, std::string& out) {
  put_header(out, PacketType::unsubscribe, 2);
  const Sized sized(out);
  put_u16(out, unsubscribe.packet_id);
  if (version == Version::v5) put_properties(out, homes::kUnsubscribe, properties);
  for (const std::string_view filter : unsubscribe.filters) put_text(out, filter);
}

void encode(const Notice& notice, Version version, const Properties& properties, std::string& out) {
  put_header(out, notice.type, 0);
  const Sized sized(out);
  if (version == Version::v5) put_short_tail(out, notice.type, notice.reason, properties);
}

void encode_pingreq(std::string& out) { out.append("\xC0\x00", 2); }
void encode_pingresp(std::string& out) { out.append("\xD0\x00", 2); }

}  // namespace flux::wire::mqtt
