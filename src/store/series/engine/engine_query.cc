// Reads: heads and parts of one moment, merged series by series.

#include <algorithm>
#include <limits>

#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

constexpr std::size_t kChunkPoints = 64 * 1024;
constexpr std::size_t kMostChunkText = 4 * 1024 * 1024;

constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

// Start of the window that `time` lies in; the first possible time where it would lie before that.
std::int64_t window_start(std::int64_t time, const Window& window) {
  const __int128 since = static_cast<__int128>(time) - window.offset.ns;
  __int128 remainder = since % window.width.ns;
  if (remainder < 0) remainder += window.width.ns;
  return static_cast<std::int64_t>(std::max<__int128>(time - remainder, kFirst));
}

// The last time of the window that `time` lies in.
std::int64_t window_last(std::int64_t time, const Window& window) {
  const __int128 since = static_cast<__int128>(time) - window.offset.ns;
  __int128 remainder = since % window.width.ns;
  if (remainder < 0) remainder += window.width.ns;
  return static_cast<std::int64_t>(std::min<__int128>(time - remainder + (window.width.ns - 1), kLast));
}

std::optional<std::uint8_t> resolution_for(const Window& window) {
  for (std::size_t i = kResolutions.size(); i-- > 0;)
    if (window.width.ns % kResolutions[i].width_ns == 0 && window.offset.ns % kResolutions[i].width_ns == 0)
      return static_cast<std::uint8_t>(i);
  return std::nullopt;
}

Cell keep_text(Cell cell, std::string& heap) {
  const std::string_view text = text_of(cell);
  const StringRef ref{static_cast<std::uint32_t>(heap.size()), static_cast<std::uint32_t>(text.size())};
  heap += text;
  return to_cell(ref);
}

Value to_value(ValueType type, Cell cell) {
  switch (type) {
    case ValueType::float64: return as_float64(cell);
    case ValueType::int64: return as_int64(cell);
    case ValueType::uint64: return cell;
    case ValueType::boolean: return cell != 0;
    case ValueType::string: return std::string(text_of(cell));
  }
  return 0.0;
}

std::unexpected<Error> cancelled() { return fail(ErrorCode::cancelled, "the query was cancelled"); }

// Adds up points and summaries into windows, oldest first.
class WindowBuilder {
 public:
  WindowBuilder(ValueType type, const Window& window, WindowedPoints& out) : type_(type), window_(window), out_(out) {}

  [[nodiscard]] bool is_one_window(const Summary& summary) const {
    return window_last(summary.first_time, window_) >= summary.last_time;
  }

  void add(const Summary& summary) {
    if (current_.count > 0 && summary.first_time > window_end_) finish();
    if (current_.count == 0) window_end_ = window_last(summary.first_time, window_);
    merge(type_, current_, summary);
  }

  void add(std::span<const std::int64_t> times, std::span<const Cell> cells) {
    while (!times.empty()) {
      const std::int64_t end = window_last(times.front(), window_);
      const auto after = std::ranges::upper_bound(times, end);
      const auto count = static_cast<std::size_t>(after - times.begin());
      Summary summary = summarize(type_, times.first(count), cells.first(count));
      if (type_ == ValueType::string) keep_strings(summary);
      add(summary);
      times = times.subspan(count);
      cells = cells.subspan(count);
    }
  }

  void finish() {
    if (current_.count == 0) return;
    WindowRow row;
    row.start = window_start(current_.first_time, window_);
    row.count = current_.count;
    row.first_time = current_.first_time;
    row.last_time = current_.last_time;
    row.first = current_.first;
    row.last = current_.last;
    if (type_ == ValueType::string) {
      row.first = keep_text(row.first, out_.heap);
      row.last = keep_text(row.last, out_.heap);
      texts_ = TextArena();
    } else {
      row.sum = current_.sum.value();
      row.min = current_.min;
      row.max = current_.max;
    }
    out_.rows.push_back(row);
    current_ = {};
  }

