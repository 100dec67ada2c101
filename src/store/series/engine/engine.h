#pragma once

#include <filesystem>
#include <memory>

#include "config/bytes.h"
#include "core/result.h"
#include "core/time.h"
#include "observe/metrics.h"
#include "store/series/series_store.h"

/// The embedded time-series engine: heads in memory, immutable parts on disk, one manifest.
/// Formats: docs/formats/part.md and manifest.md.
namespace flux::store::engine {

struct Config {
  config::Bytes flush_bytes = 64_MiB;
  Duration flush_interval = 5_min;
  config::Bytes max_head_bytes = 256_MiB;
  Duration retention = {};
  config::Bytes index_cache_bytes = 32_MiB;
  bool serve_damaged = false;

  template <class Fields>
  void describe(Fields& fields) {
    fields("flush_bytes", flush_bytes, "Readings in memory, over all partitions, at which they are written to parts.",
           {.min = 64_KiB});
    fields("flush_interval", flush_interval, "The longest that readings stay in memory before they are written.",
           {.min = 100_ms});
    fields("max_head_bytes", max_head_bytes,
           "Memory that readings may take while the disk is full or slow; then ingest is slowed down.",
           {.min = 256_KiB});
    fields("retention", retention, "Parts whose readings are all older than this are removed; 0 keeps everything.",
           {.min = Duration{}});
    fields("index_cache_bytes", index_cache_bytes, "Memory for the decoded index pages of parts.", {.min = 64_KiB});
    fields("serve_damaged", serve_damaged,
           "Answer queries from what is left where blocks or parts are damaged, instead of refusing them.");
  }
};

/// Opens the store in `folder`, which is made if it is not there, and starts its flush and merge threads. Destroying
/// the store stops them; what was not flushed comes again from the log. One process at a time per folder (the caller
/// locks it). `corrupt` when the manifest is damaged: nothing was touched. `metrics` must outlive the store.
Result<std::unique_ptr<TimeSeriesStore>> open(const std::filesystem::path& folder, const Config& config,
                                              metrics::Registry& metrics);

/// The same without threads: nothing is flushed or merged but by what is asked for, on the thread that asks. For tools
/// on the folder of a stopped server.
Result<std::unique_ptr<TimeSeriesStore>> open_at_rest(const std::filesystem::path& folder, const Config& config);

}  // namespace flux::store::engine
