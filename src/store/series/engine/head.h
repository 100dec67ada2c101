#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "core/telemetry_batch.h"
#include "store/series/engine/series_index.h"
#include "store/series/engine/text.h"

/// Readings that are not in parts yet, as columns by shape.
///
/// Columns grow by chunks that never move, so a query copies a few pointers and row counts under the partition's mutex
/// and then reads without one: rows below the count that it saw do not change any more.
namespace flux::store::engine {

struct HeadChunk {
  HeadChunk(std::uint32_t rows, std::size_t fields);

  std::uint32_t capacity;
  std::unique_ptr<std::uint64_t[]> words;   // times, then each field, `capacity` each
  std::unique_ptr<std::uint32_t[]> orders;  // of the append that a row came with
  // Bit r of field f: whether the row has the value. Only made once a row lacks one. Words are shared by rows that
  // readers see and rows being written, hence atomic.
  std::unique_ptr<std::atomic<std::uint64_t>[]> validity;

  [[nodiscard]] std::size_t validity_words() const { return (capacity + 63) / 64; }
  [[nodiscard]] std::span<std::int64_t> times() const {
    return {reinterpret_cast<std::int64_t*>(words.get()), capacity};
  }
  [[nodiscard]] std::span<Cell> column(std::size_t field) const {
    return {words.get() + capacity * (1 + field), capacity};
  }
  [[nodiscard]] static std::size_t memory_bytes(std::uint32_t rows, std::size_t fields);
};

/// The newest reading of a series in one head.
struct NewestInHead {
  bool any = false;
  std::int64_t time = INT64_MIN;
  std::int64_t received = 0;
  std::uint32_t order = 0;
  Cell cell = 0;
};

/// All rows of one shape in one head.
class ShapeHead {
 public:
  ShapeHead(ShapePtr shape, std::span<const SeriesNumber> series);

  struct Chunk {
    std::unique_ptr<HeadChunk> data;
    std::uint32_t rows = 0;
    std::int64_t first_time = INT64_MAX;
    std::int64_t last_time = INT64_MIN;
  };

  /// Copies a group; the bytes that memory grew by.
  std::size_t append(const TelemetryBatch& batch, const TelemetryBatch::Group& group, std::uint32_t order,
                     TextArena& texts);

  [[nodiscard]] const Shape& shape() const { return *shape_; }
  [[nodiscard]] std::span<const SeriesNumber> series() const { return series_; }
  [[nodiscard]] const std::vector<Chunk>& chunks() const { return chunks_; }
  [[nodiscard]] std::span<NewestInHead> newest() { return newest_; }
  [[nodiscard]] std::span<const NewestInHead> newest() const { return newest_; }

 private:
  ShapePtr shape_;
  std::vector<SeriesNumber> series_;  // kNoSeries: refused, its column is not read
  std::vector<Chunk> chunks_;
  std::vector<NewestInHead> newest_;
};

struct FingerprintHash {
  using is_avalanching = void;
  std::size_t operator()(const Fingerprint& f) const noexcept { return f.low; }
};

/// Every shape's rows of one partition since the last cut.
struct Head {
  std::uint64_t flush = 0;  ///< the number that it is flushed under
  PartitionId partition;
  std::uint32_t next_order = 1;
  std::deque<ShapeHead> shapes;
  boost::unordered_flat_map<Fingerprint, std::vector<ShapeHead*>, FingerprintHash> by_stem;
  TextArena texts;
  std::uint64_t values = 0;
  std::size_t bytes = 0;
  Duration opened_at;  ///< monotonic, of the first append
  Offset next;         ///< everything before was offered; set when the head is cut
};
using HeadPtr = std::shared_ptr<Head>;

/// What a query sees of one column.
struct ColumnView {
  struct Chunk {
    const HeadChunk* data = nullptr;
    const std::atomic<std::uint64_t>* validity = nullptr;  // of this field; null: every row has the value
    std::uint32_t rows = 0;
    std::int64_t first_time = 0;
    std::int64_t last_time = 0;
  };
  std::size_t field = 0;
  std::vector<Chunk> chunks;
};

/// Takes the view of `field`; under the partition's mutex unless the head is cut.
ColumnView view_column(const ShapeHead& head, std::size_t field);

/// Rows with a smaller order and a time within are gone.
struct ErasedRows {
  std::uint32_t before_order = 0;
  TimeRange range;
};

/// Points by ascending time, each time once: the last write of each.
struct Run {
  std::vector<std::int64_t> times;
  std::vector<Cell> cells;
};

/// One series out of the shapes of one head that have it.
Run gather(std::span<const ColumnView> columns, TimeRange range, std::span<const ErasedRows> erased);
/// The newest of them, at least `count` where there are as many: mostly out of the newest chunks alone.
Run gather_newest(std::span<const ColumnView> columns, TimeRange range, std::span<const ErasedRows> erased,
                  std::size_t count);

}  // namespace flux::store::engine