 private:
  // The cursor's strings are gone with its next step.
  void keep_strings(Summary& summary) {
    if (current_.count > 0 && summary.first_time > window_end_) finish();
    if (current_.count == 0) summary.first = texts_.add(text_of(summary.first));
    summary.last = texts_.add(text_of(summary.last));
  }

  ValueType type_;
  Window window_;
  WindowedPoints& out_;
  Summary current_;
  std::int64_t window_end_ = 0;
  TextArena texts_;
};

}  // namespace

Engine::Snapshot Engine::snapshot() const {
  Snapshot now;
  const std::scoped_lock state_lock(state_mutex_);
  now.version = version_;
  for (const auto& place : partitions_) {
    Partition* of = place.load(std::memory_order_acquire);
    if (of == nullptr) continue;
    const std::scoped_lock lock(of->mutex);
    for (const HeadPtr& head : of->cut) now.heads.push_back({of, head});
    if (of->head != nullptr) now.heads.push_back({of, of->head});
  }
  return now;
}

bool Engine::tolerate(const Error& error) const {
  note_damage(error);
  return config_.serve_damaged;
}

Result<> Engine::check_range(const Snapshot& now, TimeRange range) const {
  if (config_.serve_damaged) return {};
  for (const DamagedPart& damaged : now.version->damaged)
    if (overlaps(damaged.meta.first_time, damaged.meta.last_time, range))
      return fail(ErrorCode::corrupt, damaged.problem);
  return {};
}

// `newest`: how many of the newest points are enough. `of_stem` and `stem` carry what the parts have of a stem from one
// of its series to the next.
Result<Engine::Sources> Engine::collect(const Snapshot& now, const SelectedSeries& series, TimeRange range,
                                        std::size_t newest, std::vector<Part::Found>& of_stem,
                                        Fingerprint& stem) const {
  Sources sources;
  std::vector<const Tombstone*> tombstones;
  for (const Tombstone& tombstone : now.version->tombstones)
    if (index_.matches(series.number, tombstone.selector)) tombstones.push_back(&tombstone);

  for (const QueryHead& in : now.heads) {
    if (in.partition->id != series.partition && !series.many_partitions) continue;
    std::vector<ColumnView> views;
    {
      const std::scoped_lock lock(in.partition->mutex);
      const auto shapes = in.head->by_stem.find(series.stem);
      if (shapes == in.head->by_stem.end()) continue;
      for (const ShapeHead* shape : shapes->second) {
        const auto field = std::ranges::find(shape->series(), series.number);
        if (field != shape->series().end())
          views.push_back(view_column(*shape, static_cast<std::size_t>(field - shape->series().begin())));
      }
    }
    std::vector<ErasedRows> erased;
    for (const Tombstone* tombstone : tombstones) {
      if (tombstone->partition != in.partition->id && tombstone->partition != series.partition) continue;
      if (tombstone->flush == in.head->flush && tombstone->partition == in.partition->id)
        erased.push_back({tombstone->order, tombstone->range});
      else if (tombstone->flush > in.head->flush)
        erased.push_back({std::numeric_limits<std::uint32_t>::max(), tombstone->range});
    }
    HeadSource source{newest == SIZE_MAX ? gather(views, range, erased) : gather_newest(views, range, erased, newest),
                      in.head->flush};
    if (!source.run.times.empty()) sources.heads.push_back(std::move(source));
  }

  const auto& parts = now.version->parts;
  if (of_stem.size() != parts.size() || stem != series.stem) {
    of_stem.assign(parts.size(), {});
    stem = series.stem;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const PartMeta& meta = parts[i].part->meta();
      if (!overlaps(meta.first_time, meta.last_time, range)) continue;
      auto found = parts[i].part->find(series.stem);
      if (found) of_stem[i] = *std::move(found);
      else if (found.error().code != ErrorCode::corrupt || !tolerate(found.error()))
        return std::unexpected(found.error());
    }
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part::Found& found = of_stem[i];
    if (found.stem == nullptr) continue;
    const auto entries = found.page->series_of(*found.stem);
    const auto entry = std::ranges::lower_bound(entries, series.field, {}, &SeriesEntry::field);
    if (entry == entries.end() || entry->field != series.field || entry->type != series.type) continue;
    if (!overlaps(found.page->first_time(*entry), found.page->last_time(*entry), range)) continue;
    PartSource source{&parts[i], found.page, &*entry, {}};
    for (const Tombstone* tombstone : tombstones)
      if (tombstone->flush > parts[i].erased_to &&
          applies(*tombstone, found.stem->stem, series.field, series.partition) &&
          overlaps(found.page->first_time(*entry), found.page->last_time(*entry), tombstone->range))
        source.erased.push_back(tombstone->range);
    sources.parts.push_back(std::move(source));
  }
  return sources;
}

