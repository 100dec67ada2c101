#include "ingest/sign_in.h"

#include <algorithm>
#include <array>

#include "auth/device_secret.h"
#include "observe/log.h"
#include "wire/mqtt/topic.h"

namespace flux::ingest {

using registry::ConnectionStage;

namespace {

constexpr double kNotesPerSecond = 20;
constexpr double kNotesAtOnce = 100;
constexpr double kNotesOfDevicePerSecond = 2;
constexpr double kNotesOfDeviceAtOnce = 10;
// For whoever watches a device: it may have been another.
constexpr std::string_view kUnnamed =
    R"({"unnamed":true,"hint":"It named no device that is registered here, so it may have been another one."})";
constexpr std::size_t kDevicesWatched = 4'096;

/// An IPv6 host has a whole /64 to itself.
std::string address_key(const net::Address& peer) {
  if (peer.is_v4()) return peer.ip_text();
  net::Address network = peer;
  std::fill(network.ip.begin() + 8, network.ip.end(), std::uint8_t{0});
  return network.ip_text();
}

Duration whole_seconds(Duration wait) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return Duration{(wait.ns + kSecond - 1) / kSecond * kSecond};
}

}  // namespace

std::string without_secrets(std::string_view text) {
  constexpr std::size_t kShown = 512;
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out(text);
  for (const std::string_view prefix : {"fgd_", "fgk_"}) {
    for (std::size_t at = out.find(prefix); at != std::string::npos; at = out.find(prefix, at + prefix.size())) {
      const std::size_t from = at + prefix.size();
      const std::size_t end = std::min(out.find_first_not_of(kLetters, from), out.size());
      // `fgd_…` of a sentence that explains them stays.
      if (end > from) out.replace(from, end - from, "…");
    }
  }
  if (out.size() > kShown) {
    std::size_t size = kShown;
    while (size > 0 && (static_cast<unsigned char>(out[size]) & 0xC0) == 0x80) --size;
    out.resize(size);
    out += "…";
  }
  return out;
}

SignIn::Meant SignIn::meant_by(const Attempt& attempt) const {
  if (auto owner = authenticator_.former_owner(attempt.presented)) {
    if (!owner->device.empty()) return {owner->tenant, std::move(owner->device)};
    for (const std::string_view name : attempt.named)
      if (directory_.find(owner->tenant, name) != nullptr) return {owner->tenant, std::string(name)};
    return {owner->tenant, {}};
  }
  // A name alone says nothing about the tenant: one must not see what is sent to another.
  const auto tenant = directory_.only_tenant();
  if (!tenant) return {};
  const auto known = [&](std::string_view name) {
    return !name.empty() && !auth::holds_secret(name) && directory_.find(*tenant, name) != nullptr;
  };
  for (const std::string_view name : attempt.named)
    if (known(name)) return {*tenant, std::string(name)};
  for (const std::string_view name : {attempt.presented.user_name, attempt.client_id})
    if (known(name)) return {*tenant, std::string(name)};
  return {*tenant, {}};
}

bool SignIn::must_wait(const net::Address& peer) { return addresses_.wait(address_key(peer), clock_()).ns > 0; }

