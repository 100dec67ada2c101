#pragma once

#include "bus/bus.h"
#include "process/checkpoints.h"
#include "process/metrics.h"
#include "runtime/async.h"
#include "store/series/series_store.h"

namespace flux::process {

/// Where the log ends before what the store has taken from it, before what a checkpoint has seen, or before what its
/// outputs in topics come from (a power cut while the log was not synced always; a segment that was damaged or taken
/// away), new records would get offsets that those believe to know, and be ignored. So it is said and counted, and the
/// gap is filled with records that say nothing. Before anybody publishes.
Async<void> fill_lost_tail(bus::Bus& bus, const store::TimeSeriesStore& store, Checkpoints& checkpoints,
                           Metrics& metrics);

}  // namespace flux::process
