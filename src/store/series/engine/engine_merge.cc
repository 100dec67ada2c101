// Parts become fewer parts: late readings move in with the others, overwritten and erased ones go.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <set>

#include "observe/log.h"
#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

constexpr std::size_t kFanIn = 4;  // parts of about the same size that it takes to merge them
constexpr std::size_t kGreatestFanIn = 32;
constexpr Duration kLook = 30_s;
constexpr Duration kAfterFailure = 10_s;

using SliceKey = TimeSlice;

SliceKey slice_of(const PartMeta& meta) { return slice_of_day(day_of(meta.first_time), meta.level); }

// Each tier holds parts up to four times as large as the one before.
unsigned tier_of(const PartMeta& meta) {
  constexpr std::uint64_t kSmallest = 64 * 1024;
  return static_cast<unsigned>(std::bit_width(std::max(meta.bytes, kSmallest) / kSmallest) + 1) / 2;
}

bool times_overlap(std::int64_t first, std::int64_t last, const PartMeta& meta) {
  return meta.first_time <= last && meta.last_time >= first;
}

bool flushes_overlap(std::uint64_t first, std::uint64_t last, const PartMeta& meta) {
  return meta.first_flush <= last && meta.last_flush >= first;
}

// Goes through the stems of one part in their order.
class PartScan {
 public:
  explicit PartScan(const LivePart& live) : live_(&live) {}

  Result<> start() { return load(); }
  [[nodiscard]] const StemEntry* stem() const { return page_ == nullptr ? nullptr : &page_->stems[at_]; }
  [[nodiscard]] const IndexPage& page() const { return *page_; }
  [[nodiscard]] const LivePart& live() const { return *live_; }
  Result<> advance() {
    if (++at_ < page_->stems.size()) return {};
    ++index_;
    return load();
  }

 private:
  Result<> load() {
    page_ = nullptr;
    at_ = 0;
    if (index_ == live_->part->page_count()) return {};
    TRY(page_, live_->part->page(index_, false));
    if (page_->stems.empty()) return fail(ErrorCode::corrupt, live_->part->path().string() + ": empty index page");
    return {};
  }

  const LivePart* live_;
  std::size_t index_ = 0;
  std::size_t at_ = 0;
  IndexPagePtr page_;
};

Result<SlicePlan> plan_slices(const std::vector<LivePart>& inputs) {
  std::map<std::int64_t, std::uint64_t> days;
  for (const LivePart& live : inputs) {
    const PartMeta& meta = live.part->meta();
    if (const std::int64_t day = day_of(meta.first_time); day == day_of(meta.last_time)) {
      days[day] += meta.values;
      continue;
    }
    for (std::size_t i = 0; i < live.part->page_count(); ++i) {
      TRY(const auto page, live.part->page(i, false));
      for (const ValueBlock& block : page->value_blocks) {
        // As if a block's values were evenly spread: this only decides how files are divided.
        const std::int64_t first = day_of(block.summary.first_time);
        const std::int64_t last = day_of(block.summary.last_time);
        constexpr std::int64_t kMostDays = 64;
        const std::int64_t step = std::max<std::int64_t>(1, (last - first) / kMostDays);
        const auto share = block.summary.count / static_cast<std::uint64_t>((last - first) / step + 1) + 1;
        for (std::int64_t day = first; day <= last; day += step) days[day] += share;
      }
    }
  }
  return SlicePlan(days);
}

struct Input {
  std::size_t scan;
  const SeriesEntry* entry;
};

}  // namespace

