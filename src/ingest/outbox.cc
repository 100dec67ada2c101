#include "ingest/outbox.h"

#include <algorithm>

#include "observe/log.h"

namespace flux::ingest {
namespace {

// Batches of one partition on their way at once: only large ones go beyond the first.
constexpr std::size_t kMaxInFlight = 4;
constexpr Duration kFirstBackoff = 5_ms;
constexpr Duration kLongestBackoff = 200_ms;
constexpr Duration kFailingTime = 1_s;
constexpr Duration kRecheck = 5_ms;

}  // namespace

Outbox::Outbox(runtime::Shard& shard, bus::Producer& producer, std::size_t partitions, const OutboxConfig& config,
               Metrics& metrics, LogTrouble& trouble)
    : shard_(shard), producer_(producer), config_(config), metrics_(metrics), trouble_(trouble) {
  lanes_.reserve(partitions);
  for (std::size_t i = 0; i < partitions; ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->partition = {static_cast<std::uint16_t>(i)};
  }
}

Outbox::~Outbox() = default;

void Outbox::begin() {
  ++message_;
  touched_.clear();
}

void Outbox::touch(PartitionId partition) {
  Lane& lane = *lanes_[partition.value];
  if (lane.message == message_) return;
  lane.message = message_;
  lane.rows_before = lane.builder.row_count();
  touched_.push_back(&lane);
}

unsigned Outbox::commit(const std::shared_ptr<Answerer>& answerer, std::uint64_t ticket) {
  unsigned batches = 0;
  for (Lane* const lane : touched_) {
    if (lane->builder.row_count() == lane->rows_before) continue;
    ++batches;
    if (answerer) {
      // Messages of one session in a row are answered in one call.
      if (!lane->waiters.empty() && lane->waiters.back().answerer == answerer &&
          lane->waiters.back().last + 1 == ticket) {
        lane->waiters.back().last = ticket;
      } else {
        lane->waiters.push_back({answerer, ticket, ticket});
      }
    }
    const std::size_t bytes = lane->builder.byte_count();
    set_pending(pending_bytes_ + bytes - lane->bytes);
    lane->bytes = bytes;
    if (!lane->dirty) {
      lane->dirty = true;
      dirty_.push_back(lane);
      shard_.at_turn_end(*this);
    }
    if (bytes >= config_.batch_bytes && lane->in_flight < kMaxInFlight) seal(*lane, shard_.now());
  }
  touched_.clear();
  return batches;
}

void Outbox::on_turn_end() { seal_what_may_go(); }

bool Outbox::may_go(const Lane& lane, Duration now) const {
  if (lane.builder.row_count() == 0) return false;
  if (flushing_ && lane.in_flight < kMaxInFlight) return true;
  if (lane.in_flight == 0) return now - lane.sealed_at >= config_.spacing;
  return lane.bytes >= config_.batch_bytes && lane.in_flight < kMaxInFlight;
}

void Outbox::seal_what_may_go() {
  if (closed_ || dirty_.empty()) return;
  const Duration now = shard_.now();
  Duration earliest{INT64_MAX};
  std::size_t kept = 0;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    Lane* const lane = dirty_[i];
    if (may_go(*lane, now)) {
      seal(*lane, now);
      lane->dirty = false;
      continue;
    }
    if (lane->builder.row_count() == 0) {  // sealed for its size meanwhile
      lane->dirty = false;
      continue;
    }
    dirty_[kept++] = lane;
    // With a batch on its way its completion brings us back here; else only the spacing holds it.
    if (lane->in_flight == 0) earliest = std::min(earliest, lane->sealed_at + config_.spacing);
  }
  dirty_.resize(kept);
  if (earliest.ns != INT64_MAX && !wake_.active())
    wake_ = shard_.call_after(std::max(earliest - now, 0_ns), [this] { seal_what_may_go(); });
}

void Outbox::seal(Lane& lane, Duration now) {
  auto sealed = std::make_shared<Sealed>();
  sealed->lane = &lane;
  sealed->bytes = lane.bytes;
  sealed->sealed_at = now;
  sealed->backoff = kFirstBackoff;
  sealed->batch = lane.builder.seal(wall_now());
  sealed->waiters = std::move(lane.waiters);
  if (!lane.spare.empty()) {
    lane.waiters = std::move(lane.spare.back());
    lane.spare.pop_back();
  } else {
    lane.waiters = {};
  }
  lane.bytes = 0;
  lane.sealed_at = now;
  ++lane.in_flight;
  ++open_;
  metrics_.batch_readings.observe(static_cast<double>(sealed->batch->reading_count()));
  metrics_.pending_bytes.add(static_cast<double>(sealed->bytes));
  publish(sealed);
  if (producer_.queued_bytes() > config_.log_queue_bytes) judge();
}

void Outbox::publish(const std::shared_ptr<Sealed>& sealed) {
  bus::Record record;
  record.kind = bus::RecordKind::telemetry;
  record.batch = sealed->batch;
  // The log's thread only hands the result over; it must outlive neither the outbox nor the shard.
  producer_.publish(bus::Topic::raw_sensor_data, sealed->lane->partition, std::move(record),
                    [self = shared_from_this(), sealed](Result<Offset> result) {
                      runtime::Shard& shard = self->shard_;
                      shard.post([self, sealed, result = std::move(result)]() mutable {
                        self->completed(sealed, std::move(result));
                      });
                    });
}

