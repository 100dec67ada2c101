#include "stream/hub.h"

#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>

#include "observe/json.h"
#include "runtime/completion.h"
#include "stream/shard_hub.h"

namespace flux::stream {
namespace {

constexpr std::size_t kMostMatches = 1'000'000;

/// What was found for one shape, for as long as nobody subscribes and the device stays as it is.
struct Match {
  ShapePtr shape;  // keeps the address from being used again
  wire::DeviceContextPtr device;
  std::uint64_t version = 0;
  std::vector<std::pair<std::size_t, ShardHub::ChannelsPtr>> shards;
};

}  // namespace

struct Hub::State {
  State(const Config& the_config, metrics::Registry& registry, Snapshots the_snapshots, registry::ConnectionLog* log)
      : shared(std::make_shared<Shared>(the_config, registry)),
        index(shared->index),
        snapshots(std::move(the_snapshots)),
        connections(log) {}

  const std::shared_ptr<Shared> shared;
  Index& index;
  const Snapshots snapshots;
  registry::ConnectionLog* const connections;
  std::vector<std::shared_ptr<ShardHub>> shards;
  std::vector<boost::unordered_flat_map<const Shape*, Match>> matches;  // one map per shard, its own

  Match& match(std::size_t shard, const ShapePtr& shape, const wire::DeviceContextPtr& device, std::uint64_t version) {
    auto& map = matches[shard];
    Match& match = map[shape.get()];
    if (match.version == version && match.device == device) return match;
    match.shape = shape;
    match.device = device;
    match.version = version;
    match.shards.clear();
    std::vector<std::vector<ChannelPtr>> found(shards.size());
    for (ChannelPtr& channel : index.match(*device, shape->key()))
      found[channel->shard()].push_back(std::move(channel));
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i].empty())
        match.shards.emplace_back(i, std::make_shared<const std::vector<ChannelPtr>>(std::move(found[i])));
    }
    return match;
  }
};

Hub::Hub(runtime::Shards& shards, const Config& config, metrics::Registry& metrics, Snapshots snapshots,
         registry::ConnectionLog* connections)
    : state_(std::make_shared<State>(config, metrics, std::move(snapshots), connections)) {
  for (auto& shard : shards) state_->shards.push_back(std::make_shared<ShardHub>(*shard, state_->shared));
  state_->matches.resize(shards.size());
}

Hub::~Hub() = default;

void Hub::on_batch(const wire::ProcessedBatch& batch) {
  State& s = *state_;
  runtime::Shard* const here = runtime::Shard::current();
  CHECK(here != nullptr && here->index() < s.shards.size());
  auto& map = s.matches[here->index()];
  if (s.index.empty()) {
    if (!map.empty()) map.clear();
    return;
  }
  if (map.size() > kMostMatches) map.clear();
  const std::uint64_t version = s.index.version();
  const auto& groups = batch.batch->groups();
  std::vector<ShardHub::Delivery> deliveries(s.shards.size());
  for (std::uint32_t group = 0; group < groups.size(); ++group) {
    const Match& match = s.match(here->index(), groups[group].shape_ptr(), batch.contexts[group], version);
    for (const auto& [shard, channels] : match.shards) {
      ShardHub::Delivery& delivery = deliveries[shard];
      delivery.groups.emplace_back(group, channels);
      delivery.readings += groups[group].rows() * groups[group].shape().field_count();
    }
  }
  for (std::size_t shard = 0; shard < deliveries.size(); ++shard) {
    if (deliveries[shard].groups.empty()) continue;
    deliveries[shard].batch = batch.batch;
    deliveries[shard].bytes = batch.batch->memory_bytes();
    (void)s.shards[shard]->deliver(std::move(deliveries[shard]));
  }
}

void Hub::on_state(const wire::DeviceContext& device, registry::DeviceState state, bool connected, Time last_seen) {
  State& s = *state_;
  if (s.index.empty()) return;
  std::array<FramePtr, kEpochs> frames;
  for (ChannelPtr& channel : s.index.match(device)) {
    FramePtr& frame = frames[static_cast<std::size_t>(channel->options().times)];
    if (!frame) frame = make_state_frame(device.device, state, connected, last_seen, channel->options().times);
    ShardHub& hub = *s.shards[channel->shard()];
    hub.post([channel = std::move(channel), name = device.device, frame](ShardHub& there) {
      there.send_state(channel, name, frame);
    });
  }
}