void Engine::merge_loop() {
  // Merging gives way to ingest and queries where the cores are busy.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
  Duration wait = kLook;
  while (true) {
    bool to_end = false;
    {
      std::unique_lock lock(wake_mutex_);
      wake_merge_.wait_for(lock, std::chrono::nanoseconds(wait.ns),
                           [&] { return stopping_ || merge_status_.running || (merge_wanted_ && wait == kLook); });
      if (stopping_) return;
      merge_wanted_ = false;
      to_end = merge_status_.running;
    }
    if (to_end) merge_to_end();
    wait = kLook;
    if (const auto done = apply_retention(); !done) {
      log::warn("retention could not be applied", {{"error", done.error()}});
      wait = kAfterFailure;
    }
    for (bool more = true; more && !stop_;) {
      const auto merged = merge_once();
      more = merged && *merged;
      if (!merged && merged.error().code != ErrorCode::cancelled) {
        log::warn("a merge failed", {{"error", merged.error()}});
        wait = kAfterFailure;
      }
    }
  }
}

Result<bool> Engine::merge_once() { return merge_with(false); }

Result<> Engine::merge_all() {
  for (;;) {
    TRY(const bool merged, merge_with(true));
    if (!merged) return {};
  }
}

Result<bool> Engine::merge_with(bool to_the_end) {
  const std::scoped_lock lock(merge_mutex_);
  VersionPtr version;
  {
    const std::scoped_lock state_lock(state_mutex_);
    version = version_;
  }
  TRY(const bool deleted, apply_deletes(*version));
  if (deleted) return true;
  const auto job = choose_merge(*version, to_the_end);
  if (!job) return false;
  const auto done = run_merge(*job, *version);
  if (!done && !leave_damaged(done.error(), job->inputs)) return std::unexpected(done.error());
  return true;
}

bool Engine::is_unmergeable(const LivePart& live) const {
  return std::ranges::find(unmergeable_, live.part->meta().id) != unmergeable_.end();
}

// Damage must not spread: a part that has some stays as it is, and the rest is merged without it. False when `error` is
// something else.
bool Engine::leave_damaged(const Error& error, const std::vector<LivePart>& inputs) {
  if (error.code != ErrorCode::corrupt) return false;
  note_damage(error);
  bool found = false;
  for (const LivePart& live : inputs) {
    if (!error.message.starts_with(live.part->path().string())) continue;
    unmergeable_.push_back(live.part->meta().id);
    found = true;
  }
  return found;
}

std::optional<Engine::MergeJob> Engine::choose_merge(const Version& version, bool to_the_end) const {
  std::map<SliceKey, std::vector<std::size_t>> slices;  // parts by slice, oldest flush first
  for (std::size_t i = 0; i < version.parts.size(); ++i) slices[slice_of(version.parts[i].part->meta())].push_back(i);
  const auto usable = [&](const MergeJob& job) {
    if (job.inputs.size() < 2) return false;
    if (std::ranges::any_of(job.inputs, [&](const LivePart& live) { return is_unmergeable(live); })) return false;
    // A part that cannot be read may come back from a backup; its place in the order has to stay.
    std::int64_t first = INT64_MAX;
    std::int64_t last = INT64_MIN;
    std::uint64_t first_flush = UINT64_MAX;
    std::uint64_t last_flush = 0;
    for (const LivePart& live : job.inputs) {
      first = std::min(first, live.part->meta().first_time);
      last = std::max(last, live.part->meta().last_time);
      first_flush = std::min(first_flush, live.part->meta().first_flush);
      last_flush = std::max(last_flush, live.part->meta().last_flush);
    }
    return std::ranges::none_of(version.damaged, [&](const DamagedPart& damaged) {
      return times_overlap(first, last, damaged.meta) && flushes_overlap(first_flush, last_flush, damaged.meta);
    });
  };

  if (to_the_end) {
    for (const auto& [slice, parts] : slices) {
      std::vector<std::size_t> group;  // runs between the parts that cannot be merged
      for (std::size_t i = 0; i <= parts.size(); ++i) {
        if (i < parts.size() && !is_unmergeable(version.parts[parts[i]])) {
          group.push_back(parts[i]);
          continue;
        }
        if (group.size() >= 2)
          if (MergeJob job = close_over(version, group); usable(job)) return job;
        group.clear();
      }
    }
    return std::nullopt;
  }
  for (unsigned tier = 1; tier < 32; ++tier) {
    for (const auto& [slice, parts] : slices) {
      std::vector<std::size_t> run;
      for (std::size_t i = 0; i <= parts.size(); ++i) {
        const bool fits = i < parts.size() && run.size() < kGreatestFanIn && !is_unmergeable(version.parts[parts[i]]) &&
                          tier_of(version.parts[parts[i]].part->meta()) <= tier;
        if (fits) {
          run.push_back(parts[i]);
          continue;
        }
        if (run.size() >= kFanIn)
          if (MergeJob job = close_over(version, run); usable(job)) return job;
        run.clear();
      }
    }
  }
  return std::nullopt;
}

