#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/device_auth.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"
#include "observe/metrics.h"
#include "registry/embedded.h"
#include "runtime/async.h"
#include "store/database/database.h"

namespace flux::auth {

/// A device's token, without the secret.
struct Credential {
  std::string id;
  Time created_at;
  std::optional<Time> last_used_at;
  std::optional<Time> expires_at;
};
struct IssuedCredential {
  Credential credential;
  std::string token;  ///< shown this once
};

/// A tenant's key for many devices, without the secret.
struct IngestKey {
  std::string id;
  std::string name;
  bool create_devices = false;  ///< may report for devices that nobody registered
  Time created_at;
  std::optional<Time> last_used_at;
};
struct IssuedIngestKey {
  IngestKey key;
  std::string secret;  ///< shown this once
};

/// What devices show to get in: made, listed, revoked here, and checked from memory. Asynchronous calls come from
/// shards; the rest is for any thread.
class Credentials : public DeviceAuthenticator {
 public:
  /// After the registry was opened, whose tables these refer to. Blocking. Both must outlive it.
  static Result<std::unique_ptr<Credentials>> open(store::Database& database, registry::EmbeddedRegistry& registry,
                                                   const registry::Directory& directory, metrics::Registry& metrics);

  /// Oldest first. `not_found` when there is no such device.
  virtual Async<std::vector<Credential>> list(TenantId tenant, std::string device) = 0;
  /// A device has at most 10 at a time (two are enough to change them without a pause). Works when this returns.
  virtual Async<IssuedCredential> create(TenantId tenant, std::string device, std::optional<Time> expires_at) = 0;
  /// Live connections that use it are told through `on_revoked`.
  virtual Async<void> revoke(TenantId tenant, std::string device, std::string id) = 0;

  virtual Async<std::vector<IngestKey>> ingest_keys(TenantId tenant) = 0;
  /// `already_exists` when the tenant has one of this name.
  virtual Async<IssuedIngestKey> create_ingest_key(TenantId tenant, std::string name, bool create_devices) = 0;
  virtual Async<void> revoke_ingest_key(TenantId tenant, std::string id) = 0;

  /// Writes when credentials were last used, and forgets what has expired for a month. Returns at once; call it every
  /// minute or so, and once while draining.
  virtual void tidy(Time now) = 0;
};

}  // namespace flux::auth
