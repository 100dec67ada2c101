#include "process/processor.h"

#include <algorithm>

#include "observe/log.h"
#include "process/processed_sink.h"
#include "wire/control/packing.h"

namespace flux::process {
namespace {

constexpr std::array kTopics{bus::Topic::dead_letters, bus::Topic::device_events, bus::Topic::processed_data};
constexpr bus::Topic kInput = bus::Topic::raw_sensor_data;
constexpr std::string_view kProcessGroup = "process";
constexpr std::string_view kStoreGroup = "store";
constexpr std::uint8_t kDataFormat = 2;
constexpr std::uint8_t kTwoTopics = 1;  // the format before processed_data, without the number of topics

log::Throttle control_failed(10_s);
log::Throttle checkpoint_failed(10_s);

std::string pack(std::size_t partitions, std::span<const Offset> topics, const PartitionState& state) {
  wire::control::Packer out;
  out.byte(kDataFormat);
  out.number(partitions);
  out.number(topics.size());
  for (const Offset topic : topics) out.number(topic.value);
  out.text(state.save());
  return out.take();
}

}  // namespace

Processor::Processor(const Needs& needs, PartitionId partition)
    : needs_(needs),
      partition_(partition),
      state_(partition, needs.bus.partition_count()),
      pipeline_(state_),
      alive_(std::make_shared<bool>(true)) {}

Processor::~Processor() { *alive_ = false; }

// --- starting ------------------------------------------------------------------------------------------------------

Result<> Processor::recover() {
  TRY(generation_, needs_.checkpoints.take_over(partition_));
  TRY(const bus::PartitionInfo info, needs_.bus.info(kInput, partition_));
  start_end_ = info.end;
  const Offset store_next = needs_.store.resume_from(partition_);
  if (store_next > info.end) {
    return fail(ErrorCode::corrupt, "the log of partition " + std::to_string(partition_.value) + " ends at " +
                                        std::to_string(info.end.value) + ", the store knows it up to " +
                                        std::to_string(store_next.value));
  }

  TRY(const std::vector<Offset> candidates, needs_.checkpoints.list(partition_));
  bool found = false;
  for (const Offset candidate : candidates) {
    if (candidate > store_next) {
      // Its state has seen more than the store has kept: processing the rest under it would not be a replay.
      log::warn("a checkpoint is newer than the store's data and is not used",
                {{"partition", partition_}, {"checkpoint", candidate}, {"store", store_next}});
      continue;
    }
    const auto checkpoint = needs_.checkpoints.read(partition_, candidate);
    if (!checkpoint) {
      log::error("a checkpoint cannot be used", {{"partition", partition_}, {"reason", checkpoint.error()}});
      continue;
    }
    if (restore(*checkpoint, info.first)) {
      found = true;
      break;
    }
  }
  if (!found) {
    next_ = info.first;
    topics_from_ = {};
    have_durable_ = false;
    if (!candidates.empty() || info.first.value > 0) {
      log::warn("no checkpoint can be used: all that the log still has is processed again",
                {{"partition", partition_}, {"from", next_}, {"to", info.end}});
    }
  }
  TRY(reader_, needs_.bus.reader(kInput, partition_, next_));

  store_sink_ = std::make_unique<StoreSink>(needs_.store, partition_);
  sinks_.add(*store_sink_);
  const TopicSink::Limits limits{.outputs = needs_.config.output_queue, .bytes = needs_.config.output_bytes};
  for (const bus::Topic topic : {bus::Topic::dead_letters, bus::Topic::device_events})
    topics_.push_back(std::make_unique<TopicSink>(needs_.bus, topic, partition_, limits, needs_.post));
  if (needs_.config.processed_data.enabled)
    topics_.push_back(std::make_unique<ProcessedSink>(needs_.bus, partition_, limits, needs_.post));
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    DO(topics_[i]->recover(next_, topics_from_[i]));
    sinks_.add(*topics_[i]);
  }
  if (found) follow_lost_topics();
  if (needs_.directory != nullptr) {
    registry_sink_ = std::make_unique<RegistrySink>(*needs_.directory);
    sinks_.add(*registry_sink_);
  }
  if (needs_.live != nullptr) {
    live_output_ = std::make_unique<LiveOutput>(*needs_.live, store_next);
    sinks_.add(*live_output_);
  }
  log::debug("partition taken over", {{"partition", partition_},
                                      {"generation", generation_},
                                      {"checkpoint", found},
                                      {"from", next_},
                                      {"store", store_next},
                                      {"end", info.end},
                                      {"devices", state_.device_count()}});
  commit();
  return {};
}

