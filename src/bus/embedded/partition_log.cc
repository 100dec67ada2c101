#include "bus/embedded/partition_log.h"

#include <algorithm>
#include <random>

#include "observe/log.h"

namespace flux::bus::embedded {
namespace {

// A segment with more shapes than this is sealed early: writer and readers keep all of them in memory.
constexpr std::size_t kMaxSegmentShapes = 100'000;

log::Throttle throttle_failure{10_s};

std::size_t memory_of(const Record& record) {
  constexpr std::size_t kOverhead = sizeof(Record) + 64;
  return kOverhead + (record.batch ? record.batch->memory_bytes() : record.payload->size());
}

std::size_t written_size(const Record& record) {
  if (record.kind != RecordKind::telemetry) return 32 + record.payload->size();
  const TelemetryBatch& batch = *record.batch;
  return 64 + batch.groups().size() * 8 + batch.words().size_bytes() + batch.heap().size();
}

std::uint32_t random_salt() {
  static std::random_device device;
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  return device();
}

}  // namespace

Result<> LogContext::room_for(std::uint64_t bytes) const {
  TRY(const DiskSpace space, files.space(folder));
  const std::uint64_t reserve = std::min<std::uint64_t>(config.disk_reserve_bytes, space.total / 50);
  if (space.available < bytes + reserve)
    return fail(ErrorCode::unavailable,
                "the disk of " + folder.string() + " is full: " + std::to_string(space.available >> 20) + " MiB left");
  return {};
}

PartitionLog::PartitionLog(LogContext& context, Topic topic, PartitionId partition)
    : context_(context),
      topic_(topic),
      partition_(partition),
      retention_(context.config.retention[static_cast<std::size_t>(topic)]),
      folder_(context.folder / to_string(topic) / std::to_string(partition.value)),
      tail_limit_(context.config.tail_bytes / context.partition_count) {}

Result<std::unique_ptr<PartitionLog>> PartitionLog::open(LogContext& context, Topic topic, PartitionId partition) {
  std::unique_ptr<PartitionLog> log(new PartitionLog(context, topic, partition));
  DO(log->recover());
  return log;
}

std::string PartitionLog::name() const {
  return std::string(to_string(topic_)) + "/" + std::to_string(partition_.value);
}

// --- publishing ------------------------------------------------------------------------------------------------------

void PartitionLog::publish(Record record, Published done) {
  const Config& config = context_.config;
  const bool complete = record.kind == RecordKind::telemetry ? record.batch != nullptr : record.payload != nullptr;
  if (!complete) return done(fail(ErrorCode::invalid_argument, "a record lacks its batch or payload"));
  const std::size_t bytes = written_size(record);
  if (bytes > config.record_bytes)
    return done(fail(ErrorCode::too_large, "a record of " + std::to_string(bytes) + " bytes is above the limit of " +
                                               std::to_string(config.record_bytes)));
  if (context_.queued_bytes.fetch_add(bytes) + bytes > config.queue_bytes) {
    context_.queued_bytes -= bytes;
    context_.metrics.refused_exhausted.add();
    return done(fail(ErrorCode::exhausted, "the log's queue is full"));
  }
  bool wake = false;
  bool refused = false;
  {
    const std::scoped_lock lock(queue_mutex_);
    refused = refusing_;
    if (!refused) {
      queue_.push_back({std::move(record), std::move(done), bytes});
      wake = !std::exchange(handed_in_, true);
    }
  }
  if (refused) {
    context_.queued_bytes -= bytes;
    context_.metrics.refused_unavailable.add();
    return done(fail(ErrorCode::unavailable, "the log is closing"));
  }
  if (wake) context_.threads.hand_in(*this);
}

void PartitionLog::refuse() {
  const std::scoped_lock lock(queue_mutex_);
  refusing_ = true;
}

void PartitionLog::request(unsigned tasks) {
  bool wake = false;
  {
    const std::scoped_lock lock(queue_mutex_);
    tasks_ |= tasks;
    wake = !std::exchange(handed_in_, true);
  }
  if (wake) context_.threads.hand_in(*this);
}

void PartitionLog::work() {
  unsigned tasks = 0;
  {
    const std::scoped_lock lock(queue_mutex_);
    std::swap(taken_, queue_);
    tasks = std::exchange(tasks_, 0);
  }
  for (std::size_t first = 0; first < taken_.size();) {
    std::size_t bytes = taken_[first].bytes;
    std::size_t end = first + 1;
    while (end < taken_.size() && bytes + taken_[end].bytes <= context_.config.group_bytes)
      bytes += taken_[end++].bytes;
    commit_group(std::span(taken_).subspan(first, end - first), bytes);
    first = end;
  }
  taken_.clear();
  if (tasks != 0) perform(tasks);

  bool again = false;
  {
    const std::scoped_lock lock(queue_mutex_);
    again = !queue_.empty() || tasks_ != 0;
    handed_in_ = again;
  }
  if (again) context_.threads.hand_in(*this);
}

void PartitionLog::commit_group(std::span<Pending> group, std::size_t bytes) {
  Result<> ready = check_cap(bytes);
  if (ready) ready = ensure_writer();
  if (!ready) return refuse_group(group, ready.error());

  const Time now = wall_now();
  auto located = writer_->append(group, stamp(now));
  if (!located) {
    context_.metrics.write_errors.add();
    if (writer_->poisoned()) drop_poisoned();
    return refuse_group(group, located.error());
  }
  const bool sync_first = context_.config.fsync == Fsync::always ||
                          std::ranges::any_of(group, [](const Pending& pending) { return pending.record.sync_first; });
  if (sync_first) {
    if (auto synced = timed_sync(); !synced) {
      drop_poisoned();
      return refuse_group(group, synced.error());
    }
    synced_ = located->header.end();
  } else {
    unsynced_.store(true, std::memory_order_relaxed);
  }
  complete(group, *located);
  if (writer_->size() >= segment_limit() || writer_->shape_count() > kMaxSegmentShapes) {
    seal_writer();
    retain(now);
  }
}

void PartitionLog::complete(std::span<Pending> group, const Located& located) {
  std::size_t readings = 0;
  std::size_t bytes = 0;
  std::vector<WaiterPtr> ready;
  {
    const std::scoped_lock lock(mutex_);
    Segment& segment = *segments_.back();
    segment.index.add(located);
    segment.bytes = located.end();
    Offset next = located.header.base;
    for (Pending& pending : group) {
      Record& record = pending.record;
      record.offset = next;
      record.appended_at = located.header.appended_at;
      next = next.next();
      bytes += pending.bytes;
      if (record.batch) readings += record.batch->reading_count();
      tail_bytes_ += memory_of(record);
      tail_.push_back(std::move(record));
    }
    while (tail_bytes_ > tail_limit_ && !tail_.empty()) {
      tail_bytes_ -= memory_of(tail_.front());
      tail_.pop_front();
    }
    end_ = next;
    last_origin_ = located.header.last_origin();
    appended_at_ = located.header.appended_at;
    for (const WaiterPtr& waiter : waiters_)
      if (std::exchange(waiter->armed, false)) ready.push_back(waiter);
  }
  const Metrics::PerTopic& appended = context_.metrics.appended[static_cast<std::size_t>(topic_)];
  const std::uint64_t written = located.end() - located.position;
  appended.records->add(group.size());
  appended.readings->add(readings);
  appended.bytes->add(written);
  context_.metrics.group_bytes.observe(static_cast<double>(written));

  for (const WaiterPtr& waiter : ready) waiter->call();
  context_.queued_bytes -= bytes;
  Offset offset = located.header.base;
  for (Pending& pending : group) {
    pending.done(offset);
    offset = offset.next();
  }
}

void PartitionLog::refuse_group(std::span<Pending> group, const Error& error) {
  log::error(throttle_failure, "records could not be appended to the log",
             {{"partition", name()}, {"records", group.size()}, {"error", error}});
  if (error.code == ErrorCode::exhausted) context_.metrics.refused_exhausted.add(group.size());
  if (error.code == ErrorCode::unavailable) context_.metrics.refused_unavailable.add(group.size());
  std::size_t bytes = 0;
  for (const Pending& pending : group) bytes += pending.bytes;
  context_.queued_bytes -= bytes;
  for (Pending& pending : group) pending.done(std::unexpected(error));
}

Result<> PartitionLog::check_cap(std::size_t bytes) {
  if (retention_.max_bytes == 0) return {};
  const std::uint64_t cap = retention_.max_bytes / context_.partition_count;
  if (total_bytes() + bytes <= cap) return {};
  retain(wall_now());
  if (total_bytes() + bytes <= cap) return {};
  return fail(ErrorCode::exhausted,
              "the log of " + name() + " holds its " + std::to_string(cap) + " bytes and consumers still need them");
}

// --- segments --------------------------------------------------------------------------------------------------------

std::uint64_t PartitionLog::segment_limit() const {
  // Retention removes whole segments, so there must be several of them within what is kept.
  std::uint64_t limit = context_.config.segment_bytes;
  for (const std::uint64_t kept : {retention_.bytes.count, retention_.max_bytes.count})
    if (kept != 0) limit = std::min(limit, std::max<std::uint64_t>(kept / context_.partition_count / 8, 64_KiB));
  return limit;
}

SegmentWriter::Stamp PartitionLog::stamp(Time now) const {
  const std::scoped_lock lock(mutex_);
  return {.base = end_, .appended_at = now, .synced = synced_, .origin = last_origin_};
}

Result<> PartitionLog::ensure_writer() {
  if (writer_) return {};
  if (!folder_made_) {
    if (auto made = context_.files.make_folders(folder_); !made) {
      made.error().code = ErrorCode::unavailable;
      return made;
    }
    folder_made_ = true;
  }
  auto segment = std::make_shared<Segment>();
  {
    const std::scoped_lock lock(mutex_);
    segment->base = end_;
  }
  segment->created_at = wall_now();
  segment->path = folder_ / segment_name(segment->base);
  segment->bytes = kSegmentHeaderBytes;
  segment->index.follow_writer();
  const SegmentHeader header{.topic = topic_,
                             .partition = partition_,
                             .base = segment->base,
                             .created_at = segment->created_at,
                             .salt = random_salt()};
  TRY(writer_, SegmentWriter::create(context_.files, segment->path, header,
                                     [this](std::uint64_t bytes) { return context_.room_for(bytes); }));
  context_.metrics.segments_created.add();
  bool only_one = false;
  {
    const std::scoped_lock lock(mutex_);
    // One that held no record had the same name.
    if (!segments_.empty() && segments_.back()->base == segment->base) segments_.pop_back();
    only_one = segments_.empty() && last_origin_.has_value();
    segments_.push_back(std::move(segment));
    writing_ = true;
  }
  return only_one ? mark_origin() : Result<>();
}

Result<> PartitionLog::mark_origin() {
  Result<> marked;
  if (auto written = writer_->append_mark(stamp(wall_now()), false); !written)
    marked = std::unexpected(written.error());
  else marked = timed_sync();
  if (!marked) {
    if (writer_->poisoned()) drop_poisoned();
    marked.error().code = ErrorCode::unavailable;
  }
  return marked;
}

void PartitionLog::seal_writer() {
  if (!writer_) return;
  if (auto sealed = writer_->seal(stamp(wall_now())); !sealed) {
    // Every record was answered for already; the next start looks for the end of the segment by itself.
    context_.metrics.write_errors.add();
    log::error(throttle_failure, "segment could not be sealed", {{"partition", name()}, {"error", sealed.error()}});
  }
  const std::uint64_t size = writer_->size();
  const bool durable = !writer_->dirty();
  writer_.reset();
  const std::scoped_lock lock(mutex_);
  if (durable) synced_ = end_;
  segments_.back()->bytes = size;
  writing_ = false;
}

void PartitionLog::drop_poisoned() {
  log::error("a segment failed; the partition goes on in a new one", {{"partition", name()}});
  writer_.reset();
  const std::scoped_lock lock(mutex_);
  writing_ = false;
}

Result<> PartitionLog::timed_sync() {
  const Duration start = monotonic_now();
  auto synced = writer_->sync();
  context_.metrics.fsync_seconds.observe(monotonic_now() - start);
  if (!synced) context_.metrics.fsync_errors.add();
  return synced;
}

void PartitionLog::sync_writer() {
  unsynced_.store(false, std::memory_order_relaxed);
  if (!writer_ || !writer_->dirty()) return;
  if (auto synced = timed_sync(); !synced) {
    log::error(throttle_failure, "records that were acknowledged after write(2) could not be synced",
               {{"partition", name()}, {"error", synced.error()}});
    drop_poisoned();
    return;
  }
  const std::scoped_lock lock(mutex_);
  synced_ = end_;
}

void PartitionLog::perform(unsigned tasks) {
  if ((tasks & kSync) != 0) sync_writer();
  if ((tasks & kSeal) != 0) seal_writer();
  if ((tasks & kRoll) != 0) {
    // Every record is beyond its age: an empty segment takes over the partition's place, so that the last one can go.
    seal_writer();
    if (auto ready = ensure_writer(); ready && !writer_->dirty()) ready = mark_origin();
  }
}

void PartitionLog::close() { seal_writer(); }

// --- housekeeping ----------------------------------------------------------------------------------------------------

std::uint64_t PartitionLog::total_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const SegmentPtr& segment : segments_) bytes += segment->bytes;
  return bytes;
}