SignIn::Refusal SignIn::refused(const Attempt& attempt, Error why) {
  const Duration now = clock_();
  const Meant meant = meant_by(attempt);
  const std::string address = address_key(attempt.peer);
  const std::string device = std::to_string(meant.tenant.value) + " " + meant.device;
  Duration wait = addresses_.wait(address, now);
  if (!meant.device.empty()) wait = std::max(wait, devices_.wait(device, now));
  const bool mqtt = attempt.protocol == registry::ConnectionProtocol::mqtt;
  if (wait.ns == 0) {
    addresses_.failed(address, now);
    if (!meant.device.empty()) devices_.failed(device, now);
    (mqtt ? metrics_.sign_in_refused_mqtt : metrics_.sign_in_refused_http).add();
    note(attempt, meant, ConnectionStage::auth, "credential refused: " + why.message);
    return {std::move(why), std::nullopt};
  }
  (mqtt ? metrics_.sign_in_throttled_mqtt : metrics_.sign_in_throttled_http).add();
  wait = whole_seconds(wait);
  Error later{
      ErrorCode::exhausted,
      "too many refused credentials: try again in " + std::to_string(wait.ns / 1'000'000'000) + " s; " + why.message,
      {}};
  note(attempt, meant, ConnectionStage::auth, later.message);
  return {std::move(later), wait};
}

void SignIn::unreadable(const Attempt& attempt, std::string message) {
  note(attempt, meant_by(attempt), ConnectionStage::connect, std::move(message));
}

void SignIn::mistaken(const Attempt& attempt, const auth::Identity& identity) {
  if (identity.device().empty()) return;
  const auto other = [&](std::string_view name) {
    return !name.empty() && name != identity.device() && directory_.find(identity.tenant(), name) != nullptr;
  };
  const auto tell = [&](std::string_view name) {
    note(attempt, {identity.tenant(), std::string(name)}, ConnectionStage::auth,
         "the credential is the token of device `" + identity.device() + "`, not of `" + std::string(name) + "`");
  };
  for (const std::string_view name : attempt.named)
    if (other(name)) return tell(name);
  if (other(attempt.presented.user_name)) tell(attempt.presented.user_name);
}

std::optional<std::uint64_t> SignIn::may_note(const std::string& device) {
  const Duration now = clock_();
  const auto refill = [&](Budget& budget, double per_second, double at_once) {
    budget.left = std::min(at_once, budget.left + (now - budget.at).seconds() * per_second);
    budget.at = now;
  };
  const std::lock_guard lock(mutex_);
  if (by_device_.size() >= kDevicesWatched && !by_device_.contains(device)) {
    // What has refilled is as good as new.
    std::erase_if(by_device_, [&](const auto& item) {
      return (now - item.second.at).seconds() * kNotesOfDevicePerSecond >= kNotesOfDeviceAtOnce;
    });
    if (by_device_.size() >= kDevicesWatched) by_device_.clear();
  }
  const auto [at, fresh] = by_device_.try_emplace(device);
  Budget& own = at->second;
  if (fresh) own = {kNotesOfDeviceAtOnce, now, 0};
  if (all_.at.ns == 0) all_ = {kNotesAtOnce, now, 0};
  refill(own, kNotesOfDevicePerSecond, kNotesOfDeviceAtOnce);
  refill(all_, kNotesPerSecond, kNotesAtOnce);
  if (own.left < 1 || all_.left < 1) {
    ++own.withheld;
    return std::nullopt;
  }
  own.left -= 1;
  all_.left -= 1;
  return std::exchange(own.withheld, 0);
}

void SignIn::note(const Attempt& attempt, const Meant& meant, ConnectionStage stage, std::string message) {
  if (meant.tenant.value == 0) return;
  const auto withheld = may_note(std::to_string(meant.tenant.value) + " " + meant.device);
  if (!withheld) return;
  registry::ConnectionEvent event{
      .time = wall_now(),
      .stage = ConnectionStage::connect,
      .ok = true,
      .message = "connected with " + std::string(attempt.version),
      .peer = attempt.peer.text(),
      .protocol = attempt.protocol,
      .client_id = wire::mqtt::is_utf8_string(attempt.client_id) ? without_secrets(attempt.client_id) : std::string(),
      .device = meant.device,
      .tenant = meant.tenant,
      .detail = meant.device.empty() ? std::string(kUnnamed) : std::string(),
      .signed_in = false};
  if (stage == ConnectionStage::auth && !meant.device.empty()) log_.add(event);
  event.stage = stage;
  event.ok = false;
  event.message = without_secrets(message);
  if (*withheld > 0) event.message += " (and " + std::to_string(*withheld) + " more before that are not listed)";
  log_.add(std::move(event));
}

}  // namespace flux::ingest
