#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "ingest/metrics.h"
#include "runtime/mailbox.h"
#include "runtime/shard.h"

namespace flux::ingest::mqtt {

class Session;

/// Hands readings that devices published to MQTT subscribers of the same tenant on this node, with QoS 0: as they were
/// sent, once they have passed admission and parsing. Sessions are kept by shard; a message crosses to a shard only
/// when somebody subscribes there. A subscriber that reads too slowly misses messages (counted).
class Subscribers {
 public:
  Subscribers(runtime::Shards& shards, Metrics& metrics);
  ~Subscribers();

  /// On the session's shard. Once per session, at its first subscription.
  void add(Session& session);
  void remove(Session& session);

  /// Nobody subscribes anywhere: nothing else to do for a message.
  [[nodiscard]] bool none() const { return count_.load(std::memory_order_relaxed) == 0; }
  /// On any shard. `publisher` is the number of the session that sent it.
  void publish(TenantId tenant, std::string_view topic, std::string_view payload, std::uint64_t publisher);

 private:
  struct Message {
    TenantId tenant;
    std::string topic;
    std::uint64_t publisher = 0;
    std::shared_ptr<const std::string> frame_3;  ///< the whole PUBLISH, for each version
    std::shared_ptr<const std::string> frame_5;
  };
  using MessagePtr = std::shared_ptr<const Message>;
  struct Local {
    std::vector<Session*> sessions;
    std::atomic<std::size_t> count{0};
    std::unique_ptr<runtime::Mailbox<MessagePtr>> mailbox;
  };
  void deliver(Local& local, const Message& message);

  runtime::Shards& shards_;
  Metrics& metrics_;
  std::vector<std::unique_ptr<Local>> locals_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace flux::ingest::mqtt