Result<std::optional<LastKnown>> Engine::newest_of(const Snapshot& now, const SelectedSeries& series) const {
  std::vector<Part::Found> of_stem;
  Fingerprint stem;
  TRY(const Sources sources, collect(now, series, {}, 1, of_stem, stem));
  SeriesCursor cursor(series.type, {}, Order::newest_first);
  cursor.on_damage([this](const Error& error) { return tolerate(error); });
  for (const HeadSource& head : sources.heads) cursor.add_run(head.run, head.flush);
  for (const PartSource& part : sources.parts)
    cursor.add_part(*part.live->part, *part.page, *part.entry, part.erased, part.live->part->meta().last_flush);
  cursor.start();
  TRY(const SeriesCursor::Points points, cursor.next());
  if (points.times.empty()) return std::nullopt;
  return LastKnown{points.times[0], points.times[0], to_value(series.type, points.cells[0])};
}

// Leaves out the series that erases have left nothing of.
Result<std::vector<SelectedSeries>> Engine::select(const Snapshot& now, const SeriesSelector& selector,
                                                   const QueryLimits* limits) const {
  std::vector<SelectedSeries> selected = index_.select(selector);
  std::size_t kept = 0;
  for (SelectedSeries& series : selected) {
    if (series.unknown) {
      const SeriesIndex::Known before = index_.known(series.number);
      TRY(auto newest, newest_of(snapshot(), series));
      const bool any = newest.has_value();
      index_.settle(series.number, before.erasures, std::move(newest));
      if (!any) {
        // Gone by now; the query's own moment decides.
        TRY(const auto then, newest_of(now, series));
        if (!then) continue;
      }
    }
    selected[kept++] = series;
  }
  selected.resize(kept);
  if (limits != nullptr && selected.size() > limits->max_series)
    return fail(ErrorCode::exhausted, "the query selects " + std::to_string(selected.size()) +
                                          " series, more than max_series = " + std::to_string(limits->max_series));
  return selected;
}

Result<std::vector<SeriesInfoPtr>> Engine::list(const SeriesSelector& selector, std::size_t limit,
                                                std::optional<SeriesId> after) const {
  TRY(const auto selected, select(snapshot(), selector, nullptr));
  std::size_t first = 0;
  if (after) {
    while (first < selected.size() && index_.info(selected[first].number)->id != *after) ++first;
    if (first == selected.size())
      return fail(ErrorCode::invalid_argument, "no selected series has the id to start after", "after");
    ++first;
  }
  std::vector<SeriesInfoPtr> found;
  for (std::size_t i = first; i < selected.size() && found.size() < limit; ++i)
    found.push_back(index_.info(selected[i].number));
  return found;
}