bool Processor::restore(const Checkpoint& checkpoint, Offset first_kept) {
  wire::control::Unpacker in(checkpoint.data);
  const std::uint8_t format = in.byte();
  const std::uint64_t partitions = in.number();
  TopicPlaces topics{};
  const std::size_t places = format == kTwoTopics ? 2 : in.number();
  for (std::size_t i = 0; i < std::min(places, topics.size()); ++i) topics[i].value = in.number();
  const std::string_view saved = in.text();
  const bool readable = format == kDataFormat ? places == topics.size() : format == kTwoTopics;
  if (!in.ok() || !readable || partitions != needs_.bus.partition_count()) {
    log::error("a checkpoint was made by another version or for another number of partitions",
               {{"partition", partition_}, {"checkpoint", checkpoint.next}});
    return false;
  }
  if (checkpoint.next < first_kept) {
    log::error("records after a checkpoint are missing from the log",
               {{"partition", partition_}, {"checkpoint", checkpoint.next}, {"first", first_kept}});
    // Better than nothing: what is known of devices still holds.
  }
  if (const auto loaded = state_.load(saved); !loaded) {
    log::error("a checkpoint cannot be used", {{"partition", partition_}, {"reason", loaded.error()}});
    return false;
  }
  pipeline_.reset();
  next_ = std::max(checkpoint.next, first_kept);
  durable_next_ = checkpoint.next;
  have_durable_ = true;
  topics_from_ = topics;
  return true;
}

void Processor::follow_lost_topics() {
  bool lost = false;
  for (std::size_t i = 0; i < kTopics.size(); ++i) {
    const auto info = needs_.bus.info(kTopics[i], partition_);
    if (!info || topics_from_[i] <= info->end) continue;
    log::warn("a topic lost outputs of processing", {{"topic", bus::to_string(kTopics[i])},
                                                     {"partition", partition_},
                                                     {"end", info->end},
                                                     {"checkpoint", topics_from_[i]}});
    topics_from_[i] = info->end;
    lost = true;
  }
  if (!lost) return;
  // What is published from now on lies before the places that the checkpoint names: a crash would not find it there.
  const auto written = needs_.checkpoints.write(
      partition_, generation_,
      {.next = durable_next_, .data = pack(needs_.bus.partition_count(), topics_from_, state_)});
  if (!written)
    log::warn("a checkpoint could not be written: a crash before the next one may repeat outputs",
              {{"partition", partition_}, {"reason", written.error()}});
}

// --- running -------------------------------------------------------------------------------------------------------

Result<bool> Processor::fill() {
  auto records = reader_->read(needs_.config.read_bytes);
  if (!records && records.error().code == ErrorCode::corrupt) {
    TRY(const std::uint64_t lost, reader_->skip_damage());
    needs_.metrics.lost_records.add(lost);
    log::error("damaged records of the log were passed over",
               {{"partition", partition_}, {"records", lost}, {"reason", records.error()}});
    next_ = reader_->position();
    return true;
  }
  if (!records) return std::unexpected(std::move(records).error());
  records_ = *std::move(records);
  at_ = 0;
  return !records_.empty();
}

