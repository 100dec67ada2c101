#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/telemetry_batch.h"
#include "store/series/maintenance.h"

/// The port to whatever keeps time series. The embedded engine lies in `engine/`.
namespace flux::store {

/// What one series is: everything that its `SeriesId` stands for, and its type.
struct SeriesInfo {
  SeriesId id;
  TenantId tenant;
  std::string database;
  std::string retention_policy;
  std::string measurement;
  std::string device;
  std::vector<Tag> tags;
  std::string field;
  ValueType type = ValueType::float64;
};
using SeriesInfoPtr = std::shared_ptr<const SeriesInfo>;

/// Which series: all conditions hold; an empty list means any.
struct SeriesSelector {
  TenantId tenant;
  std::string database;          ///< empty: any
  std::string retention_policy;  ///< empty: any
  std::vector<std::string> measurements;
  std::vector<std::string> devices;
  std::vector<std::string> fields;
  std::vector<Tag> tags;  ///< each must be there with just this value
};

/// Half open: [from, to); `Time::max()` as the end means no end.
struct TimeRange {
  Time from = Time::min();
  Time to = Time::max();
};

enum class Aggregate : std::uint8_t { count, sum, min, max, mean, first, last };
std::string_view to_string(Aggregate aggregate);

struct Window {
  Duration width;   ///< > 0
  Duration offset;  ///< windows start at offset + k · width since the epoch
};

/// Values of one series, oldest first (or newest first, where the request says so), at most one per time.
struct Points {
  SeriesInfoPtr series;
  std::vector<std::int64_t> times;  ///< ns
  std::vector<Cell> cells;          ///< by the series' type; StringRef into `heap`
  std::string heap;
};

/// One window of one series. Over bool, false is 0 and true 1; a string series has count, first and last only.
/// NaN is counted and makes the sum NaN, but is min or max only where there is nothing else (then the quiet NaN);
/// among zeros, -0.0 is less than 0.0.
struct WindowRow {
  std::int64_t start = 0;   ///< ns, the window's inclusive start
  std::uint64_t count = 0;  ///< at least 1: empty windows are not given
  double sum = 0;           ///< of the values as doubles, compensated (Neumaier)
  Cell min = 0;             ///< by the series' type
  Cell max = 0;
  Cell first = 0;
  Cell last = 0;
  std::int64_t first_time = 0;
  std::int64_t last_time = 0;
};

struct WindowedPoints {
  SeriesInfoPtr series;
  std::vector<WindowRow> rows;
  std::string heap;
};

struct LastPoint {
  SeriesInfoPtr series;
  Time time;         ///< the greatest event time
  Time received_at;  ///< when that reading arrived; the event time where an erase took away what was newer
  Value value;
};

enum class Order : std::uint8_t { oldest_first, newest_first };

/// Limits that a query runs under; passing one is `exhausted` with the limit's name.
struct QueryLimits {
  std::size_t max_series = 100'000;
  std::size_t max_points = 10'000'000;
};

/// Called with each chunk in turn on the querying thread; false ends the query early (not an error).
template <class Chunk>
using ChunkSink = std::move_only_function<bool(Chunk&&)>;

struct StoreStats {
  std::uint64_t series = 0;
  std::uint64_t parts = 0;
  std::uint64_t part_bytes = 0;
  std::uint64_t points = 0;  ///< values in parts and heads, overwritten ones still counted until merged
  std::uint64_t head_bytes = 0;
  bool read_only = false;  ///< a full disk: flushes wait, appends go on until the heads are full
  std::string read_only_reason;
  std::vector<std::string> damaged;  ///< files, with the place, that were found unreadable since the store was opened
};

/// Keeps readings. Reads are thread-safe and see every append that returned before they began; `append` is called by
/// the one thread that owns the partition.
class TimeSeriesStore {
 public:
  virtual ~TimeSeriesStore() = default;

  /// Takes the readings of one log record; visible to queries on return, durable once `resume_from(partition)` passes
  /// `offset` (until then the log is their durability). Offsets that were taken before are ignored. A series keeps the
  /// type of its first reading; readings of another type are dropped and counted.
  /// `exhausted` when the heads are full and cannot be flushed: nothing was taken, try again later.
  virtual Result<> append(PartitionId partition, Offset offset, const TelemetryBatch& batch) = 0;
  /// Notes that everything up to `offset` was offered, where a record held nothing for the store.
  virtual void advance(PartitionId partition, Offset offset) = 0;

  /// The next offset to offer after a start: everything before is in durable parts.
  [[nodiscard]] virtual Offset resume_from(PartitionId partition) const = 0;
  /// Makes everything appended so far durable in parts; returns when it is. For shutdown, backup and tests;
  /// the engine flushes by itself by size and age.
  virtual Result<> flush() = 0;

  /// Series that match and have a reading, ordered by (device, measurement, field, tags, database, retention policy),
  /// at most `limit`, starting after `after`. `invalid_argument` when `after` is not a series that the selector
  /// matches.
  virtual Result<std::vector<SeriesInfoPtr>> list(const SeriesSelector& selector, std::size_t limit,
                                                  std::optional<SeriesId> after = {}) const = 0;
  /// The newest reading of every matching series.
  virtual Result<std::vector<LastPoint>> latest(const SeriesSelector& selector) const = 0;
  /// Raw points, series by series in the order of `list`, in chunks; at most `limit` points per series. Errors of all
  /// queries: `exhausted` (a limit), `cancelled`, `corrupt` (a damaged block or part lies within the range; the message
  /// names it), `invalid_argument`.
  virtual Result<> scan(const SeriesSelector& selector, TimeRange range, Order order, std::size_t limit,
                        const QueryLimits& limits, std::stop_token stop, ChunkSink<Points> sink) const = 0;
  /// Windows, series by series, oldest first. Windows cut by the range hold what lies inside it.
  virtual Result<> aggregate(const SeriesSelector& selector, TimeRange range, Window window, const QueryLimits& limits,
                             std::stop_token stop, ChunkSink<WindowedPoints> sink) const = 0;

  /// Removes the readings that this partition was given before `offset` (a control record's), of matching series and
  /// within the range, for good; readings appended after it are kept. Called by the partition's thread, in order;
  /// a repeat after a crash does nothing new.
  virtual Result<> erase(PartitionId partition, Offset offset, const SeriesSelector& selector, TimeRange range) = 0;
  [[nodiscard]] virtual StoreStats stats() const = 0;

  /// Null where the adapter keeps no files of its own.
  [[nodiscard]] virtual Maintenance* maintenance() { return nullptr; }
};

}  // namespace flux::store
