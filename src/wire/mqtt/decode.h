#pragma once

#include "wire/mqtt/packet.h"

/// Bytes in, packets out.
///
///     30 08 00 03 61 2f 62 00 7b 7d        MQTT 5 PUBLISH, QoS 0
///     │  │  └──┬──────────┘ │  └ payload `{}`
///     │  │     topic "a/b"  └ no properties
///     │  └ remaining length 8
///     └ type 3, flags 0
///
///     auto frame = read_frame(input, max_bytes);          // Fault: the connection is beyond repair
///     if (!*frame) return;                                // wait for more bytes
///     auto publish = decode_publish(**frame, version, properties);
///     input = input.subspan((*frame)->size);
///
/// The decoders are strict: reserved bits, flags, UTF-8 (no U+0000, no surrogates), identifiers, lengths, reason codes,
/// properties that the packet must not have or that stand twice. Any order of bytes is safe to give to them.
namespace flux::wire::mqtt {

struct Frame {
  PacketType type{};
  std::uint8_t flags = 0;
  Bytes body;
  std::size_t size = 0;        ///< of the whole packet
  bool padded_length = false;  ///< the remaining length was longer than needed, which MQTT 5 forbids
};

/// The packet at the front of `data`; nothing when more bytes are needed. `max_bytes` limits the whole packet
/// (`packet_too_large`), and is judged as soon as its length is known.
Decoded<std::optional<Frame>> read_frame(Bytes data, std::size_t max_bytes);

/// The version that a CONNECT asks for; nothing when it is none that is known, or too short to tell.
std::optional<Version> peek_version(const Frame& connect);

/// `properties` of the packet: MQTT 5 ones are cleared first, those of 3.1.1 (but for CONNECT) are left alone.
Decoded<Connect> decode_connect(const Frame& frame, Properties& properties, Properties& will_properties);
Decoded<Connack> decode_connack(const Frame& frame, Version version, Properties& properties);
Decoded<Publish> decode_publish(const Frame& frame, Version version, Properties& properties);
Decoded<Ack> decode_ack(const Frame& frame, Version version, Properties& properties);
Decoded<Subscribe> decode_subscribe(const Frame& frame, Version version, Properties& properties);
Decoded<Suback> decode_suback(const Frame& frame, Version version, Properties& properties);  ///< UNSUBACK too
Decoded<Unsubscribe> decode_unsubscribe(const Frame& frame, Version version, Properties& properties);
Decoded<Notice> decode_notice(const Frame& frame, Version version, Properties& properties);  ///< DISCONNECT, AUTH
Decoded<void> decode_ping(const Frame& frame, Version version);                              ///< PINGREQ, PINGRESP

}  // namespace flux::wire::mqtt
