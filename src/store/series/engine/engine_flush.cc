// Heads become parts.

#include <algorithm>

#include "observe/log.h"
#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

constexpr Duration kFirstRetry = 500_ms;
constexpr Duration kLongestRetry = 10_s;

// One field of one stem, wherever the heads have it.
struct Column {
  const Head* head;
  const ShapeHead* shape;
  std::size_t field;
};

struct StemRows {
  Fingerprint stem;
  const Head* head;
  const ShapeHead* shape;
  std::size_t position = 0;
};

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

SlicePlan plan_slices(const std::vector<HeadPtr>& heads) {
  std::map<std::int64_t, std::uint64_t> days;
  for (const HeadPtr& head : heads) {
    for (const ShapeHead& shape : head->shapes) {
      for (const ShapeHead::Chunk& chunk : shape.chunks()) {
        if (chunk.rows == 0) continue;
        const std::size_t fields = shape.series().size();
        if (const std::int64_t day = day_of(chunk.first_time); day == day_of(chunk.last_time)) {
          days[day] += chunk.rows * fields;
        } else {
          for (std::uint32_t row = 0; row < chunk.rows; ++row) days[day_of(chunk.data->times()[row])] += fields;
        }
      }
    }
  }
  return SlicePlan(days);
}

}  // namespace

void Engine::flush_loop() {
  Duration retry = kFirstRetry;
  bool failed = false;
  const auto due = [&] {
    const std::int64_t oldest = oldest_open_ns_.load();
    const bool old = oldest != INT64_MAX && monotonic_now().ns - oldest >= config_.flush_interval.ns;
    return flush_wanted_ || old || head_bytes_.load() >= config_.flush_bytes;
  };
  while (true) {
    {
      std::unique_lock lock(wake_mutex_);
      if (failed) {
        wake_flush_.wait_for(lock, std::chrono::nanoseconds(retry.ns), [&] { return stopping_; });
        retry = std::min(retry * 2, kLongestRetry);
      } else {
        retry = kFirstRetry;
        const Duration look = std::min(config_.flush_interval, 1_s);
        while (!stopping_ && !due()) wake_flush_.wait_for(lock, std::chrono::nanoseconds(look.ns));
      }
      if (stopping_) return;
      flush_wanted_ = false;
    }
    const std::scoped_lock lock(flush_mutex_);
    failed = !flush_round().has_value();
  }
}

Result<> Engine::flush() {
  const std::scoped_lock lock(flush_mutex_);
  if (round_) DO(flush_round());  // one that failed before
  return flush_round();
}

// Heads of every partition are cut under one flush number, each at the offset that it had reached.
std::vector<HeadPtr> Engine::cut_heads(std::uint64_t flush, std::map<PartitionId, Offset>& resume) {
  std::vector<HeadPtr> heads;
  const std::scoped_lock partitions_lock(partitions_mutex_);
  for (const auto& of : owned_partitions_) {
    const std::scoped_lock lock(of->mutex);
    resume[of->id] = of->next;
    if (of->head == nullptr) continue;
    if (of->head->flush != flush) {  // opened since the number moved on: the next flush's
      resume[of->id] = of->durable;
      continue;
    }
    of->head->next = of->next;
    heads.push_back(of->head);
    of->cut.push_back(std::move(of->head));
    of->head = nullptr;
    // Shapes that have not been seen for some heads are forgotten.
    constexpr std::uint64_t kRemembered = 4;
    if (of->slots.size() > 1024)
      boost::unordered::erase_if(of->slots, [&](const auto& slot) { return slot.second.flush + kRemembered < flush; });
  }
  return heads;
}

Result<> Engine::flush_round() {
  if (!round_) {
    oldest_open_ns_ = INT64_MAX;
    Round round;
    round.flush = open_flush_.fetch_add(1);
    round.heads = cut_heads(round.flush, round.resume);
    if (round.heads.empty()) return {};
    round_ = std::move(round);
  }
  const Duration began = monotonic_now();
  if (const auto done = write_round(*round_); !done) {
    if (done.error().code == ErrorCode::cancelled) return done;
    metrics_.flush_failures.add();
    set_read_only(&done.error());
    return done;
  }
  set_read_only(nullptr);
  metrics_.flushes.add();
  metrics_.flush_seconds.observe(monotonic_now() - began);
  for (const PartMeta& meta : *round_->written) metrics_.flushed_bytes.add(meta.bytes);
  round_.reset();
  const std::scoped_lock lock(wake_mutex_);
  merge_wanted_ = true;
  wake_merge_.notify_one();
  return {};
}

