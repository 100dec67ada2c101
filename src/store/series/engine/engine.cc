#include "store/series/engine/engine.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_set>

#include "observe/log.h"
#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

constexpr std::string_view kPartFolder = "parts";
constexpr std::string_view kPartSuffix = ".part";

bool covers_all_time(const TimeRange& range) { return range.from == Time::min() && range.to == Time::max(); }

Stem stem_of(const Shape& shape, PartitionId partition) {
  const ShapeKey& key = shape.key();
  Stem stem{shape.stem(), partition, key.tenant, key.database, key.retention_policy, key.measurement, key.device, {}};
  for (const Tag& tag : key.tags) stem.tags.emplace_back(tag.key, tag.value);
  return stem;
}

Value value_of(const SeriesEntry& entry) {
  switch (entry.type) {
    case ValueType::float64: return as_float64(entry.last);
    case ValueType::int64: return as_int64(entry.last);
    case ValueType::uint64: return entry.last;
    case ValueType::boolean: return entry.last != 0;
    case ValueType::string: return std::string(entry.last_text);
  }
  return 0.0;
}

}  // namespace

Metrics::Metrics(metrics::Registry& registry)
    : appended(registry.counter("fluxgate_store_appended_values_total", "Values taken into the heads.")),
      type_conflicts(registry.counter("fluxgate_store_type_conflicts_total",
                                      "Values dropped because their series has another type.")),
      flushes(registry.counter("fluxgate_store_flushes_total", "Flushes of the heads to parts.")),
      flush_failures(
          registry.counter("fluxgate_store_flush_failures_total", "Flushes that failed and are tried again.")),
      flushed_bytes(registry.counter("fluxgate_store_flushed_bytes_total", "Bytes of parts written by flushes.")),
      flush_seconds(
          registry.histogram("fluxgate_store_flush_seconds", "Time that a flush takes.", metrics::Buckets::seconds())),
      merges(registry.counter("fluxgate_store_merges_total", "Merges of parts.")),
      merged_bytes(registry.counter("fluxgate_store_merged_bytes_total", "Bytes of parts written by merges.")),
      damage(registry.counter("fluxgate_store_damage_total", "Damaged blocks and parts come across.")),
      head_bytes(registry.gauge("fluxgate_store_head_bytes", "Memory of the heads.")),
      parts(registry.gauge("fluxgate_store_parts", "Part files.")),
      part_bytes(registry.gauge("fluxgate_store_part_bytes", "Bytes of all parts.")),
      read_only(registry.gauge("fluxgate_store_read_only", "1 while parts cannot be written.")) {}

Result<std::unique_ptr<TimeSeriesStore>> open(const std::filesystem::path& folder, const Config& config,
                                              metrics::Registry& metrics) {
  Environment environment;
  environment.metrics = &metrics;
  return Engine::open(folder, config, environment);
}

Result<std::unique_ptr<TimeSeriesStore>> open_at_rest(const std::filesystem::path& folder, const Config& config) {
  Environment environment;
  environment.background = false;
  return Engine::open(folder, config, environment);
}

Engine::Engine(std::filesystem::path folder, Config config, Environment environment)
    : folder_(std::move(folder)),
      config_(config),
      environment_(std::move(environment)),
      files_(*environment_.files),
      own_registry_(environment_.metrics == nullptr ? std::make_unique<metrics::Registry>() : nullptr),
      metrics_(own_registry_ != nullptr ? *own_registry_ : *environment_.metrics),
      pages_(std::make_shared<PageCache>(config.index_cache_bytes)),
      version_(std::make_shared<Version>()) {}

Result<std::unique_ptr<Engine>> Engine::open(const std::filesystem::path& folder, const Config& config,
                                             Environment environment) {
  std::unique_ptr<Engine> engine(new Engine(folder, config, std::move(environment)));
  DO(engine->recover());
  if (engine->environment_.background) {
    engine->flush_thread_ = std::thread([raw = engine.get()] { raw->flush_loop(); });
    engine->merge_thread_ = std::thread([raw = engine.get()] { raw->merge_loop(); });
  }
  return engine;
}

