#include "ingest/mqtt/session.h"

#include <algorithm>

#include "observe/log.h"
#include "wire/mqtt/topic.h"

namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::PacketType;
using wire::mqtt::Reason;
using wire::mqtt::Version;

namespace {

constexpr std::string_view kOwnTopic = "v1/telemetry";
constexpr std::string_view kDevicePrefix = "v1/devices/";
constexpr std::string_view kTelemetrySuffix = "/telemetry";
// Of a reason string.
constexpr std::size_t kMaxNoteBytes = 400;

std::string_view as_text(wire::mqtt::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

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
std::string presentable(std::string_view text, std::size_t limit = kMaxNoteBytes) {
  std::size_t size = std::min(text.size(), limit);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  std::string out(text.substr(0, size));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return wire::mqtt::is_utf8_string(out) ? out : std::string("refused");
}

}  // namespace

std::string_view device_of(std::string_view topic) {
  if (!topic.starts_with(kDevicePrefix) || !topic.ends_with(kTelemetrySuffix)) return {};
  if (topic.size() <= kDevicePrefix.size() + kTelemetrySuffix.size()) return {};
  return topic.substr(kDevicePrefix.size(), topic.size() - kDevicePrefix.size() - kTelemetrySuffix.size());
}

Session::Session(const Context& context, ShardIngest& shard, net::TcpConnection& connection)
    : context_(context),
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

// --- bytes in ---

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

Session::Handled Session::handle(const wire::mqtt::Frame& frame) {
  if (state_ == State::waiting) {
    if (frame.type == PacketType::connect) {
      handle_connect(frame);
    } else {
      context_.metrics.mqtt_protocol_errors.add();
      context_.sign_in.unreadable(
          attempt(), std::string("expected CONNECT as the first packet, got ").append(to_string(frame.type)));
      leave();
    }
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
    case PacketType::puback: handle_puback(frame); break;
    default:
      // The acknowledgements of QoS 2 too: nothing is sent to the client with it.
      fault({Reason::protocol_error, std::string(to_string(frame.type)) + " is not expected from this client"});
  }
  return Handled::taken;
}

// --- PUBLISH ---

Session::Handled Session::handle_publish(const wire::mqtt::Frame& frame) {
  if (!outbox_.accepting()) {
    hold_for_room();
    return Handled::hold;
  }
  const auto publish = wire::mqtt::decode_publish(frame, version_, properties_);
  if (!publish) {
    fault(publish.error());
    return Handled::taken;
  }
  if (v5() && !properties_.subscription_ids.empty()) [[unlikely]] {
    fault({Reason::protocol_error, "a subscription identifier in a PUBLISH of a client"});  // MQTT-3.3.4-6
    return Handled::taken;
  }
  if (publish->qos == 2) {
    fault({Reason::qos_not_supported, "QoS 2 is not served: publish with QoS 1"});
    return Handled::taken;
  }
  if (publish->retain) [[unlikely]] {
    if (v5()) {
      fault({Reason::retain_not_supported, "retained messages are not served, as CONNACK said"});
      return Handled::taken;
    }
    context_.metrics.mqtt_retain_not_kept.add();
  }
  if (publish->qos == 1 && unacknowledged_.size() >= context_.config.receive_maximum) [[unlikely]] {
    if (v5()) {
      fault({Reason::receive_maximum_exceeded, "more QoS 1 messages in flight than the receive maximum of " +
                                                   std::to_string(context_.config.receive_maximum)});
      return Handled::taken;
    }
    paused_ = true;  // `acknowledge_ready` goes on
    connection_->pause_reading();
    return Handled::hold;
  }
  std::string_view topic = publish->topic;
  if (v5() && properties_.topic_alias && !resolve_alias(*publish, topic)) return Handled::taken;

  ++messages_;
  const std::string_view payload = as_text(publish->payload);
  if (context_.commands != nullptr && topic.ends_with("/response")) [[unlikely]] {
    const auto refusal = take_answer(topic, payload, publish->qos, publish->packet_id);
    if (refusal) bury(topic, payload, publish->qos, refusal->error, "invalid_answer");
    if (refusal && publish->qos == 1)
      unacknowledged_.push_back({publish->packet_id, 0, refusal->reason, false, sentence(refusal->error)});
    return Handled::taken;
  }
  auto refusal = take(topic, payload, publish->qos, publish->packet_id);
  if (!refusal) [[likely]] {
    if (!context_.subscribers.none()) {
      const std::string name =
          slot_ ? std::string(kDevicePrefix) + slot_->id() + std::string(kTelemetrySuffix) : std::string(topic);
      context_.subscribers.publish(identity_->tenant(), name, payload, connection_->id());
    }
    return Handled::taken;
  }
  if (publish->qos == 1)
    unacknowledged_.push_back({publish->packet_id, 0, refusal->reason, false, sentence(refusal->error)});
  return Handled::taken;
}

/// False when the alias was wrong and the connection is ending.
bool Session::resolve_alias(const wire::mqtt::Publish& publish, std::string_view& topic) {
  const std::uint16_t alias = *properties_.topic_alias;
  if (alias > context_.config.topic_aliases) {
    fault({Reason::topic_alias_invalid, "topic alias " + std::to_string(alias) + ", at most " +
                                            std::to_string(context_.config.topic_aliases) + " are taken"});
    return false;
  }
  if (aliases_.size() < alias) aliases_.resize(alias);
  std::string& known = aliases_[alias - 1];
  if (!publish.topic.empty()) {
    known = publish.topic;
  } else if (known.empty()) {
    fault({Reason::protocol_error, "topic alias " + std::to_string(alias) + " was never set"});
    return false;
  } else {
    topic = known;
  }
  return true;
}

/// Stages the readings of one message. Nothing: they are under way, and the PUBACK follows. Otherwise nothing of it was
/// taken, for the reason returned.
std::optional<Session::Refusal> Session::take(std::string_view topic, std::string_view payload, std::uint8_t qos,
                                              std::uint16_t packet_id) {
  if (!identity_->live(now_)) [[unlikely]] {
    end(Reason::not_authorized, "the credential has expired or was revoked");
    return Refusal{Reason::not_authorized, {ErrorCode::unauthenticated, "the credential is no longer valid", {}}};
  }
  const bool same = topic_known_ && topic == topic_ && (!slot_ || !slot_->removed());
  if (!same) {
    if (auto refusal = find_device(topic)) {
      (refusal->reason == Reason::not_authorized ? context_.metrics.refused_device : context_.metrics.refused_topic)
          .add();
      if (tracer_.budget()) {
        tracer_.add(ConnectionStage::publish, false, sentence(refusal->error));
        const std::string_view named[] = {device_of(topic)};
        SignIn::Attempt mistake = attempt();
        mistake.named = named;
        if (refusal->error.code == ErrorCode::permission_denied) context_.sign_in.mistaken(mistake, *identity_);
      }
      bury(topic, payload, qos, refusal->error, "invalid_topic");
      return refusal;
    }
  }
  if (first_reading_ && tracer_.budget()) [[unlikely]] {
    tracer_.add(ConnectionStage::publish, true,
                "PUBLISH to " + std::string(topic) + ", " + std::to_string(payload.size()) + " bytes, QoS " +
                    std::to_string(qos),
                slot_ ? slot_->id() : std::string_view());
  }
  const bool registered = slot_ && slot_->registered();
  const auto read = intake_.read(payload, wire::json::TelemetryForm::any, {*identity_, slot_.get()});
  const auto& outcome = intake_.outcome();
  const auto self = qos == 1 && state_ == State::connected ? shared_from_this() : nullptr;
  const unsigned batches = intake_.commit(self, first_ticket_ + unacknowledged_.size());
  readings_ += outcome.readings;

  const DeviceSlot* const device = slot_ ? slot_.get() : intake_.first_device().get();
  const std::string_view device_id = device != nullptr ? std::string_view(device->id()) : std::string_view();
  std::string note;
  if (!read || outcome.refused > 0) [[unlikely]] {
    const Error error = read ? outcome.refusals.front().error : read.error();
    note = sentence(error);
    if (read && outcome.refused > 1) note += " (and " + std::to_string(outcome.refused - 1) + " more)";
    (read ? context_.metrics.refused_values : context_.metrics.refused_payload).add(read ? outcome.refused : 1);
    if (tracer_.budget()) tracer_.add(ConnectionStage::parse, false, note, device_id);
    bury(topic, payload, qos, {error.code, note, {}}, read ? "invalid_value" : "invalid_payload", device_id,
         batches > 0);
    if (batches == 0) return Refusal{reason_of(error.code), {error.code, std::move(note), {}}};
  }
  if (qos == 1) unacknowledged_.push_back({packet_id, batches, Reason::success, false, std::move(note)});
  if (!registered) note_presence();
  if (first_reading_ || tracer_.watched(identity_->tenant(), device_id)) [[unlikely]] {
    tracer_.ok(ConnectionStage::reading,
               std::string(first_reading_ ? "first reading: " : "") + std::to_string(outcome.readings) +
                   (outcome.readings == 1 ? " value" : " values") + " taken from " + std::string(topic),
               device_id);
    first_reading_ = false;
  }
  return std::nullopt;
}

/// Finds what `topic` stands for and remembers it for the messages that follow.
std::optional<Session::Refusal> Session::find_device(std::string_view topic) {
  topic_known_ = false;
  slot_.reset();
  std::string_view device;
  if (topic == kOwnTopic) {
    device = identity_->device();
  } else if (device = device_of(topic); device.empty()) {
    return Refusal{Reason::topic_name_invalid,
                   {ErrorCode::invalid_argument,
                    "topic '" + presentable(topic, 128) +
                        "' takes no readings: publish to v1/devices/{device}/telemetry or v1/telemetry",
                    {}}};
  }
  if (!device.empty()) {
    auto found = intake_.find(*identity_, device);
    if (!found) {
      Error error = std::move(found).error();
      const Reason reason =
          error.code == ErrorCode::invalid_argument ? Reason::topic_name_invalid : reason_of(error.code);
      error.field.clear();
      return Refusal{reason, std::move(error)};
    }
    slot_ = *std::move(found);
    note_presence();
  }
  topic_.assign(topic);
  topic_known_ = true;
  return std::nullopt;
}

/// The devices that this session speaks for count as connected while it lasts.
void Session::note_presence() {
  if (state_ != State::connected) return;
  const DeviceSlotPtr& device = slot_ ? slot_ : intake_.first_device();
  if (device && device->registered() && present_.insert(device->entry_ptr()).second)
    device->entry().connection_opened();
}

// --- acknowledgement ---

void Session::on_batch(std::uint64_t first, std::uint64_t last, const Result<>& result) {
  for (std::uint64_t ticket = first; ticket <= last; ++ticket) {
    if (ticket < first_ticket_ || ticket - first_ticket_ >= unacknowledged_.size()) continue;  // the session has ended
    Unacknowledged& message = unacknowledged_[ticket - first_ticket_];
    --message.batches;
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
  while (!unacknowledged_.empty() && unacknowledged_.front().batches == 0) {
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
    if (state_ == State::connected) write_puback(message);
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

void Session::write_puback(const Unacknowledged& message) {
  if (!v5() || (message.reason == Reason::success && message.note.empty())) [[likely]]
    return wire::mqtt::encode_puback(message.packet_id, out_);
  const std::string note = presentable(message.note);
  wire::mqtt::Properties properties;
  if (explain_ && note.size() + 16 <= client_packet_bytes_) properties.reason_string = note;
  wire::mqtt::encode(wire::mqtt::Ack{.packet_id = message.packet_id, .reason = message.reason}, version_, properties,
                     out_);
}

/// Reads no further until the outbox has room.
void Session::hold_for_room() {
  paused_ = true;
  connection_->pause_reading();
  outbox_.when_accepting([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::connected || !self->paused_) return;
    self->paused_ = false;
    self->connection_->resume_reading();
  });
}

// --- the end ---

void Session::handle_disconnect(const wire::mqtt::Frame& frame) {
  const auto notice = wire::mqtt::decode_notice(frame, version_, properties_);
  if (!notice) return fault(notice.error());
  if (notice->reason != Reason::disconnect_with_will) will_.reset();
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
  if (text.size() + 16 <= client_packet_bytes_) properties.reason_string = text;
  wire::mqtt::encode(wire::mqtt::Notice{.reason = reason}, version_, properties, out_);
}

/// Closes the connection after what is written; the rest follows in `on_closed`.
void Session::leave() {
  if (connection_ == nullptr || state_ == State::ending) return;
  flush();
  const bool was_connected = std::exchange(state_, State::ending) == State::connected;
  if (was_connected) publish_will();
  connection_->close();
}

void Session::publish_will() {
  if (!will_) return;
  const OwnWill will = *std::exchange(will_, std::nullopt);
  now_ = wall_now();
  if (!outbox_.accepting()) {
    tracer_.failed(ConnectionStage::publish, "the will was dropped: " + outbox_.refusal().message);
    return;
  }
  if (!take(will.topic, will.payload, 0, 0) && !context_.subscribers.none())
    context_.subscribers.publish(identity_->tenant(), will.topic, will.payload, 0);
  context_.metrics.messages_mqtt.add();
  context_.metrics.readings_mqtt.add(std::exchange(readings_, 0));
}

void Session::on_closed(net::TcpConnection& connection, net::CloseReason reason) {
  const bool was_connected = std::exchange(state_, State::ending) == State::connected;
  if (was_connected && !connection.draining() && reason != net::CloseReason::aborted) publish_will();
  if (identity_) {
    if (was_connected) {
      tracer_.ok(ConnectionStage::connect, "the connection has ended: " + std::string(to_string(reason)));
    }
    context_.metrics.mqtt_connections.add(-1);
    context_.clients.remove(client_key_, connection.id());
    context_.sessions[shard_.index()].erase(this);
    if (hears_readings()) context_.subscribers.remove(*this);
    commands_.reset();
  }
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
  if (paused_) last_read_ = now;
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
  will_.reset();
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

Session::Delivery Session::deliver(TenantId tenant, std::string_view topic, std::uint64_t publisher,
                                   const net::SharedBytes& frame_3, const net::SharedBytes& frame_5) {
  if (state_ != State::connected || identity_->tenant() != tenant) return Delivery::not_wanted;
  const auto wants = [&](const Subscription& subscription) {
    if (subscription.options.no_local && publisher == connection_->id()) return false;
    return subscription.readings && wire::mqtt::matches(subscription.filter, topic);
  };
  if (std::ranges::none_of(subscriptions_, wants)) return Delivery::not_wanted;
  const net::SharedBytes& frame = v5() ? frame_5 : frame_3;
  if (connection_->above_high_water() || frame->size() > client_packet_bytes_) return Delivery::dropped;
  connection_->write(frame);
  return Delivery::sent;
}

}  // namespace flux::ingest::mqtt