// Which of two readings of one time is the later write is told by the flushes of their parts. A merged part has a span
// of flushes; so that every other part which overlaps it in time lies wholly before or after that span, those that do
// not are merged as well.
Engine::MergeJob Engine::close_over(const Version& version, std::vector<std::size_t> chosen) const {
  std::set<std::size_t> set(chosen.begin(), chosen.end());
  for (bool grown = true; grown;) {
    grown = false;
    std::int64_t first = INT64_MAX;
    std::int64_t last = INT64_MIN;
    std::uint64_t first_flush = UINT64_MAX;
    std::uint64_t last_flush = 0;
    for (const std::size_t i : set) {
      const PartMeta& meta = version.parts[i].part->meta();
      first = std::min(first, meta.first_time);
      last = std::max(last, meta.last_time);
      first_flush = std::min(first_flush, meta.first_flush);
      last_flush = std::max(last_flush, meta.last_flush);
    }
    for (std::size_t i = 0; i < version.parts.size(); ++i) {
      const PartMeta& meta = version.parts[i].part->meta();
      if (times_overlap(first, last, meta) && flushes_overlap(first_flush, last_flush, meta))
        grown = set.insert(i).second || grown;
    }
  }
  MergeJob job;
  for (const std::size_t i : set) job.inputs.push_back(version.parts[i]);
  return job;
}

// Whether a delete takes anything from the part.
Result<bool> Engine::is_touched(const LivePart& live, const Version& version) const {
  std::vector<const Tombstone*> tombstones;
  for (const Tombstone& tombstone : version.tombstones)
    if (tombstone.flush <= version.flushed && tombstone.flush > live.erased_to &&
        overlaps(live.part->meta().first_time, live.part->meta().last_time, tombstone.range))
      tombstones.push_back(&tombstone);
  if (tombstones.empty()) return false;
  PartScan scan(live);
  DO(scan.start());
  while (scan.stem() != nullptr) {
    const PartitionId now = index_.partition_of(scan.stem()->stem);
    for (const SeriesEntry& entry : scan.page().series_of(*scan.stem()))
      for (const Tombstone* tombstone : tombstones)
        if (applies(*tombstone, scan.stem()->stem, entry.field, now) &&
            overlaps(scan.page().first_time(entry), scan.page().last_time(entry), tombstone->range))
          return true;
    DO(scan.advance());
  }
  return false;
}

Result<std::vector<LivePart>> Engine::merged(const MergeJob& job, const Version& version) {
  TRY(const auto metas, write_merged(job, version));
  std::vector<LivePart> fresh;
  for (const PartMeta& meta : metas) {
    TRY(auto part, Part::open(files_, part_path(meta.id), meta, pages_));
    fresh.push_back({std::move(part), meta.erased_to});
    metrics_.merged_bytes.add(meta.bytes);
  }
  metrics_.merges.add();
  return fresh;
}

Result<> Engine::run_merge(const MergeJob& job, const Version& version) {
  const Duration began = monotonic_now();
  TRY(auto fresh, merged(job, version));
  const std::size_t count = fresh.size();
  DO(replace_parts(job.inputs, std::move(fresh)));
  log::debug("parts merged", {{"parts", job.inputs.size()}, {"into", count}, {"took", monotonic_now() - began}});
  return {};
}

