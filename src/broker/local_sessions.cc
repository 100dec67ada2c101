#include <algorithm>
#include <functional>

#include "broker/local.h"
#include "wire/mqtt/topic.h"

/// Sessions of one shard and what they subscribe to.
namespace flux::broker {

SessionPtr Local::find(const std::string& key) const {
  const auto found = sessions_.find(key);
  return found == sessions_.end() ? nullptr : found->second;
}

SessionPtr Local::find(std::uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second->shared_from_this();
}

SessionPtr Local::make(std::string key, std::uint64_t id) {
  auto session = std::make_shared<Session>(Session::Owner{shared_.config, shared_.metrics, *journal_}, id, key);
  by_id_[id] = session.get();
  sessions_[std::move(key)] = session;
  shared_.metrics.sessions.add(1);
  return session;
}

void Local::remove(const SessionPtr& session) {
  for (const Subscription& one : session->subscriptions()) take_out(*session, one.filter);
  shared_.metrics.dropped_ended.add(session->queued());
  shared_.metrics.sessions.add(-1);
  if (session->counted_durable) durable_.fetch_sub(1, std::memory_order_release);
  session->counted_durable = false;
  by_id_.erase(session->id());
  const auto found = sessions_.find(session->key());
  if (found != sessions_.end() && found->second == session) sessions_.erase(found);
}

void Local::changed(Session& session) {
  if (session.durable() != session.counted_durable) {
    session.counted_durable = session.durable();
    if (session.durable()) durable_.fetch_add(1, std::memory_order_release);
    else durable_.fetch_sub(1, std::memory_order_release);
  }
  for (const Subscription& one : session.subscriptions())
    if (one.published && one.filter.starts_with("$share/")) add(session, one);
}

void Local::subscribe(const SessionPtr& session, Subscription subscription) {
  const bool replaced = session->find(subscription.filter) != nullptr;
  if (replaced) take_out(*session, subscription.filter);
  session->subscribe(subscription);
  add(*session, subscription);
  if (subscription.options.retain_handling == 0 || (subscription.options.retain_handling == 1 && !replaced))
    send_retained(*session, subscription);
}

bool Local::unsubscribe(const SessionPtr& session, std::string_view filter) {
  if (session->find(filter) == nullptr) return false;
  take_out(*session, filter);
  return session->unsubscribe(filter);
}

void Local::enlist(const SessionPtr& session) {
  for (const Subscription& one : session->subscriptions()) add(*session, one);
  changed(*session);
}

void Local::add(Session& session, const Subscription& subscription) {
  if (!subscription.published) return;
  if (const auto shared = wire::mqtt::shared_filter(subscription.filter)) {
    const SharedGroup::Member member{.session = session.id(),
                                     .shard = shard_.index(),
                                     .connected = session.connected(),
                                     .options = subscription.options,
                                     .subscription_id = subscription.id};
    const TenantId tree = tree_of(session.tenant(), shared->filter);
    Local& home = home_of(tree, subscription.filter);
    if (&home == this) return join(tree, subscription.filter, member);
    home.shard_.post([&home, tree, filter = subscription.filter, member] { home.join(tree, filter, member); });
    return;
  }
  Tree& tree = trees_[tree_of(session.tenant(), subscription.filter)];
  tree.tree.add(subscription.filter, {.session = &session, .options = subscription.options, .id = subscription.id});
  tree.changed();
  subscriptions_.fetch_add(1, std::memory_order_release);
  shared_.metrics.subscriptions.add(1);
}

void Local::take_out(Session& session, std::string_view filter) {
  const Subscription* const known = session.find(filter);
  if (known == nullptr || !known->published) return;
  if (const auto shared = wire::mqtt::shared_filter(filter)) {
    const TenantId tree = tree_of(session.tenant(), shared->filter);
    Local& home = home_of(tree, filter);
    if (&home == this) return leave(tree, std::string(filter), session.id());
    home.shard_.post([&home, tree, filter = std::string(filter), id = session.id()] { home.leave(tree, filter, id); });
    return;
  }
  Tree& tree = trees_[tree_of(session.tenant(), filter)];
  const std::size_t removed =
      tree.tree.remove(filter, [&](const Entry& entry) { return entry.session == &session && entry.group == nullptr; });
  tree.changed();
  subscriptions_.fetch_sub(removed, std::memory_order_release);
  shared_.metrics.subscriptions.add(-static_cast<double>(removed));
}

void Local::send_retained(Session& session, const Subscription& subscription) {
  if (!subscription.published || subscription.filter.starts_with("$share/")) return;
  const Time now = wall_now();
  const std::span<const std::uint32_t> ids(&subscription.id, subscription.id != 0 ? 1 : 0);
  static const MakeReceipt kNone;
  for (const MessagePtr& message :
       shared_.retained.find(tree_of(session.tenant(), subscription.filter), subscription.filter, now)) {
    if (subscription.options.no_local && message->content().publisher == session.id()) continue;
    Shipment shipment(message);
    give(session, shipment, {std::min(message->content().qos, subscription.options.qos), true, ids}, now);
    ReceiptPtr nobody;
    if (any_addressee_) write_journal(shipment, nobody, kNone);
  }
}

// --- shared subscriptions that live here ---

Local& Local::home_of(TenantId tenant, std::string_view shared) const {
  const std::size_t hash = std::hash<std::string_view>{}(shared) ^ (tenant.value * 0x9E3779B97F4A7C15ULL);
  return *shared_.all[hash % shared_.all.size()];
}

void Local::join(TenantId tenant, const std::string& shared, const SharedGroup::Member& member) {
  auto& group = groups_[{tenant, shared}];
  if (!group) {
    group = std::make_unique<SharedGroup>();
    group->tenant = tenant;
    group->shared = shared;
    group->filter = wire::mqtt::shared_filter(shared)->filter;
    Tree& tree = trees_[tenant];
    tree.tree.add(group->filter, {.group = group.get()});
    tree.changed();
    subscriptions_.fetch_add(1, std::memory_order_release);
  }
  const auto known = std::ranges::find(group->members, member.session, &SharedGroup::Member::session);
  if (known != group->members.end()) *known = member;
  else {
    group->members.push_back(member);
    shared_.metrics.subscriptions.add(1);
  }
}

void Local::leave(TenantId tenant, const std::string& shared, std::uint64_t session) {
  const auto found = groups_.find({tenant, shared});
  if (found == groups_.end()) return;
  SharedGroup& group = *found->second;
  const std::size_t gone = std::erase_if(group.members, [&](const auto& member) { return member.session == session; });
  shared_.metrics.subscriptions.add(-static_cast<double>(gone));
  if (!group.members.empty()) return;
  Tree& tree = trees_[tenant];
  tree.tree.remove(group.filter, [&](const Entry& entry) { return entry.group == &group; });
  tree.changed();
  subscriptions_.fetch_sub(1, std::memory_order_release);
  groups_.erase(found);
}

}  // namespace flux::broker
