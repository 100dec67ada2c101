#pragma once

#include <string>

#include "auth/device_auth.h"
#include "ingest/shard_ingest.h"

namespace flux::ingest::mqtt {

struct Context;

/// What a client left to be said when it vanishes. It may speak after its connection, and its session, have gone.
struct WillMessage {
  std::string topic;
  std::string payload;
  std::string passed_on;       ///< properties
  std::uint32_t expiry_s = 0;  ///< 0: none
  std::uint8_t qos = 0;
  bool retain = false;
};

/// On the shard of `shard`: as readings where the topic takes them, and to subscribers.
void publish_will(const Context& context, ShardIngest& shard, const auth::Identity& identity, const WillMessage& will);

}  // namespace flux::ingest::mqtt
