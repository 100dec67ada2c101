#include <algorithm>
#include <array>
#include <random>

#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topics.h"
#include "wire/mqtt/topic.h"

/// What happens once per connection: CONNECT.
namespace flux::ingest::mqtt {

using registry::ConnectionStage;
using wire::mqtt::Reason;
using wire::mqtt::Version;

namespace {

std::string new_client_id() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id = "auto-";
  for (int i = 0; i < 16; ++i) id += kDigits[random() % 16];
  return id;
}

std::string_view version_name(Version version) {
  switch (version) {
    case Version::v3_1: return "3.1";
    case Version::v3_1_1: return "3.1.1";
    case Version::v5: break;
  }
  return "5";
}

}  // namespace

Session::Handled Session::handle_connect(const wire::mqtt::Frame& frame) {
  const auto refused = [this](Reason reason, std::string_view message) {
    refuse_connect(reason, message);
    return Handled::taken;
  };
  const auto connect = wire::mqtt::decode_connect(frame, properties_, context_.scratch[shard_.index()].will_properties);
  version_ = wire::mqtt::peek_version(frame).value_or(Version::v3_1_1);
  if (!connect) {
    context_.metrics.mqtt_protocol_errors.add();
    context_.sign_in.unreadable(attempt(), "malformed CONNECT: " + connect.error().message);
    return refused(connect.error().reason, connect.error().message);
  }
  explain_ = properties_.request_problem_info.value_or(true);
  if (v5() && properties_.maximum_packet_size) client_packet_bytes_ = *properties_.maximum_packet_size;
  client_id_ = connect->client_id;
  tracer_.set_client(client_id_);
  const std::string_view named[] = {connect->will ? device_of(connect->will->topic) : std::string_view()};
  const SignIn::Attempt coming = attempt(*connect, named);
  if (auto refusal = check_connect(*connect, properties_)) {
    context_.sign_in.unreadable(coming, "CONNECT refused: " + refusal->error.message);
    return refused(refusal->reason, refusal->error.message);
  }

  auto identity = context_.authenticator.authenticate(coming.presented, wall_now());
  if (!identity) {
    const auto refusal = context_.sign_in.refused(coming, std::move(identity).error());
    Reason reason = refusal.error.code == ErrorCode::unauthenticated ? Reason::bad_credentials : Reason::not_authorized;
    // 3.1.1 has no such word: of its five, "server unavailable" is the one that says "later".
    if (refusal.try_again) reason = v5() ? Reason::connection_rate_exceeded : Reason::server_unavailable;
    return refused(reason, refusal.error.message);
  }
  identity_ = *std::move(identity);
  context_.sign_in.mistaken(coming, *identity_);
  if (!client_id_.empty()) {
    const std::string key = broker::Broker::key(identity_->tenant(), identity_->device(), client_id_);
    const std::size_t home = context_.broker.home(key, shard_.index());
    if (home != shard_.index()) {
      // Its session is on another shard, where it goes with all it has sent.
      identity_.reset();
      connection_->move_to(context_.threads[home]);
      return Handled::hold;
    }
  }
  if (connect->will) {
    if (auto refusal = take_will(*connect->will, context_.scratch[shard_.index()].will_properties)) {
      tracer_.set_device(identity_->tenant(), identity_->device());
      tracer_.failed(ConnectionStage::connect, "the will: " + refusal->error.message);
      identity_.reset();
      return refused(refusal->reason, "the will: " + refusal->error.message);
    }
  }
  accept_connect(*connect, properties_);
  return Handled::taken;
}

/// Whom the will speaks for is settled now, while there is somebody to tell.
std::optional<Session::Refusal> Session::take_will(const wire::mqtt::Will& will,
                                                   const wire::mqtt::Properties& properties) {
  if (will.topic == kOwnTelemetry || !device_of(will.topic).empty()) {
    if (auto refusal = find_device(will.topic)) return refusal;
  } else if (auto allowed = may_publish(*identity_, will.topic); !allowed) {
    const bool denied = allowed.error().code == ErrorCode::permission_denied;
    return Refusal{denied ? Reason::not_authorized : Reason::topic_name_invalid, std::move(allowed).error()};
  }
  auto kept = std::make_shared<WillMessage>();
  kept->topic = will.topic;
  kept->payload = as_text(will.payload);
  kept->qos = will.qos;
  kept->retain = will.retain;
  if (v5()) {
    wire::mqtt::encode_passed_on(properties, kept->passed_on);
    kept->expiry_s = properties.message_expiry.value_or(0);
  }
  will_ = std::move(kept);
  return std::nullopt;
}

