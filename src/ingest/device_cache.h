#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/outbox.h"
#include "registry/directory.h"
#include "wire/json/device_rows.h"

namespace flux::ingest {

/// The measurement of readings that come as JSON.
inline constexpr std::string_view kTelemetry = "telemetry";

/// Where devices come from that nobody has registered.
class DeviceMaker {
 public:
  virtual ~DeviceMaker() = default;
  /// Null as long as there is none.
  virtual registry::DeviceEntryPtr known(TenantId tenant, std::string_view device) = 0;
  /// For the message at hand, whose first reading of the device is about to be taken. `exhausted` when there are too
  /// many devices, or too many new ones.
  virtual Result<registry::DeviceEntryPtr> make(TenantId tenant, std::string_view device) = 0;
};

/// A device as one shard sees it: its entry, the lane its readings take, and the shapes they have had. One that is not
/// registered has no entry until the first of its readings is taken: names alone make no devices.
class DeviceSlot final : public wire::json::DeviceRows {
 public:
  DeviceSlot(registry::DeviceEntryPtr entry, Outbox& outbox);
  /// Of a device that is not there yet. `maker` outlives the slot's last message.
  DeviceSlot(TenantId tenant, std::string_view id, DeviceMaker& maker, Outbox& outbox);

  [[nodiscard]] const std::string& id() const { return entry_ ? entry_->id() : new_id_; }
  [[nodiscard]] bool registered() const { return entry_ != nullptr; }
  [[nodiscard]] bool removed() const { return entry_ && entry_->removed(); }
  /// Of a registered one.
  [[nodiscard]] registry::DeviceEntry& entry() const { return *entry_; }
  /// Null while it is not registered.
  [[nodiscard]] const registry::DeviceEntryPtr& entry_ptr() const { return entry_; }
  [[nodiscard]] PartitionId partition() const { return partition_; }

  ValueType type_of(std::string_view metric, ValueType given) override;
  Result<ShapePtr> make_shape(const std::vector<FieldDef>& fields) override;
  Time next_time() override;

 private:
  friend class DeviceCache;
  DeviceSlot(registry::DeviceEntryPtr entry, BucketId bucket, Outbox& outbox);

  registry::DeviceEntryPtr entry_;
  PartitionId partition_;
  DeviceMaker* maker_ = nullptr;  // of one that was not registered when the slot was made
  TenantId new_tenant_{};
  std::string new_id_;
  bool recent_ = false;  // was used since the cache's clock hand passed; new ones have to earn it
};
using DeviceSlotPtr = std::shared_ptr<DeviceSlot>;

/// The devices that a shard hears from, by tenant and id, at most so many: those not heard from lately make room
/// (clock). One thread. A slot that left stays valid for its holders.
class DeviceCache {
 public:
  explicit DeviceCache(std::size_t capacity);
  ~DeviceCache();

  /// Null when it is not here, or was removed from the registry.
  [[nodiscard]] DeviceSlotPtr find(TenantId tenant, std::string_view device);
  const DeviceSlotPtr& insert(registry::DeviceEntryPtr entry, Outbox& outbox);
  /// A slot whose device is registered by now.
  const DeviceSlotPtr& insert(DeviceSlotPtr slot);
  [[nodiscard]] std::size_t size() const { return ring_.size(); }

 private:
  void make_room();

  struct Map;
  std::size_t capacity_;
  std::unique_ptr<Map> map_;
  std::vector<DeviceSlotPtr> ring_;
  std::size_t hand_ = 0;
};

}  // namespace flux::ingest