// Applies deletes to the parts that wait for it, up to and with the first that has to be written anew. Those that have
// nothing of what was deleted only get a note in the manifest, all in one.
Result<bool> Engine::apply_deletes(const Version& version) {
  std::vector<LivePart> old;
  std::vector<LivePart> fresh;
  for (const LivePart& live : version.parts) {
    const bool waits = std::ranges::any_of(version.tombstones, [&](const Tombstone& tombstone) {
      return tombstone.flush <= version.flushed && tombstone.flush > live.erased_to;
    });
    if (!waits || is_unmergeable(live)) continue;
    const auto touched = is_touched(live, version);
    if (!touched) {
      if (!leave_damaged(touched.error(), {live})) return std::unexpected(touched.error());
      continue;
    }
    old.push_back(live);
    if (!*touched) {
      fresh.push_back({live.part, version.flushed});
      continue;
    }
    auto rewritten = merged(MergeJob{{live}}, version);
    if (rewritten) {
      fresh.insert(fresh.end(), rewritten->begin(), rewritten->end());
      break;
    }
    old.pop_back();
    if (!leave_damaged(rewritten.error(), {live})) return std::unexpected(rewritten.error());
  }
  if (old.empty()) return false;
  DO(replace_parts(old, std::move(fresh)));
  return true;
}

Result<std::vector<PartMeta>> Engine::write_merged(const MergeJob& job, const Version& version) {
  TRY(SlicePlan plan, plan_slices(job.inputs));
  SlicedWriter writer(files_, std::move(plan), [this] { return name_part(); });
  std::vector<PartScan> scans(job.inputs.begin(), job.inputs.end());
  for (PartScan& scan : scans) DO(scan.start());

  std::map<std::string_view, std::vector<Input>> fields;
  for (;;) {
    const StemEntry* least = nullptr;
    for (const PartScan& scan : scans)
      if (scan.stem() != nullptr && (least == nullptr || scan.stem()->stem.fingerprint <= least->stem.fingerprint))
        least = scan.stem();  // of equal ones the newest, which knows the present partition
    if (least == nullptr) break;
    if (stop_) return fail(ErrorCode::cancelled, "the store is closing");
    const Fingerprint fingerprint = least->stem.fingerprint;
    fields.clear();
    for (std::size_t i = 0; i < scans.size(); ++i) {
      if (scans[i].stem() == nullptr || scans[i].stem()->stem.fingerprint != fingerprint) continue;
      for (const SeriesEntry& entry : scans[i].page().series_of(*scans[i].stem()))
        fields[entry.field].push_back({i, &entry});
    }
    const PartitionId now = index_.partition_of(least->stem);
    writer.begin_stem(least->stem);
    for (const auto& [field, inputs] : fields) {
      const ValueType type = inputs.back().entry->type;
      SeriesCursor cursor(type, {}, Order::oldest_first);
      std::vector<std::vector<TimeRange>> erased(inputs.size());
      std::vector<Arrival> arrivals;
      for (std::size_t i = inputs.size(); i-- > 0;) {
        const auto& [at, entry] = inputs[i];
        if (entry->type != type) continue;  // of a series of this name that was erased as a whole
        const LivePart& live = scans[at].live();
        for (const Tombstone& tombstone : version.tombstones)
          if (tombstone.flush <= version.flushed && tombstone.flush > live.erased_to &&
              applies(tombstone, scans[at].stem()->stem, field, now))
            erased[i].push_back(tombstone.range);
        cursor.add_part(*live.part, scans[at].page(), *entry, erased[i], live.part->meta().last_flush);
        arrivals.push_back({scans[at].page().last_time(*entry), entry->last_received_ns});
      }
      cursor.start();
      writer.begin_series(field, type);
      for (;;) {
        TRY(const SeriesCursor::Points points, cursor.next());
        if (points.times.empty()) break;
        DO(writer.add(points.times, points.cells));
      }
      DO(writer.end_series(arrivals));
    }
    DO(writer.end_stem());
    for (PartScan& scan : scans)
      if (scan.stem() != nullptr && scan.stem()->stem.fingerprint == fingerprint) DO(scan.advance());
  }

  PartMeta meta;
  meta.first_flush = UINT64_MAX;
  for (const LivePart& live : job.inputs) {
    meta.first_flush = std::min(meta.first_flush, live.part->meta().first_flush);
    meta.last_flush = std::max(meta.last_flush, live.part->meta().last_flush);
  }
  meta.erased_to = version.flushed;
  TRY(auto metas, writer.finish(meta));
  if (!metas.empty()) DO(files_.sync_folder(part_path(0).parent_path()));
  return metas;
}

