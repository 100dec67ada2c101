#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// MQTT 3.1 (2010), MQTT 3.1.1 (OASIS Standard, 2014) and MQTT 5 (2019): the packets as plain structs.
///
/// Decoded packets are views: into the bytes that were given, and into the `Properties` that the caller lent. They live
/// as long as both stay untouched.
namespace flux::wire::mqtt {

using Bytes = std::span<const std::byte>;

enum class Version : std::uint8_t { v3_1 = 3, v3_1_1 = 4, v5 = 5 };

enum class PacketType : std::uint8_t {
  connect = 1,
  connack = 2,
  publish = 3,
  puback = 4,
  pubrec = 5,
  pubrel = 6,
  pubcomp = 7,
  subscribe = 8,
  suback = 9,
  unsubscribe = 10,
  unsuback = 11,
  pingreq = 12,
  pingresp = 13,
  disconnect = 14,
  auth = 15,
};
std::string_view to_string(PacketType type);  ///< `PUBLISH`

/// The reason codes of MQTT 5. Below 0x80 it went well.
enum class Reason : std::uint8_t {
  success = 0x00,  ///< also: normal disconnection, granted QoS 0
  granted_qos_1 = 0x01,
  granted_qos_2 = 0x02,
  disconnect_with_will = 0x04,
  no_matching_subscribers = 0x10,
  no_subscription_existed = 0x11,
  continue_authentication = 0x18,
  reauthenticate = 0x19,
  unspecified_error = 0x80,
  malformed_packet = 0x81,
  protocol_error = 0x82,
  implementation_error = 0x83,
  unsupported_version = 0x84,
  client_id_invalid = 0x85,
  bad_credentials = 0x86,
  not_authorized = 0x87,
  server_unavailable = 0x88,
  server_busy = 0x89,
  banned = 0x8A,
  server_shutting_down = 0x8B,
  bad_auth_method = 0x8C,
  keep_alive_timeout = 0x8D,
  session_taken_over = 0x8E,
  topic_filter_invalid = 0x8F,
  topic_name_invalid = 0x90,
  packet_id_in_use = 0x91,
  packet_id_not_found = 0x92,
  receive_maximum_exceeded = 0x93,
  topic_alias_invalid = 0x94,
  packet_too_large = 0x95,
  message_rate_too_high = 0x96,
  quota_exceeded = 0x97,
  administrative_action = 0x98,
  payload_format_invalid = 0x99,
  retain_not_supported = 0x9A,
  qos_not_supported = 0x9B,
  use_another_server = 0x9C,
  server_moved = 0x9D,
  shared_not_supported = 0x9E,
  connection_rate_exceeded = 0x9F,
  maximum_connect_time = 0xA0,
  subscription_ids_not_supported = 0xA1,
  wildcards_not_supported = 0xA2,
};
std::string_view to_string(Reason reason);  ///< `malformed packet`
constexpr bool is_error(Reason reason) { return static_cast<std::uint8_t>(reason) >= 0x80; }

/// What a MQTT 3.1.1 CONNACK can say: 0 accepted, 1 protocol version, 2 identifier, 3 server unavailable, 4 bad user
/// name or password, 5 not authorized.
std::uint8_t connect_return_code(Reason reason);

/// Why bytes are not a packet, and with which reason code to say so.
struct Fault {
  Reason reason = Reason::malformed_packet;
  std::string message;  ///< `CONNECT: the reserved flag is set`
  friend bool operator==(const Fault&, const Fault&) = default;
};
template <class T>
using Decoded = std::expected<T, Fault>;

/// Every property of MQTT 5. Each packet has those that the standard gives it; others are refused when decoding and are
/// not written when encoding.
struct Properties {
  std::optional<std::uint8_t> payload_format;                       // 0x01
  std::optional<std::uint32_t> message_expiry;                      // 0x02, seconds
  std::optional<std::string_view> content_type;                     // 0x03
  std::optional<std::string_view> response_topic;                   // 0x08
  std::optional<Bytes> correlation_data;                            // 0x09
  std::vector<std::uint32_t> subscription_ids;                      // 0x0B, several only in PUBLISH
  std::optional<std::uint32_t> session_expiry;                      // 0x11, seconds
  std::optional<std::string_view> assigned_client_id;               // 0x12
  std::optional<std::uint16_t> server_keep_alive;                   // 0x13, seconds
  std::optional<std::string_view> auth_method;                      // 0x15
  std::optional<Bytes> auth_data;                                   // 0x16
  std::optional<bool> request_problem_info;                         // 0x17
  std::optional<std::uint32_t> will_delay;                          // 0x18, seconds
  std::optional<bool> request_response_info;                        // 0x19
  std::optional<std::string_view> response_info;                    // 0x1A
  std::optional<std::string_view> server_reference;                 // 0x1C
  std::optional<std::string_view> reason_string;                    // 0x1F
  std::optional<std::uint16_t> receive_maximum;                     // 0x21
  std::optional<std::uint16_t> topic_alias_maximum;                 // 0x22
  std::optional<std::uint16_t> topic_alias;                         // 0x23
  std::optional<std::uint8_t> maximum_qos;                          // 0x24
  std::optional<bool> retain_available;                             // 0x25
  std::vector<std::pair<std::string_view, std::string_view>> user;  // 0x26
  std::optional<std::uint32_t> maximum_packet_size;                 // 0x27, bytes
  std::optional<bool> wildcards_available;                          // 0x28
  std::optional<bool> subscription_ids_available;                   // 0x29
  std::optional<bool> shared_available;                             // 0x2A

