#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <mutex>

#include "auth/device_auth.h"
#include "bus/memory/memory_bus.h"
#include "ingest/ingest.h"
#include "net/http_server.h"
#include "net/test_client.h"
#include "runtime/spawn.h"
#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

namespace flux::ingest::testing {

/// Knows a few tokens; the password, then the user name, is tried.
class FakeAuthenticator final : public auth::DeviceAuthenticator {
 public:
  using Kind = auth::Identity::Kind;
  FakeAuthenticator() {
    add("token-pump-1", Kind::device, "pump-1", false);
    add("token-pump-2", Kind::device, "pump-2", false);
    add("key", Kind::ingest_key, "", true);
    add("key-known-only", Kind::ingest_key, "", false);
    identities_["expired"] =
        std::make_shared<auth::Identity>(Kind::device, TenantId{1}, "pump-1", false, "old", Time{1});
  }

  Result<auth::IdentityPtr> authenticate(const auth::Presented& presented, Time /*now*/) const override {
    for (const std::string_view token : {presented.password, presented.user_name}) {
      const auto found = identities_.find(token);
      if (found != identities_.end()) return found->second;
    }
    return fail(ErrorCode::unauthenticated, presented.password.empty() ? "no credential" : "this token is not known");
  }
  Subscription on_revoked(std::function<void(const auth::IdentityPtr&)> callback) override {
    const std::lock_guard lock(mutex_);
    revoked_ = std::move(callback);
    return Subscription([this] {
      const std::lock_guard end(mutex_);
      revoked_ = nullptr;
    });
  }
  void revoke(std::string_view token) {
    const std::lock_guard lock(mutex_);
    if (revoked_) revoked_(identities_.find(token)->second);
  }

 private:
  void add(const std::string& token, Kind kind, const std::string& device, bool create) {
    identities_[token] = std::make_shared<auth::Identity>(kind, TenantId{1}, device, create, token, std::nullopt);
  }
  std::map<std::string, auth::IdentityPtr, std::less<>> identities_;
  std::mutex mutex_;
  std::function<void(const auth::IdentityPtr&)> revoked_;
};

/// Hands out what the test gives it, and notes what devices say.
class FakeCommands final : public CommandPort {
 public:
  std::unique_ptr<Feed> subscribe(TenantId, std::string device, std::function<void(CommandMessage)> receive) override {
    const std::lock_guard lock(mutex_);
    receivers_[device] = std::move(receive);
    return std::make_unique<Ending>(*this, device);
  }
  void received(TenantId, const std::string& device, const std::string& id) override { note("received", device, id); }
  void refused(TenantId, const std::string& device, const std::string& id, bool had,
               const std::string& reason) override {
    note(had ? "refused by the device" : "refused", device, id + ": " + reason);
  }
  void answered(TenantId, const std::string& device, const std::string& id, CommandAnswer answer,
                std::function<void(const Result<>&)> done) override {
    note(answer.succeeded ? "succeeded" : "failed", device,
         id + " " + answer.result.value_or("-") + (answer.reason.empty() ? "" : " " + answer.reason));
    done(outcome);
  }
  void give(const std::string& device, const std::string& id, bool again = false) {
    std::function<void(CommandMessage)> receive;
    {
      const std::lock_guard lock(mutex_);
      receive = receivers_[device];
    }
    ASSERT_TRUE(receive) << device << " does not subscribe";
    receive({.id = id, .name = "go", .payload = "{}", .expires = wall_now() + 1_h, .again = again, .response = true});
  }
  bool subscribed(const std::string& device) {
    const std::lock_guard lock(mutex_);
    return receivers_.contains(device);
  }
  std::vector<std::string> notes() {
    const std::lock_guard lock(mutex_);
    return notes_;
  }
  Result<> outcome;  ///< of answers

 private:
  struct Ending final : Feed {
    Ending(FakeCommands& commands, std::string device) : commands_(commands), device_(std::move(device)) {}
    ~Ending() override {
      const std::lock_guard lock(commands_.mutex_);
      commands_.receivers_.erase(device_);
    }
    FakeCommands& commands_;
    std::string device_;
  };
  void note(const std::string& what, const std::string& device, const std::string& rest) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(what + " " + device + " " + rest);
  }
  std::mutex mutex_;
  std::map<std::string, std::function<void(CommandMessage)>> receivers_;
  std::vector<std::string> notes_;
};

