#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "auth/policy.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"

namespace flux::auth {

/// What an access token says.
struct Claims {
  std::int64_t user = 0;
  TenantId tenant;
  Role role = Role::viewer;
  std::uint64_t generation = 0;  ///< of the user's credentials: an older one is revoked
  std::string log_in;            ///< from which it came, as its refresh tokens did
  Time issued_at;
  Time expires_at;
};

/// Signs and checks access tokens: JWT (RFC 7519) with ES256 and no other algorithm. Any thread.
class AccessTokens {
 public:
  /// Reads the key of `key_file`, or makes one there (mode 0600). `corrupt` when it holds no P-256 key; `io`.
  static Result<AccessTokens> open(const std::filesystem::path& key_file);

  [[nodiscard]] Result<std::string> issue(const Claims& claims) const;
  /// `unauthenticated` says what is wrong: not a token, another algorithm or key, a bad signature, expired. Clocks may
  /// differ by `leeway`.
  [[nodiscard]] Result<Claims> verify(std::string_view token, Time now, Duration leeway = 30_s) const;
  /// The public key as a JWK set (RFC 7517).
  [[nodiscard]] const std::string& jwks() const { return jwks_; }

 private:
  AccessTokens() = default;
  std::shared_ptr<void> key_;
  std::string key_id_;
  std::string jwks_;
};

}  // namespace flux::auth
