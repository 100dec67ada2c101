#include "ingest/mqtt/session.h"

#include <algorithm>

#include "wire/mqtt/topic.h"

/// The connection: packets in, acknowledgements out, and how it ends.
namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::PacketType;
using wire::mqtt::Reason;
using wire::mqtt::Version;

Reason reason_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::unauthenticated:
    case ErrorCode::permission_denied: return Reason::not_authorized;
    case ErrorCode::exhausted: return Reason::quota_exceeded;
    case ErrorCode::too_large: return Reason::payload_format_invalid;
    case ErrorCode::invalid_argument: return Reason::payload_format_invalid;
    default: return Reason::implementation_error;
  }
}

/// What a refused message is told, in one line: `readings[3].time: not a time …`.
std::string sentence(const Error& error) {
  return error.field.empty() ? error.message : error.field + ": " + error.message;
}

/// A MQTT string: no control characters, and not cut inside a character.
std::string presentable(std::string_view text, std::size_t limit) {
  std::size_t size = std::min(text.size(), limit);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  std::string out(text.substr(0, size));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return wire::mqtt::is_utf8_string(out) ? out : std::string("refused");
}

Session::Session(const Context& context, ShardIngest& shard, net::TcpConnection& connection)
    : context_(context),
      ingest_(shard),
      intake_(shard.intake),
      outbox_(*shard.outbox),
      dead_letters_(shard.dead_letters),
      shard_(connection.shard()),
      properties_(context.scratch[shard_.index()].properties),
      connection_(&connection),
      tracer_(context.log, registry::ConnectionProtocol::mqtt, connection.peer().text()) {}

Session::~Session() = default;

void Session::on_open(net::TcpConnection& connection) {
  last_read_ = shard_.now();
  connection.set_deadline(context_.config.connect_timeout);
}

// --- bytes in and out ---

std::size_t Session::on_data(net::TcpConnection& connection, std::span<const std::byte> data) {
  last_read_ = shard_.now();
  now_ = wall_now();
  std::size_t used = 0;
  while (used < data.size()) {
    if (state_ == State::ending) return data.size();
    if (paused_ || draining_) break;
    // Before CONNECT nobody is known, and nobody needs much.
    const std::size_t limit = state_ == State::waiting ? std::min<std::size_t>(context_.config.packet_bytes, 64_KiB)
                                                       : std::size_t{context_.config.packet_bytes};
    const auto frame = wire::mqtt::read_frame(data.subspan(used), limit);
    if (!frame) {
      fault(frame.error());
      continue;
    }
    if (!*frame) break;
    if (handle(**frame) == Handled::hold) break;
    used += (*frame)->size;
  }
  if (messages_ > 0) {
    context_.metrics.messages_mqtt.add(std::exchange(messages_, 0));
    context_.metrics.readings_mqtt.add(std::exchange(readings_, 0));
  }
  acknowledge_ready();
  flush();
  (void)connection;
  return state_ == State::ending ? data.size() : used;
}

void Session::send(std::string_view packets) {
  flush();  // what was said before goes before
  if (connection_ != nullptr) connection_->write(packets);
}

void Session::on_writable(net::TcpConnection& /*connection*/) {
  if (state_ != State::connected) return;
  session_->send_more();
  if (commands_) send_commands();
  flush();
}

Session::Handled Session::handle(const wire::mqtt::Frame& frame) {
  if (state_ == State::waiting) {
    if (frame.type == PacketType::connect) return handle_connect(frame);
    context_.metrics.mqtt_protocol_errors.add();
    context_.sign_in.unreadable(
        attempt(), std::string("expected CONNECT as the first packet, got ").append(to_string(frame.type)));
    leave();
    return Handled::taken;
  }
  switch (frame.type) {
    case PacketType::publish: return handle_publish(frame);
    case PacketType::pingreq:
      if (const auto ping = wire::mqtt::decode_ping(frame, version_); !ping) fault(ping.error());
      else wire::mqtt::encode_pingresp(out_);
      break;
    case PacketType::subscribe: handle_subscribe(frame); break;
    case PacketType::unsubscribe: handle_unsubscribe(frame); break;
    case PacketType::disconnect: handle_disconnect(frame); break;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubcomp: handle_ack(frame); break;
    case PacketType::pubrel: handle_pubrel(frame); break;
    default: fault({Reason::protocol_error, std::string(to_string(frame.type)) + " is not expected from this client"});
  }
  return Handled::taken;
}