Result<> Engine::replace_parts(const std::vector<LivePart>& old, std::vector<LivePart> fresh,
                               std::int64_t drop_damaged_before) {
  const auto is_old = [&](const LivePart& live) {
    return std::ranges::any_of(old, [&](const LivePart& gone) { return gone.part == live.part; });
  };
  const auto replaced = [&](const Version& base) {
    auto version = std::make_shared<Version>(base);
    std::erase_if(version->parts, is_old);
    std::erase_if(version->damaged,
                  [&](const DamagedPart& damaged) { return damaged.meta.last_time < drop_damaged_before; });
    version->parts.insert(version->parts.end(), fresh.begin(), fresh.end());
    std::ranges::sort(version->parts, {}, [](const LivePart& live) {
      return std::pair(live.part->meta().last_flush, live.part->meta().id);
    });
    // Deletes that every part has in it now are done.
    std::erase_if(version->tombstones, [&](const Tombstone& tombstone) {
      return tombstone.flush <= version->flushed &&
             std::ranges::none_of(version->parts,
                                  [&](const LivePart& live) { return live.erased_to < tombstone.flush; }) &&
             std::ranges::none_of(version->damaged,
                                  [&](const DamagedPart& part) { return part.meta.erased_to < tombstone.flush; });
    });
    return version;
  };
  const std::scoped_lock manifest_lock(manifest_mutex_);
  VersionPtr base;
  {
    const std::scoped_lock lock(state_mutex_);
    base = version_;
  }
  std::map<PartitionId, Offset> resume;
  {
    const std::scoped_lock lock(partitions_mutex_);
    for (const auto& of : owned_partitions_) {
      const std::scoped_lock partition_lock(of->mutex);
      resume[of->id] = of->durable;
    }
  }
  DO(write_manifest(*replaced(*base), resume));
  {
    const std::scoped_lock lock(state_mutex_);
    version_ = replaced(*version_);
  }
  for (const LivePart& live : old) {
    const bool stays = std::ranges::any_of(fresh, [&](const LivePart& kept) { return kept.part == live.part; });
    if (!stays) live.part->remove_when_unused();
  }
  return {};
}

Result<> Engine::apply_retention() {
  if (config_.retention.ns <= 0) return {};
  const std::int64_t before = (environment_.now() - config_.retention).ns;
  const std::scoped_lock lock(merge_mutex_);
  std::vector<LivePart> old;
  std::vector<DamagedPart> damaged;
  {
    const std::scoped_lock state_lock(state_mutex_);
    for (const LivePart& live : version_->parts)
      if (live.part->meta().last_time < before) old.push_back(live);
    for (const DamagedPart& part : version_->damaged)
      if (part.meta.last_time < before) damaged.push_back(part);
  }
  if (old.empty() && damaged.empty()) return {};
  DO(replace_parts(old, {}, before));
  for (const DamagedPart& part : damaged) DO(files_.remove(part_path(part.meta.id)));
  index_.forget_before(before);
  log::info("parts beyond retention removed", {{"parts", old.size() + damaged.size()}});
  return {};
}

}  // namespace flux::store::engine
