#include "ingest/mqtt/endpoint.h"

#include "ingest/mqtt/topics.h"

namespace flux::ingest::mqtt {

Endpoint::Endpoint(const Needs& needs, const MqttConfig& config)
    : threads_(needs.threads),
      config_(config),
      broker_(config_.broker, {needs.threads, needs.bus, needs.registry, needs.version, is_published}),
      sessions_(needs.threads.size()),
      scratch_(needs.threads.size()),
      context_{config_, needs.metrics, needs.authenticator, needs.sign_in, needs.log,
               broker_, needs.threads, sessions_,           scratch_,      needs.commands} {
  net::TcpOptions options;
  options.max_connections = config_.connections;
  options.max_connections_per_peer = config_.connections_per_address;
  unfinished_ =
      std::make_shared<net::BodyBudget>(config_.unfinished_bytes.count, config_.unfinished_bytes_per_address.count);
  options.unconsumed = unfinished_;
  options.max_unconsumed = config_.packet_bytes + 64_KiB;
  server_ = std::make_unique<net::TcpServer>(
      needs.threads, options, [this, &shards = needs.shards](net::TcpConnection& connection) {
        return std::make_shared<Session>(context_, *shards[connection.shard().index()], connection);
      });
  revocations_ = needs.authenticator.on_revoked([this](const auth::IdentityPtr& identity) {
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

Async<void> Endpoint::start() {
  CO_DO(co_await broker_.start());
  co_return server_->listen(config_.host, config_.port);
}

Async<void> Endpoint::close() {
  CO_DO(co_await server_->close());
  co_return co_await broker_.stop();
}

}  // namespace flux::ingest::mqtt
