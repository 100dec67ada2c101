#pragma once

#include "process/stage.h"

namespace flux::process {

/// Notes newest event times, and fields that a device has not reported before.
class Discovery final : public Stage {
 public:
  explicit Discovery(PartitionState& state) : state_(state) {}
  void apply(Work& work, Signals& signals) override;

 private:
  void discover(ShapePlan& plan, Time received_at, Signals& signals);
  PartitionState& state_;
};

}  // namespace flux::process
