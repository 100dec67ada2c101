#pragma once

#include <array>

#include "bus/bus.h"
#include "observe/metrics.h"

namespace flux::bus::embedded {

struct Metrics {
  explicit Metrics(metrics::Registry& registry);

  struct PerTopic {
    metrics::Counter* records;
    metrics::Counter* readings;
    metrics::Counter* bytes;
  };
  std::array<PerTopic, kTopicCount> appended;

  metrics::Histogram& fsync_seconds;
  metrics::Histogram& group_bytes;
  metrics::Counter& refused_exhausted;
  metrics::Counter& refused_unavailable;
  metrics::Counter& write_errors;
  metrics::Counter& fsync_errors;
  metrics::Counter& corrupt_reads;
  metrics::Counter& recovery_cut_bytes;
  metrics::Counter& lost_records;
  metrics::Counter& segments_created;
  metrics::Counter& segments_deleted;
  metrics::Counter& file_read_bytes;
};

}  // namespace flux::bus::embedded
