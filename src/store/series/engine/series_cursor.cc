#include "store/series/engine/series_cursor.h"

#include <algorithm>

namespace flux::store::engine {
namespace {

constexpr std::size_t kGreatestMerge = 8192;

std::int64_t last_within(const TimeRange& range) {
  return range.to == Time::max() ? std::numeric_limits<std::int64_t>::max() : range.to.ns - 1;
}

TimeRange intersect(const TimeRange& a, const TimeRange& b) { return {std::max(a.from, b.from), std::min(a.to, b.to)}; }

// Upwards, saturating.
std::int64_t ceil_to(std::int64_t time, std::int64_t width) {
  const std::int64_t remainder = time % width;
  if (remainder == 0) return time;
  const std::int64_t floor = remainder > 0 ? time - remainder : time - remainder - width;
  return floor > std::numeric_limits<std::int64_t>::max() - width ? std::numeric_limits<std::int64_t>::max()
                                                                  : floor + width;
}

}  // namespace

void SeriesCursor::add_run(const Run& run, std::uint64_t priority) {
  if (run.times.empty()) return;
  Item item;
  const Key a = key_of(run.times.front());
  const Key b = key_of(run.times.back());
  item.first = std::min(a, b);
  item.last = std::max(a, b);
  item.priority = priority;
  item.run = &run;
  items_.push_back(item);
}

void SeriesCursor::add_blocks(const Part& part, const IndexPage& page, const SeriesEntry& entry,
                              std::span<const TimeRange> erased, TimeRange clip, std::uint64_t priority) {
  if (clip.from >= clip.to) return;
  const auto blocks = page.blocks_of(entry);
  const auto last_time = [](const ValueBlock& block) { return block.summary.last_time; };
  for (auto block = std::ranges::lower_bound(blocks, clip.from.ns, {}, last_time); block != blocks.end(); ++block) {
    const Summary& summary = block->summary;
    if (!overlaps(summary.first_time, summary.last_time, clip)) break;
    Item item;
    const std::int64_t first = std::max(summary.first_time, clip.from.ns);
    const std::int64_t last = std::min(summary.last_time, last_within(clip));
    item.first = std::min(key_of(first), key_of(last));
    item.last = std::max(key_of(first), key_of(last));
    item.priority = priority;
    item.part = &part;
    item.page = &page;
    item.block = &*block;
    item.erased = erased;
    item.clip = clip;
    item.whole = first == summary.first_time && last == summary.last_time &&
                 std::ranges::none_of(erased, [&](const TimeRange& range) { return overlaps(first, last, range); });
    item.has_summary = item.whole && block->has_summary;
    if (item.has_summary) item.summary = summary;
    items_.push_back(item);
  }
}

void SeriesCursor::add_part(const Part& part, const IndexPage& page, const SeriesEntry& entry,
                            std::span<const TimeRange> erased, std::uint64_t priority) {
  add_blocks(part, page, entry, erased, range_, priority);
}

Result<> SeriesCursor::add_part_by_rollups(const Part& part, const IndexPage& page, const SeriesEntry& entry,
                                           std::uint8_t resolution, std::uint64_t priority) {
  const std::int64_t width = kResolutions[resolution].width_ns;
  // Rows that lie wholly within the range stand for their points; the ends are read as points.
  const std::int64_t from =
      ceil_to(std::max(range_.from.ns, page.first_time(entry) - page.first_time(entry) % width - width), width);
  const std::int64_t to_limit = last_within(range_);
  TimeRange inside{Time{std::numeric_limits<std::int64_t>::max()}, Time{std::numeric_limits<std::int64_t>::min()}};
  std::vector<Item> rows;
  for (const RollupBlock& block : page.rollups_of(entry)) {
    if (block.resolution != resolution || block.last_start < from || block.first_start > to_limit) continue;
    TRY(const auto of_block, part.read_rollups(block, type_));
    for (const RollupRow& row : of_block) {
      const std::int64_t end = row.start + (width - 1);
      if (row.start < from || end > to_limit) continue;
      inside.from = std::min(inside.from, Time{row.start});
      inside.to = std::max(inside.to, Time{end == INT64_MAX ? end : end + 1});
      Item& item = rows.emplace_back();
      item.first = key_of(row.summary.first_time);
      item.last = key_of(row.summary.last_time);
      item.priority = priority;
      item.whole = item.has_summary = true;
      item.summary = row.summary;
    }
  }
  items_.insert(items_.end(), rows.begin(), rows.end());
  if (inside.from >= inside.to) {
    add_blocks(part, page, entry, {}, range_, priority);
    return {};
  }
  add_blocks(part, page, entry, {}, intersect(range_, {range_.from, inside.from}), priority);
  add_blocks(part, page, entry, {}, intersect(range_, {inside.to, range_.to}), priority);
  return {};
}

void SeriesCursor::start() { std::ranges::sort(items_, {}, &Item::first); }

const Summary* SeriesCursor::peek() const {
  if (next_ == items_.size() || !active_.empty()) return nullptr;
  const Item& item = items_[next_];
  if (!item.has_summary) return nullptr;
  if (next_ + 1 < items_.size() && items_[next_ + 1].first <= item.last) return nullptr;
  return &item.summary;
}

Result<> SeriesCursor::read(const Item& item, Open& open) {
  DO(item.part->read_times(item.page->time_blocks[item.block->time_block], open.own_keys));
  return item.part->read_values(*item.block, type_, open.own_cells, open.texts);
}

Result<> SeriesCursor::open(const Item& item) {
  Open open;
  open.priority = item.priority;
  if (item.run != nullptr && order_ == Order::oldest_first) {
    open.keys = item.run->times;
    open.cells = item.run->cells;
    active_.push_back(std::move(open));
    return {};
  }
  if (item.run != nullptr) {
    open.own_keys = item.run->times;
    open.own_cells = item.run->cells;
  } else {
    CHECK(item.block != nullptr);  // a rollup row was not skipped: it overlaps something, or leaves its window
    if (const auto read_it = read(item, open); !read_it) {
      if (read_it.error().code == ErrorCode::corrupt && tolerate_ && tolerate_(read_it.error())) return {};
      return read_it;
    }
    if (!item.whole) {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < open.own_keys.size(); ++i) {
        const std::int64_t time = open.own_keys[i];
        if (!is_within(time, item.clip)) continue;
        if (std::ranges::any_of(item.erased, [&](const TimeRange& range) { return is_within(time, range); })) continue;
        open.own_keys[kept] = time;
        open.own_cells[kept++] = open.own_cells[i];
      }
      open.own_keys.resize(kept);
      open.own_cells.resize(kept);
    }
  }
  if (order_ == Order::newest_first) {
    std::ranges::reverse(open.own_keys);
    std::ranges::reverse(open.own_cells);
    for (std::int64_t& key : open.own_keys) key = ~key;
  }
  open.keys = open.own_keys;  // moving a vector keeps its elements where they are
  open.cells = open.own_cells;
  if (!open.keys.empty()) active_.push_back(std::move(open));
  return {};
}