void PartitionLog::sync_soon() {
  if (unsynced_.load(std::memory_order_relaxed)) request(kSync);
}

void PartitionLog::tend(Time now) {
  unsigned tasks = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (segments_.empty()) return;
    const Segment& last = *segments_.back();
    const bool has_records = end_ > last.base;
    if (writing_ && has_records && now - last.created_at > context_.config.segment_age) tasks |= kSeal;
    if (has_records && retention_.age.ns > 0 && now - appended_at_ > retention_.age) {
      const auto needed = context_.groups.needed(topic_, partition_);
      if (!needed || *needed >= end_) tasks |= kRoll;
    }
  }
  if (tasks != 0) request(tasks);
  retain(now);
}

void PartitionLog::retain(Time now) {
  const auto needed = context_.groups.needed(topic_, partition_);
  std::vector<SegmentPtr> removed;
  {
    const std::scoped_lock lock(mutex_);
    std::uint64_t bytes = 0;
    for (const SegmentPtr& segment : segments_) bytes += segment->bytes;
    const std::uint64_t keep = retention_.bytes / context_.partition_count;
    const std::uint64_t cap = retention_.max_bytes / context_.partition_count;
    while (segments_.size() > 1) {
      const Segment& oldest = *segments_.front();
      const Segment& second = *segments_[1];
      if (needed && *needed < second.base) break;
      // What follows was begun when the oldest was complete, so its age is at least that.
      const bool expired = retention_.age.ns > 0 && now - second.created_at > retention_.age;
      const bool too_much = (retention_.bytes != 0 && bytes > keep) ||
                            (retention_.max_bytes != 0 && bytes + context_.config.group_bytes > cap);
      if (!expired && !too_much) break;
      bytes -= oldest.bytes;
      removed.push_back(std::move(segments_.front()));
      segments_.pop_front();
    }
    const Offset first = segments_.empty() ? end_ : segments_.front()->base;
    while (!tail_.empty() && tail_.front().offset < first) {
      tail_bytes_ -= memory_of(tail_.front());
      tail_.pop_front();
    }
  }
  for (const SegmentPtr& segment : removed) {
    if (auto gone = context_.files.remove(segment->path); !gone)
      log::warn(throttle_failure, "segment could not be removed", {{"error", gone.error()}});
    context_.metrics.segments_deleted.add();
    log::info("segment removed by retention", {{"partition", name()}, {"first", segment->base}});
  }
  if (!removed.empty()) {
    if (auto synced = context_.files.sync_folder(folder_); !synced)
      log::warn(throttle_failure, "folder could not be synced", {{"error", synced.error()}});
  }
}

