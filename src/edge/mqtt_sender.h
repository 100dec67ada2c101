#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/time.h"
#include "net/address.h"
#include "net/tcp.h"
#include "runtime/async.h"
#include "runtime/shard.h"
#include "wire/mqtt/decode.h"

namespace flux::edge {

/// Sends readings the way any device does: an MQTT 3.1.1 client with QoS 1 that connects again by itself and then
/// repeats what was not acknowledged. Takes messages too, where it subscribes. Lives on one shard; made by
/// `make_shared`.
class MqttSender final : public net::TcpHandler, public std::enable_shared_from_this<MqttSender> {
 public:
  struct Options {
    net::Address address;
    std::string client_id;
    std::string user_name;
    std::string password;
    std::size_t max_waiting = 1'000;  ///< messages kept while they cannot be sent; then the oldest go
    std::string subscribe = {};       ///< a topic filter, with QoS 1; empty: none
    std::function<void(std::string_view payload)> on_message = nullptr;  ///< before its PUBACK is written
  };

  MqttSender(runtime::Shard& shard, net::TcpClient& client, Options options);

  /// Connects, and keeps doing so until `stop`.
  void start();
  /// Queues a message. When `max_waiting` are waiting, the oldest is dropped for it and counted.
  void publish(std::string_view topic, std::string_view payload);
  /// Says good-bye and sends no more. No call follows on this object once it returns.
  void stop();

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] std::size_t waiting() const { return unacknowledged_.size(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  void on_open(net::TcpConnection& connection) override;
  std::size_t on_data(net::TcpConnection& connection, std::span<const std::byte> data) override;
  void on_closed(net::TcpConnection& connection, net::CloseReason reason) override;

 private:
  struct Message {
    std::uint16_t packet_id = 0;
    bool sent = false;
    std::string topic;
    std::string payload;
  };

  static Async<void> connect(std::shared_ptr<MqttSender> self);
  void retry_later();
  void send(Message& message, bool again);
  void fail(std::string_view why);
  void take(const wire::mqtt::Frame& frame);

  runtime::Shard& shard_;
  net::TcpClient& client_;
  Options options_;
  net::TcpConnection* connection_ = nullptr;
  bool connected_ = false;
  bool running_ = false;
  std::uint16_t next_packet_id_ = 0;
  std::uint64_t dropped_ = 0;
  Duration backoff_;
  std::deque<Message> unacknowledged_;  // in the order of publishing
  runtime::Timer retry_;
  runtime::Timer ping_;
};

}  // namespace flux::edge
