#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/telemetry_batch.h"
#include "process/signals.h"
#include "process/state.h"
#include "wire/processed/processed.h"

namespace flux::process {

/// What a column is checked against, made once per shape and profile. `low` and `high` include.
struct FieldCheck {
  enum class Kind : std::uint8_t { float64, float64_or_non_finite, int64, uint64, string };
  std::uint32_t field = 0;
  Kind kind = Kind::float64;
  double low = std::numeric_limits<double>::lowest();
  double high = std::numeric_limits<double>::max();
  std::int64_t low_int = INT64_MIN;
  std::int64_t high_int = INT64_MAX;
  std::uint64_t low_uint = 0;
  std::uint64_t high_uint = UINT64_MAX;  ///< of a string: the greatest length
};

/// What there is to do for the rows of one shape: found by the shape's address, good until its device's epoch moves.
struct ShapePlan {
  ShapePtr shape;
  DeviceStatePtr device;
  std::uint32_t epoch = 0;
  bool metrics_known = false;  ///< the device's metrics have all fields of the shape
  std::vector<FieldCheck> checks;
};

/// Finds plans. One thread, one partition.
class ShapePlans {
 public:
  explicit ShapePlans(PartitionState& state);
  ~ShapePlans();
  /// Good until `trim`. Makes the device's state if there is none.
  ShapePlan& plan(const ShapePtr& shape);
  /// Forgets plans when there are many more than devices: shapes come and go with the log's segments.
  void trim();
  void clear();

 private:
  void make(ShapePlan& plan);
  struct Map;
  PartitionState& state_;
  std::unique_ptr<Map> map_;
};

/// The readings of one record on their way through the stages.
struct Work {
  Position position;
  Time received_at;
  BatchPtr batch;                                ///< what goes on; null when nothing is left
  std::vector<ShapePlan*> plans;                 ///< one per group of `batch`
  std::vector<Time> newest;                      ///< greatest event time per group; set by validation
  std::vector<wire::DeviceContextPtr> contexts;  ///< set by enrichment
};

/// One step of processing. Deterministic: looks at nothing but its arguments and the partition's state. Costs one call
/// per batch and plain loops over columns within.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual void apply(Work& work, Signals& signals) = 0;
};

}  // namespace flux::process
