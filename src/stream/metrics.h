#pragma once

#include "observe/metrics.h"

namespace flux::stream {

struct Metrics {
  explicit Metrics(metrics::Registry& registry);

  metrics::Counter& frames_built;
  metrics::Counter& frames_sent;  ///< over frames_built: how well frames are shared
  metrics::Counter& frame_bytes;
  metrics::Counter& points;           ///< collected for frames
  metrics::Counter& conflated;        ///< readings that a slow reader missed
  metrics::Counter& decimated;        ///< points beyond what a frame takes
  metrics::Counter& dropped_queue;    ///< readings dropped because a shard did not keep up
  metrics::Counter& dropped_backlog;  ///< readings, texts or events that a slow reader's backlog had no room for
  metrics::Gauge& subscriptions;
};

}  // namespace flux::stream
