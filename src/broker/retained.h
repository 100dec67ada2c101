#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "broker/message.h"
#include "core/result.h"

namespace flux::broker {

/// The retained message of each topic, for all shards. A lock is taken for messages with the retain flag and for new
/// subscriptions, for no other message.
class RetainedStore {
 public:
  RetainedStore(std::size_t messages, std::size_t bytes) : max_messages_(messages), max_bytes_(bytes) {}

  /// Keeps `message`, or forgets the topic's when its payload is empty. Returns the number of the change, which grows:
  /// of two for one topic the higher one holds. `exhausted` names the limit.
  Result<std::uint64_t> set(MessagePtr message);
  /// As found on disk, in any order.
  void restore(MessagePtr message, std::uint64_t change);
  /// Nothing more is to be restored.
  void restored() { cleared_.clear(); }
  /// Those that match, none of them expired.
  [[nodiscard]] std::vector<MessagePtr> find(TenantId tenant, std::string_view filter, Time now) const;
  /// All, in order, from the topic behind `after` on; at most `most`.
  struct Kept {
    MessagePtr message;
    std::uint64_t change = 0;
  };
  [[nodiscard]] std::vector<Kept> page(TenantId tenant, std::string_view after, std::size_t most) const;
  /// Those after `tenant` that have messages; 0: there is none.
  [[nodiscard]] TenantId next_tenant(TenantId tenant) const;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  using Topics = std::map<std::string, Kept, std::less<>>;
  void put(MessagePtr message, std::uint64_t change);

  const std::size_t max_messages_;
  const std::size_t max_bytes_;
  mutable std::shared_mutex mutex_;
  std::map<TenantId, Topics> tenants_;
  std::map<std::pair<TenantId, std::string>, std::uint64_t>
      cleared_;  // while restoring: so that no older one comes back
  std::uint64_t last_change_ = 0;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace flux::broker
