#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/time.h"
#include "net/http.h"
#include "runtime/shard.h"

namespace flux::net {

enum class MessageKind : std::uint8_t { text, binary };

/// A message as it goes over the wire, framed once and shared by all who receive it.
class WebSocketFrame {
 public:
  WebSocketFrame(std::string plain, std::string deflated) : plain_(std::move(plain)), deflated_(std::move(deflated)) {}
  [[nodiscard]] const std::string& plain() const { return plain_; }
  [[nodiscard]] const std::string& deflated() const { return deflated_; }  ///< empty: not made or no gain

 private:
  std::string plain_;
  std::string deflated_;
};
using SharedFrame = std::shared_ptr<const WebSocketFrame>;

enum class Deflate : std::uint8_t { no, yes };
/// Frames `payload`. With `Deflate::yes`, also a compressed form for peers that negotiated permessage-deflate (made
/// when the payload is above 256 bytes and shrinks). Any thread.
SharedFrame make_frame(MessageKind kind, std::string_view payload, Deflate deflate = Deflate::no);

/// Close codes of RFC 6455 that we send.
enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported = 1003,
  invalid_payload = 1007,
  policy = 1008,
  too_big = 1009,
  internal = 1011,
  try_later = 1013,
};

class WebSocket;

/// The application's side of one WebSocket. Called on the connection's shard.
class WebSocketHandler {
 public:
  virtual ~WebSocketHandler() = default;
  /// The upgrade has been answered; from here `send` works.
  virtual void on_open(WebSocket& /*socket*/) {}
  /// A whole message: reassembled, inflated, text checked to be UTF-8. The view ends with the call.
  virtual void on_message(WebSocket& socket, MessageKind kind, std::string_view payload) = 0;
  /// Buffered output has fallen to the low water mark after having been above the high one.
  virtual void on_writable(WebSocket& /*socket*/) {}
  /// The last call. `code` is the peer's close code, ours when we closed, 1006 when the connection broke.
  virtual void on_closed(WebSocket& socket, std::uint16_t code, std::string_view reason) = 0;
  /// The server drains. Default: close with 1001.
  virtual void on_drain(WebSocket& socket);
};

/// An open WebSocket: from the factory call until `on_closed` returns. On its shard only.
///
///   struct Live : WebSocketHandler {
///     void on_message(WebSocket& socket, MessageKind, std::string_view text) override { subscribe(socket, text); }
///     void on_writable(WebSocket& socket) override { send_newest(socket); }        // after a slow spell
///     void on_closed(WebSocket&, std::uint16_t, std::string_view) override { hub_.remove(this); }
///   };
///   router.group("/api/v1").websocket("/live", {.name = "live"},
///       [&](HttpRequest& request, WebSocket& socket) -> Result<std::shared_ptr<WebSocketHandler>> {
///         if (!same_origin(request)) return fail(ErrorCode::permission_denied, "Origin is not ours");
///         socket.set_water_marks(64_KiB, 256_KiB);
///         return std::make_shared<Live>(hub, request.principal);
///       });
///   // the hub, once per frame and many receivers:
///   auto frame = make_frame(MessageKind::text, json, Deflate::yes);
///   for (auto* socket : receivers)
///     if (!socket->above_high_water()) socket->send(frame); else conflate(socket);
class WebSocket {
 public:
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  /// Queues; never blocks. Nothing is sent after `close`.
  virtual void send(const SharedFrame& frame) = 0;
  /// For one receiver: frames (and, above 1 KiB and negotiated, compresses) and queues.
  virtual void send(MessageKind kind, std::string_view payload) = 0;

  /// Sends a close frame, waits for the peer's (at most 5 s), closes. `reason` at most 123 bytes.
  virtual void close(CloseCode code, std::string_view reason = {}) = 0;

  [[nodiscard]] virtual std::size_t buffered_bytes() const = 0;
  [[nodiscard]] virtual bool above_high_water() const = 0;
  virtual void set_water_marks(std::size_t low, std::size_t high) = 0;
  virtual void set_message_limit(std::size_t bytes) = 0;

  /// Stops reading from the peer, e.g. while what its messages filled is full.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;

  /// In the factory: picks one of the peer's `Sec-WebSocket-Protocol`s. False when the peer did not offer it.
  virtual bool select_protocol(std::string_view name) = 0;

  /// permessage-deflate was negotiated: frames with a deflated form are sent so.
  [[nodiscard]] virtual bool deflates() const = 0;
  [[nodiscard]] virtual const Address& peer() const = 0;
  [[nodiscard]] virtual runtime::Shard& shard() const = 0;
  [[nodiscard]] virtual std::uint64_t id() const = 0;

 protected:
  WebSocket() = default;
  ~WebSocket() = default;
};

/// The request has no Origin (no browser), or one whose host and port equal its Host.
bool same_origin(const HttpRequest& request);

}  // namespace flux::net
