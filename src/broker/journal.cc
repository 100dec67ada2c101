#include "broker/journal.h"

#include <algorithm>

#include "observe/log.h"

namespace flux::broker {

Journal::Journal(runtime::Shard& shard, bus::Producer& producer, std::size_t partitions, Metrics& metrics)
    : shard_(shard), producer_(producer), metrics_(metrics) {
  for (std::size_t i = 0; i < partitions; ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->partition = {static_cast<std::uint16_t>(i)};
  }
}

Journal::~Journal() = default;

std::string& Journal::open(PartitionId partition) {
  Lane& lane = *lanes_[partition.value];
  if (!lane.dirty) {
    lane.dirty = true;
    dirty_.push_back(&lane);
    shard_.at_turn_end(*this);
  }
  if (lane.open.empty() || lane.open.back().bytes.size() > kRecordBytes) lane.open.emplace_back();
  return lane.open.back().bytes;
}

void Journal::keep(PartitionId partition, ReceiptPtr receipt) {
  if (!receipt) return;
  (void)open(partition);
  lanes_[partition.value]->open.back().waiters.receipts.push_back(std::move(receipt));
}

void Journal::when_durable(PartitionId partition, std::move_only_function<void(const Result<>&)> done) {
  (void)open(partition);
  lanes_[partition.value]->open.back().waiters.calls.push_back(std::move(done));
}

bool Journal::full() const {
  std::size_t bytes = 0;
  for (const auto& lane : lanes_)
    if (lane->open.size() > 1) bytes += lane->open.size() * kRecordBytes;
  return bytes > kMostBytes;
}

bool Journal::idle() const {
  return std::ranges::all_of(lanes_, [](const auto& lane) { return !lane->sent && lane->open.empty(); });
}

void Journal::close() {
  closed_ = true;
  shard_.cancel_turn_end(*this);
  for (const auto& lane : lanes_) {
    lane->retry.cancel();
    lane->open.clear();
    lane->sent_waiters = {};
  }
}

void Journal::on_turn_end() {
  for (Lane* const lane : std::exchange(dirty_, {})) {
    lane->dirty = false;
    if (!lane->sent && !lane->open.empty()) send(*lane);
  }
}

void Journal::send(Lane& lane) {
  if (lane.open.front().bytes.empty()) {
    // Only somebody who asks whether all before is durable, and it is.
    Waiters told = std::move(lane.open.front().waiters);
    lane.open.pop_front();
    return tell(told, {});
  }
  lane.sent = std::make_shared<const std::string>(std::move(lane.open.front().bytes));
  lane.sent_waiters = std::move(lane.open.front().waiters);
  lane.open.pop_front();
  lane.first_tried = shard_.now();
  lane.told = false;
  metrics_.journal_bytes.add(lane.sent->size());
  publish(lane);
}

void Journal::publish(Lane& lane) {
  bus::Record record;
  record.kind = bus::RecordKind::control;
  record.payload = lane.sent;
  producer_.publish(bus::Topic::broker_state, lane.partition, std::move(record),
                    [weak = weak_from_this(), &shard = shard_, &lane](Result<Offset> result) {
                      shard.post([weak, &lane, result = std::move(result)] {
                        if (const auto self = weak.lock(); self && !self->closed_) self->completed(lane, result);
                      });
                    });
}

void Journal::completed(Lane& lane, const Result<Offset>& result) {
  static log::Throttle throttle{10_s};
  if (!result && result.error().code != ErrorCode::too_large) {
    metrics_.journal_failures.add();
    if (!lane.told && shard_.now() - lane.first_tried >= kPatience) {
      log::warn(throttle, "sessions cannot be written to the log", {{"error", result.error().message}});
      lane.told = true;
      tell(lane.sent_waiters, std::unexpected(result.error()));
    }
    // It may be there and come a second time: a change that is read twice changes nothing more.
    lane.retry = shard_.call_after(kPause, [this, &lane] { publish(lane); });
    return;
  }
  Result<> outcome;
  if (!result) {
    log::error("changes of sessions are larger than a record of the log", {{"bytes", lane.sent->size()}});
    outcome = std::unexpected(result.error());
  }
  lane.sent.reset();
  Waiters told = std::exchange(lane.sent_waiters, {});
  if (!lane.open.empty()) send(lane);
  tell(told, outcome);
}

void Journal::tell(Waiters& waiters, const Result<>& result) {
  Waiters told = std::exchange(waiters, {});
  if (!result)
    for (const auto& receipt : told.receipts) receipt->fail(result.error());
  for (auto& call : told.calls) call(result);
}

}  // namespace flux::broker
