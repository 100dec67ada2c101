#include "ingest/mqtt/endpoint.h"

namespace flux::ingest::mqtt {

Endpoint::Endpoint(runtime::Shards& threads, std::vector<std::unique_ptr<ShardIngest>>& shards,
                   const MqttConfig& config, Metrics& metrics, auth::DeviceAuthenticator& authenticator,
                   SignIn& sign_in, registry::ConnectionLog& log, CommandPort* commands)
    : threads_(threads),
      config_(config),
      subscribers_(threads, metrics),
      sessions_(threads.size()),
      scratch_(threads.size()),
      context_{config_, metrics, authenticator, sign_in, log, clients_, subscribers_, sessions_, scratch_, commands} {
  net::TcpOptions options;
  options.max_connections = config_.connections;
  options.max_connections_per_peer = config_.connections_per_address;
  unfinished_ =
      std::make_shared<net::BodyBudget>(config_.unfinished_bytes.count, config_.unfinished_bytes_per_address.count);
  options.unconsumed = unfinished_;
  options.max_unconsumed = config_.packet_bytes + 64_KiB;
  server_ = std::make_unique<net::TcpServer>(threads, options, [this, &shards](net::TcpConnection& connection) {
    return std::make_shared<Session>(context_, *shards[connection.shard().index()], connection);
  });
  revocations_ = authenticator.on_revoked([this](const auth::IdentityPtr& identity) {
    for (auto& thread : threads_) {
      thread->post([this, index = thread->index(), identity] {
        const std::vector<Session*> connected(sessions_[index].begin(), sessions_[index].end());
        for (Session* const session : connected) session->revoked(*identity);
      });
    }
  });
}

Endpoint::~Endpoint() {
  revocations_ = {};
  server_.reset();
}

Result<> Endpoint::listen() { return server_->listen(config_.host, config_.port); }

}  // namespace flux::ingest::mqtt
