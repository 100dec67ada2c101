#include "ingest/mqtt/will.h"

#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topics.h"
#include "observe/log.h"

namespace flux::ingest::mqtt {

void publish_will(const Context& context, ShardIngest& shard, const auth::Identity& identity, const WillMessage& will) {
  static log::Throttle throttle{10_s};
  const Time now = wall_now();
  if (!identity.live(now)) return;  // it may say nothing any more
  std::string topic = will.topic;
  std::string_view device = will.topic == kOwnTelemetry ? std::string_view(identity.device()) : device_of(will.topic);
  if (will.topic == kOwnTelemetry || !device.empty()) {
    if (!shard.outbox->accepting()) {
      log::warn(throttle, "a will was dropped", {{"error", shard.outbox->refusal().message}});
      return;
    }
    context.metrics.messages_mqtt.add();
    DeviceSlotPtr slot;
    if (!device.empty()) {
      auto found = shard.intake.find(identity, device);
      if (!found) return context.metrics.refused_topic.add();
      slot = *std::move(found);
      topic = telemetry_topic(slot->id());
    }
    const auto read = shard.intake.read(will.payload, wire::json::TelemetryForm::any, {identity, slot.get()});
    (void)shard.intake.commit(nullptr, 0);
    context.metrics.readings_mqtt.add(shard.intake.outcome().readings);
    if (!read) return context.metrics.refused_payload.add();
  }
  broker::Content content{.tenant = identity.tenant(),
                          .topic = topic,
                          .payload = will.payload,
                          .passed_on = will.passed_on,
                          .qos = will.qos,
                          .retain = will.retain};
  if (will.expiry_s != 0) content.expires = now + Duration{std::int64_t{will.expiry_s} * 1'000'000'000};
  const auto outcome = context.broker.local(shard.shard.index()).publish(content, {});
  if (outcome.refusal) log::warn(throttle, "a will was dropped", {{"error", outcome.refusal->message}});
}

}  // namespace flux::ingest::mqtt