Result<> Engine::write_round(Round& round) {
  if (!round.written) {
    VersionPtr version;
    {
      const std::scoped_lock lock(state_mutex_);
      version = version_;
    }
    round.newest.clear();
    TRY(round.written, write_heads(round.flush, round.heads, *version, round.newest));
  }
  // When this fails, nobody can tell which manifest the disk holds. So these very parts have to stay, and what is
  // tried again is the rest.
  return install_round(round);
}

void Engine::set_read_only(const Error* error) {
  const bool now = error != nullptr;
  const bool before = read_only_.exchange(now);
  metrics_.read_only.set(now ? 1 : 0);
  {
    const std::scoped_lock lock(state_mutex_);
    read_only_reason_ = now ? error->message : "";
  }
  if (now && !before)
    log::error("parts cannot be written; the store is read-only and tries again", {{"error", *error}});
  if (!now && before) log::info("parts can be written again");
}

Result<std::vector<PartMeta>> Engine::write_heads(std::uint64_t flush, const std::vector<HeadPtr>& heads,
                                                  const Version& version, std::vector<Flushed>& newest) {
  std::vector<StemRows> rows;
  for (const HeadPtr& head : heads)
    for (const ShapeHead& shape : head->shapes) rows.push_back({shape.shape().stem(), head.get(), &shape});
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].position = i;
  std::ranges::sort(rows, {}, [](const StemRows& row) { return std::pair(row.stem, row.position); });
  if (rows.empty()) return std::vector<PartMeta>{};

  SlicedWriter writer(files_, plan_slices(heads), [this] { return name_part(); });
  std::map<std::string_view, std::vector<Column>> fields;
  for (std::size_t i = 0; i < rows.size();) {
    const StemRows& first = rows[i];
    fields.clear();
    for (; i < rows.size() && rows[i].stem == first.stem; ++i) {
      const Shape& shape = rows[i].shape->shape();
      for (std::size_t field = 0; field < shape.field_count(); ++field)
        if (rows[i].shape->series()[field] != kNoSeries)
          fields[shape.fields()[field].name].push_back({rows[i].head, rows[i].shape, field});
    }
    const ShapeKey& key = first.shape->shape().key();
    Stem stem{first.stem,           rows[i - 1].head->partition,
              key.tenant,           key.database,
              key.retention_policy, key.measurement,
              key.device,           {}};
    for (const Tag& tag : key.tags) stem.tags.emplace_back(tag.key, tag.value);
    writer.begin_stem(stem);
    for (const auto& [name, columns] : fields) {
      const SeriesNumber number = columns[0].shape->series()[columns[0].field];
      const ValueType type = columns[0].shape->shape().fields()[columns[0].field].type;
      std::vector<Run> runs;
      std::vector<Arrival> arrivals;
      for (std::size_t at = 0; at < columns.size();) {
        const Head& head = *columns[at].head;
        std::vector<ErasedRows> erased;
        for (const Tombstone& tombstone : version.tombstones)
          if (tombstone.flush == head.flush && tombstone.partition == head.partition &&
              index_.matches(number, tombstone.selector))
            erased.push_back({tombstone.order, tombstone.range});
        std::vector<ColumnView> views;
        {
          const std::scoped_lock lock(partition(head.partition).mutex);  // an erase may change what is newest
          for (; at < columns.size() && columns[at].head == &head; ++at) {
            views.push_back(view_column(*columns[at].shape, columns[at].field));
            const NewestInHead& last = columns[at].shape->newest()[columns[at].field];
            if (last.any) arrivals.push_back({last.time, last.received});
          }
        }
        runs.push_back(gather(views, {}, erased));
      }
      std::ranges::reverse(arrivals);  // of equal times, the later write counts
      writer.begin_series(name, type);
      SeriesCursor cursor(type, {}, Order::oldest_first);
      for (std::size_t run = 0; run < runs.size(); ++run) cursor.add_run(runs[run], run);
      cursor.start();
      std::optional<Flushed> last;
      for (;;) {
        TRY(const SeriesCursor::Points points, cursor.next());
        if (points.times.empty()) break;
        DO(writer.add(points.times, points.cells));
        last = Flushed{number, first.head->partition, points.times.back(), points.times.back(),
                       to_value(type, points.cells.back())};
      }
      DO(writer.end_series(arrivals));
      if (!last) continue;
      last->partition = stem.partition;
      if (const auto known = std::ranges::find(arrivals, last->time, &Arrival::time); known != arrivals.end())
        last->received = known->received;
      newest.push_back(*std::move(last));
    }
    DO(writer.end_stem());
    if (stop_) return fail(ErrorCode::cancelled, "the store is closing");
  }
  PartMeta meta;
  meta.first_flush = meta.last_flush = meta.erased_to = flush;
  TRY(auto metas, writer.finish(meta));
  if (!metas.empty()) DO(files_.sync_folder(part_path(0).parent_path()));
  return metas;
}