// Point by point while several sources are active: up to where one ends or the next item begins.
void SeriesCursor::merge(Key bound) {
  out_times_.clear();
  out_cells_.clear();
  while (out_times_.size() < kGreatestMerge) {
    Key least = std::numeric_limits<Key>::max();
    for (const Open& source : active_) least = std::min(least, source.keys[source.at]);
    if (next_ < items_.size() && least >= bound) return;
    const Open* winner = nullptr;
    bool ended = false;
    for (Open& source : active_) {
      if (source.keys[source.at] != least) continue;
      if (winner == nullptr || source.priority >= winner->priority) winner = &source;
    }
    out_times_.push_back(least);
    out_cells_.push_back(winner->cells[winner->at]);
    for (Open& source : active_) {
      if (source.keys[source.at] != least) continue;
      ++source.at;
      ended = ended || source.at == source.keys.size();
    }
    if (ended) return;
  }
}

Result<SeriesCursor::Points> SeriesCursor::next() {
  retired_.clear();
  for (;;) {
    if (active_.empty()) {
      if (next_ == items_.size()) return Points{};
      DO(open(items_[next_++]));
      continue;
    }
    Key least = std::numeric_limits<Key>::max();
    for (const Open& source : active_) least = std::min(least, source.keys[source.at]);
    if (next_ < items_.size() && items_[next_].first <= least) {
      DO(open(items_[next_++]));
      continue;
    }
    break;
  }
  const Key bound = next_ < items_.size() ? items_[next_].first : std::numeric_limits<Key>::max();
  Points points;
  if (active_.size() == 1) {
    Open& source = active_.front();
    const auto left = source.keys.subspan(source.at);
    const std::size_t count = next_ < items_.size()
                                  ? static_cast<std::size_t>(std::ranges::lower_bound(left, bound) - left.begin())
                                  : left.size();
    points.times = left.first(count);
    points.cells = source.cells.subspan(source.at, count);
    source.at += count;
    if (order_ == Order::newest_first) out_times_.assign(points.times.begin(), points.times.end());
  } else {
    merge(bound);
    points.times = out_times_;
    points.cells = out_cells_;
  }
  if (order_ == Order::newest_first) {
    for (std::int64_t& time : out_times_) time = ~time;
    points.times = out_times_;
  }
  for (std::size_t i = 0; i < active_.size();) {
    if (active_[i].at == active_[i].keys.size()) {
      retired_.push_back(std::move(active_[i]));
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  return points;
}

}  // namespace flux::store::engine
