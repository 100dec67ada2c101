#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/ids.h"
#include "wire/mqtt/packet.h"

namespace flux::broker {

/// The members of one shared subscription (`$share/{name}/{filter}`), on all shards. Lives on one shard, its home; each
/// message that matches goes to one member.
struct SharedGroup {
  struct Member {
    std::uint64_t session = 0;
    std::size_t shard = 0;
    bool connected = true;
    wire::mqtt::SubscribeOptions options;
    std::uint32_t subscription_id = 0;
  };

  TenantId tenant;
  std::string shared;  ///< the whole `$share/…`
  std::string filter;
  std::vector<Member> members;
  std::size_t next = 0;

  /// Whose turn it is: of those whose client is there, or of all when none is. Null without members.
  Member* pick() {
    if (members.empty()) return nullptr;
    for (const bool away : {false, true}) {
      for (std::size_t i = 0; i < members.size(); ++i) {
        Member& member = members[(next + i) % members.size()];
        if (!member.connected && !away) continue;
        next = (next + i + 1) % members.size();
        return &member;
      }
    }
    return nullptr;
  }
};

}  // namespace flux::broker