Engine::~Engine() {
  {
    const std::scoped_lock lock(wake_mutex_);
    stopping_ = true;
  }
  stop_ = true;
  wake_flush_.notify_all();
  wake_merge_.notify_all();
  if (flush_thread_.joinable()) flush_thread_.join();
  if (merge_thread_.joinable()) merge_thread_.join();
}

std::filesystem::path Engine::part_path(std::uint64_t id) const {
  char digits[17] = {};
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(id));
  return folder_ / kPartFolder / (std::string(digits) + std::string(kPartSuffix));
}

SlicedWriter::NewPart Engine::name_part() {
  const std::uint64_t id = next_part_.fetch_add(1);
  return {id, part_path(id)};
}

Result<> Engine::recover() {
  const std::filesystem::path parts_folder = folder_ / kPartFolder;
  DO(files_.make_folder(folder_));
  DO(files_.make_folder(parts_folder));
  const auto bytes = read_file(files_, folder_ / kManifestName);
  Manifest manifest;
  if (bytes) {
    auto decoded = decode_manifest(*bytes);
    if (!decoded) {
      decoded.error().message = (folder_ / kManifestName).string() + ": " + decoded.error().message;
      return std::unexpected(decoded.error());
    }
    manifest = *std::move(decoded);
  } else if (bytes.error().code != ErrorCode::not_found) {
    return std::unexpected(bytes.error());
  } else {
    // A store has a manifest before it has a part. Parts without one mean that it was lost, and they must not be
    // taken for orphans.
    TRY(const auto names, files_.list(parts_folder));
    if (!names.empty())
      return fail(ErrorCode::corrupt, (folder_ / kManifestName).string() + " is missing, but there are parts");
    DO(write_atomically(files_, folder_ / kManifestName, encode(manifest)));
    DO(files_.sync_folder(folder_.parent_path().empty() ? "." : folder_.parent_path()));
  }
  DO(remove_orphans(manifest));

  auto version = std::make_shared<Version>();
  version->flushed = manifest.flushed;
  version->tombstones = manifest.tombstones;
  for (const PartMeta& meta : manifest.parts) {
    auto part = Part::open(files_, part_path(meta.id), meta, pages_);
    if (part) {
      version->parts.push_back({*std::move(part), meta.erased_to});
      continue;
    }
    if (part.error().code != ErrorCode::corrupt && part.error().code != ErrorCode::not_found)
      return std::unexpected(part.error());
    note_damage(part.error());
    version->damaged.push_back({meta, part.error().message});
    unindexed_.push_back(meta);
  }
  std::ranges::sort(version->parts, {},
                    [](const LivePart& live) { return std::pair(live.part->meta().last_flush, live.part->meta().id); });
  version_ = version;
  generation_ = manifest.generation;
  next_part_ = manifest.next_part;
  open_flush_ = manifest.flushed + 1;
  for (const auto& [id, offset] : manifest.resume) {
    Partition& known = partition(id);
    known.next = known.durable = offset;
  }
  for (const LivePart& live : version->parts) DO(index_part(live));
  for (const Tombstone& tombstone : version->tombstones)
    for (const SelectedSeries& series : index_.select(tombstone.selector))
      if (series.partition == tombstone.partition || series.many_partitions) index_.note_erased(series.number, false);
  return {};
}

Result<> Engine::remove_orphans(const Manifest& manifest) {
  std::set<std::string> known;
  for (const PartMeta& part : manifest.parts) known.insert(part_path(part.id).filename());
  TRY(const auto names, files_.list(folder_ / kPartFolder));
  for (const std::string& name : names) {
    if (known.contains(name)) continue;
    log::info("a part of an unfinished flush or merge is removed", {{"file", name}});
    DO(files_.remove(folder_ / kPartFolder / name));
  }
  return {};
}

