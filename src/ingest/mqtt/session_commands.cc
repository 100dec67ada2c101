#include <algorithm>

#include "ingest/mqtt/command_topics.h"
#include "ingest/mqtt/session.h"
#include "registry/model.h"
#include "wire/mqtt/topic.h"

/// Commands to the devices of one connection, and their answers.
namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::Reason;

/// Whose commands a filter asks for; nothing when it asks for none. A device's own credential may come with wildcards.
std::optional<std::string> Session::commands_of(std::string_view filter) const {
  if (context_.commands == nullptr) return std::nullopt;
  if (const std::string& own = identity_->device(); !own.empty()) {
    if (filter == kOwnCommands || wire::mqtt::matches(filter, commands_topic(own))) return own;
    return std::nullopt;
  }
  const auto device = commanded_device(filter);
  return device ? std::optional(std::string(*device)) : std::nullopt;
}

Reason Session::grant_commands(std::string_view filter, const std::string& device, std::uint8_t qos, std::string& why) {
  if (const auto valid = registry::check_device_id(device); !valid) {
    why = valid.error().message;
    return Reason::topic_filter_invalid;
  }
  if (!commands_) commands_ = std::make_unique<Commanded>();
  const std::uint8_t granted = std::min<std::uint8_t>(qos, 1);
  const auto known = std::ranges::find(commands_->feeds, filter, &Commanded::Subscribed::filter);
  if (known != commands_->feeds.end()) {
    known->qos = granted;
  } else {
    Commanded::Subscribed& added = commands_->feeds.emplace_back();
    added.number = ++commands_->last_number;
    added.filter = filter;
    added.device = device;
    added.topic = filter == kOwnCommands ? std::string(kOwnCommands) : commands_topic(device);
    added.qos = granted;
    added.feed = context_.commands->subscribe(
        identity_->tenant(), device,
        [weak = weak_from_this(), &shard = shard_, number = added.number](CommandMessage message) {
          shard.post([weak, number, message = std::move(message)]() mutable {
            if (const auto self = weak.lock()) self->deliver_command(number, std::move(message));
          });
        });
  }
  return granted == 1 ? Reason::granted_qos_1 : Reason::success;
}

void Session::end_commands(std::string_view filter) {
  if (commands_) std::erase_if(commands_->feeds, [&](const auto& one) { return one.filter == filter; });
}

void Session::deliver_command(std::uint64_t number, CommandMessage message) {
  if (state_ != State::connected || !commands_) return;
  commands_->waiting.emplace_back(number, std::move(message));
  send_commands();
  flush();
}

/// As many as the client takes at a time: its receive maximum.
void Session::send_commands() {
  while (!commands_->waiting.empty()) {
    auto& [number, message] = commands_->waiting.front();
    const auto to = std::ranges::find(commands_->feeds, number, &Commanded::Subscribed::number);
    if (to != commands_->feeds.end() && message.expires > wall_now()) {
      if (!send_command(*to, message)) return;
    }
    commands_->waiting.pop_front();
  }
}

/// False: there is no room in the client's receive maximum.
bool Session::send_command(const Commanded::Subscribed& to, const CommandMessage& message) {
  const std::string payload = command_payload(message);
  const std::string answer_to = to.topic + "/" + message.id + "/response";
  wire::mqtt::Properties properties;
  if (v5()) {
    if (message.response) {
      properties.response_topic = answer_to;
      properties.correlation_data = std::as_bytes(std::span(message.id));
    }
    properties.content_type = "application/json";
    properties.payload_format = 1;
    const std::int64_t left = (message.expires - wall_now()).ns / 1'000'000'000 + 1;
    properties.message_expiry = static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, UINT32_MAX));
  }
  wire::mqtt::Publish publish{.dup = to.qos == 1 && message.again,
                              .qos = to.qos,
                              .topic = to.topic,
                              .packet_id = static_cast<std::uint16_t>(to.qos > 0 ? 1 : 0),
                              .payload = std::as_bytes(std::span(payload))};
  std::string packet;
  wire::mqtt::encode(publish, version_, properties, packet);
  if (packet.size() > client_packet_bytes_) {
    context_.commands->refused(identity_->tenant(), to.device, message.id, false,
                               "its message has " + std::to_string(packet.size()) +
                                   " bytes, and the device takes no more than " + std::to_string(client_packet_bytes_));
    return true;
  }
  if (to.qos == 1) {
    const auto packet_id = session_->begin_foreign();
    if (!packet_id) return false;
    publish.packet_id = *packet_id;
    packet.clear();
    wire::mqtt::encode(publish, version_, properties, packet);
    commands_->outgoing.push_back({*packet_id, to.device, message.id});
  }
  context_.metrics.mqtt_commands.add();
  tracer_.ok(ConnectionStage::subscribe, "command " + message.id + " sent with QoS " + std::to_string(to.qos),
             to.device);
  out_ += packet;
  return true;
}

