#pragma once

#include "process/stage.h"

namespace flux::process {

/// Notes who was heard from, whatever becomes of the readings; says when a device is new or was silent.
class Presence final : public Stage {
 public:
  explicit Presence(PartitionState& state) : state_(state) {}
  void apply(Work& work, Signals& signals) override;
  /// A tick: says who has fallen silent by then.
  void apply(const wire::control::Tick& tick, Signals& signals);

 private:
  PartitionState& state_;
};

}  // namespace flux::process
