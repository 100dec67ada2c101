#include "edge/mqtt_sender.h"

#include <algorithm>

#include "observe/log.h"
#include "runtime/spawn.h"
#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

namespace flux::edge {
namespace {

namespace mqtt = wire::mqtt;

constexpr std::uint16_t kKeepAliveSeconds = 60;
constexpr Duration kFirstBackoff = 100_ms;
constexpr Duration kLongestBackoff = 5_s;
constexpr std::size_t kMaxPacket = 1 << 20;

log::Throttle refused_throttle(1_min);

}  // namespace

MqttSender::MqttSender(runtime::Shard& shard, net::TcpClient& client, Options options)
    : shard_(shard), client_(client), options_(std::move(options)), backoff_(kFirstBackoff) {}

void MqttSender::start() {
  running_ = true;
  ping_ = shard_.call_every({std::int64_t{kKeepAliveSeconds} * 500'000'000}, [this] {
    if (!connected_) return;
    std::string out;
    mqtt::encode_pingreq(out);
    connection_->write(out);
  });
  runtime::spawn(shard_, connect(shared_from_this()), "mqtt sender");
}

Async<void> MqttSender::connect(std::shared_ptr<MqttSender> self) {
  auto opened = co_await self->client_.connect(self->options_.address, 5_s, self);
  if (!opened) self->retry_later();
  co_return {};
}

void MqttSender::on_open(net::TcpConnection& connection) {
  if (!running_) return connection.close();
  connection_ = &connection;
  const mqtt::Connect hello{.version = mqtt::Version::v3_1_1,
                            .clean_start = true,
                            .keep_alive = kKeepAliveSeconds,
                            .client_id = options_.client_id,
                            .will = {},
                            .user_name = options_.user_name,
                            .password = std::as_bytes(std::span(options_.password))};
  std::string out;
  mqtt::encode(hello, {}, {}, out);
  connection.write(out);
}

void MqttSender::retry_later() {
  if (!running_) return;
  retry_ = shard_.call_after(backoff_, [this] { runtime::spawn(shard_, connect(shared_from_this()), "mqtt sender"); });
  backoff_ = std::min(backoff_ * 2, kLongestBackoff);
}

void MqttSender::publish(std::string_view topic, std::string_view payload) {
  if (!running_) return;
  if (unacknowledged_.size() >= options_.max_waiting) {
    unacknowledged_.pop_front();
    ++dropped_;
  }
  if (++next_packet_id_ == 0) next_packet_id_ = 1;
  Message& message =
      unacknowledged_.emplace_back(Message{next_packet_id_, false, std::string(topic), std::string(payload)});
  if (connected_) send(message, false);
}

void MqttSender::send(Message& message, bool again) {
  mqtt::Publish packet{.dup = again,
                       .qos = 1,
                       .retain = false,
                       .topic = message.topic,
                       .packet_id = message.packet_id,
                       .payload = std::as_bytes(std::span(message.payload))};
  std::string out;
  mqtt::encode(packet, mqtt::Version::v3_1_1, {}, out);
  message.sent = true;
  connection_->write(out);
}

void MqttSender::stop() {
  running_ = false;
  retry_.cancel();
  ping_.cancel();
  if (connection_ == nullptr) return;
  if (connected_) {
    std::string out;
    mqtt::encode(mqtt::Notice{}, mqtt::Version::v3_1_1, {}, out);
    connection_->write(out);
  }
  connection_->close();
  connected_ = false;
}

void MqttSender::fail(std::string_view why) {
  log::warn(refused_throttle, "the MQTT endpoint does not take what a device of ours sends",
            {{"client", options_.client_id}, {"reason", why}});
  connected_ = false;
  connection_->close();
}

std::size_t MqttSender::on_data(net::TcpConnection&, std::span<const std::byte> data) {
  std::size_t used = 0;
  mqtt::Properties properties;
  while (running_) {
    const auto frame = mqtt::read_frame(data.subspan(used), kMaxPacket);
    if (!frame) {
      fail(frame.error().message);
      return data.size();
    }
    if (!*frame) break;
    used += (*frame)->size;
    if ((*frame)->type == mqtt::PacketType::connack) {
      const auto answer = mqtt::decode_connack(**frame, mqtt::Version::v3_1_1, properties);
      if (!answer || mqtt::is_error(answer->reason)) {
        fail(answer ? mqtt::to_string(answer->reason) : std::string_view(answer.error().message));
        return data.size();
      }
      connected_ = true;
      backoff_ = kFirstBackoff;
      if (!options_.subscribe.empty()) {
        if (++next_packet_id_ == 0) next_packet_id_ = 1;
        std::string out;
        mqtt::encode(mqtt::Subscribe{.packet_id = next_packet_id_, .filters = {{options_.subscribe, {.qos = 1}}}},
                     mqtt::Version::v3_1_1, {}, out);
        connection_->write(out);
      }
      for (Message& message : unacknowledged_) send(message, message.sent);
    } else if ((*frame)->type == mqtt::PacketType::puback) {
      const auto ack = mqtt::decode_ack(**frame, mqtt::Version::v3_1_1, properties);
      if (!ack) continue;
      const auto at = std::ranges::find(unacknowledged_, ack->packet_id, &Message::packet_id);
      if (at != unacknowledged_.end()) unacknowledged_.erase(at);
    } else if ((*frame)->type == mqtt::PacketType::suback) {
      const auto answer = mqtt::decode_suback(**frame, mqtt::Version::v3_1_1, properties);
      if (!answer || mqtt::is_error(answer->reasons.front())) {
        fail("the subscription to " + options_.subscribe + " was refused");
        return data.size();
      }
    } else if ((*frame)->type == mqtt::PacketType::publish) {
      take(**frame);
    }
  }
  return used;
}

void MqttSender::take(const mqtt::Frame& frame) {
  mqtt::Properties properties;
  const auto message = mqtt::decode_publish(frame, mqtt::Version::v3_1_1, properties);
  if (!message) return fail(message.error().message);
  if (options_.on_message)
    options_.on_message({reinterpret_cast<const char*>(message->payload.data()), message->payload.size()});
  if (message->qos == 0 || connection_ == nullptr) return;
  std::string out;
  mqtt::encode_puback(message->packet_id, out);
  connection_->write(out);
}

void MqttSender::on_closed(net::TcpConnection&, net::CloseReason) {
  connection_ = nullptr;
  connected_ = false;
  retry_later();
}

}  // namespace flux::edge
