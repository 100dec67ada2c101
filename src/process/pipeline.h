#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bus/bus.h"
#include "process/presence.h"
#include "process/signals.h"
#include "process/stage.h"
#include "process/state.h"
#include "wire/processed/processed.h"

namespace flux::process {

/// What one record brought about.
struct Outputs {
  Position position;
  Time received_at;                   ///< of the readings
  wire::ProcessedBatch readings;      ///< `batch` null: none to keep
  std::vector<DeviceStatePtr> heard;  ///< devices of the record, refused or not; may repeat
  std::vector<wire::control::EraseReadings> erase;
  std::vector<Signal> signals;                        ///< by ordinal
  std::array<std::uint64_t, kReasonCount> refused{};  ///< readings, by reason
  std::uint64_t readings_in = 0;
};

/// The state machine of a partition: f(state, record) → (state, outputs), and nothing else goes in.
class Pipeline {
 public:
  /// `state` must outlive it. Call `reset` after loading another.
  explicit Pipeline(PartitionState& state);

  /// Applies the next record. `outputs` is overwritten; its vectors are used again.
  void apply(const bus::Record& record, Outputs& outputs);
  void reset() { plans_.clear(); }

 private:
  void apply_readings(const BatchPtr& batch, Outputs& outputs);
  void apply_control(const bus::Record& record, Outputs& outputs);

  PartitionState& state_;
  ShapePlans plans_;
  Signals signals_;
  Presence* presence_;
  std::vector<std::unique_ptr<Stage>> stages_;
  Work work_;
};

}  // namespace flux::process
