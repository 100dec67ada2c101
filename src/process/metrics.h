#pragma once

#include <array>

#include "observe/metrics.h"
#include "process/signals.h"

namespace flux::process {

/// One for all partitions.
struct Metrics {
  explicit Metrics(metrics::Registry& registry);

  metrics::Counter& records;
  metrics::Counter& readings;
  std::array<metrics::Counter*, kReasonCount> refused;
  metrics::Counter& events;
  metrics::Counter& ticks;
  metrics::Counter& stalls;        ///< times that a sink was full
  metrics::Counter& lost_records;  ///< damaged, or missing at its end
  metrics::Counter& checkpoints;
  metrics::Histogram& checkpoint_bytes;
  metrics::Histogram& batch_delay;  ///< from arrival to the sinks
  metrics::Histogram& step_seconds;
};

}  // namespace flux::process