/// A node's ingest with a log in memory, on real sockets.
class Node {
 public:
  explicit Node(Config config = {}, std::size_t partitions = 4, SignIn::Clock clock = monotonic_now)
      : bus(bus::memory::make_memory_bus(partitions)), shards(2) {
    config_ = local_config(std::move(config));
    directory.ensure({1}, "pump-1");
    directory.ensure({1}, "pump-2");
    shards.start();
    make_service(config_, clock);
    service->mount(router.group("/api/v1"), router.group());
    net::HttpOptions options;
    options.tcp.linger_time = 100_ms;
    http = std::make_unique<net::HttpServer>(shards, router, options);
    EXPECT_TRUE(http->listen("127.0.0.1", 0));
    start_service();
  }
  /// Stops and comes again with what the log holds.
  void restart() {
    EXPECT_TRUE(runtime::block_on(shards[0], service->stop()));
    service.reset();
    make_service(config_, monotonic_now);
    start_service();
  }
  static Config local_config(Config config) {
    config.mqtt.host = "127.0.0.1";
    config.mqtt.port = 0;
    return config;
  }
  ~Node() {
    bus->fail_with(std::nullopt);
    bus->release();
    http->stop();
    if (!stopped) EXPECT_TRUE(runtime::block_on(shards[0], service->stop()));
    shards.stop();
    shards.join();
  }
  Result<> drain() { return runtime::block_on(shards[0], service->drain()); }

  [[nodiscard]] net::Address mqtt() const { return *service->mqtt_address(); }

  /// Everything in the log: "device@time field=value …" a line, partition by partition.
  std::vector<std::string> rows() {
    std::vector<std::string> all;
    for (std::size_t p = 0; p < bus->partition_count(); ++p) {
      auto reader = bus->reader(bus::Topic::raw_sensor_data, {static_cast<std::uint16_t>(p)}, {0});
      EXPECT_TRUE(reader);
      for (;;) {
        auto records = (*reader)->read(1 << 20);
        EXPECT_TRUE(records);
        if (!records || records->empty()) break;
        for (const bus::Record& record : *records) add_rows(*record.batch, all);
      }
    }
    return all;
  }
  std::size_t readings() {
    std::size_t count = 0;
    for (const auto& row : rows()) count += static_cast<std::size_t>(std::ranges::count(row, '='));
    return count;
  }
  double metric(std::string_view name, metrics::Labels labels = {}) { return metrics.value(name, labels); }
  /// Messages of the connection log, oldest first.
  std::vector<std::string> trace(std::string_view device) {
    std::vector<std::string> lines;
    for (const auto& event : log.recent({1}, device, 100))
      lines.push_back(std::string(event->ok ? "ok " : "failed ") + std::string(to_string(event->stage)) + ": " +
                      event->message);
    return lines;
  }

  std::unique_ptr<bus::memory::MemoryBus> bus;
  registry::Directory directory;
  registry::Databases databases;
  FakeAuthenticator authenticator;
  registry::ConnectionLog log;
  FakeCommands commands;
  metrics::Registry metrics;
  runtime::Shards shards;
  net::Router router;
  std::unique_ptr<IngestService> service;
  std::unique_ptr<net::HttpServer> http;
  bool stopped = false;

 private:
  Config config_;
  void make_service(const Config& config, SignIn::Clock clock) {
    service =
        std::make_unique<IngestService>(config, IngestService::Needs{shards, *bus, directory, databases, authenticator,
                                                                     log, metrics, nullptr, &commands, "test", clock});
  }
  void start_service() {
    const auto started = runtime::block_on(shards[0], service->start());
    EXPECT_TRUE(started) << started.error().message;
  }
  static void add_rows(const TelemetryBatch& batch, std::vector<std::string>& out) {
    for (const auto& group : batch.groups()) {
      for (std::size_t row = 0; row < group.rows(); ++row) {
        std::string text = group.shape().device() + "@" + to_rfc3339({batch.times(group)[row]});
        for (std::size_t field = 0; field < group.shape().field_count(); ++field) {
          if (!batch.has(group, field, row)) continue;
          const Value value = batch.value(group, field, row);
          text += " " + group.shape().fields()[field].name + "=";
          if (const auto* string = std::get_if<std::string>(&value)) text += *string;
          else if (const auto* truth = std::get_if<bool>(&value)) text += *truth ? "true" : "false";
          else if (const auto* number = std::get_if<double>(&value))
            text += std::to_string(*number).substr(0, std::to_string(*number).find('.') + 3);
          else text += "?";
        }
        out.push_back(std::move(text));
      }
    }
  }
};

/// A blocking MQTT client made of the codec.
class MqttClient {
 public:
  using Version = wire::mqtt::Version;
  using Reason = wire::mqtt::Reason;

  MqttClient(const Node& node, Version version) : socket(node.mqtt()), version_(version) {}

