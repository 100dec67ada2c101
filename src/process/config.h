#pragma once

#include <cstdint>

#include "config/bytes.h"
#include "config/fields.h"
#include "core/time.h"
#include "wire/control/control.h"

namespace flux::process {

/// The topic processed-data: for programs that read the log.
struct ProcessedDataConfig {
  bool enabled = false;

  template <class Fields>
  void describe(Fields& fields) {
    fields("enabled", enabled,
           "Whether readings that passed are also written to the topic processed-data, with profile, labels, place and "
           "units of their devices: from the start that switches it on, and what that processes again.");
  }
};

struct Config {
  ProcessedDataConfig processed_data;
  Duration silent_after = 10_min;
  Duration max_future = 1_h;
  Duration max_age;
  config::Bytes max_string = 64_KiB;
  std::uint32_t dead_letters_per_record = 1'000;

  config::Bytes read_bytes = 256_KiB;
  Duration checkpoint_interval = 30_s;
  std::uint64_t checkpoint_records = 200'000;
  std::uint32_t output_queue = 4'096;
  config::Bytes output_bytes = 8_MiB;
  Duration tick_interval = 1_s;
  Duration retry_interval = 20_ms;

  template <class Fields>
  void describe(Fields& fields) {
    fields.group("processed_data", processed_data);
    fields("silent_after", silent_after,
           "A device that has not been heard from for so long is silent, unless its profile says otherwise. 0: never.",
           {.min = 0_s});
    fields("max_future", max_future, "Readings whose time lies further than this after their arrival are refused.",
           {.min = 0_s});
    fields("max_age", max_age,
           "Readings whose time lies further than this before their arrival are refused. 0: any age.", {.min = 0_s});
    fields("max_string", max_string, "Text values longer than this are refused.", {.min = 1, .max = 16_MiB});
    fields("dead_letters_per_record", dead_letters_per_record,
           "Refused readings of one batch that get a dead letter each; the others are counted in one.", {.min = 1});
    fields("read_bytes", read_bytes, "How much a partition processes before others of its shard have their turn.",
           {.min = 4_KiB, .max = 64_MiB});
    fields("checkpoint_interval", checkpoint_interval, "Longest time between two checkpoints of a busy partition.",
           {.min = 100_ms});
    fields("checkpoint_records", checkpoint_records, "A checkpoint is due after so many records in any case.",
           {.min = 1});
    fields("output_queue", output_queue,
           "Outputs of a partition to one topic that may wait for the log; its processing waits when there are more.",
           {.min = 1});
    fields("output_bytes", output_bytes, "The same in bytes.", {.min = 4_KiB, .max = 1_GiB});
    fields("tick_interval", tick_interval, "How closely silence is noticed.", {.min = 10_ms});
    fields("retry_interval", retry_interval, "Pause before a full store or log is asked again.", {.min = 1_ms});
  }

  /// What of this must be the same in a replay, and therefore travels in the log.
  [[nodiscard]] wire::control::RulesChanged rules() const {
    return {.silent_after = silent_after,
            .max_future = max_future,
            .max_age = max_age,
            .max_string_bytes = static_cast<std::uint32_t>(max_string.count),
            .dead_letters_per_record = dead_letters_per_record};
  }
};

}  // namespace flux::process
