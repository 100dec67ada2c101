#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "core/ids.h"
#include "registry/device_index.h"
#include "registry/directory.h"

namespace flux::registry::detail {

/// What a directory keeps for each tenant.
struct Tenant {
  Tenant(TenantId tenant, Directory::Impl& owner) : id(tenant), directory(owner) {}

  const TenantId id;
  Directory::Impl& directory;

  std::array<std::atomic<std::int64_t>, 3> states{};  ///< devices by DeviceState
  std::atomic<std::int64_t> devices{0};

  mutable std::shared_mutex profiles_mutex;
  std::map<std::string, ProfileSlotPtr, std::less<>> profiles;

  /// New devices wait here until somebody needs the index: shards that find devices never wait for a long search.
  std::mutex arrivals_mutex;
  std::vector<DeviceEntry*> arrivals;

  mutable std::shared_mutex index_mutex;  ///< also for writing `settings_` of its entries
  DeviceIndex index;

  void take_in_arrivals() {
    std::vector<DeviceEntry*> taken;
    {
      const std::lock_guard lock(arrivals_mutex);
      taken.swap(arrivals);
    }
    if (!taken.empty()) index.insert(std::move(taken));
  }
  /// The index, shared, with every device in it.
  std::shared_lock<std::shared_mutex> read_index() {
    for (;;) {
      {
        std::unique_lock arrivals_lock(arrivals_mutex);
        if (arrivals.empty()) {
          arrivals_lock.unlock();
          return std::shared_lock(index_mutex);
        }
      }
      const std::unique_lock lock(index_mutex);
      take_in_arrivals();
    }
  }
};

}  // namespace flux::registry::detail
