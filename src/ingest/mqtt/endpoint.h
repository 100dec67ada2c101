#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "ingest/mqtt/client_table.h"
#include "ingest/mqtt/session.h"
#include "ingest/mqtt/subscribers.h"
#include "ingest/shard_ingest.h"
#include "net/body_budget.h"
#include "net/tcp.h"
#include "runtime/shard.h"

namespace flux::ingest::mqtt {

/// The MQTT port: accepts connections and makes their sessions.
class Endpoint {
 public:
  /// `shards` has one entry for each of `threads`, by index; `commands` may be null. All references outlive the
  /// endpoint.
  Endpoint(runtime::Shards& threads, std::vector<std::unique_ptr<ShardIngest>>& shards, const MqttConfig& config,
           Metrics& metrics, auth::DeviceAuthenticator& authenticator, SignIn& sign_in, registry::ConnectionLog& log,
           CommandPort* commands);
  ~Endpoint();

  Result<> listen();
  [[nodiscard]] net::Address address() const { return server_->address(); }
  [[nodiscard]] std::size_t connections() const { return server_->connections(); }
  /// What connections hold of packets that are not yet whole.
  [[nodiscard]] std::size_t unfinished_bytes() const { return unfinished_->used(); }
  /// No new connections; each session ends when its messages are acknowledged.
  Async<void> drain(Duration limit) { return server_->drain(limit); }
  Async<void> close() { return server_->close(); }

 private:
  runtime::Shards& threads_;
  const MqttConfig config_;
  ClientTable clients_;
  Subscribers subscribers_;
  std::vector<std::unordered_set<Session*>> sessions_;
  std::vector<Scratch> scratch_;
  Context context_;
  std::shared_ptr<net::BodyBudget> unfinished_;
  std::unique_ptr<net::TcpServer> server_;
  auth::DeviceAuthenticator::Subscription revocations_;
};

}  // namespace flux::ingest::mqtt