  struct Options {
    std::string client_id = "c";
    std::string user = "device";
    std::string password = "token-pump-1";
    std::uint16_t keep_alive = 60;
    std::optional<wire::mqtt::Will> will = std::nullopt;
    bool clean_start = true;
  };
  /// The reason of the CONNACK; nothing when the connection ended instead.
  std::optional<Reason> connect(const Options& options) {
    wire::mqtt::Connect connect{.version = version_,
                                .clean_start = options.clean_start,
                                .keep_alive = options.keep_alive,
                                .client_id = options.client_id};
    connect.user_name = options.user;
    connect.password = std::as_bytes(std::span(options.password));
    connect.will = options.will;
    std::string bytes;
    wire::mqtt::encode(connect, properties, will_properties, bytes);
    EXPECT_TRUE(socket.send(bytes));
    const auto frame = next();
    if (!frame) return std::nullopt;
    auto connack = wire::mqtt::decode_connack(*frame, version_, received);
    EXPECT_TRUE(connack) << connack.error().message;
    session_present = connack && connack->session_present;
    return connack ? std::optional(connack->reason) : std::nullopt;
  }

  std::string publish_bytes(std::string_view topic, std::string_view payload, std::uint16_t id, bool dup = false) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Publish{.dup = dup,
                                           .qos = static_cast<std::uint8_t>(id > 0 ? 1 : 0),
                                           .topic = topic,
                                           .packet_id = id,
                                           .payload = std::as_bytes(std::span(payload))},
                       version_, {}, bytes);
    return bytes;
  }
  void publish(std::string_view topic, std::string_view payload, std::uint16_t id, bool dup = false) {
    EXPECT_TRUE(socket.send(publish_bytes(topic, payload, id, dup)));
  }
  std::string publish_bytes(std::string_view topic, std::string_view payload, wire::mqtt::Publish publish,
                            const wire::mqtt::Properties& with = {}) {
    publish.topic = topic;
    publish.payload = std::as_bytes(std::span(payload));
    std::string bytes;
    wire::mqtt::encode(publish, version_, with, bytes);
    return bytes;
  }
  /// Publishes and awaits what the QoS asks for; the reason of PUBACK or PUBREC.
  std::optional<Reason> say(std::string_view topic, std::string_view payload, const wire::mqtt::Publish& how = {},
                            const wire::mqtt::Properties& with = {}) {
    wire::mqtt::Publish publish = how;
    if (publish.qos > 0 && publish.packet_id == 0) publish.packet_id = ++last_packet_id_;
    EXPECT_TRUE(socket.send(publish_bytes(topic, payload, publish, with)));
    if (publish.qos == 0) return std::nullopt;
    const auto ack = expect(publish.qos == 1 ? "PUBACK" : "PUBREC");
    if (!ack) return std::nullopt;
    EXPECT_EQ(ack->packet_id, publish.packet_id);
    if (publish.qos == 2 && !is_error(ack->reason)) {
      acknowledge(wire::mqtt::PacketType::pubrel, publish.packet_id);
      EXPECT_EQ(expect("PUBCOMP")->packet_id, publish.packet_id);
    }
    return ack->reason;
  }
  void acknowledge(wire::mqtt::PacketType type, std::uint16_t packet_id, Reason reason = Reason::success) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Ack{.type = type, .packet_id = packet_id, .reason = reason}, version_, {}, bytes);
    EXPECT_TRUE(socket.send(bytes));
  }
  /// The reason of the SUBACK, which must be the next packet.
  std::optional<Reason> subscribe(std::string_view filter, const wire::mqtt::SubscribeOptions& options = {},
                                  std::uint32_t id = 0) {
    wire::mqtt::Properties with;
    if (id != 0) with.subscription_ids = {id};
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Subscribe{.packet_id = 9, .filters = {{filter, options}}}, version_, with, bytes);
    EXPECT_TRUE(socket.send(bytes));
    const auto frame = next();
    if (!frame) return std::nullopt;
    EXPECT_EQ(to_string(frame->type), "SUBACK");
    const auto suback = wire::mqtt::decode_suback(*frame, version_, received);
    EXPECT_TRUE(suback);
    return suback ? std::optional(suback->reasons.front()) : std::nullopt;
  }
  std::optional<Reason> unsubscribe(std::string_view filter) {
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Unsubscribe{.packet_id = 8, .filters = {filter}}, version_, {}, bytes);
    EXPECT_TRUE(socket.send(bytes));
    const auto frame = next();
    if (!frame) return std::nullopt;
    EXPECT_EQ(to_string(frame->type), "UNSUBACK");
    const auto unsuback = wire::mqtt::decode_suback(*frame, version_, received);
    return unsuback && !unsuback->reasons.empty() ? std::optional(unsuback->reasons.front()) : std::nullopt;
  }
  void disconnect(Reason reason = Reason::success, std::optional<std::uint32_t> expiry = std::nullopt) {
    wire::mqtt::Properties with;
    with.session_expiry = expiry;
    std::string bytes;
    wire::mqtt::encode(wire::mqtt::Notice{.reason = reason}, version_, with, bytes);
    EXPECT_TRUE(socket.send(bytes));
    EXPECT_TRUE(ended());
  }
  /// The next packet, which must be a PUBLISH; its properties are in `received`.
  std::optional<wire::mqtt::Publish> heard() {
    const auto frame = next();
    if (!frame) return std::nullopt;
    EXPECT_EQ(to_string(frame->type), "PUBLISH");
    auto publish = wire::mqtt::decode_publish(*frame, version_, received);
    EXPECT_TRUE(publish) << publish.error().message;
    return publish ? std::optional(*publish) : std::nullopt;
  }
  /// `topic=payload`, with ` q1`, ` retain` and ` dup` where it says so; acknowledges it.
  std::string hear() {
    const auto publish = heard();
    if (!publish) return "the connection ended";
    const std::string_view payload(reinterpret_cast<const char*>(publish->payload.data()), publish->payload.size());
    std::string text = std::string(publish->topic) + "=" + std::string(payload);
    if (publish->qos > 0) text += " q" + std::to_string(publish->qos);
    if (publish->retain) text += " retain";
    if (publish->dup) text += " dup";
    const std::uint16_t id = publish->packet_id;
    if (publish->qos == 1) acknowledge(wire::mqtt::PacketType::puback, id);
    if (publish->qos == 2) {
      acknowledge(wire::mqtt::PacketType::pubrec, id);
      EXPECT_EQ(released(), id);
      acknowledge(wire::mqtt::PacketType::pubcomp, id);
    }
    return text;
  }
  /// The identifier of the next PUBREL; messages that come before it are kept for later.
  std::optional<std::uint16_t> released() {
    std::deque<std::string> before;
    std::optional<std::uint16_t> id;
    for (;;) {
      const auto frame = next();
      if (!frame) break;
      if (frame->type == wire::mqtt::PacketType::publish) {
        before.push_back(packet_);
        continue;
      }
      const auto ack = wire::mqtt::decode_ack(*frame, version_, received);
      EXPECT_TRUE(ack && ack->type == wire::mqtt::PacketType::pubrel) << to_string(frame->type);
      if (ack) id = ack->packet_id;
      break;
    }
    early_.insert(early_.begin(), before.begin(), before.end());
    return id;
  }
  /// The next packet, which must be a PUBACK: its identifier and reason.
  std::optional<wire::mqtt::Ack> puback() { return expect("PUBACK"); }
  /// The next packet, an acknowledgement of that type.
  std::optional<wire::mqtt::Ack> expect(std::string_view type) {
    const auto frame = next();
    if (!frame) return std::nullopt;
    EXPECT_EQ(to_string(frame->type), type);
    auto ack = wire::mqtt::decode_ack(*frame, version_, received);
    EXPECT_TRUE(ack) << ack.error().message;
    return ack ? std::optional(*ack) : std::nullopt;
  }
  std::string note() const { return std::string(received.reason_string.value_or("")); }
  /// The reason of the DISCONNECT that must come next.
  std::optional<Reason> disconnected() {
    const auto frame = next();
    if (!frame) return std::nullopt;
    EXPECT_EQ(to_string(frame->type), "DISCONNECT");
    auto notice = wire::mqtt::decode_notice(*frame, version_, received);
    return notice ? std::optional(notice->reason) : std::nullopt;
  }
  /// True when a PINGREQ is answered by the very next packet: everything sent before has been read, and nothing else
  /// was due.
  bool ping() {
    std::string bytes;
    wire::mqtt::encode_pingreq(bytes);
    if (!socket.send(bytes)) return false;
    const auto frame = next();
    return frame && frame->type == wire::mqtt::PacketType::pingresp;
  }
  std::optional<wire::mqtt::Frame> next() {
    if (!early_.empty()) {
      packet_ = std::move(early_.front());
      early_.pop_front();
    } else {
      packet_ = socket.receive(1);
    }
    if (packet_.empty()) return std::nullopt;
    for (;;) {  // the remaining length, then the rest
      auto frame = wire::mqtt::read_frame(std::as_bytes(std::span(packet_)), 1 << 24);
      EXPECT_TRUE(frame);
      if (!frame) return std::nullopt;
      if (*frame) return **frame;
      const std::string more = socket.receive(1);
      if (more.empty()) return std::nullopt;
      packet_ += more;
    }
  }
  bool ended() { return socket.receive(1).empty(); }

  net::TestClient socket;
  wire::mqtt::Properties properties;  // of CONNECT
  wire::mqtt::Properties will_properties;
  bool session_present = false;
  wire::mqtt::Properties received;

 private:
  Version version_;
  std::uint16_t last_packet_id_ = 1000;
  std::string packet_;
  std::deque<std::string> early_;
};

}  // namespace flux::ingest::testing
