#include "net/http_server.h"

#include "net/http_connection.h"

namespace flux::net {
namespace {

TcpOptions with_refusal(TcpOptions options) {
  if (!options.refusal.empty()) return options;
  const auto body = error_json("unavailable", "the server holds as many connections as it may");
  options.refusal =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
      "Connection: close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  return options;
}

}  // namespace

struct HttpServer::Impl {
  Impl(runtime::Shards& shards, const Router& router, HttpOptions options)
      : shared(std::make_shared<HttpShared>(router, std::move(options))),
        tcp(shards, with_refusal(shared->options.tcp),
            [s = shared](TcpConnection& connection) { return std::make_shared<HttpConnection>(connection, s); }) {
    for (const auto& [name, value] : shared->options.headers) shared->fixed_headers += name + ": " + value + "\r\n";
  }

  std::shared_ptr<HttpShared> shared;
  TcpServer tcp;
};

HttpServer::HttpServer(runtime::Shards& shards, const Router& router, HttpOptions options)
    : impl_(std::make_shared<Impl>(shards, router, std::move(options))) {}

HttpServer::~HttpServer() = default;

void HttpServer::on_request(std::function<void(const RequestReport&)> hook) {
  impl_->shared->on_request = std::move(hook);
}

Result<> HttpServer::listen(std::string_view host, std::uint16_t port) { return impl_->tcp.listen(host, port); }
Address HttpServer::address() const { return impl_->tcp.address(); }
std::vector<Address> HttpServer::addresses() const { return impl_->tcp.addresses(); }
Async<void> HttpServer::drain(Duration limit) { return impl_->tcp.drain(limit); }
Async<void> HttpServer::close() { return impl_->tcp.close(); }
void HttpServer::stop() { impl_->tcp.stop(); }
std::size_t HttpServer::connections() const { return impl_->tcp.connections(); }
std::size_t HttpServer::bodies_bytes() const { return impl_->shared->bodies->used(); }
std::vector<const NetStats*> HttpServer::stats() const { return impl_->tcp.stats(); }

}  // namespace flux::net