// --- reading ---------------------------------------------------------------------------------------------------------

PartitionInfo PartitionLog::info() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const SegmentPtr& segment : segments_) bytes += segment->bytes;
  return {.first = segments_.empty() ? end_ : segments_.front()->base, .end = end_, .bytes = bytes};
}

std::size_t PartitionLog::segment_count() const {
  const std::scoped_lock lock(mutex_);
  return segments_.size();
}

std::optional<Origin> PartitionLog::last_origin() const {
  const std::scoped_lock lock(mutex_);
  return last_origin_;
}

PartitionLog::Tail PartitionLog::take_tail(Offset position, std::size_t max_bytes, const WaiterPtr& waiter) {
  const std::scoped_lock lock(mutex_);
  Tail taken{.first = segments_.empty() ? end_ : segments_.front()->base, .end = end_, .records = {}};
  if (position >= end_) {
    waiter->armed = true;
    return taken;
  }
  if (tail_.empty() || position < tail_.front().offset) return taken;
  std::size_t bytes = 0;
  for (std::size_t i = position.value - tail_.front().offset.value; i < tail_.size(); ++i) {
    bytes += memory_of(tail_[i]);
    if (!taken.records.empty() && bytes > max_bytes) break;
    taken.records.push_back(tail_[i]);
  }
  return taken;
}

