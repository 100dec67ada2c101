#include "auth/device_auth.h"

#include "auth/secrets.h"

namespace flux::auth {

Identity::Identity(Kind kind, TenantId tenant, std::string device, bool create_devices, std::string credential_id,
                   std::optional<Time> expires_at)
    : kind_(kind),
      tenant_(tenant),
      device_(std::move(device)),
      create_devices_(create_devices),
      credential_id_(std::move(credential_id)),
      expires_at_(expires_at) {}

Result<> Identity::may_speak_for(std::string_view device) const {
  if (kind_ != Kind::device || device == device_) return {};
  return fail(ErrorCode::permission_denied,
              "this credential is for device `" + device_ + "`, not for `" + std::string(device) + "`");
}

OpenDeviceAuthenticator::OpenDeviceAuthenticator()
    : identity_(std::make_shared<Identity>(Identity::Kind::open, TenantId{1}, "", true, "", std::nullopt)) {}

Result<IdentityPtr> OpenDeviceAuthenticator::authenticate(const Presented&, Time) const { return identity_; }

DeviceAuthenticator::Subscription OpenDeviceAuthenticator::on_revoked(std::function<void(const IdentityPtr&)>) {
  return {};
}

Result<IdentityPtr> DeviceAuthCache::authenticate(const Presented& presented, Time now) {
  if (identity_ != nullptr && equal_in_constant_time(presented.password, password_) &&
      equal_in_constant_time(presented.user_name, user_name_) && identity_->live(now)) {
    identity_->used(now);
    return identity_;
  }
  identity_ = nullptr;
  TRY(identity_, authenticator_.authenticate(presented, now));
  user_name_ = presented.user_name;
  password_ = presented.password;
  return identity_;
}

}  // namespace flux::auth
