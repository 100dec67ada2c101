#include <algorithm>

#include "ingest/mqtt/command_topics.h"
#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topics.h"
#include "wire/mqtt/topic.h"

/// What a client publishes: readings, answers to commands, and messages for other clients.
namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::PacketType;
using wire::mqtt::Reason;

namespace {

/// Or was meant to be one.
bool is_answer(std::string_view topic) {
  return topic.starts_with(kOwnCommands) || (topic.starts_with(kDevices) && topic.contains("/commands/"));
}

}  // namespace

Session::Handled Session::handle_publish(const wire::mqtt::Frame& frame) {
  const auto publish = wire::mqtt::decode_publish(frame, version_, properties_);
  if (!publish) {
    fault(publish.error());
    return Handled::taken;
  }
  if (v5() && !properties_.subscription_ids.empty()) [[unlikely]] {
    fault({Reason::protocol_error, "a subscription identifier in a PUBLISH of a client"});  // MQTT-3.3.4-6
    return Handled::taken;
  }
  if (publish->qos > 0 && window_full()) [[unlikely]] {
    if (v5()) {
      fault({Reason::receive_maximum_exceeded, "more QoS 1 and 2 messages in flight than the receive maximum of " +
                                                   std::to_string(context_.config.receive_maximum)});
      return Handled::taken;
    }
    paused_ = true;  // `acknowledge_ready` goes on
    connection_->pause_reading();
    return Handled::hold;
  }
  std::string_view topic = publish->topic;
  if (v5() && properties_.topic_alias && !resolve_alias(*publish, topic)) return Handled::taken;
  if (!outbox_.accepting() && (topic == kOwnTelemetry || !device_of(topic).empty())) {
    hold_for_room(true);
    return Handled::hold;
  }
  if (!local().accepting()) {
    hold_for_room(false);
    return Handled::hold;
  }
  ++messages_;
  if (publish->qos == 2 && session_->received(publish->packet_id)) {
    // Sent again because our PUBREC has not arrived: it was taken the first time.
    unacknowledged_.push_back({.packet_id = publish->packet_id, .qos = 2, .note = {}});
    ++unacknowledged_2_;
    return Handled::taken;
  }
  take_message(*publish, topic);
  return Handled::taken;
}

