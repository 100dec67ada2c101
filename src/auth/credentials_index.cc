#include "auth/credentials_index.h"

#include <algorithm>
#include <mutex>

namespace flux::auth {

void CredentialsIndex::add(const SecretHash& hash, Entry entry) {
  const std::unique_lock lock(mutex);
  if (entry.identity->kind() == Identity::Kind::device) {
    of_device_[{entry.identity->tenant().value, entry.identity->device()}].push_back(hash);
  }
  entries.emplace(hash, std::move(entry));
}

std::int64_t CredentialsIndex::last_used(const Identity& identity) {
  return identity.last_used_ns_.load(std::memory_order_relaxed);
}

void CredentialsIndex::note_revoked(const SecretHash& hash, Revoked what) {
  if (revoked.size() >= kKeptRevoked) {
    revoked.erase(std::ranges::min_element(revoked, {}, [](const auto& item) { return item.second.at; }));
  }
  revoked.insert_or_assign(hash, std::move(what));
}

void CredentialsIndex::revoke(const std::vector<SecretHash>& hashes, End end) {
  std::vector<std::shared_ptr<Identity>> ended;
  {
    const std::unique_lock lock(mutex);
    for (const SecretHash& hash : hashes) {
      const auto found = entries.find(hash);
      if (found == entries.end()) continue;
      auto identity = std::move(found->second.identity);
      if (end != End::expired_long_ago) {
        note_revoked(hash, {identity->tenant(), identity->device(), wall_now(), end == End::device_deleted});
      }
      entries.erase(found);
      const DeviceKey key{identity->tenant().value, identity->device()};
      if (const auto device = of_device_.find(key); device != of_device_.end()) {
        std::erase(device->second, hash);
        if (device->second.empty()) of_device_.erase(device);
      }
      ended.push_back(std::move(identity));
    }
  }
  for (const auto& identity : ended) identity->revoked_.store(true, std::memory_order_release);
  for (const auto& identity : ended) on_revoked.tell(identity);
}

void CredentialsIndex::revoke_device(TenantId tenant, const std::string& device) {
  std::vector<SecretHash> hashes;
  for (const auto& [hash, entry] : of(tenant, device)) hashes.push_back(hash);
  if (!hashes.empty()) revoke(hashes, End::device_deleted);
}

std::optional<CredentialsIndex::Found> CredentialsIndex::find_key(TenantId tenant, std::string_view id) const {
  const std::shared_lock lock(mutex);
  for (const auto& [hash, entry] : entries) {
    if (entry.identity->kind() == Identity::Kind::ingest_key && entry.identity->tenant() == tenant &&
        entry.identity->credential_id() == id) {
      return Found(hash, entry);
    }
  }
  return std::nullopt;
}

std::vector<CredentialsIndex::Found> CredentialsIndex::of(TenantId tenant, const std::string& device) const {
  std::vector<Found> found;
  const std::shared_lock lock(mutex);
  const auto hashes = of_device_.find({tenant.value, device});
  if (hashes == of_device_.end()) return found;
  for (const SecretHash& hash : hashes->second) found.emplace_back(hash, entries.at(hash));
  return found;
}

}  // namespace flux::auth
