#include "ingest/device_cache.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include "core/hash.h"

namespace flux::ingest {

DeviceSlot::DeviceSlot(registry::DeviceEntryPtr entry, BucketId bucket, Outbox& outbox)
    : DeviceRows(outbox.builder(outbox.partition_of(bucket))),
      entry_(std::move(entry)),
      partition_(outbox.partition_of(bucket)) {}

DeviceSlot::DeviceSlot(registry::DeviceEntryPtr entry, Outbox& outbox) : DeviceSlot(entry, entry->bucket(), outbox) {}

DeviceSlot::DeviceSlot(TenantId tenant, std::string_view id, DeviceMaker& maker, Outbox& outbox)
    : DeviceSlot(nullptr, bucket_of(tenant, id), outbox) {
  maker_ = &maker;
  new_tenant_ = tenant;
  new_id_ = id;
}

ValueType DeviceSlot::type_of(std::string_view metric, ValueType given) {
  if (!entry_) entry_ = maker_->known(new_tenant_, new_id_);  // somebody may have registered it meanwhile
  if (!entry_) return given;
  return entry_->field_type(kTelemetry, metric).value_or(given);
}

Result<ShapePtr> DeviceSlot::make_shape(const std::vector<FieldDef>& fields) {
  // A row is complete: now it counts that there is a device. All else follows from a shape, and so from an entry.
  if (!entry_) {
    TRY(entry_, maker_->make(new_tenant_, new_id_));
  }
  DO(entry_->check_or_set_types(kTelemetry, fields));
  ShapeKey key{.tenant = entry_->tenant(), .device = entry_->id(), .fields = fields};
  return std::make_shared<const Shape>(std::move(key));
}

Time DeviceSlot::next_time() { return entry_->assign_time(wall_now()); }

namespace {

struct Key {
  TenantId tenant;
  std::string_view device;  // the entry's own id
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  using is_avalanching = void;
  std::size_t operator()(const Key& key) const noexcept { return hash64(key.device, key.tenant.value); }
};

}  // namespace

struct DeviceCache::Map {
  boost::unordered_flat_map<Key, std::size_t, KeyHash> places;  // index into ring_
};

DeviceCache::DeviceCache(std::size_t capacity) : capacity_(capacity), map_(std::make_unique<Map>()) {}
DeviceCache::~DeviceCache() = default;

DeviceSlotPtr DeviceCache::find(TenantId tenant, std::string_view device) {
  const auto found = map_->places.find(Key{tenant, device});
  if (found == map_->places.end()) return nullptr;
  const DeviceSlotPtr& slot = ring_[found->second];
  if (slot->removed()) return nullptr;  // `insert` puts the new one in its place
  slot->recent_ = true;
  return slot;
}

const DeviceSlotPtr& DeviceCache::insert(registry::DeviceEntryPtr entry, Outbox& outbox) {
  return insert(std::make_shared<DeviceSlot>(std::move(entry), outbox));
}

const DeviceSlotPtr& DeviceCache::insert(DeviceSlotPtr slot) {
  const Key key{slot->entry().tenant(), slot->entry().id()};
  if (const auto found = map_->places.find(key); found != map_->places.end()) {
    const std::size_t place = found->second;
    map_->places.erase(found);  // its key views the old entry
    map_->places.emplace(key, place);
    return ring_[place] = std::move(slot);
  }
  if (ring_.size() < capacity_) {
    map_->places.emplace(key, ring_.size());
    return ring_.emplace_back(std::move(slot));
  }
  make_room();
  DeviceSlotPtr& place = ring_[hand_];
  map_->places.erase(Key{place->entry().tenant(), place->entry().id()});
  map_->places.emplace(key, hand_);
  place = std::move(slot);
  return place;
}

/// Leaves the hand at a slot that was not used since the hand passed it last.
void DeviceCache::make_room() {
  for (;;) {
    hand_ = hand_ + 1 < ring_.size() ? hand_ + 1 : 0;
    if (!ring_[hand_]->recent_) return;
    ring_[hand_]->recent_ = false;
  }
}

}  // namespace flux::ingest