Result<std::vector<LastPoint>> Engine::latest(const SeriesSelector& selector) const {
  const Snapshot now = snapshot();
  std::vector<LastPoint> found;
  for (const SelectedSeries& series : index_.select(selector)) {
    std::optional<LastKnown> last;
    std::uint32_t order = 0;
    const Head* of = nullptr;
    // Heads before the index: what a flush takes from the ones it has put into the other.
    for (const QueryHead& in : now.heads) {
      if (in.partition->id != series.partition && !series.many_partitions) continue;
      const std::scoped_lock lock(in.partition->mutex);
      const auto shapes = in.head->by_stem.find(series.stem);
      if (shapes == in.head->by_stem.end()) continue;
      for (const ShapeHead* shape : shapes->second) {
        const auto at = std::ranges::find(shape->series(), series.number);
        if (at == shape->series().end()) continue;
        const NewestInHead& newest = shape->newest()[static_cast<std::size_t>(at - shape->series().begin())];
        if (!newest.any) continue;
        const bool later_write = of != in.head.get() || newest.order >= order;
        if (last && (newest.time < last->time || (newest.time == last->time && !later_write))) continue;
        last = {newest.time, newest.received, to_value(series.type, newest.cell)};
        order = newest.order;
        of = in.head.get();
      }
    }
    SeriesIndex::Known known = index_.known(series.number);
    if (known.state == SeriesIndex::State::empty) continue;  // erased in this moment
    if (known.state == SeriesIndex::State::unknown) {
      TRY(auto newest, newest_of(snapshot(), series));
      index_.settle(series.number, known.erasures, newest);
      if (!newest) continue;
      // The arrival of what is newest is known where it is the head's own newest.
      if (!last || last->time != newest->time) last = std::move(newest);
    } else if (known.last.time != kFirst || known.last.received != kFirst) {
      if (!last || known.last.time > last->time) last = std::move(known.last);
    }
    if (!last) continue;
    if (!config_.serve_damaged) {
      const std::scoped_lock lock(state_mutex_);
      for (const PartMeta& meta : unindexed_)
        if (meta.last_time > last->time)
          return fail(ErrorCode::corrupt, part_path(meta.id).string() + " is damaged and may hold a newer reading");
    }
    found.push_back({index_.info(series.number), Time{last->time}, Time{last->received}, std::move(last->value)});
  }
  return found;
}

Result<> Engine::scan(const SeriesSelector& selector, TimeRange range, Order order, std::size_t limit,
                      const QueryLimits& limits, std::stop_token stop, ChunkSink<Points> sink) const {
  if (range.from >= range.to || limit == 0) return {};
  const Snapshot now = snapshot();
  TRY(const auto selected, select(now, selector, &limits));
  DO(check_range(now, range));
  std::vector<Part::Found> of_stem;
  Fingerprint stem;
  std::size_t total = 0;
  for (const SelectedSeries& series : selected) {
    if (stop.stop_requested()) return cancelled();
    TRY(const Sources sources,
        collect(now, series, range, order == Order::newest_first ? limit : SIZE_MAX, of_stem, stem));
    if (sources.heads.empty() && sources.parts.empty()) continue;
    SeriesCursor cursor(series.type, range, order);
    cursor.on_damage([this](const Error& error) { return tolerate(error); });
    for (const HeadSource& head : sources.heads) cursor.add_run(head.run, head.flush);
    for (const PartSource& part : sources.parts)
      cursor.add_part(*part.live->part, *part.page, *part.entry, part.erased, part.live->part->meta().last_flush);
    cursor.start();

    Points chunk;
    const auto emit = [&] {
      const bool more = sink(std::move(chunk));
      chunk = Points{};
      return more;
    };
    for (std::size_t left = limit; left > 0;) {
      if (stop.stop_requested()) return cancelled();
      TRY(const SeriesCursor::Points points, cursor.next());
      if (points.times.empty()) break;
      const std::size_t count = std::min(points.times.size(), left);
      left -= count;
      total += count;
      if (total > limits.max_points)
        return fail(ErrorCode::exhausted,
                    "the query gives more points than max_points = " + std::to_string(limits.max_points));
      if (chunk.series == nullptr) chunk.series = index_.info(series.number);
      const auto times = points.times.first(count);
      const auto cells = points.cells.first(count);
      chunk.times.insert(chunk.times.end(), times.begin(), times.end());
      if (series.type == ValueType::string) {
        for (const Cell cell : cells) chunk.cells.push_back(keep_text(cell, chunk.heap));
      } else {
        chunk.cells.insert(chunk.cells.end(), cells.begin(), cells.end());
      }
      if (chunk.times.size() >= kChunkPoints || chunk.heap.size() >= kMostChunkText)
        if (!emit()) return {};
    }
    if (!chunk.times.empty() && !emit()) return {};
  }
  return {};
}

