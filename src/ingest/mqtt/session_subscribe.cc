#include <algorithm>

#include "ingest/mqtt/command_topics.h"
#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topics.h"
#include "wire/mqtt/topic.h"

/// Subscriptions: who may have which, and those that are for commands.
namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::Reason;

void Session::handle_subscribe(const wire::mqtt::Frame& frame) {
  const auto subscribe = wire::mqtt::decode_subscribe(frame, version_, properties_);
  if (!subscribe) return fault(subscribe.error());
  const std::uint32_t id = v5() && !properties_.subscription_ids.empty() ? properties_.subscription_ids.front() : 0;
  wire::mqtt::Suback suback{.type = wire::mqtt::PacketType::suback, .packet_id = subscribe->packet_id};
  std::vector<broker::Subscription> granted;
  std::string why;
  for (const auto& [filter, options] : subscribe->filters) {
    suback.reasons.push_back(grant(filter, options, granted.size(), why));
    const Reason reason = suback.reasons.back();
    if (is_error(reason)) {
      tracer_.failed(ConnectionStage::subscribe, "refused " + std::string(filter) + ": " + why);
      continue;
    }
    const auto qos = static_cast<std::uint8_t>(reason);
    tracer_.ok(ConnectionStage::subscribe, "subscribed to " + std::string(filter) + " with QoS " + std::to_string(qos));
    granted.push_back({std::string(filter), options, id, is_published(filter)});
    granted.back().options.qos = qos;
  }
  wire::mqtt::Properties properties;
  if (explain_ && !why.empty() && why.size() + subscribe->filters.size() + 32 <= client_packet_bytes_)
    properties.reason_string = why;
  std::string packet;
  wire::mqtt::encode(suback, version_, properties, packet);
  if (!session_->durable()) {
    out_ += packet;  // before the retained messages
    for (auto& one : granted) local().subscribe(session_, std::move(one));
    return;
  }
  for (auto& one : granted) local().subscribe(session_, std::move(one));
  // What it says holds after a restart too.
  local().journal().when_durable(session_->partition(),
                                 [weak = weak_from_this(), packet = std::move(packet)](const Result<>& result) {
                                   const auto self = weak.lock();
                                   if (!self || self->state_ != State::connected) return;
                                   if (!result) return self->end(Reason::implementation_error, result.error().message);
                                   self->send(packet);
                                 });
}

/// Devices hear what is theirs, keys hear their tenant. `more`: granted before in the same packet.
Reason Session::grant(std::string_view filter, const wire::mqtt::SubscribeOptions& options, std::size_t more,
                      std::string& why) {
  const auto shared = wire::mqtt::shared_filter(filter);
  if (auto allowed = may_subscribe(*identity_, shared ? shared->filter : filter); !allowed) {
    why = allowed.error().message;
    return allowed.error().code == ErrorCode::permission_denied ? Reason::not_authorized : Reason::topic_filter_invalid;
  }
  const auto commanded = shared ? std::nullopt : commands_of(filter);
  if (!is_published(shared ? shared->filter : filter) && !commanded) {
    why = shared || context_.commands == nullptr
              ? "commands are for one connection: they cannot be shared"
              : "this credential names no device: subscribe to v1/devices/{device}/commands";
    return shared ? Reason::shared_not_supported : Reason::topic_filter_invalid;
  }
  if (session_->find(filter) == nullptr && session_->subscriptions().size() + more >= context_.config.subscriptions) {
    why = "more than " + std::to_string(context_.config.subscriptions) + " subscriptions";
    return Reason::quota_exceeded;
  }
  if (commanded) {
    const Reason granted = grant_commands(filter, *commanded, options.qos, why);
    if (is_error(granted) || !is_published(filter)) return granted;
  }
  return static_cast<Reason>(options.qos);
}

/// A session that goes on hears its device's commands again.
void Session::resume_commands() {
  if (context_.commands == nullptr) return;
  for (const broker::Subscription& one : session_->subscriptions()) {
    std::string why;
    if (const auto device = commands_of(one.filter)) (void)grant_commands(one.filter, *device, one.options.qos, why);
  }
}

void Session::handle_unsubscribe(const wire::mqtt::Frame& frame) {
  const auto unsubscribe = wire::mqtt::decode_unsubscribe(frame, version_, properties_);
  if (!unsubscribe) return fault(unsubscribe.error());
  wire::mqtt::Suback unsuback{.type = wire::mqtt::PacketType::unsuback, .packet_id = unsubscribe->packet_id};
  for (const std::string_view filter : unsubscribe->filters) {
    const bool known = local().unsubscribe(session_, filter);
    unsuback.reasons.push_back(known ? Reason::success : Reason::no_subscription_existed);
    if (known) end_commands(filter);
  }
  wire::mqtt::encode(unsuback, version_, {}, out_);
}

}  // namespace flux::ingest::mqtt
