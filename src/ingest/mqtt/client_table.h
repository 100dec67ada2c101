#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/ids.h"
#include "runtime/shard.h"

namespace flux::ingest::mqtt {

class Session;

/// Who is connected under which client identifier, on all shards. Any thread.
///
/// Identifiers are told apart by tenant and, for a device's own credential, by device: so a device can take over its
/// own older connection, and nobody else's.
class ClientTable {
 public:
  struct Owner {
    std::weak_ptr<Session> session;
    runtime::Shard* shard = nullptr;
    std::uint64_t number = 0;
  };

  static std::string key(TenantId tenant, std::string_view device, std::string_view client_id);

  /// Puts `owner` in; returns whom it replaces, with an empty session when nobody.
  Owner replace(const std::string& key, Owner owner);
  /// Takes the owner out again, unless another has its place.
  void remove(const std::string& key, std::uint64_t number);
  [[nodiscard]] std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Owner> owners_;
};

}  // namespace flux::ingest::mqtt
