#pragma once

#include "wire/mqtt/packet.h"

/// For the codec's own files: the table of MQTT 5 (2.2.2.2) that decoder and encoder are both made from.
namespace flux::wire::mqtt {

constexpr std::uint32_t property_home(PacketType type) { return 1U << static_cast<unsigned>(type); }

namespace homes {
inline constexpr std::uint32_t kWill = 1U << 0;
inline constexpr std::uint32_t kConnect = property_home(PacketType::connect);
inline constexpr std::uint32_t kConnack = property_home(PacketType::connack);
inline constexpr std::uint32_t kPublish = property_home(PacketType::publish);
inline constexpr std::uint32_t kAcks = property_home(PacketType::puback) | property_home(PacketType::pubrec) |
                                       property_home(PacketType::pubrel) | property_home(PacketType::pubcomp);
inline constexpr std::uint32_t kSubscribe = property_home(PacketType::subscribe);
inline constexpr std::uint32_t kUnsubscribe = property_home(PacketType::unsubscribe);
inline constexpr std::uint32_t kSubacks = property_home(PacketType::suback) | property_home(PacketType::unsuback);
inline constexpr std::uint32_t kDisconnect = property_home(PacketType::disconnect);
inline constexpr std::uint32_t kAuth = property_home(PacketType::auth);
inline constexpr std::uint32_t kAny =
    kWill | kConnect | kConnack | kPublish | kAcks | kSubscribe | kUnsubscribe | kSubacks | kDisconnect | kAuth;
}  // namespace homes

/// X(identifier, member, where it may stand)
#define FLUX_MQTT_PROPERTIES(X)                                                                                \
  X(0x01, payload_format, homes::kPublish | homes::kWill)                                                      \
  X(0x02, message_expiry, homes::kPublish | homes::kWill)                                                      \
  X(0x03, content_type, homes::kPublish | homes::kWill)                                                        \
  X(0x08, response_topic, homes::kPublish | homes::kWill)                                                      \
  X(0x09, correlation_data, homes::kPublish | homes::kWill)                                                    \
  X(0x0B, subscription_ids, homes::kPublish | homes::kSubscribe)                                               \
  X(0x11, session_expiry, homes::kConnect | homes::kConnack | homes::kDisconnect)                              \
  X(0x12, assigned_client_id, homes::kConnack)                                                                 \
  X(0x13, server_keep_alive, homes::kConnack)                                                                  \
  X(0x15, auth_method, homes::kConnect | homes::kConnack | homes::kAuth)                                       \
  X(0x16, auth_data, homes::kConnect | homes::kConnack | homes::kAuth)                                         \
  X(0x17, request_problem_info, homes::kConnect)                                                               \
  X(0x18, will_delay, homes::kWill)                                                                            \
  X(0x19, request_response_info, homes::kConnect)                                                              \
  X(0x1A, response_info, homes::kConnack)                                                                      \
  X(0x1C, server_reference, homes::kConnack | homes::kDisconnect)                                              \
  X(0x1F, reason_string, homes::kConnack | homes::kAcks | homes::kSubacks | homes::kDisconnect | homes::kAuth) \
  X(0x21, receive_maximum, homes::kConnect | homes::kConnack)                                                  \
  X(0x22, topic_alias_maximum, homes::kConnect | homes::kConnack)                                              \
  X(0x23, topic_alias, homes::kPublish)                                                                        \
  X(0x24, maximum_qos, homes::kConnack)                                                                        \
  X(0x25, retain_available, homes::kConnack)                                                                   \
  X(0x26, user, homes::kAny)                                                                                   \
  X(0x27, maximum_packet_size, homes::kConnect | homes::kConnack)                                              \
  X(0x28, wildcards_available, homes::kConnack)                                                                \
  X(0x29, subscription_ids_available, homes::kConnack)                                                         \
  X(0x2A, shared_available, homes::kConnack)

}  // namespace flux::wire::mqtt
