#include "net/websocket_session.h"

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>

#include "core/utf8.h"
#include "net/content_coding.h"
#include "observe/log.h"

namespace flux::net {
namespace {

constexpr std::size_t kDeflateFrom = 1024;
constexpr std::size_t kFrameDeflateFrom = 256;
/// What wslay keeps of a frame beside its bytes: a fragment without any costs memory too.
constexpr std::size_t kFragmentBytes = 64;
constexpr std::uint8_t kContinuation = 0;
constexpr std::uint8_t kTextOpcode = 1;
constexpr std::uint8_t kBinaryOpcode = 2;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    if (const auto part = trim(text.substr(0, at)); !part.empty()) parts.push_back(part);
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool lists(std::string_view header, std::string_view token) {
  return std::ranges::any_of(split(header, ','), [&](auto part) { return equals_ignoring_case(part, token); });
}

/// RFC 6455, 4.2.2: base64 of the SHA-1 of key and GUID. Empty when the key is not 16 bytes in base64.
std::string accept_of(std::string_view key) {
  std::array<unsigned char, 24> nonce;
  if (key.size() != 24 || !key.ends_with("==")) return {};
  if (EVP_DecodeBlock(nonce.data(), reinterpret_cast<const unsigned char*>(key.data()), 24) != 18) return {};
  const std::string input = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  CHECK(EVP_Digest(input.data(), input.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  std::array<unsigned char, 64> text;
  const int count = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(count)};
}

/// Whether one of the offers is permessage-deflate in a form that we speak: our frames are compressed once for all
/// receivers with the full window, so a peer that asks for a smaller one gets no compression.
bool accepts_deflate(std::string_view extensions) {
  for (const auto offer : split(extensions, ',')) {
    const auto parts = split(offer, ';');
    if (parts.empty() || !equals_ignoring_case(parts.front(), "permessage-deflate")) continue;
    const bool fine = std::all_of(parts.begin() + 1, parts.end(), [](std::string_view parameter) {
      const auto name = trim(parameter.substr(0, parameter.find('=')));
      if (equals_ignoring_case(name, "server_max_window_bits")) {
        return parameter.find("15") != std::string_view::npos;
      }
      return equals_ignoring_case(name, "client_max_window_bits") ||
             equals_ignoring_case(name, "server_no_context_takeover") ||
             equals_ignoring_case(name, "client_no_context_takeover");
    });
    if (fine) return true;
  }
  return false;
}

HttpResponse upgrade_required(std::string_view message) {
  return HttpResponse::error(426, "invalid_argument", message)
      .header("Upgrade", "websocket")
      .header("Connection", "Upgrade")
      .header("Sec-WebSocket-Version", "13");
}

void append_frame_head(std::string& out, std::uint8_t opcode, std::size_t size, bool deflated) {
  out += static_cast<char>(0x80 | (deflated ? 0x40 : 0) | opcode);
  if (size < 126) {
    out += static_cast<char>(size);
  } else if (size <= 0xffff) {
    out += static_cast<char>(126);
    out += static_cast<char>(size >> 8);
    out += static_cast<char>(size);
  } else {
    out += static_cast<char>(127);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(static_cast<std::uint64_t>(size) >> shift);
  }
}

std::string frame_of(std::uint8_t opcode, std::string_view payload, bool deflated) {
  std::string out;
  out.reserve(payload.size() + 10);
  append_frame_head(out, opcode, payload.size(), deflated);
  out += payload;
  return out;
}

std::uint8_t opcode_of(MessageKind kind) { return kind == MessageKind::text ? kTextOpcode : kBinaryOpcode; }

}  // namespace

SharedFrame make_frame(MessageKind kind, std::string_view payload, Deflate deflate) {
  std::string deflated;
  if (deflate == Deflate::yes && payload.size() >= kFrameDeflateFrom) {
    const auto packed = deflate_message(payload);
    if (packed.size() < payload.size()) deflated = frame_of(opcode_of(kind), packed, true);
  }
  return std::make_shared<const WebSocketFrame>(frame_of(opcode_of(kind), payload, false), std::move(deflated));
}

void WebSocketHandler::on_drain(WebSocket& socket) { socket.close(CloseCode::going_away, "the server is stopping"); }

bool same_origin(const HttpRequest& request) {
  const auto origin = request.header("Origin");
  if (origin.empty()) return true;
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;  // `null` and the like
  auto host = origin.substr(scheme + 3);
  auto own = request.header("Host");
  const std::string_view port = equals_ignoring_case(origin.substr(0, scheme), "https") ? ":443" : ":80";
  if (host.ends_with(port)) host.remove_suffix(port.size());
  if (own.ends_with(port)) own.remove_suffix(port.size());
  return equals_ignoring_case(host, own);
}

WebSocketHandshake WebSocketHandshake::check(const HttpRequest& request) {
  WebSocketHandshake handshake;
  if (!lists(request.header("Upgrade"), "websocket") || !lists(request.header("Connection"), "upgrade")) {
    handshake.refusal = upgrade_required("this address speaks WebSocket: send Upgrade: websocket");
    return handshake;
  }
  if (request.header("Sec-WebSocket-Version") != "13") {
    handshake.refusal = upgrade_required("the only Sec-WebSocket-Version spoken is 13");
    return handshake;
  }
  handshake.accept = accept_of(request.header("Sec-WebSocket-Key"));
  if (handshake.accept.empty() || request.is_http_1_0()) {
    handshake.refusal = HttpResponse::error(400, "invalid_argument", "Sec-WebSocket-Key is not 16 bytes in base64");
    return handshake;
  }
  for (const auto& field : request.headers()) {
    if (equals_ignoring_case(field.name, "Sec-WebSocket-Protocol")) {
      for (const auto name : split(field.value, ',')) handshake.protocols.emplace_back(name);
    } else if (equals_ignoring_case(field.name, "Sec-WebSocket-Extensions")) {
      handshake.deflate = handshake.deflate || accepts_deflate(field.value);
    }
  }
  return handshake;
}

// ---------------------------------------------------------------------------------------------------------------------

struct WslayCallbacks {
  static WebSocketSession& session(void* user) { return *static_cast<WebSocketSession*>(user); }

