#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "config/bytes.h"
#include "core/result.h"
#include "core/time.h"
#include "observe/metrics.h"
#include "store/database/database.h"

namespace flux::store::sqlite {

struct Config {
  std::filesystem::path path;  ///< set by the application: a file in the data folder
  std::uint32_t readers = 2;
  std::uint32_t queue = 4096;
  config::Bytes cache{16_MiB};
  config::Bytes max_size{0};
  Duration busy_timeout = 5_s;
  bool check_at_start = false;
  bool start_anew = false;

  template <class Fields>
  void describe(Fields& fields) {
    fields("readers", readers, "Threads that read beside the one that writes.", {.min = 1, .max = 64});
    fields("queue", queue, "Transactions that may wait before more are refused.", {.min = 16});
    fields("cache", cache, "Memory for pages, per connection.");
    fields("max_size", max_size, "Size at which the database refuses to grow; 0 means the disk decides.");
    fields("busy_timeout", busy_timeout, "How long to wait for another program that holds the database.");
    fields(
        "start_anew", start_anew,
        "Where the registry (users, devices, keys) was lost or damaged, set aside what is left of it and begin a new "
        "one. For one start only; a registry that is whole is kept.");
    fields("check_at_start", check_at_start,
           "Check the whole file at start (seconds per gigabyte); small ones always are.");
  }
};

/// Opens or makes the file: write-ahead journal, an fsync per commit. One process at a time.
/// `unavailable` when the place cannot be written, `corrupt` when the file is damaged or not a database of ours.
Result<std::unique_ptr<Database>> open(const Config& config, metrics::Registry& metrics);

}  // namespace flux::store::sqlite
