#include "process/metrics.h"

namespace flux::process {

Metrics::Metrics(metrics::Registry& registry)
    : records(registry.counter("fluxgate_process_records_total", "Records of the log that were processed.")),
      readings(registry.counter("fluxgate_process_readings_total", "Readings that came to validation.")),
      events(registry.counter("fluxgate_process_device_events_total", "Device events made.")),
      ticks(registry.counter("fluxgate_process_ticks_total", "Ticks written to the log for timers that were due.")),
      stalls(
          registry.counter("fluxgate_process_stalls_total", "Times that a full store or log made a partition wait.")),
      lost_records(registry.counter("fluxgate_process_lost_records_total", "Records that the log had and lost.")),
      checkpoints(registry.counter("fluxgate_process_checkpoints_total", "Checkpoints that became durable.")),
      checkpoint_bytes(
          registry.histogram("fluxgate_process_checkpoint_bytes", "Size of checkpoints.", metrics::Buckets::bytes())),
      batch_delay(registry.histogram("fluxgate_process_batch_delay_seconds",
                                     "From the arrival of readings to the moment they can be queried, live ones only.",
                                     metrics::Buckets::seconds())),
      step_seconds(registry.histogram("fluxgate_process_step_seconds", "How long a partition holds its shard at once.",
                                      metrics::Buckets::seconds())) {
  for (std::size_t reason = 0; reason < kReasonCount; ++reason) {
    refused[reason] = &registry.counter("fluxgate_process_refused_readings_total",
                                        "Readings refused after they were acknowledged, by reason.",
                                        {{"reason", to_string(static_cast<Reason>(reason))}});
  }
}

}  // namespace flux::process
