#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/config.h"
#include "broker/local.h"
#include "broker/metrics.h"
#include "broker/retained.h"
#include "broker/session.h"
#include "bus/bus.h"
#include "runtime/async.h"
#include "runtime/shard.h"

namespace flux::broker {

/// Publish and subscribe between clients, with the sessions that outlive their connections: what MQTT asks of a server
/// apart from reading its packets and knowing who may do what, which is its caller's.
///
///     Broker broker(config, {shards, bus, metrics});
///     CO_DO(co_await broker.start());                                     // reads what the log keeps
///     if (const auto home = broker.home(key, here); home != here) connection.move_to(shards[home]);
///     TRY(auto attached, broker.connect(here, key, link, {.limits = …}));   // on that shard from now on
///     broker.local(here).publish(content, make_receipt);
///     broker.disconnect(here, attached.session, link, {});
///
/// Destroyed when the shards have ended.
class Broker {
 public:
  struct Needs {
    runtime::Shards& shards;
    bus::Bus& bus;
    metrics::Registry& metrics;
    std::string version;  ///< for `$SYS/broker/version`
    /// Whether messages of the broker go by this filter (see Subscription::published).
    std::function<bool(std::string_view filter)> published = [](std::string_view) { return true; };
  };
  Broker(const Config& config, const Needs& needs);
  ~Broker();

  /// Reads sessions and retained messages from the log. On a shard, once, before clients come.
  Async<void> start();
  /// Waits until what was written is durable. Clients have gone before.
  Async<void> stop();

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  [[nodiscard]] const RetainedStore& retained() const { return retained_; }
  [[nodiscard]] Local& local(std::size_t shard) { return *locals_[shard]; }

  /// `{tenant}` NUL `{device}` NUL `{client id}`: a device's own credential has its own identifiers, so that it can
  /// take over its own older connection and nobody else's.
  /// For `Content::origin`.
  static std::uint64_t new_id();
  static std::string key(TenantId tenant, std::string_view device, std::string_view client_id);

  /// Somebody subscribes to something: without, there is nothing to do for a message that nobody retains. Any thread.
  [[nodiscard]] bool anyone() const {
    for (const auto& local : locals_)
      if (local->subscribed()) return true;
    return false;
  }

  /// The shard that the session of `key` is on; `here` when there is none. Any thread.
  [[nodiscard]] std::size_t home(const std::string& key, std::size_t here) const;

  struct Connecting {
    ClientLimits limits;
    bool clean_start = true;
    std::uint32_t expiry_s = 0;
    std::optional<Will> will;
  };
  struct Connected {
    SessionPtr session;
    bool present = false;
    bool took_over = false;
  };
  /// On the shard of `home`, in the same turn. Ends a connection that the session has. Nothing is sent before
  /// `Session::send_more`. `exhausted`: too many sessions. `unavailable`: it has begun elsewhere just now, try again.
  Result<Connected> connect(std::size_t shard, const std::string& key, Link& link, Connecting connecting);

  struct Leaving {
    std::optional<std::uint32_t> expiry_s;  ///< changed by DISCONNECT
    bool will = true;                       ///< is to be published
  };
  /// The connection has ended. Nothing when the session has another one by now.
  void disconnect(std::size_t shard, const SessionPtr& session, const Link& link, Leaving leaving);

 private:
  /// What is to be done with a session whose client is away.
  struct Due {
    std::weak_ptr<Session> session;
    Time away_since;
  };
  struct Clockwork {
    std::multimap<Time, Due> due;
    runtime::Timer timer;
    runtime::Timer upkeep;
    runtime::Timer sys;
  };
  class Recovery;
  struct Untaken;
  /// Of writing one partition anew: its parts.
  struct Round {
    std::atomic<std::size_t> begun = 0;
    std::atomic<std::size_t> durable = 0;
  };

  void expect(std::size_t shard, const SessionPtr& session, Time when);
  void wind(std::size_t shard);
  void look(std::size_t shard);
  static void publish_will(Session& session);
  void end(std::size_t shard, const SessionPtr& session);
  void forget(const std::string& key, std::size_t shard);
  void settle_in(std::size_t shard);
  void take_again(const Untaken& one);
  Result<> read_partition(PartitionId partition, Recovery& recovery);

  void look_at_log();
  void compact(PartitionId partition);
  void write_sessions(std::size_t shard, PartitionId partition,
                      std::shared_ptr<std::vector<std::weak_ptr<Session>>> left, const std::shared_ptr<Round>& done);
  void write_retained(PartitionId partition, TenantId tenant, std::string after, const std::shared_ptr<Round>& done);
  void compacted(PartitionId partition, const bus::PartitionInfo& before, bool whole);
  void publish_sys();
  void say(std::string_view topic, std::string value);

  const Config config_;
  runtime::Shards& shards_;
  bus::Bus& bus_;
  const std::string version_;
  const std::function<bool(std::string_view)> published_;
  metrics::Registry& registry_;
  Metrics metrics_;
  RetainedStore retained_;
  std::vector<std::unique_ptr<Local>> locals_;
  std::vector<std::unique_ptr<Clockwork>> clockworks_;
  const Duration started_ = monotonic_now();

  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> homes_;  // guarded by mutex_

  std::vector<std::uint64_t> compacted_bytes_;  // by partition; the first shard's
  std::vector<bool> compacting_;
  std::map<std::string, std::string, std::less<>> said_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace flux::broker
