#include "stream/shard_hub.h"

#include <algorithm>

#include "stream/hub.h"
#include "wire/control/packing.h"

namespace flux::stream {
namespace {

constexpr Duration kSlowPoll{20'000'000};
constexpr std::size_t kTracePast = 50;
/// A hundred years: no connection sees the difference, and times stay within their range.
constexpr Duration kLongestInterval = 24_h * (365 * 100);

std::string key_of(const Selector& selector, const Options& options) {
  wire::control::Packer key;
  key.number(selector.tenant.value);
  key.number(selector.devices.size());
  for (const std::string& device : selector.devices) key.text(device);
  key.number(selector.labels.size());
  for (const Tag& label : selector.labels) {
    key.text(label.key);
    key.text(label.value);
  }
  key.number(selector.measurements.size());
  for (const std::string& measurement : selector.measurements) key.text(measurement);
  key.number(selector.metrics.size());
  for (const std::string& metric : selector.metrics) key.text(metric);
  key.integer(options.interval.ns);
  key.byte(static_cast<std::uint8_t>(options.times));
  return key.take();
}

}  // namespace

ShardHub::ShardHub(runtime::Shard& shard, std::shared_ptr<Shared> shared)
    : shard_(shard),
      shared_(std::move(shared)),
      index_(shared_->index),
      config_(shared_->config),
      metrics_(shared_->metrics) {}

// --- from other threads --------------------------------------------------------------------------------------------

void ShardHub::post(std::move_only_function<void(ShardHub&)> task) {
  shard_.post([self = shared_from_this(), task = std::move(task)]() mutable {
    if (!self->stopped_) task(*self);
  });
}

bool ShardHub::deliver(Delivery delivery) {
  const std::size_t before = queued_bytes_.fetch_add(delivery.bytes, std::memory_order_relaxed);
  if (before > config_.queue) {
    queued_bytes_.fetch_sub(delivery.bytes, std::memory_order_relaxed);
    metrics_.dropped_queue.add(delivery.readings);
    tell_missed(delivery);
    return false;
  }
  shard_.post([self = shared_from_this(), delivery = std::move(delivery)] {
    self->queued_bytes_.fetch_sub(delivery.bytes, std::memory_order_relaxed);
    if (!self->stopped_) self->take(delivery);
  });
  return true;
}

/// Costs little memory however much is dropped: counts, and one task per channel until it has run.
void ShardHub::tell_missed(const Delivery& delivery) {
  for (const auto& [group, channels] : delivery.groups) {
    for (const ChannelPtr& channel : *channels) {
      if (channel->closed() || !channel->miss(*delivery.batch, delivery.batch->groups()[group])) continue;
      post([channel](ShardHub& hub) {
        if (!channel->closed()) hub.schedule(channel);
      });
    }
  }
}

// --- readings ------------------------------------------------------------------------------------------------------

void ShardHub::take(const Delivery& delivery) {
  for (const auto& [group, channels] : delivery.groups) {
    for (const ChannelPtr& channel : *channels) {
      if (channel->closed()) continue;
      channel->add(*delivery.batch, delivery.batch->groups()[group]);
      schedule(channel);
    }
  }
}

void ShardHub::schedule(const ChannelPtr& channel) {
  if (channel->scheduled || !channel->has_news()) return;
  channel->scheduled = true;
  const Duration next = channel->last_flush + channel->options().interval;
  if (next <= shard_.now()) {
    // Nothing was sent lately: this point is news, and what else came in this turn goes with it.
    at_turn_end_.push_back(channel);
    shard_.at_turn_end(*this);
    return;
  }
  due_.push({next, channel});
  arm();
}

void ShardHub::arm() {
  if (due_.empty()) return;
  if (flush_timer_.active() && flush_at_ <= due_.top().at) return;
  flush_at_ = due_.top().at;
  flush_timer_ = shard_.call_after(std::max(flush_at_ - shard_.now(), Duration{}), [this] { flush_due(); });
}

void ShardHub::on_turn_end() {
  std::vector<ChannelPtr> channels;
  channels.swap(at_turn_end_);
  const Duration now = shard_.now();
  for (const ChannelPtr& channel : channels) {
    channel->scheduled = false;
    if (channel->closed()) continue;
    channel->flush(now);
    if (channel->slow_members() != 0) watch_slow();
  }
}

void ShardHub::flush_due() {
  const Duration now = shard_.now();
  while (!due_.empty() && due_.top().at <= now) {
    const ChannelPtr channel = due_.top().channel;
    due_.pop();
    channel->scheduled = false;
    if (channel->closed()) continue;
    channel->flush(now);
    if (channel->slow_members() != 0) watch_slow();
  }
  flush_timer_.cancel();
  arm();
}

// --- states, events, traces ----------------------------------------------------------------------------------------

void ShardHub::send_state(const ChannelPtr& channel, const std::string& device, const FramePtr& frame) {
  if (channel->closed()) return;
  channel->send_state(device, frame);
  if (channel->slow_members() != 0) watch_slow();
}

void ShardHub::send_snapshot(std::uint64_t key, const std::vector<store::LastPoint>& points) {
  const auto at = members_.find(key);
  if (at == members_.end()) return;
  const ChannelPtr channel = at->second.second;
  channel->send_snapshot(key, points);
  if (channel->slow_members() != 0) watch_slow();
}

void ShardHub::send_event(TenantId tenant, const std::string& device, const FramePtr& frame) {
  std::vector<LinePtr> lines;  // what is sent may end any of them
  for (const auto& [key, line] : lines_) {
    if (line->trace || line->tenant != tenant) continue;
    if (line->devices.empty() || std::ranges::binary_search(line->devices, device)) lines.push_back(line);
  }
  for (const LinePtr& line : lines) send(*line, frame);
}

void ShardHub::send(Line& line, const FramePtr& frame) {
  if (line.subscriber == nullptr) return;
  if (line.backlog.empty() && line.subscriber->writable()) return give(line, frame);
  if (line.backlog.size() >= config_.events_backlog) {
    line.backlog.pop_front();
    ++line.missed;
    metrics_.dropped_backlog.add();
  }
  line.backlog.push_back(frame);
  watch_slow();
}

void ShardHub::give(Line& line, FramePtr frame) {
  if (line.missed != 0) frame = with_dropped(*frame, std::exchange(line.missed, 0));
  metrics_.frames_sent.add();
  metrics_.frame_bytes.add(frame->rest.size());
  line.subscriber->send(line.id, frame);
}

// --- those who do not keep up --------------------------------------------------------------------------------------

void ShardHub::watch_slow() {
  if (slow_timer_.active() || stopped_) return;
  slow_timer_ = shard_.call_every(kSlowPoll, [this] { poll_slow(); });
}

void ShardHub::poll_slow() {
  bool slow = false;
  std::vector<ChannelPtr> channels;
  for (const auto& [key, channel] : channels_)
    if (channel->slow_members() != 0) channels.push_back(channel);
  for (const ChannelPtr& channel : channels) slow |= channel->drain_slow();
  std::vector<LinePtr> lines;
  for (const auto& [key, line] : lines_)
    if (!line->backlog.empty()) lines.push_back(line);
  for (const LinePtr& line : lines) {
    while (line->subscriber != nullptr && !line->backlog.empty() && line->subscriber->writable()) {
      const FramePtr frame = std::move(line->backlog.front());
      line->backlog.pop_front();
      give(*line, frame);
    }
    slow |= line->subscriber != nullptr && !line->backlog.empty();
  }
  if (!slow) slow_timer_.cancel();
}

// --- subscriptions -------------------------------------------------------------------------------------------------

std::uint64_t ShardHub::subscribe(Selector selector, Options options, Subscriber& subscriber, std::uint64_t id) {
  CHECK(shard_.is_current());
  selector.normalize();
  if (options.interval.ns == 0) options.interval = config_.interval;
  options.interval =
      std::clamp(options.interval, config_.min_interval, std::max(config_.min_interval, kLongestInterval));
  std::string name = key_of(selector, options);
  ChannelPtr& channel = channels_[name];
  const bool is_new = channel == nullptr;
  if (is_new) channel = std::make_shared<Channel>(std::move(selector), options, shard_.index(), config_, metrics_);
  const std::uint64_t key = ++last_key_;
  channel->add_member(key, subscriber, id);
  members_.emplace(key, std::pair(std::move(name), channel));
  metrics_.subscriptions.add(1);
  if (is_new) index_.add(channel);
  return key;
}

std::uint64_t ShardHub::subscribe_events(TenantId tenant, std::vector<std::string> devices, Subscriber& subscriber,
                                         std::uint64_t id) {
  CHECK(shard_.is_current());
  auto line = std::make_shared<Line>();
  line->subscriber = &subscriber;
  line->id = id;
  line->tenant = tenant;
  line->devices = std::move(devices);
  std::ranges::sort(line->devices);
  const std::uint64_t key = ++last_key_;
  lines_.emplace(key, std::move(line));
  event_lines_.fetch_add(1, std::memory_order_relaxed);
  metrics_.subscriptions.add(1);
  return key;
}

std::uint64_t ShardHub::subscribe_trace(TenantId tenant, std::string device, registry::ConnectionLog* log,
                                        Subscriber& subscriber, std::uint64_t id) {
  CHECK(shard_.is_current());
  const auto made = std::make_shared<Line>();
  Line& line = *made;
  line.subscriber = &subscriber;
  line.id = id;
  line.tenant = tenant;
  line.trace = true;
  const std::uint64_t key = ++last_key_;
  lines_.emplace(key, made);
  metrics_.subscriptions.add(1);
  if (log == nullptr) return key;
  // First listen, then look back: nothing is missed, and what is seen twice is left out.
  line.listening =
      log->listen(tenant, device, [weak = weak_from_this(), key](const registry::ConnectionEventPtr& event) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([key, event](ShardHub& hub) {
          const auto at = hub.lines_.find(key);
          if (at == hub.lines_.end()) return;
          const LinePtr line_there = at->second;
          if (std::erase(line_there->shown, event) != 0) return;
          hub.send(*line_there, make_object_frame(Frame::Kind::trace, to_json(*event)));
        });
      });
  line.shown = log->recent(tenant, device, kTracePast);
  const std::vector<registry::ConnectionEventPtr> past = line.shown;
  for (const registry::ConnectionEventPtr& event : past)
    send(line, make_object_frame(Frame::Kind::trace, to_json(*event)));
  return key;
}

void ShardHub::unsubscribe(std::uint64_t key) {
  CHECK(shard_.is_current());
  if (const auto line = lines_.find(key); line != lines_.end()) {
    if (!line->second->trace) event_lines_.fetch_sub(1, std::memory_order_relaxed);
    line->second->subscriber = nullptr;
    line->second->listening = {};
    lines_.erase(line);
    metrics_.subscriptions.add(-1);
    return;
  }
  const auto at = members_.find(key);
  if (at == members_.end()) return;
  const auto [name, channel] = std::move(at->second);
  members_.erase(at);
  metrics_.subscriptions.add(-1);
  if (!channel->remove_member(key)) return;
  channels_.erase(name);
  index_.remove(channel);
}

void ShardHub::stop() {
  stopped_ = true;
  flush_timer_.cancel();
  slow_timer_.cancel();
  shard_.cancel_turn_end(*this);
  at_turn_end_.clear();
  due_ = {};
}

}  // namespace flux::stream
