#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "registry/connection_log.h"
#include "runtime/shard.h"
#include "stream/channel.h"
#include "stream/config.h"
#include "stream/index.h"
#include "stream/metrics.h"

namespace flux::stream {

/// What all shards of a hub have in common.
struct Shared {
  Shared(const Config& the_config, metrics::Registry& registry) : config(the_config), metrics(registry) {}
  const Config config;
  Metrics metrics;
  Index index;
};

/// The hub's part on one shard: its channels, their schedule, and those who want events. On the shard, but for what
/// says otherwise.
class ShardHub final : public std::enable_shared_from_this<ShardHub>, private runtime::TurnHook {
 public:
  using ChannelsPtr = std::shared_ptr<const std::vector<ChannelPtr>>;
  /// Groups of one batch and who wants them.
  struct Delivery {
    BatchPtr batch;
    std::vector<std::pair<std::uint32_t, ChannelsPtr>> groups;
    std::size_t bytes = 0;
    std::uint64_t readings = 0;
  };

  ShardHub(runtime::Shard& shard, std::shared_ptr<Shared> shared);

  /// Any thread. False when the shard does not keep up: the delivery was dropped, and its channels will say so.
  bool deliver(Delivery delivery);
  /// Any thread.
  void post(std::move_only_function<void(ShardHub&)> task);
  /// Any thread: whether anybody on this shard wants events.
  [[nodiscard]] bool wants_events() const { return event_lines_.load(std::memory_order_relaxed) != 0; }

  std::uint64_t subscribe(Selector selector, Options options, Subscriber& subscriber, std::uint64_t id);
  std::uint64_t subscribe_events(TenantId tenant, std::vector<std::string> devices, Subscriber& subscriber,
                                 std::uint64_t id);
  std::uint64_t subscribe_trace(TenantId tenant, std::string device, registry::ConnectionLog* log,
                                Subscriber& subscriber, std::uint64_t id);
  void unsubscribe(std::uint64_t key);

  void send_state(const ChannelPtr& channel, const std::string& device, const FramePtr& frame);
  void send_event(TenantId tenant, const std::string& device, const FramePtr& frame);
  void send_snapshot(std::uint64_t key, const std::vector<store::LastPoint>& points);
  void stop();

  [[nodiscard]] runtime::Shard& shard() { return shard_; }

 private:
  /// One subscription of events or traces.
  struct Line {
    Subscriber* subscriber = nullptr;  // null: has gone
    std::uint64_t id = 0;
    TenantId tenant;
    std::vector<std::string> devices;  // sorted; empty: all
    bool trace = false;
    std::deque<FramePtr> backlog;
    std::uint64_t missed = 0;                         // taken from the backlog's front since the last frame
    std::vector<registry::ConnectionEventPtr> shown;  // of the past, that may come once more
    registry::ConnectionLog::Subscription listening;
  };
  using LinePtr = std::shared_ptr<Line>;
  struct Due {
    Duration at;
    ChannelPtr channel;
    friend bool operator<(const Due& a, const Due& b) { return a.at > b.at; }
  };

  void on_turn_end() override;
  void tell_missed(const Delivery& delivery);
  void take(const Delivery& delivery);
  void schedule(const ChannelPtr& channel);
  void arm();
  void flush_due();
  void send(Line& line, const FramePtr& frame);
  void give(Line& line, FramePtr frame);
  void watch_slow();
  void poll_slow();

  runtime::Shard& shard_;
  const std::shared_ptr<Shared> shared_;  // a subscription may outlive the hub
  Index& index_;
  const Config& config_;
  Metrics& metrics_;
  std::atomic<std::size_t> queued_bytes_{0};
  std::atomic<std::size_t> event_lines_{0};

  std::unordered_map<std::string, ChannelPtr> channels_;                           // by selection and options
  std::unordered_map<std::uint64_t, std::pair<std::string, ChannelPtr>> members_;  // by subscription
  std::unordered_map<std::uint64_t, LinePtr> lines_;
  std::uint64_t last_key_ = 0;

  std::vector<ChannelPtr> at_turn_end_;
  std::priority_queue<Due> due_;
  runtime::Timer flush_timer_;
  Duration flush_at_;
  runtime::Timer slow_timer_;
  bool stopped_ = false;
};

}  // namespace flux::stream
