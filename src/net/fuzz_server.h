#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/utf8.h"
#include "net/http_connection.h"
#include "net/tcp_connection.h"
#include "runtime/shard.h"

namespace flux::net {

struct FuzzEcho final : WebSocketHandler {
  void on_message(WebSocket& socket, MessageKind kind, std::string_view payload) override {
    if (kind == MessageKind::text && !is_utf8(payload)) __builtin_trap();
    socket.send(kind, payload);
  }
  void on_closed(WebSocket&, std::uint16_t, std::string_view) override {}
};

/// A server for fuzzers: whole connections over socket pairs, so that no port is used up.
class FuzzServer {
 public:
  FuzzServer() {
    auto root = router_.group();
    root.post("/echo", {.overlap = true}, [](HttpRequest& request, Responder responder) {
      for (std::size_t i = 0; i < 64; ++i) {
        if (request.body().data()[request.body().size() + i] != 0) __builtin_trap();
      }
      responder.send(HttpResponse::text(200, std::string(request.body())));
    });
    root.get("/items/{item}", {}, [](HttpRequest& request, Responder responder) {
      (void)request.query_params();
      (void)request.cookie("a");
      (void)request.content_type();
      responder.send(with_etag(request, HttpResponse::text(200, std::string(request.param("item"))), "\"e\""));
    });
    root.websocket("/socket", {}, [](HttpRequest&, WebSocket&) -> Result<std::shared_ptr<WebSocketHandler>> {
      return std::make_shared<FuzzEcho>();
    });
    HttpOptions options;
    options.header_bytes = 2048;
    options.body_bytes = 8192;
    options.websocket_message_bytes = 8192;
    shared_ = std::make_shared<HttpShared>(router_, std::move(options));
    TcpOptions tcp;
    tcp.linger_time = 2_s;  // ends with our shutdown; a short one would race with a slow machine
    set_ = std::make_shared<ConnectionSet>(shards_, tcp);
    shards_.start();
  }
  ~FuzzServer() { set_->stop(); }

  /// Sends `prefix` and then `input` in pieces of `piece` bytes, ends, and returns all that came back.
  std::string converse(std::string_view prefix, std::string_view input, std::size_t piece) {
    std::array<int, 2> pair{};
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    CHECK(::fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);  // as the acceptor hands them over
    shards_[0].post([this, fd = std::make_shared<UniqueFd>(pair[0])] {
      set_->home(0).open.fetch_add(1);
      set_->count_in();
      auto* const connection = new TcpConnection::Impl(set_->home(0), std::move(*fd), Address{}, Address{});
      connection->start(std::make_shared<HttpConnection>(*connection, shared_));
    });
    const UniqueFd client(pair[1]);
    std::string answer;
    send_all(client.get(), prefix, answer);
    while (!input.empty()) {
      const auto part = input.substr(0, piece);
      input.remove_prefix(part.size());
      if (!send_all(client.get(), part, answer)) break;
    }
    ::shutdown(client.get(), SHUT_WR);
    char buffer[65536];
    for (;;) {
      const ssize_t count = ::recv(client.get(), buffer, sizeof buffer, 0);
      if (count < 0 && errno == EINTR) continue;  // libFuzzer looks at its clock by SIGALRM
      if (count <= 0) return answer;
      answer.append(buffer, static_cast<std::size_t>(count));
    }
  }

 private:
  static bool send_all(int fd, std::string_view data, std::string& answer) {
    char buffer[4096];
    while (!data.empty()) {
      const ssize_t sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        data.remove_prefix(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      const ssize_t count = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);  // or both sides would wait for ever
      if (count > 0) answer.append(buffer, static_cast<std::size_t>(count));
    }
    return true;
  }

  runtime::Shards shards_{1, "fuzz"};
  Router router_;
  std::shared_ptr<HttpShared> shared_;
  std::shared_ptr<ConnectionSet> set_;
};

}  // namespace flux::net
