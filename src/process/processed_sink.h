#pragma once

#include "process/topic_sink.h"

namespace flux::process {

/// Readings that passed, with what is known of their devices, to the topic processed-data: each exactly once.
class ProcessedSink final : public TopicSink {
 public:
  ProcessedSink(bus::Bus& bus, PartitionId partition, Limits limits, Post post)
      : TopicSink(bus, bus::Topic::processed_data, partition, limits, std::move(post)) {}

 protected:
  void collect(const Outputs& outputs) override;
};

}  // namespace flux::process