// Makes the series of a part known. Called oldest part first.
Result<> Engine::index_part(const LivePart& live) {
  const VersionPtr version = version_;
  std::vector<const Tombstone*> tombstones;
  for (const Tombstone& tombstone : version->tombstones)
    if (tombstone.flush > live.erased_to) tombstones.push_back(&tombstone);
  for (std::size_t i = 0; i < live.part->page_count(); ++i) {
    const auto page = live.part->page(i, false);
    if (!page && page.error().code == ErrorCode::corrupt) {
      note_damage(page.error());
      unindexed_.push_back(live.part->meta());
      continue;
    }
    if (!page) return std::unexpected(page.error());
    for (const StemEntry& stem : (*page)->stems) {
      for (const SeriesEntry& entry : (*page)->series_of(stem)) {
        // What was erased as a whole may have come back with another type.
        if (std::ranges::any_of(tombstones, [&](const Tombstone* tombstone) {
              return covers_all_time(tombstone->range) &&
                     applies(*tombstone, stem.stem, entry.field, stem.stem.partition);
            }))
          continue;
        const SeriesNumber number = index_.add(stem.stem, entry.field, entry.type);
        if (number == kNoSeries) continue;
        index_.note_last(number, (*page)->last_time(entry), entry.last_received_ns, value_of(entry));
      }
    }
  }
  return {};
}

Engine::Partition& Engine::partition(PartitionId id) {
  CHECK(id.value < kBucketCount);
  std::atomic<Partition*>& place = partitions_[id.value];
  if (Partition* known = place.load(std::memory_order_acquire)) return *known;
  const std::scoped_lock lock(partitions_mutex_);
  if (Partition* known = place.load(std::memory_order_acquire)) return *known;
  owned_partitions_.push_back(std::make_unique<Partition>());
  owned_partitions_.back()->id = id;
  place.store(owned_partitions_.back().get(), std::memory_order_release);
  return *owned_partitions_.back();
}

Head& Engine::open_head(Partition& of) {
  if (of.head == nullptr) {
    of.head = std::make_shared<Head>();
    of.head->partition = of.id;
    of.head->flush = open_flush_.load();
    of.head->opened_at = monotonic_now();
    std::int64_t oldest = oldest_open_ns_.load();
    while (of.head->opened_at.ns < oldest && !oldest_open_ns_.compare_exchange_weak(oldest, of.head->opened_at.ns)) {
    }
  }
  return *of.head;
}

Engine::Slot& Engine::slot_for(Partition& of, Head& head, const ShapePtr& shape) {
  const auto [at, added] = of.slots.try_emplace(shape->fingerprint());
  Slot& slot = at->second;
  if (added) {
    slot.shape = shape;
    const Stem stem = stem_of(*shape, of.id);
    for (const FieldDef& field : shape->fields()) slot.series.push_back(index_.add(stem, field.name, field.type));
    slot.noted.resize(slot.series.size());
  }
  if (slot.rows == nullptr || slot.flush != head.flush) {
    slot.rows = &head.shapes.emplace_back(slot.shape, slot.series);
    slot.flush = head.flush;
    head.by_stem[slot.shape->stem()].push_back(slot.rows);
  }
  return slot;
}

void Engine::append_group(Partition& of, Head& head, const TelemetryBatch& batch, const TelemetryBatch::Group& group) {
  Slot& slot = slot_for(of, head, group.shape_ptr());
  const std::size_t grown = slot.rows->append(batch, group, head.next_order++, head.texts);
  head.bytes += grown;
  head_bytes_.fetch_add(grown, std::memory_order_relaxed);
  for (std::size_t field = 0; field < slot.series.size(); ++field) {
    if (slot.series[field] == kNoSeries) [[unlikely]] {
      metrics_.type_conflicts.add(group.rows());
    } else if (slot.noted[field] == 0 && slot.rows->newest()[field].any) {
      index_.note_present(slot.series[field]);
      slot.noted[field] = 1;
    }
  }
}

