#include <algorithm>
#include <array>
#include <random>

#include "ingest/mqtt/command_topics.h"
#include "ingest/mqtt/session.h"
#include "wire/mqtt/topic.h"

/// What happens once per connection: CONNECT and subscriptions.
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

std::string_view as_text(wire::mqtt::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Session::handle_connect(const wire::mqtt::Frame& frame) {
  const auto connect = wire::mqtt::decode_connect(frame, properties_, context_.scratch[shard_.index()].will_properties);
  version_ = wire::mqtt::peek_version(frame).value_or(Version::v3_1_1);
  if (!connect) {
    context_.metrics.mqtt_protocol_errors.add();
    context_.sign_in.unreadable(attempt(), "malformed CONNECT: " + connect.error().message);
    return refuse_connect(connect.error().reason, connect.error().message);
  }
  explain_ = properties_.request_problem_info.value_or(true);
  if (v5() && properties_.maximum_packet_size) client_packet_bytes_ = *properties_.maximum_packet_size;
  if (v5() && properties_.receive_maximum) client_receive_maximum_ = *properties_.receive_maximum;
  client_id_ = connect->client_id;
  tracer_.set_client(client_id_);
  const std::string_view named[] = {connect->will ? device_of(connect->will->topic) : std::string_view()};
  const SignIn::Attempt coming = attempt(*connect, named);
  if (auto refusal = check_connect(*connect, properties_)) {
    context_.sign_in.unreadable(coming, "CONNECT refused: " + refusal->error.message);
    return refuse_connect(refusal->reason, refusal->error.message);
  }

  auto identity = context_.authenticator.authenticate(coming.presented, wall_now());
  if (!identity) {
    const auto refusal = context_.sign_in.refused(coming, std::move(identity).error());
    Reason reason = refusal.error.code == ErrorCode::unauthenticated ? Reason::bad_credentials : Reason::not_authorized;
    // 3.1.1 has no such word: of its five, "server unavailable" is the one that says "later".
    if (refusal.try_again) reason = v5() ? Reason::connection_rate_exceeded : Reason::server_unavailable;
    return refuse_connect(reason, refusal.error.message);
  }
  identity_ = *std::move(identity);
  context_.sign_in.mistaken(coming, *identity_);
  if (connect->will) {
    // Whom the will speaks for is settled now, while there is somebody to tell.
    state_ = State::waiting;
    if (auto refusal = find_device(connect->will->topic)) {
      tracer_.set_device(identity_->tenant(), identity_->device());
      tracer_.failed(ConnectionStage::connect, "the will: " + refusal->error.message);
      identity_.reset();
      return refuse_connect(refusal->reason, "the will: " + refusal->error.message);
    }
    will_ = OwnWill{std::string(connect->will->topic), std::string(as_text(connect->will->payload))};
  }
  accept_connect(*connect, properties_);
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
  if (connect.will && connect.will->retain)
    return refuse(Reason::retain_not_supported, "a retained will is not served");
  if (connect.will && connect.will->qos > 1)
    return refuse(Reason::qos_not_supported, "a will with QoS 2 is not served");
  if (connection_->draining()) return refuse(Reason::server_shutting_down, "the server is shutting down");
  if (outbox_.failing()) return refuse(Reason::server_unavailable, outbox_.refusal().message);
  return std::nullopt;
}

/// What is known of somebody before CONNECT was understood.
SignIn::Attempt Session::attempt() const {
  return {.protocol = registry::ConnectionProtocol::mqtt,
          .version = v5() ? "MQTT 5" : "MQTT 3.1.1",
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
  if (properties.session_expiry.value_or(0) != 0) answer.session_expiry = 0;
  answer.receive_maximum = config.receive_maximum;
  answer.maximum_qos = 1;
  answer.retain_available = false;
  answer.maximum_packet_size = static_cast<std::uint32_t>(config.packet_bytes);
  answer.topic_alias_maximum = config.topic_aliases;
  answer.subscription_ids_available = false;
  answer.shared_available = false;
  std::string connack;
  wire::mqtt::encode(wire::mqtt::Connack{}, version_, answer, connack);
  if (connack.size() > client_packet_bytes_) {
    // Left out is what says that something is not served or not larger: to whoever asks for it, it is said again.
    answer.topic_alias_maximum.reset();
    answer.maximum_packet_size.reset();
    answer.subscription_ids_available.reset();
    answer.shared_available.reset();
    connack.clear();
    wire::mqtt::encode(wire::mqtt::Connack{}, version_, answer, connack);
  }
  if (connack.size() > client_packet_bytes_) {
    const std::string why = "the client takes packets of " + std::to_string(client_packet_bytes_) +
                            " bytes at most, and the CONNACK has " + std::to_string(connack.size());
    tracer_.failed(ConnectionStage::connect, "CONNECT refused: " + why);
    will_.reset();
    return refuse_connect(Reason::packet_too_large, why);
  }
  out_ += connack;
  state_ = State::connected;
  silence_allowed_ = {keep_alive.ns / 2 * 3};
  connection_->set_deadline(silence_allowed_);
  if (!assigned.empty()) {
    client_id_ = std::move(assigned);
    tracer_.set_client(client_id_);
  }

  context_.metrics.mqtt_connects.add();
  context_.metrics.mqtt_connections.add(1);
  context_.sessions[shard_.index()].insert(this);
  client_key_ = ClientTable::key(identity_->tenant(), identity_->device(), client_id_);
  const auto before = context_.clients.replace(client_key_, {weak_from_this(), &shard_, connection_->id()});
  if (before.shard != nullptr) {
    before.shard->post([older = before.session] {
      if (const auto session = older.lock()) session->taken_over();
    });
  }
  if (!identity_->device().empty()) {
    // The credential names the device: it counts as connected from now on, and its first message finds it at hand.
    if (auto found = intake_.find(*identity_, identity_->device());
        found && (*found)->registered() && present_.insert((*found)->entry_ptr()).second)
      (*found)->entry().connection_opened();
  } else {
    note_presence();  // of the will's device
  }
  tracer_.ok(ConnectionStage::connect,
             std::string("connected with MQTT ") + (v5() ? "5" : "3.1.1") + ", keep alive " + to_string(keep_alive));
  switch (identity_->kind()) {
    case auth::Identity::Kind::device: tracer_.ok(ConnectionStage::auth, "its device token is valid"); break;
    case auth::Identity::Kind::ingest_key: tracer_.ok(ConnectionStage::auth, "its ingest key is valid"); break;
    case auth::Identity::Kind::open:
      tracer_.ok(ConnectionStage::auth, "no credential is asked for (auth.mode=open)");
      break;
  }
}

// --- subscriptions ---

void Session::handle_subscribe(const wire::mqtt::Frame& frame) {
  const auto subscribe = wire::mqtt::decode_subscribe(frame, version_, properties_);
  if (!subscribe) return fault(subscribe.error());
  if (!properties_.subscription_ids.empty() && v5())
    return fault({Reason::subscription_ids_not_supported, "subscription identifiers are not served, as CONNACK said"});
  wire::mqtt::Suback suback{.type = wire::mqtt::PacketType::suback, .packet_id = subscribe->packet_id};
  std::string why;
  for (const auto& [filter, options] : subscribe->filters) {
    suback.reasons.push_back(grant(filter, options, why));
    const bool ok = !is_error(suback.reasons.back());
    if (ok)
      tracer_.ok(ConnectionStage::subscribe, "subscribed to " + std::string(filter) + " with QoS " +
                                                 (suback.reasons.back() == Reason::granted_qos_1 ? "1" : "0"));
    else tracer_.failed(ConnectionStage::subscribe, "refused " + std::string(filter) + ": " + why);
  }
  wire::mqtt::Properties properties;
  if (explain_ && !why.empty() && why.size() + subscribe->filters.size() + 32 <= client_packet_bytes_)
    properties.reason_string = why;
  wire::mqtt::encode(suback, version_, properties, out_);
}

/// Devices hear what is theirs, keys hear their tenant.
Reason Session::grant(std::string_view filter, const wire::mqtt::SubscribeOptions& options, std::string& why) {
  if (filter.starts_with("$share/")) {
    why = "shared subscriptions are not served";
    return Reason::shared_not_supported;
  }
  if (filter.starts_with('$')) {
    why = "there are no topics below $";
    return Reason::topic_filter_invalid;
  }
  if (const std::string& device = identity_->device(); !device.empty()) {
    const std::string own = "v1/devices/" + device;
    if (filter != own && filter != kOwnCommands && !filter.starts_with(own + "/")) {
      why = "a device may subscribe to v1/commands and below " + own + "/ only";
      if (!wire::mqtt::is_utf8_string(why)) why = "a device may subscribe to its own topics only";
      return Reason::not_authorized;
    }
  }
  const auto commanded = commands_of(filter);
  if (!commanded && filter == kOwnCommands && context_.commands != nullptr) {
    why = "this credential names no device: subscribe to v1/devices/{device}/commands";
    return Reason::topic_filter_invalid;
  }
  const auto found = std::ranges::find(subscriptions_, filter, &Subscription::filter);
  if (found == subscriptions_.end() && subscriptions_.size() >= context_.config.subscriptions) {
    why = "more than " + std::to_string(context_.config.subscriptions) + " subscriptions";
    return Reason::quota_exceeded;
  }
  Reason granted = Reason::success;
  if (commanded) {
    granted = grant_commands(filter, *commanded, options.qos, why);
    if (is_error(granted)) return granted;
  }
  if (found != subscriptions_.end()) {
    found->options = options;
    return granted;
  }
  const bool before = hears_readings();
  // Those who want nothing but commands cost the readings of others nothing.
  const bool commands_only = commanded && (filter == kOwnCommands || filter == commands_topic(*commanded));
  subscriptions_.push_back({std::string(filter), options, !commands_only});
  hear_readings(before);
  return granted;
}

bool Session::hears_readings() const { return std::ranges::any_of(subscriptions_, &Subscription::readings); }

void Session::hear_readings(bool before) {
  const bool now = hears_readings();
  if (now && !before) context_.subscribers.add(*this);
  if (!now && before) context_.subscribers.remove(*this);
}

void Session::handle_unsubscribe(const wire::mqtt::Frame& frame) {
  const auto unsubscribe = wire::mqtt::decode_unsubscribe(frame, version_, properties_);
  if (!unsubscribe) return fault(unsubscribe.error());
  wire::mqtt::Suback unsuback{.type = wire::mqtt::PacketType::unsuback, .packet_id = unsubscribe->packet_id};
  for (const std::string_view filter : unsubscribe->filters) {
    const auto found = std::ranges::find(subscriptions_, filter, &Subscription::filter);
    unsuback.reasons.push_back(found == subscriptions_.end() ? Reason::no_subscription_existed : Reason::success);
    if (found == subscriptions_.end()) continue;
    const bool before = hears_readings();
    subscriptions_.erase(found);
    hear_readings(before);
    end_commands(filter);
  }
  wire::mqtt::encode(unsuback, version_, {}, out_);
}

}  // namespace flux::ingest::mqtt
