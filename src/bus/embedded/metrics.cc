#include "bus/embedded/metrics.h"

namespace flux::bus::embedded {

Metrics::Metrics(metrics::Registry& registry)
    : fsync_seconds(registry.histogram("fluxgate_bus_fsync_seconds", "Time one sync of a segment took.",
                                       metrics::Buckets::seconds())),
      group_bytes(registry.histogram("fluxgate_bus_group_bytes", "Size of one group commit of one partition.",
                                     metrics::Buckets::bytes())),
      refused_exhausted(registry.counter("fluxgate_bus_refused_records_total", "Records the log did not take.",
                                         {{"reason", "exhausted"}})),
      refused_unavailable(registry.counter("fluxgate_bus_refused_records_total", "Records the log did not take.",
                                           {{"reason", "unavailable"}})),
      write_errors(registry.counter("fluxgate_bus_errors_total", "Failures of the log's files.", {{"kind", "write"}})),
      fsync_errors(registry.counter("fluxgate_bus_errors_total", "Failures of the log's files.", {{"kind", "fsync"}})),
      corrupt_reads(
          registry.counter("fluxgate_bus_errors_total", "Failures of the log's files.", {{"kind", "corrupt"}})),
      recovery_cut_bytes(registry.counter("fluxgate_bus_recovery_cut_bytes_total",
                                          "Bytes of unfinished writes that recovery cut from the ends of segments.")),
      lost_records(registry.counter("fluxgate_bus_lost_records_total",
                                    "Records that others have seen and that the log no longer had at its start.")),
      segments_created(registry.counter("fluxgate_bus_segments_created_total", "Segment files made.")),
      segments_deleted(
          registry.counter("fluxgate_bus_segments_deleted_total", "Segment files that retention deleted.")),
      file_read_bytes(registry.counter("fluxgate_bus_file_read_bytes_total",
                                       "Bytes that readers behind the tail read from segment files.")) {
  for (const Topic topic : kTopics) {
    const metrics::Labels labels = {{"topic", to_string(topic)}};
    appended[static_cast<std::size_t>(topic)] = {
        &registry.counter("fluxgate_bus_appended_records_total", "Records appended to the log.", labels),
        &registry.counter("fluxgate_bus_appended_readings_total", "Readings appended to the log.", labels),
        &registry.counter("fluxgate_bus_appended_bytes_total", "Bytes appended to the log.", labels)};
  }
}

}  // namespace flux::bus::embedded
