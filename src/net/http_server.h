#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "net/http.h"
#include "net/router.h"
#include "net/tcp.h"

namespace flux::net {

struct HttpOptions {
  std::size_t header_bytes = 16_KiB;  ///< request line and headers together → 431
  std::size_t target_bytes = 8_KiB;   ///< → 414
  std::size_t body_bytes = 32_MiB;    ///< also after decompression → 413; a route may set its own
  std::size_t bodies_bytes =
      256_MiB;  ///< of all bodies together, until they are answered → 503; parts of WebSocket messages too → 1013
  std::size_t bodies_bytes_per_peer = SIZE_MAX;  ///< of one IP address → 429
  Duration header_time = 10_s;                   ///< from the first byte of a request to the end of its head → 408
  Duration body_time = 60_s;                     ///< for each 64 KiB of a body, and for its rest → 408
  std::size_t body_rate = 256;                   ///< bytes a second that a body must bring on average → 408; 0: any
  Duration body_rate_grace = 10_s;               ///< how old a body is when that is first asked of it
  Duration keep_alive_time = 75_s;               ///< idle between requests; then closed without a word
  std::size_t pipelined_requests = 64;           ///< in flight on one connection; then we read no further
  std::size_t inline_compress_bytes = 256_KiB;   ///< larger bodies are sent as they are: compressing blocks the shard
  std::size_t websocket_message_bytes = 1_MiB;   ///< → close code 1009; a WebSocketHandler may set its own
  Duration websocket_ping_time = 30_s;  ///< ping after this silence; closed when nothing comes for as long again
  Duration websocket_close_time = 5_s;  ///< how long we wait for the peer's close frame
  TcpOptions tcp;

  /// Answers 403 to a request whose Host is no loopback name (`localhost`, 127.0.0.0/8, `[::1]`) or whose Origin is
  /// there and differs from the Host: keeps web pages elsewhere out of a server that asks for no credential.
  bool loopback_host_only = false;
  /// On every answer, e.g. {"X-Content-Type-Options", "nosniff"}.
  std::vector<std::pair<std::string, std::string>> headers;
};

/// One finished request, for access logs, traces and latency histograms.
struct RequestReport {
  const HttpRequest* request;  ///< null when the request was not understood
  int status;
  std::uint64_t body_bytes;  ///< of the answer, 0 while streaming
  Duration duration;         ///< from the complete head to the answer handed to the socket
};

/// HTTP/1.1 and WebSocket on one port.
///
///   Router router;                                        // see router.h, websocket.h
///   ingest.mount(router); gateway.mount(router);
///   HttpServer server(shards, router, {.body_bytes = 8_MiB});
///   DO(server.listen("0.0.0.0", 8080));
///   ...
///   CO_DO(co_await server.drain(10_s));                   // idle connections close, answers say Connection: close
///
///   // A streaming answer: back-pressure from `write`, `cancelled` when the peer has gone
///   Async<void> send_rows(std::shared_ptr<Cursor> cursor, BodyWriter& out) {
///     for (;;) {
///       CO_TRY(auto rows, co_await cursor->next());
///       if (rows.empty()) co_return {};
///       auto text = to_json_lines(rows);
///       CO_DO(co_await out.write(std::move(text)));
///     }
///   }
///   router.group("/api/v1").get("/export", {}, [](HttpRequest& request, Responder responder) {
///     auto cursor = std::make_shared<Cursor>(request.query("device"));
///     auto rows = [cursor](BodyWriter& out) { return send_rows(cursor, out); };   // no coroutine itself
///     responder.send(HttpResponse::stream(200, "application/x-ndjson", std::move(rows)));
///   });
class HttpServer {
 public:
  /// `router` must be complete and outlive the server.
  HttpServer(runtime::Shards& shards, const Router& router, HttpOptions options);
  ~HttpServer();  ///< as TcpServer's

  /// Called on the request's shard after each answer. Set before `listen`.
  void on_request(std::function<void(const RequestReport&)> hook);

  Result<> listen(std::string_view host, std::uint16_t port);  ///< as TcpServer::listen
  [[nodiscard]] Address address() const;
  [[nodiscard]] std::vector<Address> addresses() const;

  /// As for TcpServer. Streams see their `closed()` token cancelled, WebSockets are closed with 1001.
  Async<void> drain(Duration limit);
  void stop();
  Async<void> close();

  [[nodiscard]] std::size_t connections() const;
  /// What bodies of requests and parts of WebSocket messages hold now, of `bodies_bytes`.
  [[nodiscard]] std::size_t bodies_bytes() const;
  [[nodiscard]] std::vector<const NetStats*> stats() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace flux::net
