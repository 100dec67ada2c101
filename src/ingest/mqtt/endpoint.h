#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "broker/broker.h"
#include "ingest/mqtt/session.h"
#include "ingest/shard_ingest.h"
#include "net/body_budget.h"
#include "net/tcp.h"
#include "runtime/shard.h"

namespace flux::ingest::mqtt {

/// The MQTT port: accepts connections and makes their sessions. Owns the broker behind them.
class Endpoint {
 public:
  struct Needs {
    runtime::Shards& threads;
    std::vector<std::unique_ptr<ShardIngest>>& shards;  ///< one for each of `threads`, by index
    bus::Bus& bus;
    metrics::Registry& registry;
    Metrics& metrics;
    auth::DeviceAuthenticator& authenticator;
    SignIn& sign_in;
    registry::ConnectionLog& log;
    CommandPort* commands;  ///< may be null
    std::string version;    ///< of this program
  };
  /// All that is needed outlives the endpoint.
  Endpoint(const Needs& needs, const MqttConfig& config);
  ~Endpoint();

  /// Reads the sessions that the log keeps, then listens. On a shard.
  Async<void> start();
  [[nodiscard]] net::Address address() const { return server_->address(); }
  [[nodiscard]] std::size_t connections() const { return server_->connections(); }
  /// What connections hold of packets that are not yet whole.
  [[nodiscard]] std::size_t unfinished_bytes() const { return unfinished_->used(); }
  /// No new connections; each session ends when its messages are acknowledged.
  Async<void> drain(Duration limit) { return server_->drain(limit); }
  Async<void> close();

 private:
  runtime::Shards& threads_;
  const MqttConfig config_;
  broker::Broker broker_;
  std::vector<std::unordered_set<Session*>> sessions_;
  std::vector<Scratch> scratch_;
  Context context_;
  std::shared_ptr<net::BodyBudget> unfinished_;
  std::unique_ptr<net::TcpServer> server_;
  auth::DeviceAuthenticator::Subscription revocations_;
};

}  // namespace flux::ingest::mqtt
