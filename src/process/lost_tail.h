#pragma once

#include "bus/bus.h"
#include "runtime/async.h"
#include "store/series/series_store.h"

namespace flux::process {

/// Where the log ends before what the store has taken from it, or before what its outputs in topics come from (a power
/// cut while the log was not synced always), new records would get offsets that the store and the topics believe to
/// know, and be ignored. So the gap is filled with records that say nothing. Before anybody publishes.
Async<void> fill_lost_tail(bus::Bus& bus, const store::TimeSeriesStore& store);

}  // namespace flux::process
