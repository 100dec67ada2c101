#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "auth/device_auth.h"
#include "broker/broker.h"
#include "ingest/commands.h"
#include "ingest/config.h"
#include "ingest/metrics.h"
#include "ingest/mqtt/will.h"
#include "ingest/outbox.h"
#include "ingest/shard_ingest.h"
#include "ingest/telemetry.h"
#include "ingest/trace.h"
#include "net/tcp.h"
#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

namespace flux::ingest::mqtt {

class Session;

/// What packets are decoded into: the sessions of a shard share one, since none keeps anything in it.
struct Scratch {
  wire::mqtt::Properties properties;
  wire::mqtt::Properties will_properties;
  std::string passed_on;
};

/// What the sessions of a node share.
struct Context {
  const MqttConfig& config;
  Metrics& metrics;
  const auth::DeviceAuthenticator& authenticator;
  SignIn& sign_in;
  registry::ConnectionLog& log;
  broker::Broker& broker;
  runtime::Shards& threads;
  std::vector<std::unordered_set<Session*>>& sessions;  ///< the connected ones, by shard; each touches its own
  std::vector<Scratch>& scratch;                        ///< by shard
  CommandPort* commands = nullptr;                      ///< null: there are none
};

/// One MQTT connection, from its first byte to its last. Lives on the shard of its broker session: a client that has
/// one elsewhere is moved there with its CONNECT.
///
/// It reads packets, knows who may do what (topics.h), and takes readings and the answers to commands. Everything
/// between clients is the broker's.
///
/// A PUBLISH of QoS 1 or 2 is acknowledged when its readings are durable in the log, and when it is with all
/// subscribers (durably so for sessions that outlive their connection), in the order in which they came. What cannot be
/// taken is acknowledged too, so that one bad message does not block the others: MQTT 5 with the reason code and a
/// sentence, older versions (which have no word for it) without; it is counted, shown in the connection log and gets a
/// dead letter (ingest/dead_letters.h). Only when the log itself failed does such a message stay without an
/// acknowledgement, and the connection ends: the device sends it again.
///
/// A subscription to a device's commands is granted QoS 1. At most the client's receive maximum of them wait for their
/// PUBACK; what a PUBACK means, and what happens to commands without one, is the `CommandPort`'s to know.
class Session final : public net::TcpHandler,
                      public Answerer,
                      public broker::Link,
                      public std::enable_shared_from_this<Session> {
 public:
  Session(const Context& context, ShardIngest& shard, net::TcpConnection& connection);
  ~Session() override;

  // net::TcpHandler
  void on_open(net::TcpConnection& connection) override;
  std::size_t on_data(net::TcpConnection& connection, std::span<const std::byte> data) override;
  void on_closed(net::TcpConnection& connection, net::CloseReason reason) override;
  void on_writable(net::TcpConnection& connection) override;
  void on_deadline(net::TcpConnection& connection) override;
  void on_drain(net::TcpConnection& connection) override;
  void on_no_room(net::TcpConnection& connection, bool own) override;

  // Answerer
  void on_batch(std::uint64_t first, std::uint64_t last, const Result<>& result) override;

  // broker::Link
  void send(std::string_view packets) override;
  [[nodiscard]] bool clogged() const override { return connection_ == nullptr || connection_->above_high_water(); }
  void taken_over() override;

  /// Its credential was revoked. On the shard.
  void revoked(const auth::Identity& identity);

 private:
  enum class State : std::uint8_t { waiting, connected, ending, gone };
  /// Whether the packet at hand was dealt with, or must be shown again when there is room (or elsewhere).
  enum class Handled : std::uint8_t { taken, hold };

  /// A QoS 1 or 2 message that was not yet acknowledged.
  struct Unacknowledged {
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 1;
    std::uint32_t waits = 0;  ///< for batches that hold readings of it, and for subscribers
    wire::mqtt::Reason reason = wire::mqtt::Reason::success;
    bool lost = false;  ///< the log did not take it
    std::string note;   ///< for the reason string
  };
  /// A queue that keeps no memory while it is empty at first, as most connections' are.
  class Queue {
   public:
    [[nodiscard]] bool empty() const { return head_ == items_.size(); }
    [[nodiscard]] std::size_t size() const { return items_.size() - head_; }
    [[nodiscard]] Unacknowledged& front() { return items_[head_]; }
    [[nodiscard]] Unacknowledged& operator[](std::size_t index) { return items_[head_ + index]; }
    void push_back(Unacknowledged item) { items_.push_back(std::move(item)); }
    void pop_front() {
      if (++head_ == items_.size()) {
        clear();
      } else if (head_ >= 1024 && head_ * 2 >= items_.size()) {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
      }
    }
    void clear() {
      items_.clear();
      head_ = 0;
    }

   private:
    std::vector<Unacknowledged> items_;
    std::size_t head_ = 0;
  };
  struct Refusal {
    wire::mqtt::Reason reason;
    Error error;
  };
  /// Of a connection that takes commands; most take none, or one device's.
  struct Commanded {
    struct Subscribed {
      std::uint64_t number = 0;
      std::string filter;
      std::string device;
      std::string topic;  ///< that its commands come on
      std::uint8_t qos = 0;
      std::unique_ptr<CommandPort::Feed> feed;
    };
    struct Outgoing {
      std::uint16_t packet_id = 0;
      std::string device;
      std::string command;
    };
    std::vector<Subscribed> feeds;
    std::vector<Outgoing> outgoing;                                ///< not yet acknowledged
    std::deque<std::pair<std::uint64_t, CommandMessage>> waiting;  ///< for room in the client's receive maximum
    std::uint64_t last_number = 0;
  };
  Handled handle(const wire::mqtt::Frame& frame);

  // session_connect.cc
  Handled handle_connect(const wire::mqtt::Frame& frame);
  std::optional<Refusal> check_connect(const wire::mqtt::Connect& connect, const wire::mqtt::Properties& properties);
  void refuse_connect(wire::mqtt::Reason reason, std::string_view message);
  [[nodiscard]] SignIn::Attempt attempt() const;
  [[nodiscard]] SignIn::Attempt attempt(const wire::mqtt::Connect& connect,
                                        std::span<const std::string_view> named) const;
  std::optional<Refusal> take_will(const wire::mqtt::Will& will, const wire::mqtt::Properties& properties);
  void accept_connect(const wire::mqtt::Connect& connect, const wire::mqtt::Properties& properties);
  void note_connected(Duration keep_alive, const broker::Broker::Connected& connected);
  [[nodiscard]] std::uint32_t session_expiry(const wire::mqtt::Connect& connect,
                                             const wire::mqtt::Properties& properties) const;

  // session_publish.cc
  Handled handle_publish(const wire::mqtt::Frame& frame);
  [[nodiscard]] bool window_full() const;
  bool resolve_alias(const wire::mqtt::Publish& publish, std::string_view& topic);
  void take_message(const wire::mqtt::Publish& publish, std::string_view topic);
  std::optional<Refusal> take(std::string_view topic, std::string_view payload, const wire::mqtt::Publish& publish);
  std::optional<Refusal> take_plain(std::string_view topic, const wire::mqtt::Publish& publish);
  void forward(std::string_view topic, const wire::mqtt::Publish& publish, bool plain);
  void forward_once(broker::Content content);
  broker::ReceiptPtr receipt_for(std::uint64_t ticket);
  void note_outcome(std::uint64_t ticket, const broker::Local::Outcome& outcome, bool plain);
  void refuse(const wire::mqtt::Publish& publish, const Refusal& refusal);
  std::optional<Refusal> find_device(std::string_view topic);
  std::optional<Refusal> still_allowed();
  void note_presence();
  void handle_pubrel(const wire::mqtt::Frame& frame);

  // session_subscribe.cc
  void handle_subscribe(const wire::mqtt::Frame& frame);
  wire::mqtt::Reason grant(std::string_view filter, const wire::mqtt::SubscribeOptions& options, std::size_t more,
                           std::string& why);
  void handle_unsubscribe(const wire::mqtt::Frame& frame);
  void resume_commands();

  // session_commands.cc
  [[nodiscard]] std::optional<std::string> commands_of(std::string_view filter) const;
  wire::mqtt::Reason grant_commands(std::string_view filter, const std::string& device, std::uint8_t qos,
                                    std::string& why);
  void end_commands(std::string_view filter);
  void deliver_command(std::uint64_t number, CommandMessage message);
  void send_commands();
  bool send_command(const Commanded::Subscribed& to, const CommandMessage& message);
  void command_acknowledged(std::uint16_t packet_id, wire::mqtt::Reason reason);
  std::optional<Refusal> take_answer(std::string_view topic, const wire::mqtt::Publish& publish);
  void answer_settled(std::uint8_t qos, std::uint64_t ticket, const Result<>& result);

  // session.cc
  void handle_disconnect(const wire::mqtt::Frame& frame);
  void handle_ack(const wire::mqtt::Frame& frame);
  void acknowledge_ready();
  void write_ack(const Unacknowledged& message);
  void hold_for_room(bool readings);
  void leave_broker(bool will);
  /// Says why (MQTT 5) and closes.
  void end(wire::mqtt::Reason reason, std::string_view message);
  /// Gives a dead letter to a message that was refused (`reason` when the error's code says nothing better), wholly or
  /// in part, unless its acknowledgement tells. `device`: whose it is, where that is known already.
  void bury(std::string_view topic, std::string_view payload, std::uint8_t qos, const Error& error,
            std::string_view reason, std::string_view device = {}, bool in_part = false);
  void fault(const wire::mqtt::Fault& fault);
  void flush();
  void leave();
  void write_notice(wire::mqtt::Reason reason, std::string_view message);
  [[nodiscard]] bool v5() const { return version_ == wire::mqtt::Version::v5; }
  [[nodiscard]] broker::Local& local() const { return context_.broker.local(shard_.index()); }

  const Context& context_;
  ShardIngest& ingest_;
  TelemetryIntake& intake_;
  Outbox& outbox_;
  DeadLetters& dead_letters_;
  runtime::Shard& shard_;
  wire::mqtt::Properties& properties_;  // of the packet at hand
  net::TcpConnection* connection_;      // null once it has gone
  Tracer tracer_;

  State state_ = State::waiting;
  wire::mqtt::Version version_ = wire::mqtt::Version::v3_1_1;
  std::string client_id_;
  auth::IdentityPtr identity_;
  broker::SessionPtr session_;  // while connected
  Duration silence_allowed_{};  // one and a half keep alive times
  Duration last_read_{};
  Time now_{};                                  // of the read at hand
  std::shared_ptr<const WillMessage> will_;     // during CONNECT
  bool will_wanted_ = true;                     // when the connection ends
  std::optional<std::uint32_t> expiry_s_;       // of the session, as DISCONNECT has it
  bool explain_ = true;                         // the client wants reason strings
  std::size_t client_packet_bytes_ = SIZE_MAX;  // the largest that it takes

  std::string topic_;   // of the last message with readings
  DeviceSlotPtr slot_;  // its device; null when the payload names it
  bool topic_known_ = false;
  std::string plain_topic_;  // the last other one that it may publish to
  std::vector<std::string> aliases_;
  std::unordered_set<registry::DeviceEntryPtr> present_;  // counted as connected by this session
  bool first_reading_ = true;

  Queue unacknowledged_;
  std::uint64_t first_ticket_ = 0;    // of the front
  std::size_t unacknowledged_2_ = 0;  // those of QoS 2
  std::string out_;                   // written at the end of each call
  bool paused_ = false;
  bool draining_ = false;

  std::unique_ptr<Commanded> commands_;
  std::uint64_t messages_ = 0;  // counted once per read
  std::uint64_t readings_ = 0;
};

/// In words fit for a reason string.
std::string sentence(const Error& error);
std::string presentable(std::string_view text, std::size_t limit = 400);
wire::mqtt::Reason reason_of(ErrorCode code);
inline std::string_view as_text(wire::mqtt::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace flux::ingest::mqtt
