#pragma once

#include "wire/mqtt/packet.h"

/// Packets in, bytes out: each call appends one whole packet to `out`. The caller gives what the standard allows (valid
/// UTF-8 of at most 65,535 bytes, identifiers that are not 0); a longer text or a packet beyond 268,435,455 bytes stops
/// the process. Properties that the packet cannot have are left out, all of them for MQTT 3.1.1.
namespace flux::wire::mqtt {

void encode(const Connect& connect, const Properties& properties, const Properties& will_properties, std::string& out);
void encode(const Connack& connack, Version version, const Properties& properties, std::string& out);
void encode(const Publish& publish, Version version, const Properties& properties, std::string& out);
void encode(const Forward& forward, Version version, std::string& out);
std::size_t encoded_bytes(const Forward& forward, Version version);
/// The properties of a received PUBLISH (or will) that a server hands on unaltered, without their length.
void encode_passed_on(const Properties& properties, std::string& out);
void encode(const Ack& ack, Version version, const Properties& properties, std::string& out);
void encode(const Subscribe& subscribe, Version version, const Properties& properties, std::string& out);
void encode(const Suback& suback, Version version, const Properties& properties, std::string& out);
void encode(const Unsubscribe& unsubscribe, Version version, const Properties& properties, std::string& out);
void encode(const Notice& notice, Version version, const Properties& properties, std::string& out);
void encode_pingreq(std::string& out);
void encode_pingresp(std::string& out);

/// `40 02 id id`: the PUBACK of a message that was taken, the same in both versions.
inline void encode_puback(std::uint16_t packet_id, std::string& out) {
  const char bytes[4] = {0x40, 0x02, static_cast<char>(packet_id >> 8), static_cast<char>(packet_id & 0xFF)};
  out.append(bytes, sizeof bytes);
}

}  // namespace flux::wire::mqtt
