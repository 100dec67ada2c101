#include <algorithm>

#include "broker/session.h"

/// A session in the journal: written whole, and read back.
namespace flux::broker {

void Session::write_all(std::string& out) const {
  journal::put_session(out, {id_, key_, begun_, expiry_s_, away_since_, first_number_});
  for (const Subscription& one : subscriptions_) journal::put_subscribe(out, {id_, one.filter, one.options, one.id});
  for (std::size_t i = first_; i < items_.size(); ++i) {
    const Item& one = items_[i];
    if (one.state == State::done || one.foreign || !one.message) continue;
    const journal::Addressee to{.id = id_,
                                .number = first_number_ + (i - first_),
                                .qos = one.qos,
                                .retain = one.retain,
                                .released = one.state == State::released,
                                .sent = one.again || one.state == State::sent,
                                .subscription_ids = one.subscription_ids};
    journal::put_message(out, one.message->content(), std::span(&to, 1));
  }
  for (const auto& [packet_id, message] : received_) {
    journal::put_received(out, id_, packet_id, message ? message->content() : Content{});
    if (!message) journal::put_mark(out, journal::Kind::taken, id_, packet_id);
  }
}

void Session::write_end() { journal::put_end(owner_.journal.open(partition()), id_); }

void Session::restore(const journal::Session& saved) {
  subscriptions_.clear();
  items_.clear();
  received_.clear();
  first_ = 0;
  queued_bytes_ = 0;
  first_number_ = saved.next_number;
  next_to_send_ = first_number_;
  begun_ = saved.begun;
  expiry_s_ = saved.expiry_s;
  away_since_ = saved.away_since;
}

void Session::restore_subscription(Subscription subscription) {
  const auto found = std::ranges::find(subscriptions_, subscription.filter, &Subscription::filter);
  if (found != subscriptions_.end()) *found = std::move(subscription);
  else subscriptions_.push_back(std::move(subscription));
}

void Session::restore_unsubscription(std::string_view filter) {
  std::erase_if(subscriptions_, [&](const Subscription& one) { return one.filter == filter; });
}

void Session::restore_away(std::uint32_t expiry_s, Time since) {
  expiry_s_ = expiry_s;
  away_since_ = since;
  if (since.ns == 0) return;
  for (std::size_t i = first_; i < items_.size(); ++i) items_[i].again = true;
}

std::vector<std::pair<std::uint16_t, MessagePtr>> Session::untaken() const {
  std::vector<std::pair<std::uint16_t, MessagePtr>> all;
  for (const auto& [packet_id, message] : received_)
    if (message) all.emplace_back(packet_id, message);
  return all;
}

void Session::restore_message(const MessagePtr& message, const journal::Addressee& to) {
  if (to.number < next_number()) return;  // read before
  // What lies between was settled, or never kept.
  if (items_.empty()) {
    first_number_ = to.number;
    next_to_send_ = to.number;
  }
  while (next_number() < to.number) items_.emplace_back().state = State::done;
  Item& added = items_.emplace_back();
  added.message = message;
  added.qos = to.qos;
  added.retain = to.retain;
  added.again = to.sent;
  added.state = to.released ? State::released : State::waiting;
  added.subscription_ids = to.subscription_ids;
  queued_bytes_ += message->bytes();
}

void Session::restore_mark(journal::Kind kind, std::uint64_t number) {
  if (kind == journal::Kind::taken || kind == journal::Kind::forgotten) {
    const auto found = received_.find(static_cast<std::uint16_t>(number));
    if (found == received_.end()) return;
    if (kind == journal::Kind::taken) found->second.reset();
    else received_.erase(found);
    return;
  }
  if (number < first_number_ || number >= next_number()) return;
  Item& one = item(number);
  if (one.state == State::done) return;
  if (kind == journal::Kind::released) {
    one.state = State::released;
    return;
  }
  if (one.message) queued_bytes_ -= std::min(queued_bytes_, one.message->bytes());
  one = Item{};
  one.state = State::done;
  drop_settled();
}

}  // namespace flux::broker