std::optional<Session::Refusal> Session::check_connect(const wire::mqtt::Connect& connect,
                                                       const wire::mqtt::Properties& properties) {
  const auto refuse = [](Reason reason, std::string message) {
    return Refusal{reason, {ErrorCode::invalid_argument, std::move(message), {}}};
  };
  if (connect.client_id.size() > 256)
    return refuse(Reason::client_id_invalid, "the client identifier is longer than 256 bytes");
  if (v5() && properties.auth_method)
    return refuse(Reason::bad_auth_method, "extended authentication is not served: send a token as password");
  if (connection_->draining()) return refuse(Reason::server_shutting_down, "the server is shutting down");
  if (outbox_.failing()) return refuse(Reason::server_unavailable, outbox_.refusal().message);
  return std::nullopt;
}

/// What is known of somebody before CONNECT was understood.
SignIn::Attempt Session::attempt() const {
  return {.protocol = registry::ConnectionProtocol::mqtt,
          .version = v5()                        ? "MQTT 5"
                     : version_ == Version::v3_1 ? "MQTT 3.1"
                                                 : "MQTT 3.1.1",
          .peer = connection_->peer(),
          .client_id = client_id_,
          .presented = {},
          .named = {}};
}

SignIn::Attempt Session::attempt(const wire::mqtt::Connect& connect, std::span<const std::string_view> named) const {
  SignIn::Attempt made = attempt();
  made.presented = {connect.user_name.value_or(""), as_text(connect.password.value_or(wire::mqtt::Bytes{}))};
  made.named = named;
  return made;
}

void Session::refuse_connect(Reason reason, std::string_view message) {
  context_.metrics.mqtt_connects_refused.add();
  // 3.1.1 has return codes for a few refusals; a broken CONNECT it answers by closing.
  const bool sayable = v5() || (reason != Reason::malformed_packet && reason != Reason::protocol_error);
  if (sayable) {
    wire::mqtt::Properties properties;
    const std::string text(message.substr(0, 400));
    if (wire::mqtt::is_utf8_string(text) && text.size() + 16 <= client_packet_bytes_) properties.reason_string = text;
    Reason said = reason;
    if (!v5() && (reason == Reason::topic_name_invalid || reason == Reason::retain_not_supported ||
                  reason == Reason::qos_not_supported)) {
      said = Reason::not_authorized;  // of its five words, the one that makes nobody try again at once
    }
    std::string connack;
    wire::mqtt::encode(wire::mqtt::Connack{.reason = said}, version_, properties, connack);
    if (connack.size() <= client_packet_bytes_) out_ += connack;
  }
  leave();
}

