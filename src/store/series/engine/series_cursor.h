#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "store/series/engine/head.h"
#include "store/series/engine/version.h"

namespace flux::store::engine {

/// Points of one series in order, each time once, out of any number of overlapping sources: the source with the
/// greatest priority (the newest flush) wins. Blocks are read when the cursor gets to them, and not at all where the
/// caller is content with their summary. Used by queries and by merges. One thread.
class SeriesCursor {
 public:
  SeriesCursor(ValueType type, TimeRange range, Order order) : type_(type), range_(range), order_(order) {}

  /// Asked when a block turns out damaged: true leaves it out, false fails the reading. Not set: false.
  using OnDamage = std::function<bool(const Error&)>;
  void on_damage(OnDamage tolerate) { tolerate_ = std::move(tolerate); }

  /// Points in memory, which must outlive the cursor.
  void add_run(const Run& run, std::uint64_t priority);
  /// The blocks of a part, which must outlive the cursor. `erased`: what tombstones take away from it.
  void add_part(const Part& part, const IndexPage& page, const SeriesEntry& entry, std::span<const TimeRange> erased,
                std::uint64_t priority);
  /// Lets summaries of rollup rows stand for the points of a part in those rows that lie within the range. Only where
  /// nothing else overlaps the part, and the caller's windows are made of whole rows. After an error nothing is added.
  Result<> add_part_by_rollups(const Part& part, const IndexPage& page, const SeriesEntry& entry,
                               std::uint8_t resolution, std::uint64_t priority);
  /// After the last `add_…`, before the first `next`.
  void start();

  /// The summary of what comes next, where that is a whole block (or row) that nothing overlaps; else null.
  /// After `skip` its points are not given.
  [[nodiscard]] const Summary* peek() const;
  void skip() { ++next_; }

  /// Some points, at least one; empty at the end. Valid until the next call.
  struct Points {
    std::span<const std::int64_t> times;
    std::span<const Cell> cells;
  };
  Result<Points> next();

 private:
  // Newest first is oldest first with all bits of the times turned over: x < y is ~y < ~x. So there is one merge.
  using Key = std::int64_t;
  struct Item {
    Key first;  // inclusive, after clipping
    Key last;
    std::uint64_t priority = 0;
    const Run* run = nullptr;
    const Part* part = nullptr;
    const IndexPage* page = nullptr;
    const ValueBlock* block = nullptr;
    std::span<const TimeRange> erased;
    TimeRange clip;
    bool whole = false;  // all points count: the summary holds
    Summary summary;     // of a whole block that has one, or of a rollup row (then block is null)
    bool has_summary = false;
  };
  struct Open {
    std::uint64_t priority = 0;
    std::size_t at = 0;
    std::span<const Key> keys;
    std::span<const Cell> cells;
    std::vector<std::int64_t> own_keys;
    std::vector<Cell> own_cells;
    TextArena texts;
  };

  [[nodiscard]] Key key_of(std::int64_t time) const { return order_ == Order::oldest_first ? time : ~time; }
  void add_blocks(const Part& part, const IndexPage& page, const SeriesEntry& entry, std::span<const TimeRange> erased,
                  TimeRange clip, std::uint64_t priority);
  Result<> open(const Item& item);
  Result<> read(const Item& item, Open& open);
  void merge(Key bound);

  ValueType type_;
  TimeRange range_;
  Order order_;
  OnDamage tolerate_;
  std::vector<Item> items_;
  std::size_t next_ = 0;
  std::vector<Open> active_;
  std::vector<Open> retired_;  // kept for the strings that the last answer points to
  std::vector<std::int64_t> out_times_;
  std::vector<Cell> out_cells_;
};

}  // namespace flux::store::engine