  static ssize_t receive(wslay_event_context* context, std::uint8_t* buffer, std::size_t size, int, void* user) {
    auto& input = session(user).input_;
    if (input.empty()) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const std::size_t count = std::min(size, input.size());
    std::memcpy(buffer, input.data(), count);
    input.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }

  static ssize_t send(wslay_event_context*, const std::uint8_t* data, std::size_t size, int, void* user) {
    session(user).connection_.write(std::string_view(reinterpret_cast<const char*>(data), size));
    return static_cast<ssize_t>(size);
  }

  static void frame(wslay_event_context*, const wslay_event_on_frame_recv_start_arg* arg, void* user) {
    session(user).frame_begins(arg->opcode, arg->rsv, arg->payload_length);
  }

  static void message(wslay_event_context*, const wslay_event_on_msg_recv_arg* arg, void* user) {
    session(user).message(*arg);
  }
};

WebSocketSession::WebSocketSession(TcpConnection& connection, const HttpOptions& options,
                                   std::shared_ptr<BodyBudget> budget, const WebSocketHandshake& handshake)
    : connection_(connection),
      offered_protocols_(handshake.protocols),
      message_limit_(options.websocket_message_bytes),
      budget_(std::move(budget)),
      holder_(holder_of(connection.peer(), options.tcp.limit_loopback)),
      ping_time_(options.websocket_ping_time),
      close_time_(options.websocket_close_time),
      drain_grace_(options.tcp.drain_grace),
      deflate_(handshake.deflate) {
  const wslay_event_callbacks callbacks = {
      .recv_callback = &WslayCallbacks::receive,
      .send_callback = &WslayCallbacks::send,
      .on_frame_recv_start_callback = &WslayCallbacks::frame,
      .on_msg_recv_callback = &WslayCallbacks::message,
  };
  CHECK(wslay_event_context_server_init(&wslay_, &callbacks, this) == 0);
  wslay_event_config_set_allowed_rsv_bits(wslay_, deflate_ ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE);
  wslay_event_config_set_max_recv_msg_length(wslay_, message_limit_);
}

WebSocketSession::~WebSocketSession() { wslay_event_context_free(wslay_); }

void WebSocketSession::open(std::shared_ptr<WebSocketHandler> handler) {
  handler_ = std::move(handler);
  connection_.stats().websockets_opened.add();
  connection_.set_deadline(ping_time_);
  handler_->on_open(*this);
}

void WebSocketSession::set_message_limit(std::size_t bytes) {
  message_limit_ = bytes;
  wslay_event_config_set_max_recv_msg_length(wslay_, bytes);
}

bool WebSocketSession::select_protocol(std::string_view name) {
  if (std::ranges::find(offered_protocols_, name) == offered_protocols_.end()) return false;
  protocol_ = name;
  return true;
}

void WebSocketSession::on_data(std::string_view data) {
  heard_ = true;
  pinged_ = false;
  if (finished_) return;
  input_ = data;
  const int status = wslay_event_recv(wslay_);
  input_ = {};
  if (status != 0) {
    // The frame itself is broken: where the next one begins is not known.
    return fault(CloseCode::protocol_error, "the frame is malformed");
  }
  hold_part();
  settle();
}

void WebSocketSession::hold_part() {
  if (finished_ || part_bytes_ == 0) return share_.give_back();
  if (share_.raise(budget_, part_bytes_, holder_)) return;
  connection_.stats().websocket_no_room.add();
  fault(CloseCode::try_later, share_.is_holders_fault()
                                  ? "messages from this address hold as many bytes as one address may; come again"
                                  : "the server holds as many bytes of messages as it may; come again");
  share_.give_back();
}

void WebSocketSession::settle() {
  if (connection_.closing()) return;
  wslay_event_send(wslay_);
  if (!wslay_event_get_close_sent(wslay_)) return;
  const bool answered = wslay_event_get_close_received(wslay_) != 0;
  const bool broken = !wslay_event_get_read_enabled(wslay_);
  if (!answered && broken && !closing_) {
    // wslay has found a violation and says so in its own close frame.
    connection_.stats().websocket_faults.add();
    close_code_ = wslay_event_get_status_code_sent(wslay_);
  }
  if (answered || broken) {
    finished_ = true;
    connection_.close();
  }
}

void WebSocketSession::frame_begins(std::uint8_t opcode, std::uint8_t reserved, std::uint64_t size) {
  // Only the first frame of a message says that it is compressed.
  if (reserved != 0 && opcode != kTextOpcode && opcode != kBinaryOpcode) {
    return fault(CloseCode::protocol_error, "a reserved bit is set where it means nothing");
  }
  if (opcode != kTextOpcode && opcode != kBinaryOpcode && opcode != kContinuation) return;
  if (size > message_limit_) return;  // wslay refuses it
  part_bytes_ += size + kFragmentBytes;
  // The limit counts the message's bytes only, and a message may have any number of fragments.
  if (part_bytes_ / 2 > std::max(message_limit_, kFragmentBytes))
    fault(CloseCode::too_big, "the message comes in too many fragments");
}

void WebSocketSession::message(const wslay_event_on_msg_recv_arg& message) {
  if (message.opcode == WSLAY_CONNECTION_CLOSE) {
    if (!closing_ && message.msg_length == 1) return fault(CloseCode::protocol_error, "half a close code");
    if (!closing_) {
      // An empty close is answered by an empty one, and known to the application as 1005.
      close_code_ = message.status_code != 0 ? message.status_code : 1005;
      if (message.msg_length > 2) {
        close_reason_.assign(reinterpret_cast<const char*>(message.msg) + 2, message.msg_length - 2);
      }
    }
    return;
  }
  if (message.opcode != kTextOpcode && message.opcode != kBinaryOpcode) return;  // wslay answers pings
  part_bytes_ = 0;
  if (closing_ || finished_) return;
  std::string_view payload(reinterpret_cast<const char*>(message.msg), message.msg_length);
  const auto kind = message.opcode == kTextOpcode ? MessageKind::text : MessageKind::binary;
  if (wslay_get_rsv1(message.rsv) != 0) {
    const auto inflated = inflate_message(payload, message_limit_, inflated_);
    if (!inflated) {
      const bool large = inflated.error().code == ErrorCode::too_large;
      return fault(large ? CloseCode::too_big : CloseCode::invalid_payload, inflated.error().message);
    }
    if (kind == MessageKind::text && !is_utf8(inflated_))
      return fault(CloseCode::invalid_payload, "the text is not UTF-8");
    payload = inflated_;
  }
  connection_.stats().websocket_messages_in.add();
  if (wslay_event_want_write(wslay_)) wslay_event_send(wslay_);  // a ping before it is answered before it
  try {
    handler_->on_message(*this, kind, payload);
  } catch (const std::exception& error) {
    // A fault of ours with this one message: the other connections must not pay for it.
    log::error("a WebSocket handler threw", {{"error", std::string_view(error.what())}});
    return fault(CloseCode::internal, "the server could not handle this message");
  }
  if (inflated_.capacity() > 64 * 1024) std::string().swap(inflated_);
}

void WebSocketSession::fault(CloseCode code, std::string_view reason) {
  if (finished_) return;
  connection_.stats().websocket_faults.add();
  closing_ = finished_ = true;
  close_code_ = static_cast<std::uint16_t>(code);
  close_reason_ = reason;
  // By hand: after some errors wslay has a close frame without a code in its own queue.
  std::string payload{static_cast<char>(close_code_ >> 8), static_cast<char>(close_code_)};
  connection_.write(std::string_view(frame_of(WSLAY_CONNECTION_CLOSE, payload.append(reason), false)));
  connection_.close();
}

void WebSocketSession::send(const SharedFrame& frame) {
  if (closing_ || finished_) return;
  connection_.stats().websocket_frames_out.add();
  const auto& bytes = deflate_ && !frame->deflated().empty() ? frame->deflated() : frame->plain();
  connection_.write(SharedBytes(frame, &bytes));
}

void WebSocketSession::send(MessageKind kind, std::string_view payload) {
  if (closing_ || finished_) return;
  connection_.stats().websocket_frames_out.add();
  std::string packed;
  if (deflate_ && payload.size() >= kDeflateFrom) packed = deflate_message(payload);
  const bool deflated = !packed.empty() && packed.size() < payload.size();
  if (deflated) payload = packed;
  std::string head;
  append_frame_head(head, opcode_of(kind), payload.size(), deflated);
  connection_.write(std::string_view(head));
  connection_.write(payload);
}

void WebSocketSession::close(CloseCode code, std::string_view reason) {
  if (closing_ || finished_) return;
  closing_ = true;
  close_code_ = static_cast<std::uint16_t>(code);
  reason = reason.substr(0, 123);
  close_reason_ = reason;
  wslay_event_queue_close(wslay_, close_code_, reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
  wslay_event_send(wslay_);
  connection_.resume_reading();  // the peer's close frame must be seen
  connection_.set_deadline(connection_.draining() ? std::min(close_time_, drain_grace_) : close_time_);
}

void WebSocketSession::on_deadline() {
  if (closing_) {
    // The peer has had our close frame for long enough, or has not even taken that.
    if (connection_.buffered_bytes() == 0) return connection_.abort(CloseReason::local);
    connection_.close();
    return;
  }
  if (!heard_ && pinged_) {
    connection_.stats().websocket_faults.add();
    connection_.abort(CloseReason::idle_timeout);
    return;
  }
  if (!heard_) {
    const wslay_event_msg ping = {.opcode = WSLAY_PING, .msg = nullptr, .msg_length = 0};
    wslay_event_queue_msg(wslay_, &ping);
    wslay_event_send(wslay_);
    pinged_ = true;
  }
  heard_ = false;
  connection_.set_deadline(ping_time_);
}

void WebSocketSession::on_drain() {
  if (!closing_ && !finished_) handler_->on_drain(*this);
}

void WebSocketSession::on_closed(CloseReason /*reason*/) {
  connection_.stats().websockets_closed.add();
  if (handler_) handler_->on_closed(*this, close_code_, close_reason_);
}

}  // namespace flux::net
