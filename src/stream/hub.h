#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "observe/metrics.h"
#include "registry/connection_log.h"
#include "registry/directory.h"
#include "runtime/async.h"
#include "runtime/shard.h"
#include "store/series/series_store.h"
#include "stream/config.h"
#include "stream/frame.h"
#include "stream/selector.h"
#include "stream/subscriber.h"
#include "wire/processed/processed.h"

namespace flux::stream {

class ShardHub;

/// Ends its subscription when destroyed: no call to the subscriber comes after. On the subscriber's shard.
class [[nodiscard]] Subscription {
 public:
  Subscription() = default;
  Subscription(std::shared_ptr<ShardHub> hub, std::uint64_t key) : hub_(std::move(hub)), key_(key) {}
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();
  [[nodiscard]] explicit operator bool() const { return hub_ != nullptr; }

 private:
  std::shared_ptr<ShardHub> hub_;
  std::uint64_t key_ = 0;
};

/// Shows what passes to those who look on.
///
/// Partitions hand in batches on their shards. Groups that somebody wants go to the shards of those who want them;
/// there, all who want the same share a `Channel`, which makes each frame once. The first point after a pause goes out
/// at the end of the event loop's turn; while points keep coming, a frame goes out per interval.
class Hub {
 public:
  /// Newest values of a selection, for subscriptions that begin with them. Called on the subscriber's shard, must not
  /// block; `done` may be called on any thread.
  using Snapshots =
      std::function<void(const Selector&, std::function<void(Result<std::vector<store::LastPoint>>)> done)>;

  Hub(runtime::Shards& shards, const Config& config, metrics::Registry& metrics, Snapshots snapshots,
      registry::ConnectionLog* connections);
  /// After `stop`, or when the shards have ended.
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // From processing.

  /// On the partition's shard. Costs one look-up by address per group while anybody looks on at all.
  void on_batch(const wire::ProcessedBatch& batch);
  /// Any thread. `last_seen` of `Time::min()` means never.
  void on_state(const wire::DeviceContext& device, registry::DeviceState state, bool connected, Time last_seen);
  /// The same, as the registry sees the device: when a connection opens or closes. Any thread.
  void on_state(const registry::DeviceEntry& device);
  /// `json` is the event as the API shows it, an object. Any thread.
  void on_event(TenantId tenant, std::string_view device, std::string_view json);

  // From connections, on their shard. `subscriber` must outlive the subscription; `id` is handed back to it.

  /// Readings and state changes of a selection.
  Subscription subscribe(Selector selector, Options options, Subscriber& subscriber, std::uint64_t id);
  /// Device events of a tenant; of some devices only, where there are any.
  Subscription subscribe_events(TenantId tenant, std::vector<std::string> devices, Subscriber& subscriber,
                                std::uint64_t id);
  /// What happens on a device's connections, the last of it first. Nothing comes when there is no connection log.
  Subscription subscribe_trace(TenantId tenant, std::string device, Subscriber& subscriber, std::uint64_t id);

  /// Ends timers; nothing is sent after it. Subscriptions may end later.
  Async<void> stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// `{"time":…,"stage":…,"ok":…,"message":…,"peer":…,"protocol":…,"detail":{…}}`: a connection event as the API shows
/// it.
std::string to_json(const registry::ConnectionEvent& event);

}  // namespace flux::stream
