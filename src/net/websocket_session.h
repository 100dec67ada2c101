#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/body_budget.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/websocket.h"

struct wslay_event_context;
struct wslay_event_on_msg_recv_arg;

namespace flux::net {

/// The upgrade request, judged.
struct WebSocketHandshake {
  std::optional<HttpResponse> refusal;
  std::string accept;  ///< for Sec-WebSocket-Accept
  bool deflate = false;
  std::vector<std::string> protocols;  ///< offered by the peer

  static WebSocketHandshake check(const HttpRequest& request);
};

/// The WebSocket that a connection has become. Frames are read by wslay; ours are built once, elsewhere.
class WebSocketSession final : public WebSocket {
 public:
  /// `budget` has room for the parts of messages that are not yet whole.
  WebSocketSession(TcpConnection& connection, const HttpOptions& options, std::shared_ptr<BodyBudget> budget,
                   const WebSocketHandshake& handshake);
  ~WebSocketSession();

  void open(std::shared_ptr<WebSocketHandler> handler);
  void on_data(std::string_view data);
  void on_writable() { handler_->on_writable(*this); }
  void on_deadline();
  void on_drain();
  void on_closed(CloseReason reason);
  [[nodiscard]] const std::string& protocol() const { return protocol_; }

  void send(const SharedFrame& frame) override;
  void send(MessageKind kind, std::string_view payload) override;
  void close(CloseCode code, std::string_view reason) override;
  [[nodiscard]] std::size_t buffered_bytes() const override { return connection_.buffered_bytes(); }
  [[nodiscard]] bool above_high_water() const override { return connection_.above_high_water(); }
  void set_water_marks(std::size_t low, std::size_t high) override { connection_.set_water_marks(low, high); }
  void set_message_limit(std::size_t bytes) override;
  void pause_reading() override { connection_.pause_reading(); }
  void resume_reading() override { connection_.resume_reading(); }
  bool select_protocol(std::string_view name) override;
  [[nodiscard]] bool deflates() const override { return deflate_; }
  [[nodiscard]] const Address& peer() const override { return connection_.peer(); }
  [[nodiscard]] runtime::Shard& shard() const override { return connection_.shard(); }
  [[nodiscard]] std::uint64_t id() const override { return connection_.id(); }

 private:
  friend struct WslayCallbacks;
  void message(const wslay_event_on_msg_recv_arg& message);
  void frame_begins(std::uint8_t opcode, std::uint8_t reserved, std::uint64_t size);
  /// Room for what has come of a message, as long as it is not whole.
  void hold_part();
  /// Sends what wslay has queued (pongs, close) and ends when the closing is complete.
  void settle();
  void fault(CloseCode code, std::string_view reason);

  TcpConnection& connection_;
  std::shared_ptr<WebSocketHandler> handler_;
  wslay_event_context* wslay_ = nullptr;
  std::string_view input_;  // during on_data
  std::string inflated_;
  const std::vector<std::string> offered_protocols_;
  std::string protocol_;
  std::size_t message_limit_;
  const std::shared_ptr<BodyBudget> budget_;
  const Holder holder_;
  BodyShare share_;
  std::uint64_t part_bytes_ = 0;  // that wslay keeps of a message
  const Duration ping_time_;
  const Duration close_time_;
  const Duration drain_grace_;
  std::uint16_t close_code_ = 1006;
  std::string close_reason_;
  const bool deflate_;
  bool heard_ = false;     // something came since the last look
  bool pinged_ = false;    // and our ping is not answered
  bool closing_ = false;   // our close frame is queued or sent
  bool finished_ = false;  // nothing more is read
};

}  // namespace flux::net