Result<> Engine::write_manifest(const Version& version, const std::map<PartitionId, Offset>& resume) {
  Manifest manifest;
  manifest.generation = generation_ + 1;
  manifest.next_part = next_part_.load();
  manifest.flushed = version.flushed;
  manifest.resume = resume;
  for (const LivePart& live : version.parts) {
    manifest.parts.push_back(live.part->meta());
    manifest.parts.back().erased_to = live.erased_to;
  }
  for (const DamagedPart& damaged : version.damaged) manifest.parts.push_back(damaged.meta);
  // A delete of a later flush is not durable yet: the log still has it.
  for (const Tombstone& tombstone : version.tombstones)
    if (tombstone.flush <= version.flushed) manifest.tombstones.push_back(tombstone);
  DO(write_atomically(files_, folder_ / kManifestName, encode(manifest)));
  ++generation_;
  std::uint64_t bytes = 0;
  for (const LivePart& live : version.parts) bytes += live.part->meta().bytes;
  metrics_.parts.set(static_cast<double>(version.parts.size()));
  metrics_.part_bytes.set(static_cast<double>(bytes));
  return {};
}

Result<> Engine::install_round(Round& round) {
  std::vector<LivePart> fresh;
  for (const PartMeta& meta : *round.written) {
    TRY(auto part, Part::open(files_, part_path(meta.id), meta, pages_));
    fresh.push_back({std::move(part), meta.erased_to});
  }
  const std::scoped_lock manifest_lock(manifest_mutex_);
  const auto with_fresh = [&](const Version& old) {
    auto version = std::make_shared<Version>(old);
    version->flushed = round.flush;
    version->parts.insert(version->parts.end(), fresh.begin(), fresh.end());
    return version;
  };
  VersionPtr base;
  {
    const std::scoped_lock lock(state_mutex_);
    base = version_;
  }
  DO(write_manifest(*with_fresh(*base), round.resume));

  const std::scoped_lock lock(state_mutex_);
  auto version = with_fresh(*version_);  // deletes may have come in the meantime
  std::vector<const Tombstone*> later;
  for (const Tombstone& tombstone : version->tombstones)
    if (tombstone.flush > round.flush) later.push_back(&tombstone);
  for (Flushed& last : round.newest) {
    const bool erased = std::ranges::any_of(later, [&](const Tombstone* tombstone) {
      return tombstone->partition == last.partition && is_within(last.time, tombstone->range) &&
             index_.matches(last.series, tombstone->selector);
    });
    if (!erased) index_.note_last(last.series, last.time, last.received, std::move(last.value));
  }
  version_ = version;
  for (const HeadPtr& head : round.heads) {
    Partition& of = partition(head->partition);
    const std::scoped_lock partition_lock(of.mutex);
    std::erase(of.cut, head);
    head_bytes_.fetch_sub(head->bytes);
  }
  for (const auto& [id, offset] : round.resume) {
    Partition& of = partition(id);
    const std::scoped_lock partition_lock(of.mutex);
    of.durable = std::max(of.durable, offset);
  }
  metrics_.head_bytes.set(static_cast<double>(head_bytes_.load()));
  return {};
}

}  // namespace flux::store::engine