void Outbox::completed(const std::shared_ptr<Sealed>& sealed, Result<Offset> result) {
  if (closed_) return;
  if (result) {
    trouble_.succeeded(shard_.now());
    metrics_.batches.add();
    metrics_.durable_seconds.observe(shard_.now() - sealed->sealed_at);
    finish(*sealed, {});
    return;
  }
  Error error = std::move(result).error();
  const Duration now = shard_.now();
  trouble_.note(error, now);
  const bool nothing_written = error.code == ErrorCode::exhausted || error.code == ErrorCode::unavailable;
  if (nothing_written && now - sealed->sealed_at < config_.retry_time) {
    metrics_.retries.add();
    retrying_.push_back(sealed);
    sealed->retry = shard_.call_after(sealed->backoff, [this, again = sealed.get()] {
      const auto found = std::ranges::find(retrying_, again, &std::shared_ptr<Sealed>::get);
      const auto batch = std::move(*found);
      retrying_.erase(found);
      publish(batch);
    });
    sealed->backoff = std::min(sealed->backoff * 2, kLongestBackoff);
    judge();
    return;
  }
  metrics_.failures.add();
  // A queue that is full behind a disk that is full: the disk is what its sender has to know of.
  if (error.code == ErrorCode::exhausted) error = trouble_.recent(now).value_or(std::move(error));
  static log::Throttle throttle(1_s);
  log::error(throttle, "the log did not take a batch of readings; its senders are told",
             {{"partition", sealed->lane->partition}, {"readings", sealed->batch->reading_count()}, {"error", error}});
  finish(*sealed, std::unexpected(error));
}

void Outbox::finish(Sealed& sealed, const Result<>& result) {
  Lane& lane = *sealed.lane;
  --lane.in_flight;
  --open_;
  metrics_.pending_bytes.add(-static_cast<double>(sealed.bytes));
  set_pending(pending_bytes_ - sealed.bytes);
  for (const Waiter& waiter : sealed.waiters) waiter.answerer->on_batch(waiter.first, waiter.last, result);
  sealed.waiters.clear();
  if (lane.spare.size() < kMaxInFlight) lane.spare.push_back(std::move(sealed.waiters));
  judge();
  seal_what_may_go();
  if (empty() && !flushed_.empty()) {
    for (const auto& completion : std::exchange(flushed_, {})) completion.resolve({});
    flushing_ = false;
  }
}

void Outbox::set_pending(std::size_t bytes) {
  pending_bytes_ = bytes;
  if (!congested_ && bytes > config_.pending_bytes) judge();
}

/// Decides whether there is room. It is found again only well below the limits, so that sockets do not flutter.
void Outbox::judge() {
  const std::size_t pending_limit = congested_ ? config_.pending_bytes / 2 : std::uint64_t{config_.pending_bytes};
  const std::size_t queue_limit = congested_ ? config_.log_queue_bytes / 2 : std::uint64_t{config_.log_queue_bytes};
  const bool full = pending_bytes_ > pending_limit || producer_.queued_bytes() > queue_limit || !retrying_.empty();
  if (full) {
    if (!congested_) metrics_.pauses.add();
    congested_ = true;
    // The log's queue is filled by other shards too, and empties without a word to us.
    if (open_ == 0 && !recheck_.active()) recheck_ = shard_.call_after(kRecheck, [this] { judge(); });
    return;
  }
  if (!congested_) return;
  congested_ = false;
  for (auto& waiter : std::exchange(waiting_, {})) {
    if (congested_) waiting_.push_back(std::move(waiter));
    else waiter();
  }
}

Error Outbox::refusal() const {
  if (auto trouble = trouble_.recent(shard_.now())) return *std::move(trouble);
  return {ErrorCode::exhausted, "readings arrive faster than they can be written: try again in a moment", {}};
}

bool Outbox::failing() const {
  const auto report = trouble_.report();
  return report && shard_.now() - report->last_at < kFailingTime;
}

void Outbox::when_accepting(std::move_only_function<void()> waiter) {
  CHECK(congested_);
  waiting_.push_back(std::move(waiter));
  if (open_ == 0 && !recheck_.active()) recheck_ = shard_.call_after(kRecheck, [this] { judge(); });
}

Async<void> Outbox::flush() {
  flushing_ = true;
  seal_what_may_go();
  if (empty()) {
    flushing_ = false;
    co_return {};
  }
  runtime::Completion<> done;
  flushed_.push_back(done);
  co_return co_await done;
}

void Outbox::close() {
  closed_ = true;
  shard_.cancel_turn_end(*this);
  wake_.cancel();
  recheck_.cancel();
  retrying_.clear();  // and their timers
  waiting_.clear();
  for (const auto& lane : lanes_) {
    lane->waiters.clear();
    lane->spare.clear();
  }
  for (const auto& completion : std::exchange(flushed_, {}))
    completion.resolve(fail(ErrorCode::cancelled, "the outbox is closed"));
}

}  // namespace flux::ingest
