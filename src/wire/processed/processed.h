#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/telemetry_batch.h"
#include "wire/control/control.h"

namespace flux::wire {

/// What is known of a device at one point of the log, for whoever handles its readings there. None of it is identity:
/// it can change with the next record. Immutable, shared by all batches between two changes.
struct DeviceContext {
  TenantId tenant;
  std::string device;
  std::string name;         ///< empty: none
  std::string profile;      ///< empty: none
  std::vector<Tag> labels;  ///< sorted by key; the profile's among them
  std::optional<control::Location> location;
  std::vector<std::pair<std::string, std::string>> units;  ///< metric, unit; sorted by metric

  /// Empty where none is known.
  [[nodiscard]] std::string_view unit_of(std::string_view metric) const;
  /// Null where the device has no such label.
  [[nodiscard]] const std::string* label(std::string_view key) const;
};
using DeviceContextPtr = std::shared_ptr<const DeviceContext>;

/// Readings that passed validation, with what is known of their devices: the unit of processed-data.
struct ProcessedBatch {
  BatchPtr batch;
  std::vector<DeviceContextPtr> contexts;  ///< one per group of `batch`, never null
  Position position;                       ///< of the input record in raw-sensor-data
};

/// Dead letters and device events lie in their topics as `{"tenant":1,"id":…}`: first whose it is, then what the API
/// shows.
struct TopicObject {
  TenantId tenant;
  std::string json;  ///< without the tenant
};
/// `corrupt` when the text does not begin so.
Result<TopicObject> split_tenant(std::string_view json);

}  // namespace flux::wire
