#pragma once

#include <cstdint>

#include "bus/bus.h"
#include "config/bytes.h"
#include "core/result.h"
#include "core/time.h"

namespace flux::bus::embedded {

using config::Bytes;

enum class Fsync : std::uint8_t {
  always,    ///< answered once fdatasync returned: survives a power cut
  interval,  ///< answered after write(2), synced every `fsync_interval`: survives a crash of the process only
  off,       ///< answered after write(2), synced when a segment is sealed: survives a crash of the process only
};

/// How long one topic keeps what no group needs any more. Zero means no limit of that kind.
struct Retention {
  Duration age = 7_s * 86'400;
  Bytes bytes = 8_GiB;
  Bytes max_bytes = 0;

  template <class Fields>
  void describe(Fields& fields) {
    fields("age", age, "Segments whose newest record is older than this are deleted; 0 keeps them.");
    fields("bytes", bytes,
           "Oldest segments are deleted above this size, shared evenly by the topic's partitions; 0 keeps them.");
    fields("max_bytes", max_bytes,
           "Hard cap, shared evenly by the topic's partitions: publishing is refused while consumers still need that "
           "much; 0 means none, so that only the disk is the limit.");
  }
};

struct Config {
  std::uint32_t partitions = 0;
  Fsync fsync = Fsync::always;
  Duration fsync_interval = 100_ms;
  Bytes segment_bytes = 128_MiB;
  Duration segment_age = 6_h;
  Bytes group_bytes = 8_MiB;
  Bytes queue_bytes = 64_MiB;
  Bytes tail_bytes = 64_MiB;
  Bytes record_bytes = 16_MiB;
  Bytes disk_reserve_bytes = 64_MiB;
  std::uint32_t threads = 2;
  Retention retention[kTopicCount];

  Config() {
    // What the broker does not need any more, nobody does.
    retention[static_cast<std::size_t>(Topic::broker_state)] = {.age = 0_s, .bytes = 64_MiB, .max_bytes = 0};
  }

  template <class Fields>
  void describe(Fields& fields) {
    fields("partitions", partitions,
           "Partitions of every topic, fixed when the data folder is made; 0 takes one per core, at most 16.",
           {.max = std::uint32_t{kBucketCount}});
    fields("fsync", fsync,
           "When a record counts as durable: `always` syncs first; `interval` and `off` answer after the write and "
           "survive a crash of the process only, not of the machine.",
           {{"always", Fsync::always}, {"interval", Fsync::interval}, {"off", Fsync::off}});
    fields("fsync_interval", fsync_interval, "Time between syncs where fsync is `interval`.", {.min = 1_ms});
    fields("segment_bytes", segment_bytes, "Size at which a segment is sealed.",
           {.min = Bytes(64_KiB), .max = Bytes(1_GiB)});
    fields("segment_age", segment_age, "Age at which a segment that has records is sealed.", {.min = 1_s});
    fields("group_bytes", group_bytes, "Most that one group commit of one partition writes.",
           {.min = Bytes(4_KiB), .max = Bytes(256_MiB)});
    fields("queue_bytes", queue_bytes, "Records taken but not yet durable, at most; more is refused.",
           {.min = Bytes(64_KiB)});
    fields("tail_bytes", tail_bytes,
           "Newest records kept in memory for readers at the tail, per topic, shared evenly by its partitions.");
    fields("record_bytes", record_bytes, "Size of a single record, at most.",
           {.min = Bytes(4_KiB), .max = Bytes(256_MiB)});
    fields("disk_reserve_bytes", disk_reserve_bytes,
           "Free space that the log leaves to the stores beside it (at most 2 % of the disk): below it publishing is "
           "refused.");
    fields("threads", threads, "Threads that write and sync; a partition is worked on by one at a time.",
           {.min = 1U, .max = 64U});
    // Of the topics that this version writes: a setting of another would do nothing.
    for (const Topic topic : {Topic::raw_sensor_data, Topic::processed_data, Topic::dead_letters, Topic::device_events,
                              Topic::broker_state})
      fields.group(key_of(topic), retention[static_cast<std::size_t>(topic)]);
  }

  Result<> validate() const;

 private:
  /// `raw_sensor_data`: keys have underscores where topic names have hyphens.
  static std::string key_of(Topic topic);
};

}  // namespace flux::bus::embedded
