#pragma once

#include "core/telemetry_batch.h"
#include "process/signals.h"
#include "process/state.h"

namespace flux::process {

/// Refuses the groups whose device was removed while they were under way, before anything makes their device again.
/// Returns the batch itself where there is none, null where nothing is left.
BatchPtr without_removed(const PartitionState& state, const BatchPtr& batch, Signals& signals);

}  // namespace flux::process