void Session::command_acknowledged(std::uint16_t packet_id, Reason why) {
  if (!commands_) return;
  const auto found = std::ranges::find(commands_->outgoing, packet_id, &Commanded::Outgoing::packet_id);
  if (found == commands_->outgoing.end()) return;
  if (is_error(why)) {
    std::string reason = "the device refused it: " + std::string(to_string(why));
    if (v5() && properties_.reason_string) reason += ": " + std::string(*properties_.reason_string);
    context_.commands->refused(identity_->tenant(), found->device, found->command, true, reason);
  } else {
    context_.commands->received(identity_->tenant(), found->device, found->command);
  }
  commands_->outgoing.erase(found);
}

/// Nothing: the answer is on its way to the database, and a PUBACK follows it.
std::optional<Session::Refusal> Session::take_answer(std::string_view topic, const wire::mqtt::Publish& publish) {
  const std::uint8_t qos = publish.qos;
  const auto refuse = [&](Reason reason, Error error) -> std::optional<Refusal> {
    context_.metrics.refused_answers.add();
    tracer_.failed(ConnectionStage::publish, error.field.empty() ? error.message : error.field + ": " + error.message);
    return Refusal{reason, std::move(error)};
  };
  if (auto refusal = still_allowed()) return refusal;
  const auto named = response_topic(topic);
  if (!named)
    return refuse(Reason::topic_name_invalid, {ErrorCode::invalid_argument,
                                               "this is no topic of answers: expected v1/commands/{id}/response or "
                                               "v1/devices/{device}/commands/{id}/response",
                                               {}});
  std::string device(named->device.empty() ? std::string_view(identity_->device()) : named->device);
  if (device.empty())
    return refuse(Reason::topic_name_invalid,
                  {ErrorCode::invalid_argument,
                   "this credential names no device: answer on v1/devices/{device}/commands/{id}/response",
                   {}});
  if (auto allowed = identity_->may_speak_for(device); !allowed) {
    allowed.error().field.clear();
    return refuse(Reason::not_authorized, std::move(allowed).error());
  }
  const std::string id(named->id);
  if (v5() && properties_.correlation_data && as_text(*properties_.correlation_data) != id)
    return refuse(Reason::payload_format_invalid,
                  {ErrorCode::invalid_argument, "the correlation data is not the id of the topic's command", {}});
  auto answer = parse_answer(as_text(publish.payload));
  if (!answer) return refuse(Reason::payload_format_invalid, std::move(answer).error());
  tracer_.ok(ConnectionStage::publish, "command " + id + " answered: " + (answer->succeeded ? "succeeded" : "failed"),
             device);
  const std::uint64_t ticket = first_ticket_ + unacknowledged_.size();
  if (qos > 0) unacknowledged_.push_back({.packet_id = publish.packet_id, .qos = qos, .waits = 1, .note = {}});
  if (qos == 2) {
    ++unacknowledged_2_;
    session_->receive(publish.packet_id);
  }
  context_.commands->answered(identity_->tenant(), device, id, *std::move(answer),
                              [weak = weak_from_this(), &shard = shard_, qos, ticket](const Result<>& result) {
                                shard.post([weak, qos, ticket, result] {
                                  if (const auto self = weak.lock()) self->answer_settled(qos, ticket, result);
                                });
                              });
  return std::nullopt;
}

void Session::answer_settled(std::uint8_t qos, std::uint64_t ticket, const Result<>& result) {
  if (!result) {
    context_.metrics.refused_answers.add();
    tracer_.failed(ConnectionStage::publish, result.error().message);
  }
  if (qos == 0 || ticket < first_ticket_ || ticket - first_ticket_ >= unacknowledged_.size()) return;
  Unacknowledged& message = unacknowledged_[ticket - first_ticket_];
  message.waits = 0;
  if (!result) {
    message.note = result.error().message;
    switch (result.error().code) {
      case ErrorCode::not_found: message.reason = Reason::topic_name_invalid; break;
      case ErrorCode::invalid_argument:
      case ErrorCode::too_large: message.reason = Reason::payload_format_invalid; break;
      case ErrorCode::already_exists: message.reason = Reason::implementation_error; break;
      default:  // the database took nothing: it is to be sent again
        message.reason = Reason::implementation_error;
        message.lost = true;
    }
  }
  acknowledge_ready();
  flush();
}

}  // namespace flux::ingest::mqtt