Result<> Engine::append(PartitionId id, Offset offset, const TelemetryBatch& batch) {
  Partition& to = partition(id);
  bool wake = false;
  {
    const std::scoped_lock lock(to.mutex);
    if (offset < to.next) return {};
    const std::uint64_t held = head_bytes_.load(std::memory_order_relaxed);
    if (held > 0 && held + batch.memory_bytes() > config_.max_head_bytes) {
      const std::scoped_lock wake_lock(wake_mutex_);
      flush_wanted_ = true;
      wake_flush_.notify_one();
      return fail(ErrorCode::exhausted, "the readings in memory are waiting for the disk (max_head_bytes)");
    }
    Head& head = open_head(to);
    for (const TelemetryBatch::Group& group : batch.groups()) append_group(to, head, batch, group);
    head.values += batch.reading_count();
    to.next = offset.next();
    wake = held < config_.flush_bytes && head_bytes_.load(std::memory_order_relaxed) >= config_.flush_bytes;
  }
  metrics_.appended.add(batch.reading_count());
  if (wake) {
    const std::scoped_lock lock(wake_mutex_);
    flush_wanted_ = true;
    wake_flush_.notify_one();
  }
  return {};
}

void Engine::advance(PartitionId id, Offset offset) {
  Partition& of = partition(id);
  const std::scoped_lock lock(of.mutex);
  if (offset < of.next) return;
  of.next = offset.next();
  (void)open_head(of);  // so that the next flush notes it
}

Offset Engine::resume_from(PartitionId id) const {
  CHECK(id.value < kBucketCount);
  const Partition* of = partitions_[id.value].load(std::memory_order_acquire);
  if (of == nullptr) return {};
  const std::scoped_lock lock(of->mutex);
  return of->durable;
}

Result<> Engine::erase(PartitionId id, Offset offset, const SeriesSelector& selector, TimeRange range) {
  Partition& of = partition(id);
  const std::scoped_lock state_lock(state_mutex_);
  const std::scoped_lock lock(of.mutex);
  if (offset < of.next) return {};
  of.next = offset.next();
  Head& head = open_head(of);  // though it may stay empty: the flush that carries it makes the delete durable
  Tombstone tombstone{head.flush, head.next_order++, id, selector, range};
  auto version = std::make_shared<Version>(*version_);
  version->tombstones.push_back(std::move(tombstone));
  version_ = version;

  std::unordered_set<SeriesNumber> erased;
  for (const SelectedSeries& series : index_.select(selector)) {
    if (series.partition != id && !series.many_partitions) continue;
    erased.insert(series.number);
    index_.note_erased(series.number, covers_all_time(range) && !series.many_partitions);
  }
  const auto forget_newest = [&](Head& in) {
    for (ShapeHead& shape : in.shapes) {
      for (std::size_t field = 0; field < shape.series().size(); ++field) {
        NewestInHead& newest = shape.newest()[field];
        if (newest.any && is_within(newest.time, range) && erased.contains(shape.series()[field])) newest = {};
      }
    }
  };
  forget_newest(head);
  for (const HeadPtr& cut : of.cut) forget_newest(*cut);
  for (auto& [fingerprint, slot] : of.slots)
    for (std::size_t field = 0; field < slot.series.size(); ++field)
      if (erased.contains(slot.series[field])) slot.noted[field] = 0;
  return {};
}

void Engine::note_damage(const Error& error) const {
  metrics_.damage.add();
  const std::scoped_lock lock(state_mutex_);
  if (std::ranges::find(damaged_, error.message) != damaged_.end()) return;
  log::error("the store is damaged", {{"error", error}});
  constexpr std::size_t kGreatest = 1000;
  if (damaged_.size() < kGreatest) damaged_.push_back(error.message);
}

StoreStats Engine::stats() const {
  StoreStats stats;
  stats.series = index_.count();
  stats.head_bytes = head_bytes_.load();
  const Snapshot now = snapshot();
  for (const LivePart& live : now.version->parts) {
    ++stats.parts;
    stats.part_bytes += live.part->meta().bytes;
    stats.points += live.part->meta().values;
  }
  for (const QueryHead& in : now.heads) {
    const std::scoped_lock lock(in.partition->mutex);
    stats.points += in.head->values;
  }
  stats.read_only = read_only_.load();
  const std::scoped_lock lock(state_mutex_);
  stats.read_only_reason = read_only_reason_;
  stats.damaged = damaged_;
  return stats;
}

}  // namespace flux::store::engine
