#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "ingest/outbox.h"
#include "registry/directory.h"
#include "wire/json/device_rows.h"

namespace flux::ingest {

/// The measurement of readings that come as JSON.
inline constexpr std::string_view kTelemetry = "telemetry";

/// A device as one shard sees it: its entry, the lane its readings take, and the shapes they have had.
class DeviceSlot final : public wire::json::DeviceRows {
 public:
  DeviceSlot(registry::DeviceEntryPtr entry, Outbox& outbox);

  [[nodiscard]] registry::DeviceEntry& entry() const { return *entry_; }
  [[nodiscard]] const registry::DeviceEntryPtr& entry_ptr() const { return entry_; }
  [[nodiscard]] PartitionId partition() const { return partition_; }

  ValueType type_of(std::string_view metric, ValueType given) override;
  Result<ShapePtr> make_shape(const std::vector<FieldDef>& fields) override;
  Time next_time() override;

 private:
  friend class DeviceCache;
  registry::DeviceEntryPtr entry_;
  PartitionId partition_;
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
