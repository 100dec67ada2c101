#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "auth/device_auth.h"
#include "auth/device_secret.h"
#include "auth/listeners.h"
#include "core/hash.h"
#include "core/ids.h"
#include "core/time.h"

namespace flux::auth {

/// Who may come in, by the hash of the secret; shared with the registry's callback, which may outlive the service. Any
/// thread: the maps are guarded by `mutex`.
struct CredentialsIndex {
  static constexpr std::size_t kKeptRevoked = 10'000;

  struct Entry {
    std::shared_ptr<Identity> identity;
    Time created_at;
    std::string name;  ///< of a key
    std::int64_t saved_last_used_ns = 0;
  };
  struct Revoked {
    TenantId tenant;
    std::string device;  ///< empty: an ingest key
    Time at;
    bool with_device = false;  ///< the device was deleted
  };
  using Found = std::pair<SecretHash, Entry>;

  void add(const SecretHash& hash, Entry entry);
  static std::int64_t last_used(const Identity& identity);

  enum class End : std::uint8_t { revoked, device_deleted, expired_long_ago };
  /// Ends these at once, wherever they are used, and tells those who listen. Unknown ones are passed over.
  void revoke(const std::vector<SecretHash>& hashes, End end = End::revoked);
  void revoke_device(TenantId tenant, const std::string& device);

  /// The tenant's ingest key of this id.
  [[nodiscard]] std::optional<Found> find_key(TenantId tenant, std::string_view id) const;
  /// All tokens of a device.
  [[nodiscard]] std::vector<Found> of(TenantId tenant, const std::string& device) const;

  mutable std::shared_mutex mutex;
  boost::unordered_flat_map<SecretHash, Entry, SecretHashHash> entries;
  boost::unordered_flat_map<SecretHash, Revoked, SecretHashHash> revoked;

  Listeners<IdentityPtr> on_revoked;
  std::atomic<bool> tidying{false};  // one round at a time

 private:
  using DeviceKey = std::pair<std::uint32_t, std::string>;
  struct DeviceKeyHash {
    std::size_t operator()(const DeviceKey& key) const { return hash64(key.second, key.first); }
  };
  void note_revoked(const SecretHash& hash, Revoked what);

  boost::unordered_flat_map<DeviceKey, std::vector<SecretHash>, DeviceKeyHash> of_device_;
};

}  // namespace flux::auth