Result<Processor::Progress> Processor::step() {
  if (fenced_) return Progress::idle;
  at_end_ = false;
  if (at_ == records_.size()) {
    TRY(const bool more, fill());
    if (!more) {
      reached_end();
      return Progress::idle;
    }
  }
  for (; at_ < records_.size(); ++at_) {
    bus::Record& record = records_[at_];
    if (!outputs_waiting_) {
      pipeline_.apply(record, outputs_);
      next_ = record.offset.next();
      last_appended_ = record.appended_at;
      outputs_waiting_ = true;
    }
    if (const auto taken = sinks_.write(outputs_); !taken) {
      needs_.metrics.stalls.add();
      return Progress::blocked;
    }
    outputs_waiting_ = false;
    count(outputs_);
    record = {};  // the batch may go as soon as nobody else holds it
    if (!caught_up_ && next_ >= start_end_) {
      caught_up_ = true;
      sinks_.caught_up(state_);
    }
  }
  return Progress::worked;
}

void Processor::on_ready(std::move_only_function<void()> ready) { reader_->on_ready(std::move(ready)); }

void Processor::count(const Outputs& outputs) {
  Metrics& m = needs_.metrics;
  m.records.add();
  if (outputs.readings_in != 0) {
    m.readings.add(outputs.readings_in);
    if (caught_up_) m.batch_delay.observe(wall_now() - outputs.received_at);
  }
  if (outputs.signals.empty() && std::ranges::all_of(outputs.refused, [](auto n) { return n == 0; })) return;
  for (std::size_t i = 0; i < kReasonCount; ++i)
    if (outputs.refused[i] != 0) m.refused[i]->add(outputs.refused[i]);
  const auto events = std::ranges::count_if(outputs.signals, [](const Signal& s) { return s.event.has_value(); });
  if (events != 0) m.events.add(static_cast<std::uint64_t>(events));
}

void Processor::reached_end() {
  at_end_ = true;
  if (!caught_up_) {
    caught_up_ = true;
    sinks_.caught_up(state_);
  }
  if (!rules_in_flight_ && state_.rules() != needs_.config.rules()) {
    rules_in_flight_ = true;
    // Kept true when it worked: the record comes back to us through the log.
    publish_control(needs_.config.rules(), [this](bool worked) { rules_in_flight_ = worked; });
  }
}

void Processor::publish_control(const wire::control::ControlRecord& record, std::function<void(bool)> done) {
  bus::Record out;
  out.kind = bus::RecordKind::control;
  out.payload = std::make_shared<const std::string>(wire::control::encode(record));
  needs_.bus.producer().publish(
      kInput, partition_, std::move(out),
      [post = needs_.post, alive = alive_, done = std::move(done)](Result<Offset> result) mutable {
        post([alive = std::move(alive), done = std::move(done), result = std::move(result)] {
          if (!*alive) return;
          if (!result) log::warn(control_failed, "the log did not take a control record", {{"reason", result.error()}});
          done(result.has_value());
        });
      });
}

// --- time ----------------------------------------------------------------------------------------------------------

void Processor::maintain(Time now, Duration monotonic) {
  if (fenced_) return;
  for (const auto& topic : topics_) topic->retry();
  if (at_end_) reached_end();
  tick(now, monotonic);
  const Duration since = monotonic - last_checkpoint_;
  const std::uint64_t records = next_.value - (have_durable_ ? durable_next_.value : 0);
  if (!pending_ && records > 0 &&
      (since >= needs_.config.checkpoint_interval || records >= needs_.config.checkpoint_records)) {
    checkpoint();
    last_checkpoint_ = monotonic;
  }
  write_pending();
  commit();
}