  void clear() { *this = {}; }
};

struct Will {
  std::string_view topic;
  Bytes payload;
  std::uint8_t qos = 0;
  bool retain = false;
};

struct Connect {
  Version version = Version::v5;
  bool clean_start = true;       ///< `clean session` in 3.1.1
  std::uint16_t keep_alive = 0;  ///< seconds, 0: none
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<Bytes> password;
};

struct Connack {
  bool session_present = false;
  Reason reason = Reason::success;  ///< sent to 3.1.1 as its return code; read from it as the like reason
};

struct Publish {
  bool dup = false;
  std::uint8_t qos = 0;
  bool retain = false;
  std::string_view topic;       ///< empty in MQTT 5 when a topic alias stands for it
  std::uint16_t packet_id = 0;  ///< 0 with QoS 0
  Bytes payload;
};

/// A PUBLISH that passes a message on: its properties were encoded once, when it came.
struct Forward {
  bool dup = false;
  std::uint8_t qos = 0;
  bool retain = false;
  std::string_view topic;                           ///< empty when the alias was set before
  std::uint16_t packet_id = 0;                      ///< 0 with QoS 0
  std::string_view passed_on;                       ///< of encode_passed_on
  std::optional<std::uint32_t> message_expiry;      ///< what is left, seconds
  std::uint16_t topic_alias = 0;                    ///< 0: none
  std::span<const std::uint32_t> subscription_ids;  ///< that led to it
  std::string_view payload;
};

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
struct Ack {
  PacketType type = PacketType::puback;
  std::uint16_t packet_id = 0;
  Reason reason = Reason::success;  ///< MQTT 5 only
};

struct SubscribeOptions {
  std::uint8_t qos = 0;
  bool no_local = false;             // MQTT 5
  bool retain_as_published = false;  // MQTT 5
  std::uint8_t retain_handling = 0;  // MQTT 5: 0 send, 1 send when new, 2 do not send
  friend bool operator==(const SubscribeOptions&, const SubscribeOptions&) = default;
};

struct Subscribe {
  std::uint16_t packet_id = 0;
  std::vector<std::pair<std::string_view, SubscribeOptions>> filters;  ///< valid filters, at least one
};

/// SUBACK and UNSUBACK; an UNSUBACK of 3.1.1 has no reasons.
struct Suback {
  PacketType type = PacketType::suback;
  std::uint16_t packet_id = 0;
  std::vector<Reason> reasons;
};

struct Unsubscribe {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
};

/// DISCONNECT and (MQTT 5) AUTH.
struct Notice {
  PacketType type = PacketType::disconnect;
  Reason reason = Reason::success;
};

}  // namespace flux::wire::mqtt
