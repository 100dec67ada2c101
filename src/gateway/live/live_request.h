#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "stream/selector.h"
#include "stream/subscriber.h"

namespace flux::gateway {

/// A message of a live client (contracts/openapi.json, LiveRequest).
struct LiveRequest {
  enum class Kind : std::uint8_t { subscribe, subscribe_trace, subscribe_events, unsubscribe, ping };
  Kind kind = Kind::ping;
  std::uint64_t id = 0;
  stream::Selector selector;  ///< of subscribe; without the tenant
  stream::Options options;
  std::string device;  ///< of subscribe_trace
};

/// What was wrong with a message, and the id that it had as far as that could be read.
struct LiveFault {
  Error error;
  std::optional<std::uint64_t> id;
};
std::expected<LiveRequest, LiveFault> parse_live_request(std::string_view text);

}  // namespace flux::gateway
