#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "auth/listeners.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"

namespace flux::auth {

/// Who a device connection is. Immutable but for its end; kept by the connection, asked at each message.
class Identity {
 public:
  enum class Kind : std::uint8_t {
    device,      ///< one device's own token
    ingest_key,  ///< a tenant's key for many devices
    open,        ///< nobody asked: `auth.mode=open`
  };

  Identity(Kind kind, TenantId tenant, std::string device, bool create_devices, std::string credential_id,
           std::optional<Time> expires_at);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] TenantId tenant() const { return tenant_; }
  /// The one device that it may speak for; empty for keys and in open mode.
  [[nodiscard]] const std::string& device() const { return device_; }
  /// May report for devices that nobody registered.
  [[nodiscard]] bool create_devices() const { return create_devices_; }
  [[nodiscard]] const std::string& credential_id() const { return credential_id_; }
  [[nodiscard]] std::optional<Time> expires_at() const { return expires_at_; }

  /// Neither revoked nor expired. Two loads: ask it for each message.
  [[nodiscard]] bool live(Time now) const {
    return !revoked_.load(std::memory_order_acquire) && (!expires_at_ || now < *expires_at_);
  }
  /// `permission_denied` when it is another device's token.
  [[nodiscard]] Result<> may_speak_for(std::string_view device) const;

  /// Notes the use; written to the database now and then.
  void used(Time now) const { last_used_ns_.store(now.ns, std::memory_order_relaxed); }

 private:
  friend struct CredentialsIndex;
  const Kind kind_;
  const TenantId tenant_;
  const std::string device_;
  const bool create_devices_;
  const std::string credential_id_;
  const std::optional<Time> expires_at_;
  mutable std::atomic<std::int64_t> last_used_ns_{0};
  std::atomic<bool> revoked_{false};
};
using IdentityPtr = std::shared_ptr<const Identity>;

/// What came with a connection or request; views live for the call.
struct Presented {
  /// MQTT: the password, then the user name, is tried as a token. HTTP Basic: likewise.
  /// HTTP Bearer and Token: `password`.
  std::string_view user_name;
  std::string_view password;
};

/// Says who a device connection is. Any thread, never blocks.
class DeviceAuthenticator {
 public:
  virtual ~DeviceAuthenticator() = default;

  /// `unauthenticated` says why, in words fit for the sender: no credential, mistyped (its checksum is wrong), not
  /// known, expired. About a microsecond: keep the identity for the connection.
  [[nodiscard]] virtual Result<IdentityPtr> authenticate(const Presented& presented, Time now) const = 0;

  /// Whose a credential was that is refused, where that is known: revoked, expired, its device deleted.
  struct Owner {
    TenantId tenant;
    std::string device;  ///< empty: an ingest key
  };
  [[nodiscard]] virtual std::optional<Owner> former_owner(const Presented& /*presented*/) const { return std::nullopt; }

  using Subscription = auth::Subscription;
  /// `callback` is told of each identity that was revoked, on the thread that did it; must not block: post to the shard
  /// that closes the connection. (Expiry is not told: `Identity::live` says it at the next message.)
  [[nodiscard]] virtual Subscription on_revoked(std::function<void(const IdentityPtr&)> callback) = 0;
};

/// For `auth.mode=open` and tests: whoever comes is let in and may report for any device of the default tenant.
class OpenDeviceAuthenticator final : public DeviceAuthenticator {
 public:
  OpenDeviceAuthenticator();
  [[nodiscard]] Result<IdentityPtr> authenticate(const Presented& presented, Time now) const override;
  [[nodiscard]] Subscription on_revoked(std::function<void(const IdentityPtr&)> callback) override;

 private:
  IdentityPtr identity_;
};

/// Remembers the last credential of one connection, so that an HTTP client that sends its token with each request costs
/// a comparison. One thread.
class DeviceAuthCache {
 public:
  explicit DeviceAuthCache(const DeviceAuthenticator& authenticator) : authenticator_(authenticator) {}
  [[nodiscard]] Result<IdentityPtr> authenticate(const Presented& presented, Time now);

 private:
  const DeviceAuthenticator& authenticator_;
  std::string user_name_;
  std::string password_;
  IdentityPtr identity_;
};

}  // namespace flux::auth