bool Session::window_full() const {
  const std::size_t most = context_.config.receive_maximum;
  // Older clients have agreed to nothing, and what they have sent with QoS 2 needs their PUBREL to be read.
  if (!v5()) return unacknowledged_.size() >= most;
  return unacknowledged_.size() - unacknowledged_2_ + std::max(session_->received_count(), unacknowledged_2_) >= most;
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

void Session::take_message(const wire::mqtt::Publish& publish, std::string_view topic) {
  std::optional<Refusal> refusal;
  if (context_.commands != nullptr && topic.ends_with("/response") && is_answer(topic)) [[unlikely]] {
    refusal = take_answer(topic, publish);
    if (refusal) bury(topic, as_text(publish.payload), publish.qos, refusal->error, "invalid_answer");
  } else if (topic == kOwnTelemetry || !device_of(topic).empty()) {
    refusal = take(topic, as_text(publish.payload), publish);
    if (!refusal && (context_.broker.anyone() || publish.retain || publish.qos == 2)) [[unlikely]]
      forward(slot_ ? telemetry_topic(slot_->id()) : std::string(topic), publish, false);
  } else {
    refusal = take_plain(topic, publish);
    if (refusal) bury(topic, as_text(publish.payload), publish.qos, refusal->error, "invalid_topic");
    else forward(topic, publish, true);
  }
  if (refusal) refuse(publish, *refusal);
}

void Session::refuse(const wire::mqtt::Publish& publish, const Refusal& refusal) {
  if (publish.qos == 0) return;
  unacknowledged_.push_back(
      {.packet_id = publish.packet_id, .qos = publish.qos, .reason = refusal.reason, .note = sentence(refusal.error)});
  if (publish.qos == 2) ++unacknowledged_2_;
}

std::optional<Session::Refusal> Session::still_allowed() {
  if (identity_->live(now_)) [[likely]]
    return std::nullopt;
  end(Reason::not_authorized, "the credential has expired or was revoked");
  return Refusal{Reason::not_authorized, {ErrorCode::unauthenticated, "the credential is no longer valid", {}}};
}

/// A message for other clients. Nothing: it may go to them.
std::optional<Session::Refusal> Session::take_plain(std::string_view topic, const wire::mqtt::Publish& publish) {
  if (auto refusal = still_allowed()) return refusal;
  if (topic != plain_topic_) {
    if (auto allowed = may_publish(*identity_, topic); !allowed) {
      const bool denied = allowed.error().code == ErrorCode::permission_denied;
      (denied ? context_.metrics.refused_device : context_.metrics.refused_topic).add();
      tracer_.failed(ConnectionStage::publish, sentence(allowed.error()));
      return Refusal{denied ? Reason::not_authorized : Reason::topic_name_invalid, std::move(allowed).error()};
    }
    plain_topic_ = topic;
  }
  if (publish.qos > 0) {
    unacknowledged_.push_back({.packet_id = publish.packet_id, .qos = publish.qos, .note = {}});
    if (publish.qos == 2) ++unacknowledged_2_;
  }
  return std::nullopt;
}

/// To the broker: what was taken, and is last in `unacknowledged_` where it has QoS 1 or 2.
void Session::forward(std::string_view topic, const wire::mqtt::Publish& publish, bool plain) {
  broker::Content content{.tenant = identity_->tenant(),
                          .topic = topic,
                          .payload = as_text(publish.payload),
                          .publisher = session_->id(),
                          .qos = publish.qos,
                          .retain = publish.retain};
  if (v5()) {
    std::string& passed_on = context_.scratch[shard_.index()].passed_on;
    passed_on.clear();
    wire::mqtt::encode_passed_on(properties_, passed_on);
    content.passed_on = passed_on;
    if (properties_.message_expiry)
      content.expires = now_ + Duration{std::max<std::int64_t>(*properties_.message_expiry, 0) * 1'000'000'000};
  }
  if (publish.qos == 2 && plain && session_->durable()) return forward_once(content);
  if (publish.qos == 2) session_->receive(publish.packet_id);
  const std::uint64_t ticket = first_ticket_ + unacknowledged_.size() - 1;
  struct Asked {
    Session& session;
    const std::uint64_t ticket;
    broker::ReceiptPtr receipt = nullptr;
  } asked{*this, ticket};
  const auto outcome = local().publish(content, [&asked] {
    if (!asked.receipt) asked.receipt = asked.session.receipt_for(asked.ticket);
    return asked.receipt;
  });
  if (publish.qos > 0) return note_outcome(ticket, outcome, plain);
  if (outcome.refusal) tracer_.failed(ConnectionStage::publish, outcome.refusal->message);
}

broker::ReceiptPtr Session::receipt_for(std::uint64_t ticket) {
  ++unacknowledged_[ticket - first_ticket_].waits;
  return std::make_shared<broker::Receipt>(shard_, [weak = weak_from_this(), ticket](const Result<>& result) {
    if (const auto self = weak.lock()) self->on_batch(ticket, ticket, result);
  });
}

void Session::note_outcome(std::uint64_t ticket, const broker::Local::Outcome& outcome, bool plain) {
  Unacknowledged& message = unacknowledged_[ticket - first_ticket_];
  if (outcome.refusal) {
    message.reason = reason_of(outcome.refusal->code);
    message.note = outcome.refusal->message;
    tracer_.failed(ConnectionStage::publish, outcome.refusal->message);
  } else if (plain && v5() && !outcome.wanted) {
    message.reason = Reason::no_matching_subscribers;
  }
}

/// QoS 2 of a session that outlives its connection: whatever falls between, each subscriber gets it, and once. So it is
/// written down before anybody has it, and again when all have; what happens in between is finished after a restart,
/// even without this connection.
void Session::forward_once(broker::Content content) {
  content.origin = broker::Broker::new_id();
  const std::uint64_t ticket = first_ticket_ + unacknowledged_.size() - 1;
  Unacknowledged& entry = unacknowledged_[ticket - first_ticket_];
  ++entry.waits;
  const std::uint16_t packet_id = entry.packet_id;
  auto message = std::make_shared<const broker::Message>(content);
  auto go_on = [weak = weak_from_this(), &here = local(), session = session_, message, packet_id,
                ticket](const Result<>& written) {
    const auto settle = [weak, ticket](const Result<>& result) {
      if (const auto self = weak.lock()) self->on_batch(ticket, ticket, result);
    };
    if (!written) {
      // The client sends it again; what of it may yet reach the log is taken back there.
      (void)session->release(packet_id, [] {});
      return settle(written);
    }
    const auto receipt =
        std::make_shared<broker::Receipt>(here.shard(), [session, packet_id, settle](const Result<>& result) {
          if (result) session->taken(packet_id);
          settle(result);
        });
    const auto outcome = here.publish(message->content(), [&receipt] { return receipt; });
    const auto self = weak.lock();
    if (self && ticket - self->first_ticket_ < self->unacknowledged_.size()) self->note_outcome(ticket, outcome, true);
  };
  session_->receive(packet_id, std::move(message), std::move(go_on));
}

void Session::handle_pubrel(const wire::mqtt::Frame& frame) {
  const auto ack = wire::mqtt::decode_ack(frame, version_, properties_);
  if (!ack) return fault(ack.error());
  const auto complete = [](Session& self, std::uint16_t packet_id, Reason reason) {
    wire::mqtt::encode(wire::mqtt::Ack{.type = PacketType::pubcomp, .packet_id = packet_id, .reason = reason},
                       self.version_, {}, self.out_);
  };
  const bool known = session_->release(ack->packet_id, [weak = weak_from_this(), complete, id = ack->packet_id] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::connected) return;
    complete(*self, id, Reason::success);
    self->flush();
  });
  if (!known) complete(*this, ack->packet_id, Reason::packet_id_not_found);
}

// --- readings ---

/// Stages the readings of one message. Nothing: they are under way, and the PUBACK follows. Otherwise nothing of it was
/// taken, for the reason returned.
std::optional<Session::Refusal> Session::take(std::string_view topic, std::string_view payload,
                                              const wire::mqtt::Publish& publish) {
  const std::uint8_t qos = publish.qos;
  if (auto refusal = still_allowed()) [[unlikely]]
    return refusal;
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
  const auto self = qos > 0 && state_ == State::connected ? shared_from_this() : nullptr;
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
  if (qos > 0) {
    unacknowledged_.push_back({.packet_id = publish.packet_id, .qos = qos, .waits = batches, .note = std::move(note)});
    if (qos == 2) ++unacknowledged_2_;
  }
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
  if (topic == kOwnTelemetry) {
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

}  // namespace flux::ingest::mqtt
