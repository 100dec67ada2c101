#include "stream/metrics.h"

namespace flux::stream {

Metrics::Metrics(metrics::Registry& registry)
    : frames_built(registry.counter("fluxgate_stream_frames_built_total", "Frames built.")),
      frames_sent(registry.counter("fluxgate_stream_frames_sent_total", "Frames given to subscribers.")),
      frame_bytes(registry.counter("fluxgate_stream_frame_sent_bytes_total", "Bytes of frames given to subscribers.")),
      points(registry.counter("fluxgate_stream_points_total", "Points collected for frames.")),
      conflated(registry.counter("fluxgate_stream_conflated_readings_total", "Readings that slow readers missed.")),
      decimated(
          registry.counter("fluxgate_stream_decimated_points_total", "Points beyond what a frame takes of a series.")),
      dropped_queue(registry.counter("fluxgate_stream_dropped_readings_total", "Readings that were not shown live.",
                                     {{"reason", "queue"}})),
      dropped_backlog(registry.counter("fluxgate_stream_dropped_readings_total", "Readings that were not shown live.",
                                       {{"reason", "backlog"}})),
      subscriptions(registry.gauge("fluxgate_stream_subscriptions", "Live subscriptions.")) {}

}  // namespace flux::stream
