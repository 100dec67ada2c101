#include "broker/broker.h"

/// What the broker says of itself, as retained messages below `$SYS/broker/`, on the first shard.
namespace flux::broker {
namespace {

std::string whole(double value) { return std::to_string(static_cast<std::int64_t>(value)); }

}  // namespace

void Broker::publish_sys() {
  say("version", version_);
  say("uptime", whole((monotonic_now() - started_).seconds()) + " seconds");
  const double sessions = metrics_.sessions.value();
  const double connected = metrics_.connected.value();
  say("clients/connected", whole(connected));
  say("clients/disconnected", whole(sessions - connected));
  say("clients/total", whole(sessions));
  say("clients/expired", std::to_string(metrics_.expired_sessions.value()));
  say("subscriptions/count", whole(metrics_.subscriptions.value()));
  say("retained messages/count", std::to_string(retained_.size()));
  say("publish/messages/received", std::to_string(metrics_.published.value()));
  say("publish/messages/sent", std::to_string(metrics_.sent.value()));
  std::uint64_t dropped = 0;
  for (const auto& [reason, counter] :
       {std::pair<const char*, const metrics::Counter*>{"slow_reader", &metrics_.dropped_slow},
        {"queue_full", &metrics_.dropped_full},
        {"too_large", &metrics_.dropped_large},
        {"expired", &metrics_.dropped_expired},
        {"session_ended", &metrics_.dropped_ended}}) {
    dropped += counter->value();
    say(std::string("publish/messages/dropped/") + reason, std::to_string(counter->value()));
  }
  say("publish/messages/dropped", std::to_string(dropped));
}

/// What is as it was is not said again.
void Broker::say(std::string_view topic, std::string value) {
  std::string& before = said_[std::string(topic)];
  if (before == value) return;
  before = std::move(value);
  const std::string name = "$SYS/broker/" + std::string(topic);
  (void)locals_.front()->publish({.tenant = {}, .topic = name, .payload = before, .retain = true}, {});
}

}  // namespace flux::broker