/// Of what was sent to the client.
void Session::handle_ack(const wire::mqtt::Frame& frame) {
  const auto ack = wire::mqtt::decode_ack(frame, version_, properties_);
  if (!ack) return fault(ack.error());
  using Outcome = broker::Session::Ack;
  switch (frame.type) {
    case PacketType::puback:
      switch (session_->puback(ack->packet_id)) {
        case Outcome::done: break;
        case Outcome::foreign: command_acknowledged(ack->packet_id, ack->reason); break;
        case Outcome::unknown:
          return fault({Reason::protocol_error, "PUBACK for packet " + std::to_string(ack->packet_id) +
                                                    ", which was not sent or is acknowledged"});
      }
      break;
    case PacketType::pubrec:
      // One that is not known any more was released before a break, or has expired: the client may forget it.
      if (session_->pubrec(ack->packet_id, ack->reason) == Outcome::unknown && !is_error(ack->reason))
        wire::mqtt::encode(
            wire::mqtt::Ack{
                .type = PacketType::pubrel, .packet_id = ack->packet_id, .reason = Reason::packet_id_not_found},
            version_, {}, out_);
      break;
    default: (void)session_->pubcomp(ack->packet_id); break;
  }
  if (commands_) send_commands();
}

// --- acknowledgement ---

void Session::on_batch(std::uint64_t first, std::uint64_t last, const Result<>& result) {
  for (std::uint64_t ticket = first; ticket <= last; ++ticket) {
    if (ticket < first_ticket_ || ticket - first_ticket_ >= unacknowledged_.size()) continue;  // the session has ended
    Unacknowledged& message = unacknowledged_[ticket - first_ticket_];
    --message.waits;
    if (!result) {
      message.lost = true;
      message.reason =
          result.error().code == ErrorCode::exhausted ? Reason::quota_exceeded : Reason::implementation_error;
      message.note = sentence(result.error());
    }
  }
  acknowledge_ready();
  flush();
}

void Session::acknowledge_ready() {
  while (!unacknowledged_.empty() && unacknowledged_.front().waits == 0) {
    Unacknowledged& message = unacknowledged_.front();
    if (message.lost && !v5()) {
      // 3.1.1 cannot say that a message failed: without a PUBACK, on a new connection, it is sent again.
      if (state_ == State::connected) {
        tracer_.failed(ConnectionStage::publish,
                       "not stored, the connection ends so that it is sent again: " + message.note);
        leave();
      }
      return;
    }
    if (state_ == State::connected) write_ack(message);
    if (message.qos == 2) --unacknowledged_2_;
    unacknowledged_.pop_front();
    ++first_ticket_;
  }
  if (state_ != State::connected) return;
  if (draining_ && unacknowledged_.empty()) return end(Reason::server_shutting_down, "the server is shutting down");
  if (paused_ && outbox_.accepting() && unacknowledged_.size() <= context_.config.receive_maximum / 2U) {
    paused_ = false;
    connection_->resume_reading();
  }
}

void Session::write_ack(const Unacknowledged& message) {
  const bool plain = !v5() || (message.reason == Reason::success && message.note.empty());
  if (plain && message.qos == 1) [[likely]]
    return wire::mqtt::encode_puback(message.packet_id, out_);
  const std::string note = presentable(message.note);
  wire::mqtt::Properties properties;
  if (explain_ && !note.empty() && note.size() + 16 <= client_packet_bytes_) properties.reason_string = note;
  wire::mqtt::encode(wire::mqtt::Ack{.type = message.qos == 2 ? PacketType::pubrec : PacketType::puback,
                                     .packet_id = message.packet_id,
                                     .reason = message.reason},
                     version_, properties, out_);
}

/// Reads no further until the outbox (or the broker) has room.
void Session::hold_for_room(bool readings) {
  paused_ = true;
  connection_->pause_reading();
  auto go_on = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::connected || !self->paused_) return;
    self->paused_ = false;
    self->connection_->resume_reading();
  };
  if (readings) outbox_.when_accepting(std::move(go_on));
  else local().when_accepting(std::move(go_on));
}

// --- the end ---

