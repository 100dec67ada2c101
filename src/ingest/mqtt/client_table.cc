#include "ingest/mqtt/client_table.h"

#include <utility>

namespace flux::ingest::mqtt {

std::string ClientTable::key(TenantId tenant, std::string_view device, std::string_view client_id) {
  // MQTT strings have no U+0000, so the parts cannot run into each other.
  std::string key = std::to_string(tenant.value);
  key.append(1, '\0').append(device).append(1, '\0').append(client_id);
  return key;
}

ClientTable::Owner ClientTable::replace(const std::string& key, Owner owner) {
  const std::lock_guard lock(mutex_);
  return std::exchange(owners_[key], std::move(owner));
}

void ClientTable::remove(const std::string& key, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(key);
  if (found != owners_.end() && found->second.number == number) owners_.erase(found);
}

std::size_t ClientTable::size() const {
  const std::lock_guard lock(mutex_);
  return owners_.size();
}

}  // namespace flux::ingest::mqtt