Result<> Engine::aggregate(const SeriesSelector& selector, TimeRange range, Window window, const QueryLimits& limits,
                           std::stop_token stop, ChunkSink<WindowedPoints> sink) const {
  if (window.width.ns <= 0) return fail(ErrorCode::invalid_argument, "a window is wider than 0", "window.width");
  if (range.from >= range.to) return {};
  const Snapshot now = snapshot();
  TRY(const auto selected, select(now, selector, &limits));
  DO(check_range(now, range));
  const auto widest = resolution_for(window);
  std::vector<Part::Found> of_stem;
  Fingerprint stem;
  std::size_t total = 0;
  for (const SelectedSeries& series : selected) {
    if (stop.stop_requested()) return cancelled();
    TRY(const Sources sources, collect(now, series, range, SIZE_MAX, of_stem, stem));
    if (sources.heads.empty() && sources.parts.empty()) continue;
    SeriesCursor cursor(series.type, range, Order::oldest_first);
    cursor.on_damage([this](const Error& error) { return tolerate(error); });
    for (const HeadSource& head : sources.heads) cursor.add_run(head.run, head.flush);
    for (const PartSource& part : sources.parts) {
      const auto resolution = widest ? usable_rollup(sources, part, *widest) : std::nullopt;
      const std::uint64_t priority = part.live->part->meta().last_flush;
      if (resolution) {
        const auto added = cursor.add_part_by_rollups(*part.live->part, *part.page, *part.entry, *resolution, priority);
        if (added) continue;
        if (added.error().code != ErrorCode::corrupt) return added;
        note_damage(added.error());  // the points themselves are still there
      }
      cursor.add_part(*part.live->part, *part.page, *part.entry, part.erased, priority);
    }
    cursor.start();

    WindowedPoints chunk;
    WindowBuilder builder(series.type, window, chunk);
    for (;;) {
      if (stop.stop_requested()) return cancelled();
      if (const Summary* summary = cursor.peek(); summary != nullptr && builder.is_one_window(*summary)) {
        builder.add(*summary);
        cursor.skip();
        continue;
      }
      TRY(const SeriesCursor::Points points, cursor.next());
      if (points.times.empty()) break;
      builder.add(points.times, points.cells);
      if (total + chunk.rows.size() > limits.max_points) break;
    }
    builder.finish();
    total += chunk.rows.size();
    if (total > limits.max_points)
      return fail(ErrorCode::exhausted,
                  "the query gives more rows than max_points = " + std::to_string(limits.max_points));
    if (chunk.rows.empty()) continue;
    chunk.series = index_.info(series.number);
    if (!sink(std::move(chunk))) return {};
  }
  return {};
}

// The widest rollup of a part that stands for its points: nothing else may lie in the part's span of time.
std::optional<std::uint8_t> Engine::usable_rollup(const Sources& sources, const PartSource& part, std::uint8_t widest) {
  if (part.entry->rollup_count == 0 || !part.erased.empty()) return std::nullopt;
  const std::int64_t first = part.page->first_time(*part.entry);
  const std::int64_t last = part.page->last_time(*part.entry);
  for (const HeadSource& head : sources.heads)
    if (head.run.times.front() <= last && head.run.times.back() >= first) return std::nullopt;
  for (const PartSource& other : sources.parts)
    if (&other != &part && other.page->first_time(*other.entry) <= last && other.page->last_time(*other.entry) >= first)
      return std::nullopt;
  std::optional<std::uint8_t> best;
  for (const RollupBlock& block : part.page->rollups_of(*part.entry))
    if (block.resolution <= widest && (!best || block.resolution > *best)) best = block.resolution;
  return best;
}

}  // namespace flux::store::engine
