#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace flux::net {

/// Counted by one thread, read by any: an addition costs a load and a store, no locked instruction.
class Count {
 public:
  void add(std::uint64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

/// Why a connection was turned away before its first byte was read.
enum class Refusal : std::uint8_t { total_limit, peer_limit, draining, no_descriptors };
inline constexpr std::array<const char*, 4> kRefusalNames = {"total_limit", "peer_limit", "draining", "no_descriptors"};

/// What was wrong with an HTTP request that never reached a handler.
enum class HttpFault : std::uint8_t {
  malformed,
  header_too_large,
  body_too_large,
  target_too_long,
  header_timeout,
  body_timeout,
  body_too_slow,
  room_needed,  ///< came slowly while others needed the room
  no_room,
  no_room_for_address,
  draining,
  bad_encoding,
  unsupported_encoding,
  bad_version,
  unsupported_method,
  expectation,
  host_refused,
  not_found,
  method_not_allowed,
};
inline constexpr std::array<const char*, 19> kHttpFaultNames = {"malformed",
                                                                "header_too_large",
                                                                "body_too_large",
                                                                "target_too_long",
                                                                "header_timeout",
                                                                "body_timeout",
                                                                "body_too_slow",
                                                                "room_needed",
                                                                "no_room",
                                                                "no_room_for_address",
                                                                "draining",
                                                                "bad_encoding",
                                                                "unsupported_encoding",
                                                                "bad_version",
                                                                "unsupported_method",
                                                                "expectation",
                                                                "host_refused",
                                                                "not_found",
                                                                "method_not_allowed"};

/// The numbers of one server on one shard. `app` sums them over shards for /metrics.
struct alignas(64) NetStats {
  Count connections_accepted;
  Count connections_closed;
  std::array<Count, kRefusalNames.size()> connections_refused;  ///< by Refusal; counted on the accepting shard
  Count bytes_in;
  Count bytes_out;
  Count timeouts;  ///< connections ended by an idle or write time-out

  std::array<Count, 6> responses;  ///< by first digit of the status; [0] unused
  std::array<Count, kHttpFaultNames.size()> http_faults;
  Count requests;

  Count websockets_opened;
  Count websockets_closed;
  Count websocket_messages_in;
  Count websocket_frames_out;
  Count websocket_no_room;  ///< of those, for want of room for the message
  Count websocket_faults;   ///< closed by us for a violation: protocol, UTF-8, size, pong time-out

  [[nodiscard]] std::uint64_t connections_open() const { return connections_accepted.get() - connections_closed.get(); }
};

}  // namespace flux::net