void Hub::on_state(const registry::DeviceEntry& device) {
  if (state_->index.empty()) return;
  wire::DeviceContext context;
  context.tenant = device.tenant();
  context.device = device.id();
  for (auto& [key, value] : device.settings()->effective_labels()) context.labels.push_back({key, value});
  std::ranges::sort(context.labels);
  on_state(context, device.state(), device.connections() > 0, device.last_seen());
}

void Hub::on_event(TenantId tenant, std::string_view device, std::string_view json) {
  FramePtr frame;
  for (const auto& shard : state_->shards) {
    if (!shard->wants_events()) continue;
    if (!frame) frame = make_object_frame(Frame::Kind::event, json);
    shard->post([tenant, name = std::string(device), frame](ShardHub& hub) { hub.send_event(tenant, name, frame); });
  }
}

Subscription Hub::subscribe(Selector selector, Options options, Subscriber& subscriber, std::uint64_t id) {
  runtime::Shard* const here = runtime::Shard::current();
  CHECK(here != nullptr && here->index() < state_->shards.size());
  const std::shared_ptr<ShardHub>& hub = state_->shards[here->index()];
  const std::uint64_t key = hub->subscribe(selector, options, subscriber, id);
  if (options.snapshot && state_->snapshots) {
    state_->snapshots(selector, [hub, key](Result<std::vector<store::LastPoint>> points) {
      if (!points) return;  // the live points come all the same
      hub->post([key, points = *std::move(points)](ShardHub& there) { there.send_snapshot(key, points); });
    });
  }
  return {hub, key};
}

Subscription Hub::subscribe_events(TenantId tenant, std::vector<std::string> devices, Subscriber& subscriber,
                                   std::uint64_t id) {
  runtime::Shard* const here = runtime::Shard::current();
  CHECK(here != nullptr && here->index() < state_->shards.size());
  const std::shared_ptr<ShardHub>& hub = state_->shards[here->index()];
  return {hub, hub->subscribe_events(tenant, std::move(devices), subscriber, id)};
}

Subscription Hub::subscribe_trace(TenantId tenant, std::string device, Subscriber& subscriber, std::uint64_t id) {
  runtime::Shard* const here = runtime::Shard::current();
  CHECK(here != nullptr && here->index() < state_->shards.size());
  const std::shared_ptr<ShardHub>& hub = state_->shards[here->index()];
  return {hub, hub->subscribe_trace(tenant, std::move(device), state_->connections, subscriber, id)};
}

Async<void> Hub::stop() {
  for (const auto& hub : state_->shards) {
    runtime::Completion<> done;
    hub->shard().post([hub, done] {
      hub->stop();
      done.resolve({});
    });
    CO_DO(co_await done);
  }
  co_return {};
}

Subscription::Subscription(Subscription&& other) noexcept
    : hub_(std::move(other.hub_)), key_(std::exchange(other.key_, 0)) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    if (hub_) hub_->unsubscribe(key_);
    hub_ = std::move(other.hub_);
    key_ = std::exchange(other.key_, 0);
  }
  return *this;
}

Subscription::~Subscription() {
  if (hub_) hub_->unsubscribe(key_);
}

std::string to_json(const registry::ConnectionEvent& event) {
  std::string json = "{\"time\":";
  append_time(json, event.time, Epoch::rfc3339);
  json += ",\"stage\":\"";
  json += registry::to_string(event.stage);
  json += event.ok ? "\",\"ok\":true" : "\",\"ok\":false";
  json += ",\"message\":";
  observe::append_json_string(json, event.message);
  if (!event.peer.empty()) {
    json += ",\"peer\":";
    observe::append_json_string(json, event.peer);
  }
  json += ",\"protocol\":\"";
  json += registry::to_string(event.protocol);
  json += '"';
  if (!event.detail.empty()) {
    json += ",\"detail\":";
    json += event.detail;
  }
  json += '}';
  return json;
}

}  // namespace flux::stream
