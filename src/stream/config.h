#pragma once

#include <cstdint>

#include "config/bytes.h"
#include "config/fields.h"
#include "core/time.h"

namespace flux::stream {

struct Config {
  Duration interval = 50_ms;
  Duration min_interval = 10_ms;
  std::uint32_t points_per_frame = 512;
  config::Bytes frame_bytes = 256_KiB;
  config::Bytes backlog = 4_MiB;
  config::Bytes queue = 64_MiB;
  std::uint32_t events_backlog = 256;

  template <class Fields>
  void describe(Fields& fields) {
    fields("interval", interval, "Time between two frames of a subscription that says nothing of it.", {.min = 1_ms});
    fields("min_interval", min_interval, "The shortest that a subscription may ask for.", {.min = 1_ms});
    fields("points_per_frame", points_per_frame,
           "Points of one series in one frame. Beyond it the extremes of each stretch are kept.", {.min = 8});
    fields("frame_bytes", frame_bytes, "Size at which a frame is cut in two.", {.min = 1_KiB});
    fields("backlog", backlog, "What is kept of texts for one slow reader; the newest of each series.", {.min = 4_KiB});
    fields("queue", queue,
           "Readings under way to the connections of one shard; beyond it they are dropped and counted.",
           {.min = 1_MiB});
    fields("events_backlog", events_backlog, "Events kept for one slow reader; beyond it the oldest go.", {.min = 1});
  }
};

}  // namespace flux::stream