/// What the client asks for, within what is given.
std::uint32_t Session::session_expiry(const wire::mqtt::Connect& connect,
                                      const wire::mqtt::Properties& properties) const {
  const auto most = static_cast<std::uint32_t>(context_.config.broker.session_expiry_max.ns / 1'000'000'000);
  if (v5()) return std::min(properties.session_expiry.value_or(0), most);
  return connect.clean_start ? 0 : most;
}

void Session::accept_connect(const wire::mqtt::Connect& connect, const wire::mqtt::Properties& properties) {
  const MqttConfig& config = context_.config;
  tracer_.set_device(identity_->tenant(), identity_->device());
  wire::mqtt::Properties answer;
  std::string assigned;
  if (client_id_.empty()) {
    assigned = new_client_id();
    answer.assigned_client_id = assigned;
  }

  const Duration asked = 1_s * connect.keep_alive;
  const Duration keep_alive = asked.ns == 0 || asked > config.keep_alive_max ? config.keep_alive_max : asked;
  if (keep_alive != asked) answer.server_keep_alive = static_cast<std::uint16_t>(keep_alive.ns / 1'000'000'000);
  const std::uint32_t expiry_s = session_expiry(connect, properties);
  if (properties.session_expiry.value_or(0) != expiry_s) answer.session_expiry = expiry_s;
  answer.receive_maximum = config.receive_maximum;
  answer.maximum_packet_size = static_cast<std::uint32_t>(config.packet_bytes);
  answer.topic_alias_maximum = config.topic_aliases;
  std::string connack;
  wire::mqtt::encode(wire::mqtt::Connack{}, version_, answer, connack);
  if (connack.size() > client_packet_bytes_) {
    // Left out is what says that something is not larger: to whoever asks for it, it is said again.
    answer.topic_alias_maximum.reset();
    answer.maximum_packet_size.reset();
    connack.clear();
    wire::mqtt::encode(wire::mqtt::Connack{}, version_, answer, connack);
  }
  if (connack.size() > client_packet_bytes_) {
    const std::string why = "the client takes packets of " + std::to_string(client_packet_bytes_) +
                            " bytes at most, and the CONNACK has " + std::to_string(connack.size());
    tracer_.failed(ConnectionStage::connect, "CONNECT refused: " + why);
    identity_.reset();
    return refuse_connect(Reason::packet_too_large, why);
  }

  broker::Broker::Connecting connecting{
      .limits = {.version = version_,
                 .receive_maximum = v5() ? properties.receive_maximum.value_or(UINT16_MAX) : std::uint16_t{UINT16_MAX},
                 .packet_bytes = client_packet_bytes_,
                 .topic_aliases = v5() ? properties.topic_alias_maximum.value_or(0) : std::uint16_t{0}},
      .clean_start = connect.clean_start,
      .expiry_s = expiry_s,
      .will = std::nullopt};
  if (will_) {
    const Duration delay{v5() ? std::int64_t{context_.scratch[shard_.index()].will_properties.will_delay.value_or(0)} *
                                    1'000'000'000
                              : 0};
    connecting.will = broker::Will{[&context = context_, &shard = ingest_, identity = identity_,
                                    will = std::move(will_)] { publish_will(context, shard, *identity, *will); },
                                   delay};
  }
  const std::string& client_id = assigned.empty() ? client_id_ : assigned;
  auto connected =
      context_.broker.connect(shard_.index(), broker::Broker::key(identity_->tenant(), identity_->device(), client_id),
                              *this, std::move(connecting));
  if (!connected) {
    const Reason why =
        connected.error().code == ErrorCode::exhausted && v5() ? Reason::quota_exceeded : Reason::server_unavailable;
    tracer_.failed(ConnectionStage::connect, "CONNECT refused: " + connected.error().message);
    identity_.reset();
    return refuse_connect(why, connected.error().message);
  }
  session_ = connected->session;
  wire::mqtt::encode(wire::mqtt::Connack{.session_present = connected->present}, version_, answer, out_);
  state_ = State::connected;
  silence_allowed_ = {keep_alive.ns / 2 * 3};
  connection_->set_deadline(silence_allowed_);
  if (!assigned.empty()) {
    client_id_ = std::move(assigned);
    tracer_.set_client(client_id_);
  }
  note_connected(keep_alive, *connected);
  if (connected->present) resume_commands();
  flush();
  session_->send_more();
}

void Session::note_connected(Duration keep_alive, const broker::Broker::Connected& connected) {
  context_.metrics.mqtt_connects.add();
  context_.metrics.mqtt_connections.add(1);
  context_.sessions[shard_.index()].insert(this);
  if (!identity_->device().empty()) {
    // The credential names the device: it counts as connected from now on, and its first message finds it at hand.
    if (auto found = intake_.find(*identity_, identity_->device());
        found && (*found)->registered() && present_.insert((*found)->entry_ptr()).second)
      (*found)->entry().connection_opened();
  } else {
    note_presence();  // of the will's device
  }
  tracer_.ok(ConnectionStage::connect, std::string("connected with MQTT ").append(version_name(version_)) +
                                           ", keep alive " + to_string(keep_alive) +
                                           (connected.present ? ", its session goes on" : ""));
  switch (identity_->kind()) {
    case auth::Identity::Kind::device: tracer_.ok(ConnectionStage::auth, "its device token is valid"); break;
    case auth::Identity::Kind::ingest_key: tracer_.ok(ConnectionStage::auth, "its ingest key is valid"); break;
    case auth::Identity::Kind::open:
      tracer_.ok(ConnectionStage::auth, "no credential is asked for (auth.mode=open)");
      break;
  }
}

}  // namespace flux::ingest::mqtt
