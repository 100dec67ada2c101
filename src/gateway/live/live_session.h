#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "auth/accounts.h"
#include "net/websocket.h"
#include "runtime/shard.h"
#include "stream/hub.h"

namespace flux::gateway {

/// One live client: reads its messages, writes the frames of its subscriptions. On the connection's shard.
class LiveSession final : public net::WebSocketHandler,
                          public stream::Subscriber,
                          public std::enable_shared_from_this<LiveSession> {
 public:
  LiveSession(stream::Hub& hub, auth::Accounts& accounts, auth::PrincipalPtr principal);

  void on_open(net::WebSocket& socket) override;
  void on_message(net::WebSocket& socket, net::MessageKind kind, std::string_view text) override;
  void on_closed(net::WebSocket& socket, std::uint16_t code, std::string_view reason) override;

  [[nodiscard]] bool writable() const override;
  void send(std::uint64_t id, const stream::FramePtr& frame) override;

 private:
  /// False when the session has ended, and the connection with it.
  bool still_good();
  void refuse(std::optional<std::uint64_t> id, const Error& error);

  stream::Hub& hub_;
  auth::Accounts& accounts_;
  auth::PrincipalPtr principal_;
  net::WebSocket* socket_ = nullptr;
  runtime::Timer check_;                // what ends with time
  auth::Accounts::Subscription ended_;  // what somebody ends
  std::map<std::uint64_t, stream::Subscription> subscriptions_;
};

}  // namespace flux::gateway
