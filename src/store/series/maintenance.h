#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/result.h"

/// What an operator asks of a store that keeps files: is it whole, what takes the room, and make it as small as it
/// gets.
namespace flux::store {

/// What reading every byte of the store found.
struct CheckReport {
  std::uint64_t parts = 0;
  std::uint64_t series = 0;  ///< summed over parts
  std::uint64_t blocks = 0;  ///< of times, values and rollups
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;            ///< of files
  std::vector<std::string> problems;  ///< each with file and place; empty: the store is whole
};

/// What a share of the store takes.
struct Share {
  std::uint64_t blocks = 0;
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;
};

struct StorageReport {
  std::uint64_t parts = 0;
  std::uint64_t values = 0;  ///< in parts
  std::uint64_t bytes = 0;   ///< of files
  Share times;
  Share coded;                    ///< values
  Share rollups;                  ///< `values`: rows
  std::uint64_t index_bytes = 0;  ///< pages, directories, headers, footers
  struct Metric {
    TenantId tenant;
    std::string database;
    std::string measurement;
    std::string field;
    Share share;  ///< of its values alone; the times of a device's fields are shared
  };
  std::vector<Metric> metrics;  ///< by bytes, greatest first
  struct Codec {
    std::string name;  ///< such as `times delta`, `decimal zigzag, entropy`
    Share share;
  };
  std::vector<Codec> codecs;          ///< by bytes, greatest first
  std::vector<std::string> problems;  ///< what could not be read and is not counted
};

struct MergeStatus {
  bool running = false;
  std::uint64_t merges = 0;    ///< done since it was asked for
  std::optional<Error> error;  ///< why the last one that was asked for ended early
};

/// Thread-safe. What reads files blocks: call it on a worker.
class Maintenance {
 public:
  virtual ~Maintenance() = default;

  /// Reads and decodes everything in parts. Problems are in the report; errors: `cancelled`, or the disk's.
  virtual Result<CheckReport> check(std::stop_token stop) = 0;
  virtual Result<StorageReport> storage(std::stop_token stop) = 0;

  /// Makes everything appended durable in parts and merges them until each time slice is one part and no delete waits.
  /// Returns at once; `merge_status` says how it goes. Asking again while it runs does nothing.
  virtual void start_merge_to_end() = 0;
  [[nodiscard]] virtual MergeStatus merge_status() const = 0;
};

/// As the API and `fluxgate store --json` give them.
std::string to_json(const CheckReport& report);
std::string to_json(const StorageReport& report);
std::string to_json(const MergeStatus& status);

}  // namespace flux::store