Result<PartitionLog::Place> PartitionLog::find_segment(Offset offset) const {
  const std::scoped_lock lock(mutex_);
  const auto behind = std::ranges::upper_bound(segments_, offset, {}, [](const SegmentPtr& s) { return s->base; });
  if (behind == segments_.begin()) {
    const Offset first = segments_.empty() ? end_ : segments_.front()->base;
    return fail(ErrorCode::not_found, "offset " + std::to_string(offset.value) + " of " + name() +
                                          " is gone; the first one kept is " + std::to_string(first.value));
  }
  Place place{.segment = *std::prev(behind), .next_base = std::nullopt};
  if (behind != segments_.end()) place.next_base = (*behind)->base;
  return place;
}

void PartitionLog::add_waiter(const WaiterPtr& waiter) {
  const std::scoped_lock lock(mutex_);
  waiters_.push_back(waiter);
}

void PartitionLog::remove_waiter(const WaiterPtr& waiter) {
  const std::scoped_lock lock(mutex_);
  std::erase(waiters_, waiter);
}

bool PartitionLog::arm(const WaiterPtr& waiter, Offset position) {
  const std::scoped_lock lock(mutex_);
  waiter->armed = position >= end_;
  return !waiter->armed;
}

}  // namespace flux::bus::embedded
