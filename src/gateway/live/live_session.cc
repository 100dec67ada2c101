#include "gateway/live/live_session.h"

#include "gateway/json_text.h"
#include "gateway/live/live_request.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

constexpr std::size_t kMaxSubscriptions = 200;
constexpr std::size_t kLowWater = 64 << 10;
constexpr std::size_t kHighWater = 256 << 10;
constexpr std::size_t kMaxMessage = 256 << 10;
constexpr Duration kCheckInterval = 30_s;  // of a client that says nothing
/// Of the range for applications (RFC 6455, 7.4.2): a browser that reads it asks to sign in, and does not come back.
constexpr auto kSessionEnded = static_cast<net::CloseCode>(4401);

/// The wire form of a frame for one subscription id. The last one is kept: clients of one kind number their
/// subscriptions alike, so one after the other asks for the same.
const net::SharedFrame& wire_frame(std::uint64_t id, const stream::FramePtr& frame) {
  struct Last {
    stream::FramePtr frame;
    std::uint64_t id = 0;
    net::SharedFrame made;
  };
  static thread_local Last last;
  if (last.frame != frame || last.id != id)
    last = {frame, id, net::make_frame(net::MessageKind::text, frame->head(id) + frame->rest, net::Deflate::yes)};
  return last.made;
}

}  // namespace

LiveSession::LiveSession(stream::Hub& hub, auth::Accounts& accounts, auth::PrincipalPtr principal)
    : hub_(hub), accounts_(accounts), principal_(std::move(principal)) {}

void LiveSession::on_open(net::WebSocket& socket) {
  socket_ = &socket;
  socket.set_water_marks(kLowWater, kHighWater);
  socket.set_message_limit(kMaxMessage);
  check_ = socket.shard().call_every(kCheckInterval, [this] { (void)still_good(); });
  auto look = [&accounts = accounts_, principal = principal_, shard = &socket.shard(), weak = weak_from_this()] {
    if (accounts.still_good(*principal, wall_now())) return;
    shard->post([weak] {
      if (const auto self = weak.lock()) (void)self->still_good();
    });
  };
  ended_ = accounts_.on_ended(std::move(look));
  (void)still_good();  // it may have ended between the handshake and here
}

bool LiveSession::still_good() {
  if (socket_ == nullptr) return false;
  if (accounts_.still_good(*principal_, wall_now())) return true;
  socket_->close(kSessionEnded, "the session has ended: sign in again");
  return false;
}

void LiveSession::on_message(net::WebSocket& socket, net::MessageKind kind, std::string_view text) {
  if (kind != net::MessageKind::text) return socket.close(net::CloseCode::unsupported, "expected text");
  if (!still_good()) return;
  auto request = parse_live_request(text);
  if (!request) return refuse(request.error().id, request.error().error);
  switch (request->kind) {
    case LiveRequest::Kind::ping: {
      std::string pong = R"({"op":"pong","time":)";
      append_time(pong, wall_now(), Epoch::rfc3339);
      socket.send(net::MessageKind::text, pong + "}");
      return;
    }
    case LiveRequest::Kind::unsubscribe: subscriptions_.erase(request->id); return;
    default: break;
  }
  subscriptions_.erase(request->id);
  if (subscriptions_.size() >= kMaxSubscriptions)
    return refuse(
        request->id,
        {ErrorCode::exhausted, "a connection has at most " + std::to_string(kMaxSubscriptions) + " subscriptions", {}});
  // Said before the subscription begins, so that its first frame comes after it.
  socket.send(net::MessageKind::text, R"({"op":"subscribed","id":)" + std::to_string(request->id) + "}");
  const TenantId tenant = principal_->tenant();
  switch (request->kind) {
    case LiveRequest::Kind::subscribe_trace:
      subscriptions_[request->id] = hub_.subscribe_trace(tenant, std::move(request->device), *this, request->id);
      break;
    case LiveRequest::Kind::subscribe_events:
      subscriptions_[request->id] = hub_.subscribe_events(tenant, {}, *this, request->id);
      break;
    default:
      request->selector.tenant = tenant;
      subscriptions_[request->id] = hub_.subscribe(std::move(request->selector), request->options, *this, request->id);
  }
}

void LiveSession::on_closed(net::WebSocket&, std::uint16_t, std::string_view) {
  check_.cancel();
  ended_ = {};
  subscriptions_.clear();
  socket_ = nullptr;
}

bool LiveSession::writable() const { return socket_ != nullptr && !socket_->above_high_water(); }

void LiveSession::send(std::uint64_t id, const stream::FramePtr& frame) {
  if (socket_ != nullptr) socket_->send(wire_frame(id, frame));
}

void LiveSession::refuse(std::optional<std::uint64_t> id, const Error& error) {
  std::string text = R"({"op":"error","id":)";
  text += id ? std::to_string(*id) : "null";
  text += R"(,"error":{"code":")";
  text += to_string(error.code);
  text += R"(","message":)";
  observe::append_json_string(text, error.message);
  if (!error.field.empty()) {
    text += R"(,"field":)";
    observe::append_json_string(text, error.field);
  }
  text += "}}";
  socket_->send(net::MessageKind::text, text);
}

}  // namespace flux::gateway
