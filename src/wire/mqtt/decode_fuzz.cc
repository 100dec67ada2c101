#include <cstdint>

#include "core/result.h"
#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

/// A stream of packets, as a connection would see it. What decodes must encode to something that decodes again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flux::wire::mqtt;
  if (size == 0) return 0;
  const Version version = (data[0] & 1) != 0 ? Version::v5 : Version::v3_1_1;
  Bytes rest = std::as_bytes(std::span(data, size)).subspan(1);
  Properties properties;
  Properties will;
  const auto twice = [&](const auto& decoded, auto decode) {
    if (!decoded) return;
    std::string out;
    encode(*decoded, version, properties, out);
    const auto frame = read_frame(std::as_bytes(std::span(out)), SIZE_MAX);
    CHECK(frame && *frame && (*frame)->size == out.size());
    Properties again;
    CHECK(decode(**frame, version, again).has_value());
  };
  while (!rest.empty()) {
    const auto framed = read_frame(rest, 1 << 16);
    if (!framed || !*framed) return 0;
    const Frame& frame = **framed;
    switch (frame.type) {
      case PacketType::connect: {
        const auto connect = decode_connect(frame, properties, will);
        CHECK(!connect || peek_version(frame) == connect->version);
        if (!connect) break;
        std::string out;
        encode(*connect, properties, will, out);
        const auto again = read_frame(std::as_bytes(std::span(out)), SIZE_MAX);
        Properties other;
        Properties other_will;
        CHECK(again && *again && decode_connect(**again, other, other_will).has_value());
        break;
      }
      case PacketType::connack: twice(decode_connack(frame, version, properties), decode_connack); break;
      case PacketType::publish: twice(decode_publish(frame, version, properties), decode_publish); break;
      case PacketType::puback:
      case PacketType::pubrec:
      case PacketType::pubrel:
      case PacketType::pubcomp: twice(decode_ack(frame, version, properties), decode_ack); break;
      case PacketType::subscribe: twice(decode_subscribe(frame, version, properties), decode_subscribe); break;
      case PacketType::suback:
      case PacketType::unsuback: twice(decode_suback(frame, version, properties), decode_suback); break;
      case PacketType::unsubscribe: twice(decode_unsubscribe(frame, version, properties), decode_unsubscribe); break;
      case PacketType::disconnect:
      case PacketType::auth: twice(decode_notice(frame, version, properties), decode_notice); break;
      case PacketType::pingreq:
      case PacketType::pingresp: (void)decode_ping(frame, version); break;
    }
    rest = rest.subspan(frame.size);
  }
  return 0;
}
