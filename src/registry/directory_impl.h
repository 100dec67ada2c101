#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "core/hash.h"
#include "registry/directory.h"
#include "registry/tenant.h"

namespace flux::registry {

/// Shares equal immutable values: one object however many devices have it.
template <class T, class Hash>
class Pool {
 public:
  std::shared_ptr<const T> intern(T value) {
    const std::uint64_t hash = Hash{}(value);
    const std::lock_guard lock(mutex_);
    auto& slot = known_[hash];
    auto held = slot.lock();
    if (held && *held == value) return held;
    auto fresh = std::make_shared<const T>(std::move(value));
    if (!held) slot = fresh;  // else two values of one hash, both alive: the second goes unshared
    if (known_.size() > prune_at_) {
      boost::unordered::erase_if(known_, [](const auto& item) { return item.second.expired(); });
      prune_at_ = std::max<std::size_t>(1024, known_.size() * 2);
    }
    return fresh;
  }

 private:
  std::mutex mutex_;
  boost::unordered_flat_map<std::uint64_t, std::weak_ptr<const T>> known_;
  std::size_t prune_at_ = 1024;
};

struct LabelsHash {
  std::uint64_t operator()(const Labels& labels) const;
};
struct KnownFieldsHash {
  std::uint64_t operator()(const KnownFields& fields) const;
};

struct Directory::Impl {
  struct Key {
    std::uint32_t tenant;
    std::string_view id;
    std::uint64_t hash;
  };
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(const Key& key) const { return key.hash; }
    std::size_t operator()(const DeviceEntryPtr& entry) const { return hash64(entry->id(), entry->tenant().value); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const DeviceEntryPtr& a, const DeviceEntryPtr& b) const { return a == b; }
    bool operator()(const Key& key, const DeviceEntryPtr& entry) const {
      return key.id == entry->id() && key.tenant == entry->tenant().value;
    }
    bool operator()(const DeviceEntryPtr& entry, const Key& key) const { return (*this)(key, entry); }
  };
  static Key key_of(TenantId tenant, std::string_view device) {
    return {tenant.value, device, hash64(device, tenant.value)};
  }

  /// A slice of all devices, so that shards seldom meet at a lock.
  struct alignas(64) Slice {
    mutable std::shared_mutex mutex;
    boost::unordered_flat_set<DeviceEntryPtr, Hash, Equal> devices;
  };
  static constexpr std::size_t kSlices = 64;
  Slice& slice(std::uint64_t hash) { return slices[(hash >> 40) % kSlices]; }

  DeviceEntryPtr find(const Key& key);
  detail::Tenant* find_tenant(TenantId id) const;
  detail::Tenant& tenant(TenantId id);
  void queue_unsaved(DeviceEntryPtr entry);

  std::array<Slice, kSlices> slices;

  mutable std::shared_mutex tenants_mutex;
  boost::unordered_flat_map<std::uint32_t, std::unique_ptr<detail::Tenant>> tenants;

  std::mutex unsaved_mutex;
  std::vector<DeviceEntryPtr> unsaved;
  std::function<void()> unsaved_ready;

  /// Held to add a field: first sights are rare, and sets of fields are shared.
  std::mutex fields_mutex;
  Pool<Labels, LabelsHash> labels;
  Pool<KnownFields, KnownFieldsHash> fields;

  const LabelsPtr no_labels = std::make_shared<const Labels>();
  const DeviceSettingsPtr no_settings = std::make_shared<const DeviceSettings>(DeviceSettings{.labels = no_labels});
  const KnownFieldsPtr no_fields = std::make_shared<const KnownFields>();
};

}  // namespace flux::registry