void Processor::tick(Time now, Duration monotonic) {
  // While many records wait, the time of the partition lies in the past: a device may be about to be heard from.
  const bool up_to_date = at_end_ || (caught_up_ && now - last_appended_ < needs_.config.tick_interval);
  if (quiet_ || !up_to_date || tick_in_flight_ || monotonic < next_tick_) return;
  if (state_.next_due(needs_.listening_since) > now) return;
  tick_in_flight_ = true;
  next_tick_ = monotonic + needs_.config.tick_interval;
  needs_.metrics.ticks.add();
  publish_control(wire::control::Tick{now, needs_.listening_since}, [this](bool) { tick_in_flight_ = false; });
}

std::uint64_t Processor::lag() const {
  const auto info = needs_.bus.info(kInput, partition_);
  return info && info->end > next_ ? info->end.value - next_.value : 0;
}

bool Processor::settled() const {
  // A record of ours may have become durable since we last looked: then the log's end is further on.
  const bool rules_to_come = rules_in_flight_ && state_.rules() != needs_.config.rules();
  return at_end_ && lag() == 0 && !outputs_waiting_ && !tick_in_flight_ && !rules_to_come &&
         std::ranges::all_of(topics_, [](const auto& topic) { return topic->waiting() == 0; });
}

// --- checkpoints ---------------------------------------------------------------------------------------------------

void Processor::checkpoint() {
  // Outputs that wait belong to the state already and to no sink yet: the next record's end is a better moment.
  if (pending_ || outputs_waiting_ || fenced_ || checkpointed()) return;
  Pending pending;
  // A topic that is not written stays where it was: what it has of records to come lies behind that.
  pending.topics = topics_from_;
  for (std::size_t i = 0; i < topics_.size(); ++i) pending.topics[i] = topics_[i]->scan_from();
  pending.checkpoint.next = next_;
  pending.checkpoint.data = pack(needs_.bus.partition_count(), pending.topics, state_);
  pending_ = std::move(pending);
  write_pending();
}

bool Processor::checkpointed() const { return have_durable_ && durable_next_ == next_; }

void Processor::write_pending() {
  if (!pending_ || pending_->writing || sinks_.durable() < pending_->checkpoint.next) return;
  pending_->writing = true;
  auto checkpoint = std::make_shared<const Checkpoint>(std::move(pending_->checkpoint));
  pending_->checkpoint.next = checkpoint->next;
  needs_.background([this, checkpoint, alive = alive_, post = needs_.post, &checkpoints = needs_.checkpoints,
                     partition = partition_, generation = generation_] {
    auto result = checkpoints.write(partition, generation, *checkpoint);
    post([this, alive, checkpoint, result = std::move(result)]() mutable {
      if (!*alive) return;
      if (!result) pending_->checkpoint = *checkpoint;
      else needs_.metrics.checkpoint_bytes.observe(static_cast<double>(checkpoint->data.size()));
      written(std::move(result));
    });
  });
}

void Processor::written(Result<> result) {
  pending_->writing = false;
  if (!result) {
    if (result.error().code == ErrorCode::permission_denied) {
      fenced_ = true;
      log::error("the partition was taken over by another process",
                 {{"partition", partition_}, {"reason", result.error()}});
    } else {
      log::warn(checkpoint_failed, "a checkpoint could not be written and is tried again",
                {{"partition", partition_}, {"reason", result.error()}});
    }
    return;
  }
  needs_.metrics.checkpoints.add();
  durable_next_ = pending_->checkpoint.next;
  have_durable_ = true;
  topics_from_ = pending_->topics;
  for (std::size_t i = 0; i < topics_.size(); ++i) topics_[i]->settled(topics_from_[i]);
  pending_.reset();
  commit();
}

void Processor::commit() {
  // Without a checkpoint everything may have to be processed again: the first record kept is still needed.
  const std::array<Offset, 2> now{have_durable_ ? durable_next_ : Offset{0}, needs_.store.resume_from(partition_)};
  if (committed_ == now) return;
  committed_ = now;
  needs_.bus.commit(kProcessGroup, kInput, partition_, now[0]);
  needs_.bus.commit(kStoreGroup, kInput, partition_, now[1]);
}

}  // namespace flux::process
