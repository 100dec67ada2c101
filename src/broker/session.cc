#include "broker/session.h"

#include <algorithm>
#include <charconv>

#include "wire/mqtt/encode.h"

namespace flux::broker {
namespace {

TenantId tenant_of(std::string_view key) {
  TenantId tenant;
  (void)std::from_chars(key.data(), key.data() + key.size(), tenant.value);
  return tenant;
}

/// What one packet is made in; its bytes are copied on.
std::string& scratch() {
  static thread_local std::string text;
  text.clear();
  return text;
}

}  // namespace

Session::Session(const Owner& owner, std::uint64_t id, std::string key)
    : owner_(owner), id_(id), key_(std::move(key)), tenant_(tenant_of(key_)) {}

// --- connections ---

void Session::connect(Link& link, const ClientLimits& limits, std::uint32_t expiry_s) {
  const bool was_durable = durable();
  link_ = &link;
  limits_ = limits;
  expiry_s_ = expiry_s;
  away_since_ = {};
  clear_window();
  if (durable() && !was_durable) write_all(owner_.journal.open(partition()));
  else if (durable()) journal::put_away(owner_.journal.open(partition()), id_, expiry_s_, {});
  else if (was_durable) write_end();  // from now on it ends with its connection
}

void Session::disconnect(std::optional<std::uint32_t> expiry_s, Time now) {
  link_ = nullptr;
  aliases_.reset();
  const bool was_durable = durable();
  if (expiry_s) expiry_s_ = *expiry_s;
  away_since_ = now;
  clear_window();
  if (durable()) journal::put_away(owner_.journal.open(partition()), id_, expiry_s_, now);
  else if (was_durable) write_end();
}

/// What was on its way is so no more; it goes out again, from the oldest on.
void Session::clear_window() {
  for (std::size_t i = first_; i < items_.size(); ++i) {
    Item& one = items_[i];
    if (one.state == State::done) continue;
    if (one.foreign || (one.message == nullptr && one.state != State::released)) one.state = State::done;
    if (one.state == State::sent) {
      one.state = State::waiting;
      one.again = true;
    }
  }
  in_flight_ = 0;
  next_to_send_ = first_number_;
  drop_settled();
}

std::uint16_t Session::window() const { return std::min(limits_.receive_maximum, owner_.config.in_flight); }

// --- subscriptions ---

const Subscription* Session::find(std::string_view filter) const {
  const auto found = std::ranges::find(subscriptions_, filter, &Subscription::filter);
  return found == subscriptions_.end() ? nullptr : &*found;
}

bool Session::subscribe(Subscription subscription) {
  if (durable())
    journal::put_subscribe(owner_.journal.open(partition()),
                           {id_, subscription.filter, subscription.options, subscription.id});
  const auto found = std::ranges::find(subscriptions_, subscription.filter, &Subscription::filter);
  if (found != subscriptions_.end()) {
    *found = std::move(subscription);
    return false;
  }
  subscriptions_.push_back(std::move(subscription));
  return true;
}

bool Session::unsubscribe(std::string_view filter) {
  const auto found = std::ranges::find(subscriptions_, filter, &Subscription::filter);
  if (found == subscriptions_.end()) return false;
  if (durable()) journal::put_unsubscribe(owner_.journal.open(partition()), id_, filter);
  subscriptions_.erase(found);
  return true;
}

// --- to the client ---

void Session::deliver(Shipment& shipment, const Delivery& delivery, Time now,
                      std::vector<journal::Addressee>* journaled) {
  const Content& content = shipment.content();
  if (content.expired(now)) return owner_.metrics.dropped_expired.add();
  if (content.origin != 0 && seen_.contains(content.origin)) return;
  if (delivery.qos == 0) {
    if (link_ == nullptr) return;  // as the standard allows: QoS 0 does not wait for anybody
    if (link_->clogged()) return owner_.metrics.dropped_slow.add();
    return send_unkept(shipment, delivery);
  }
  const bool full = queued() >= owner_.config.queue_messages || queued_bytes_ > owner_.config.queue_bytes;
  if (full) return owner_.metrics.dropped_full.add();
  if (link_ == nullptr && !durable()) return;

  const std::uint64_t number = next_number();
  Item& added = items_.emplace_back();
  added.qos = delivery.qos;
  added.retain = delivery.retain;
  added.subscription_ids.assign(delivery.subscription_ids.begin(), delivery.subscription_ids.end());
  if (durable() && journaled != nullptr) {
    added.message = shipment.keep();
    journaled->push_back({.id = id_,
                          .number = number,
                          .qos = delivery.qos,
                          .retain = delivery.retain,
                          .subscription_ids = added.subscription_ids});
  }
  const bool at_once = link_ != nullptr && next_to_send_ == number && in_flight_ < window() && !link_->clogged();
  if (durable() && delivery.qos == 2) {
    // Sent before it is durable, it would come a second time when we fall and its publisher repeats it.
    added.state = State::writing;
    owner_.journal.when_durable(partition(), [weak = weak_from_this(), number](const Result<>&) {
      if (const auto self = weak.lock()) self->written(number);
    });
  } else if (at_once) {
    // There is room: what need not be kept is not.
    ++next_to_send_;
    added.state = State::sent;
    ++in_flight_;
    if (!write(content, delivery, packet_id_of(number), false)) {
      --in_flight_;
      settle(number);
      return;
    }
  }
  if (added.state != State::sent && !added.message) added.message = shipment.keep();
  if (items_.back().message) queued_bytes_ += items_.back().message->bytes();
}

/// All up to `number` are durable. (Or the log does not take them: then they are sent once it does, or on the next
/// connection.)
void Session::written(std::uint64_t number) {
  for (std::uint64_t at = std::max(first_number_, next_to_send_); at <= number && at < next_number(); ++at)
    if (item(at).state == State::writing) item(at).state = State::waiting;
  send_more();
}

void Session::send_more() {
  if (link_ == nullptr) return;
  const Time now = wall_now();
  while (next_to_send_ < next_number() && in_flight_ < window() && !link_->clogged()) {
    if (item(next_to_send_).state == State::writing) return;
    const std::uint64_t number = next_to_send_++;
    Item& one = item(number);
    if (one.state == State::released) {
      ++in_flight_;
      write_release(packet_id_of(number));
    } else if (one.state == State::waiting) {
      if (one.message->content().expired(now)) {
        owner_.metrics.dropped_expired.add();
        settle(number);
        continue;
      }
      one.state = State::sent;
      ++in_flight_;
      const Delivery delivery{one.qos, one.retain, one.subscription_ids};
      if (!write(one.message->content(), delivery, packet_id_of(number), one.again)) {
        --in_flight_;
        settle(number);
        continue;
      }
      if (!durable()) {
        queued_bytes_ -= one.message->bytes();
        one.message.reset();
      }
    }
  }
}

/// QoS 0, of which many clients get the very same bytes.
void Session::send_unkept(Shipment& shipment, const Delivery& delivery) {
  const Content& content = shipment.content();
  const bool alike = !delivery.retain && delivery.subscription_ids.empty() && content.expires.ns == 0 &&
                     (limits_.version != Version::v5 || limits_.topic_aliases == 0 || owner_.config.topic_aliases == 0);
  if (!alike) {
    (void)write(content, delivery, 0, false);
    return;
  }
  std::string& frame = limits_.version == Version::v5 ? shipment.frame_5 : shipment.frame_3;
  if (frame.empty()) {
    const wire::mqtt::Forward forward{
        .topic = content.topic, .passed_on = content.passed_on, .payload = content.payload};
    wire::mqtt::encode(forward, limits_.version, frame);
  }
  if (frame.size() > limits_.packet_bytes) return owner_.metrics.dropped_large.add();
  owner_.metrics.sent.add();
  link_->send(frame);
}

/// False: it is larger than the client takes.
bool Session::write(const Content& content, const Delivery& delivery, std::uint16_t packet_id, bool again) {
  wire::mqtt::Forward forward{.dup = again,
                              .qos = delivery.qos,
                              .retain = delivery.retain,
                              .topic = content.topic,
                              .packet_id = packet_id,
                              .passed_on = content.passed_on,
                              .subscription_ids = delivery.subscription_ids,
                              .payload = content.payload};
  if (limits_.version == Version::v5) {
    if (content.expires.ns != 0) {
      const std::int64_t left = std::max<std::int64_t>((content.expires - wall_now()).ns, 0);
      forward.message_expiry =
          static_cast<std::uint32_t>(std::min<std::int64_t>((left + 999'999'999) / 1'000'000'000, UINT32_MAX));
    }
    const std::uint16_t most = std::min(limits_.topic_aliases, owner_.config.topic_aliases);
    if (most > 0) {
      if (!aliases_) aliases_ = std::make_unique<std::unordered_map<std::string, std::uint16_t>>();
      if (const auto known = aliases_->find(std::string(content.topic)); known != aliases_->end()) {
        forward.topic_alias = known->second;
        forward.topic = {};
      } else if (aliases_->size() < most) {
        forward.topic_alias = static_cast<std::uint16_t>(aliases_->size() + 1);
      }
    }
  }
  if (wire::mqtt::encoded_bytes(forward, limits_.version) > limits_.packet_bytes) {
    owner_.metrics.dropped_large.add();
    return false;
  }
  if (forward.topic_alias != 0 && !forward.topic.empty())
    aliases_->emplace(std::string(content.topic), forward.topic_alias);
  std::string& packet = scratch();
  wire::mqtt::encode(forward, limits_.version, packet);
  owner_.metrics.sent.add();
  link_->send(packet);
  return true;
}

void Session::write_release(std::uint16_t packet_id) {
  std::string& packet = scratch();
  wire::mqtt::encode(wire::mqtt::Ack{.type = wire::mqtt::PacketType::pubrel, .packet_id = packet_id}, limits_.version,
                     {}, packet);
  link_->send(packet);
}

// --- its acknowledgements ---

Session::Item* Session::item_of(std::uint16_t packet_id, std::uint64_t& number) {
  const std::uint64_t base = first_number_ % 65'535;
  const std::uint64_t ahead = (packet_id - 1U + 65'535U - base) % 65'535U;
  if (packet_id == 0 || ahead >= queued()) return nullptr;
  number = first_number_ + ahead;
  Item& found = item(number);
  return found.state == State::sent || found.state == State::released ? &found : nullptr;
}

void Session::settle(std::uint64_t number) {
  Item& one = item(number);
  if (one.message) {
    queued_bytes_ -= std::min(queued_bytes_, one.message->bytes());
    if (durable()) mark(journal::Kind::settled, number);
  }
  one = Item{};
  one.state = State::done;
  drop_settled();
}

void Session::drop_settled() {
  while (first_ < items_.size() && items_[first_].state == State::done) {
    ++first_;
    ++first_number_;
  }
  next_to_send_ = std::max(next_to_send_, first_number_);
  if (first_ == items_.size()) {
    items_.clear();
    if (items_.capacity() > 64) items_.shrink_to_fit();
    first_ = 0;
  } else if (first_ >= 1024 && first_ * 2 >= items_.size()) {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void Session::mark(journal::Kind kind, std::uint64_t number) {
  journal::put_mark(owner_.journal.open(partition()), kind, id_, number);
}

Session::Ack Session::puback(std::uint16_t packet_id) {
  std::uint64_t number = 0;
  Item* const found = item_of(packet_id, number);
  if (found == nullptr || found->qos != 1) return Ack::unknown;
  const bool foreign = found->foreign;
  --in_flight_;
  settle(number);
  send_more();
  return foreign ? Ack::foreign : Ack::done;
}

Session::Ack Session::pubrec(std::uint16_t packet_id, Reason reason) {
  std::uint64_t number = 0;
  Item* const found = item_of(packet_id, number);
  if (found == nullptr || found->qos != 2) return Ack::unknown;
  if (wire::mqtt::is_error(reason)) {
    --in_flight_;
    settle(number);
    send_more();
    return Ack::done;
  }
  if (found->state == State::released) {
    write_release(packet_id);
    return Ack::done;
  }
  found->state = State::released;
  if (!durable() || !found->message) {
    write_release(packet_id);
    return Ack::done;
  }
  queued_bytes_ -= std::min(queued_bytes_, found->message->bytes());
  mark(journal::Kind::released, number);
  // Only then may the client forget the identifier: or a restart would give it the message a second time.
  owner_.journal.when_durable(partition(), [weak = weak_from_this(), packet_id, link = link_](const Result<>& result) {
    const auto self = weak.lock();
    if (self && result && link != nullptr && self->link_ == link) self->write_release(packet_id);
  });
  return Ack::done;
}

Session::Ack Session::pubcomp(std::uint16_t packet_id) {
  std::uint64_t number = 0;
  Item* const found = item_of(packet_id, number);
  if (found == nullptr || found->state != State::released) return Ack::unknown;
  --in_flight_;
  settle(number);
  send_more();
  return Ack::done;
}

std::optional<std::uint16_t> Session::begin_foreign() {
  if (in_flight_ >= window()) return std::nullopt;
  const std::uint64_t number = next_number();
  if (next_to_send_ == number) ++next_to_send_;
  Item& added = items_.emplace_back();
  added.foreign = true;
  added.state = State::sent;
  ++in_flight_;
  return packet_id_of(number);
}

// --- QoS 2 from the client ---

void Session::receive(std::uint16_t packet_id) { received_[packet_id] = nullptr; }

void Session::receive(std::uint16_t packet_id, MessagePtr message,
                      std::move_only_function<void(const Result<>&)> written) {
  journal::put_received(owner_.journal.open(partition()), id_, packet_id, message->content());
  owner_.journal.when_durable(partition(), std::move(written));
  received_[packet_id] = std::move(message);
}

void Session::taken(std::uint16_t packet_id) {
  const auto found = received_.find(packet_id);
  if (found == received_.end() || !found->second) return;
  found->second.reset();
  if (durable()) mark(journal::Kind::taken, packet_id);
}

bool Session::release(std::uint16_t packet_id, std::move_only_function<void()> done) {
  if (received_.erase(packet_id) == 0) return false;
  if (!durable()) {
    done();
    return true;
  }
  mark(journal::Kind::forgotten, packet_id);
  owner_.journal.when_durable(partition(), [done = std::move(done)](const Result<>& result) mutable {
    if (result) done();
  });
  return true;
}

}  // namespace flux::broker