void Session::handle_disconnect(const wire::mqtt::Frame& frame) {
  const auto notice = wire::mqtt::decode_notice(frame, version_, properties_);
  if (!notice) return fault(notice.error());
  if (v5() && properties_.session_expiry) {
    if (!session_->durable() && *properties_.session_expiry != 0)
      return fault({Reason::protocol_error, "DISCONNECT: a session expiry, where CONNECT had none"});
    expiry_s_ = std::min(*properties_.session_expiry,
                         static_cast<std::uint32_t>(context_.config.broker.session_expiry_max.ns / 1'000'000'000));
  }
  if (notice->reason != Reason::disconnect_with_will) will_wanted_ = false;
  if (!is_error(notice->reason)) {
    tracer_.ok(ConnectionStage::connect, "the client has disconnected");
  } else {
    tracer_.failed(ConnectionStage::connect,
                   std::string("the client disconnects: ").append(to_string(notice->reason)) +
                       (properties_.reason_string ? ": " + presentable(*properties_.reason_string) : std::string()));
  }
  leave();
}

void Session::fault(const wire::mqtt::Fault& fault) {
  context_.metrics.mqtt_protocol_errors.add();
  if (state_ == State::waiting) {
    context_.sign_in.unreadable(attempt(), "malformed CONNECT: " + fault.message);
    return leave();  // before CONNECT there is no way to say why
  }
  tracer_.failed(ConnectionStage::publish, "disconnected: " + fault.message);
  end(fault.reason, fault.message);
}

void Session::end(Reason reason, std::string_view message) {
  if (state_ == State::connected) write_notice(reason, message);
  leave();
}

void Session::write_notice(Reason reason, std::string_view message) {
  if (!v5()) return;
  const std::string text = presentable(message);
  wire::mqtt::Properties properties;
  // A reason string may come with any DISCONNECT of ours, asked for or not.
  if (text.size() + 16 <= client_packet_bytes_) properties.reason_string = text;
  wire::mqtt::encode(wire::mqtt::Notice{.reason = reason}, version_, properties, out_);
}

/// Closes the connection after what is written; the rest follows in `on_closed`.
void Session::leave() {
  if (connection_ == nullptr || state_ == State::ending) return;
  flush();
  const bool was_connected = std::exchange(state_, State::ending) == State::connected;
  if (was_connected) leave_broker(will_wanted_);
  connection_->close();
}

/// The connection is over for the broker: from here on the session waits for another one, or ends.
void Session::leave_broker(bool will) {
  commands_.reset();
  if (!session_) return;
  const broker::SessionPtr session = std::exchange(session_, nullptr);
  context_.broker.disconnect(shard_.index(), session, *this, {.expiry_s = expiry_s_, .will = will});
}

void Session::on_closed(net::TcpConnection& connection, net::CloseReason reason) {
  const bool was_connected = std::exchange(state_, State::ending) == State::connected;
  if (identity_) {
    if (was_connected) {
      tracer_.ok(ConnectionStage::connect, "the connection has ended: " + std::string(to_string(reason)));
    }
    context_.metrics.mqtt_connections.add(-1);
    context_.sessions[shard_.index()].erase(this);
  }
  // A server that stops has not lost its clients.
  leave_broker(will_wanted_ && !connection.draining() && reason != net::CloseReason::aborted);
  for (const auto& device : present_) device->connection_closed();
  present_.clear();
  state_ = State::gone;
  connection_ = nullptr;
  unacknowledged_.clear();
}

void Session::on_deadline(net::TcpConnection& connection) {
  const Duration now = shard_.now();
  if (state_ == State::waiting) {
    context_.metrics.mqtt_timeouts.add();
    context_.sign_in.unreadable(attempt(), "no complete CONNECT within " + to_string(context_.config.connect_timeout));
    return leave();
  }
  if (state_ != State::connected) return;
  // While we hold its input back, its silence is ours.
  if (paused_ || connection.above_high_water()) last_read_ = now;
  const Duration silent = now - last_read_;
  if (silent < silence_allowed_) return connection.set_deadline(silence_allowed_ - silent);
  context_.metrics.mqtt_timeouts.add();
  const std::string message = "nothing came for " + to_string(silence_allowed_) + ", one and a half keep alive times";
  tracer_.failed(ConnectionStage::connect, "disconnected: " + message);
  end(Reason::keep_alive_timeout, message);
}

void Session::on_drain(net::TcpConnection& connection) {
  if (state_ == State::waiting) return leave();
  if (state_ != State::connected) return;
  draining_ = true;
  will_wanted_ = false;
  connection.pause_reading();
  acknowledge_ready();
  flush();
}

void Session::on_no_room(net::TcpConnection& /*connection*/, bool own) {
  if (state_ != State::waiting && state_ != State::connected) return;
  context_.metrics.mqtt_no_room.add();
  const std::string message = own ? "unfinished packets from this address hold as many bytes as one address may"
                                  : "the server holds as many bytes of unfinished packets as it may; come again";
  if (state_ == State::waiting) {
    context_.sign_in.unreadable(attempt(), message);
    return leave();
  }
  tracer_.failed(ConnectionStage::publish, "disconnected: " + message);
  end(own ? Reason::quota_exceeded : Reason::server_busy, message);
}

void Session::taken_over() {
  session_.reset();  // it is the other one's
  if (state_ != State::connected) return;
  context_.metrics.mqtt_takeovers.add();
  tracer_.failed(ConnectionStage::connect, "disconnected: another connection came with the same client identifier");
  end(Reason::session_taken_over, "another connection came with the same client identifier");
}

void Session::revoked(const auth::Identity& identity) {
  if (state_ != State::connected || identity_.get() != &identity) return;
  tracer_.failed(ConnectionStage::auth, "disconnected: the credential was revoked");
  end(Reason::not_authorized, "the credential was revoked");
}

void Session::flush() {
  if (out_.empty()) return;
  if (connection_ != nullptr) connection_->write(out_);
  out_.clear();
}

}  // namespace flux::ingest::mqtt
