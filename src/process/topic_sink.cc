#include "process/topic_sink.h"

#include <algorithm>

#include "observe/log.h"

namespace flux::process {
namespace {

constexpr std::size_t kWindow = 256;           // publishes under way at once
constexpr std::size_t kWindowBytes = 1 << 20;  // and their bytes: the log's queue is for the devices' readings first
constexpr std::size_t kScanBytes = 1 << 20;

struct Waiting {
  enum class Stage : std::uint8_t { queued, in_flight, unknown, published };
  bus::Origin origin;
  bus::RecordKind kind;
  bus::Payload payload;
  Stage stage = Stage::queued;
};

log::Throttle publish_failed(10_s);

}  // namespace

// Outlives the sink while publishes are under way; what comes back then finds `open` false.
struct TopicSink::State : std::enable_shared_from_this<State> {
  bus::Bus& bus;
  const bus::Topic topic;
  const PartitionId partition;
  const Limits limits;
  const Post post;
  bool open = true;

  std::deque<Waiting> queue;
  std::uint64_t first = 0;  // number of queue.front() among all ever queued
  std::size_t bytes = 0;    // of all in the queue
  std::size_t in_flight = 0;
  std::size_t in_flight_bytes = 0;
  std::uint64_t refused = 0;
  bool failed = false;              // something is to be published again: only when nothing is under way
  Offset base;                      // everything that we may have to look for lies at or behind
  std::set<bus::Origin> published;  // by a former run

  State(bus::Bus& the_bus, bus::Topic the_topic, PartitionId the_partition, Limits the_limits, Post the_post)
      : bus(the_bus), topic(the_topic), partition(the_partition), limits(the_limits), post(std::move(the_post)) {}

  Result<> scan(Offset from, const std::function<void(const bus::Origin&)>& found) const {
    TRY(const bus::PartitionInfo info, bus.info(topic, partition));
    if (from >= info.end) return {};  // nothing new, or a tail that a power cut took
    TRY(const auto reader, bus.reader(topic, partition, std::max(from, info.first)));
    while (reader->position() < info.end) {
      auto records = reader->read(kScanBytes);
      if (!records) {
        if (records.error().code != ErrorCode::corrupt) return std::unexpected(std::move(records).error());
        log::error("damaged records of a topic were passed over",
                   {{"topic", bus::to_string(topic)}, {"partition", partition}, {"reason", records.error()}});
        DO(reader->skip_damage());
        continue;
      }
      if (records->empty()) break;
      for (const bus::Record& record : *records)
        if (record.origin && record.origin->input.partition == partition) found(*record.origin);
    }
    return {};
  }

  void pump() {
    if (failed) return;
    for (std::size_t i = 0; i < queue.size() && in_flight < kWindow && in_flight_bytes < kWindowBytes && !failed; ++i) {
      Waiting& waiting = queue[i];
      if (waiting.stage != Waiting::Stage::queued) continue;
      waiting.stage = Waiting::Stage::in_flight;
      ++in_flight;
      in_flight_bytes += waiting.payload->size();
      bus::Record record;
      record.kind = waiting.kind;
      record.payload = waiting.payload;
      record.origin = waiting.origin;
      bus.producer().publish(topic, partition, std::move(record),
                             [self = shared_from_this(), number = first + i](Result<Offset> result) {
                               self->post([self, number, result = std::move(result)]() mutable {
                                 if (self->open) self->on_published(number, std::move(result));
                               });
                             });
    }
  }

  void on_published(std::uint64_t number, Result<Offset> result) {
    Waiting& waiting = queue[number - first];
    --in_flight;
    in_flight_bytes -= waiting.payload->size();
    if (result) {
      waiting.stage = Waiting::Stage::published;
    } else if (result.error().code == ErrorCode::too_large) {
      // Trying again would end the same way, for ever: the partition must go on.
      ++refused;
      log::error("the log takes no output of this size", {{"topic", bus::to_string(topic)},
                                                          {"partition", partition},
                                                          {"offset", waiting.origin.input.offset},
                                                          {"reason", result.error()}});
      waiting.stage = Waiting::Stage::published;
    } else {
      log::warn(publish_failed, "outputs of processing wait: the log did not take them",
                {{"topic", bus::to_string(topic)}, {"partition", partition}, {"reason", result.error()}});
      waiting.stage = result.error().code == ErrorCode::io ? Waiting::Stage::unknown : Waiting::Stage::queued;
      failed = true;
    }
    pop_published();
    pump();
  }

  void pop_published() {
    while (!queue.empty() && queue.front().stage == Waiting::Stage::published) {
      bytes -= queue.front().payload->size();
      queue.pop_front();
      ++first;
    }
  }

  void retry() {
    if (!failed || in_flight != 0) return;
    if (std::ranges::any_of(queue, [](const Waiting& w) { return w.stage == Waiting::Stage::unknown; })) {
      std::set<bus::Origin> there;
      if (!scan(base, [&](const bus::Origin& origin) { there.insert(origin); })) return;
      for (Waiting& waiting : queue) {
        if (waiting.stage == Waiting::Stage::unknown)
          waiting.stage = there.contains(waiting.origin) ? Waiting::Stage::published : Waiting::Stage::queued;
      }
      pop_published();
    }
    failed = false;
    pump();
  }
};

TopicSink::TopicSink(bus::Bus& bus, bus::Topic topic, PartitionId partition, Limits limits, Post post)
    : state_(std::make_shared<State>(bus, topic, partition, limits, std::move(post))) {}

TopicSink::~TopicSink() { state_->open = false; }

Result<> TopicSink::recover(Offset input, Offset from) {
  State& s = *state_;
  TRY(const bus::PartitionInfo info, s.bus.info(s.topic, s.partition));
  s.base = std::min(from, info.end);
  s.published.clear();
  return s.scan(from, [&](const bus::Origin& origin) {
    if (origin.input.offset >= input) s.published.insert(origin);
  });
}

Offset TopicSink::scan_from() const {
  // What a former run published of records that we have yet to come to lies before the topic's end already.
  if (!state_->published.empty()) return state_->base;
  const auto info = state_->bus.info(state_->topic, state_->partition);
  return info ? info->end : state_->base;
}

void TopicSink::settled(Offset from) { state_->base = std::max(state_->base, from); }

Result<> TopicSink::write(const Outputs& outputs) {
  State& s = *state_;
  if (s.queue.size() >= s.limits.outputs || s.bytes >= s.limits.bytes)
    return fail(ErrorCode::exhausted, "the log does not keep up with outputs");
  collect(outputs);
  s.pump();
  return {};
}

void TopicSink::collect(const Outputs& outputs) {
  for (const Signal& signal : outputs.signals)
    if (signal.topic == state_->topic) add(outputs.position, signal.ordinal, bus::RecordKind::event, signal.json);
}

void TopicSink::add(Position input, std::uint32_t ordinal, bus::RecordKind kind, bus::Payload payload) {
  State& s = *state_;
  const bus::Origin origin{input, ordinal};
  if (!s.published.empty() && s.published.erase(origin) != 0) return;
  s.bytes += payload->size();
  s.queue.push_back({origin, kind, std::move(payload), Waiting::Stage::queued});
}

Offset TopicSink::durable() const {
  // The front is the oldest that is not known to be safe.
  return state_->queue.empty() ? kEverything : state_->queue.front().origin.input.offset;
}

void TopicSink::retry() { state_->retry(); }

std::size_t TopicSink::waiting() const { return state_->queue.size(); }

std::uint64_t TopicSink::refused_outputs() const { return state_->refused; }

}  // namespace flux::process
