#include "broker/local.h"

#include <algorithm>
#include <functional>

#include "wire/mqtt/topic.h"

/// Messages: matched, delivered, handed to other shards.
namespace flux::broker {

Local::Local(runtime::Shard& shard, const Shared& shared)
    : shard_(shard),
      shared_(shared),
      journal_(std::make_shared<Journal>(shard, shared.bus.producer(), shared.bus.partition_count(), shared.metrics)),
      addressees_(shared.bus.partition_count()) {
  mailbox_ = std::make_unique<runtime::Mailbox<Parcel>>(shard, kParcels,
                                                        [this](Parcel parcel) { arrived(std::move(parcel)); });
}

Local::~Local() = default;

Local::Outcome Local::publish(const Content& content, const MakeReceipt& make) {
  shared_.metrics.published.add();
  Shipment shipment(content);
  ReceiptPtr receipt;
  Outcome outcome;
  if (content.retain) [[unlikely]] {
    const auto change = shared_.retained.set(shipment.keep());
    if (!change) {
      outcome.refusal = change.error();
      return outcome;
    }
    shared_.metrics.retained.set(static_cast<double>(shared_.retained.size()));
    if (content.tenant.value != 0) {
      const PartitionId partition = retained_partition(*journal_, content.topic);
      journal::put_retained(journal_->open(partition), content, *change);
      if (content.qos > 0 && make) {
        receipt = make();
        journal_->keep(partition, receipt);
      }
    }
  }
  outcome.wanted = deliver_here(shipment, receipt, make);
  const bool waits = content.qos > 0 && make && any_durable();
  for (const auto& other : shared_.all) {
    if (other.get() == this || !other->subscribed()) continue;
    outcome.wanted = true;
    if (waits && !receipt) receipt = make();
    Item item;
    item.message = shipment.keep();
    item.receipt = receipt;
    hand_over(other->shard_.index(), std::move(item));
  }
  outcome.pending = receipt != nullptr;
  return outcome;
}

const Local::Targets& Local::targets_of(TenantId tenant, std::string_view topic) {
  static const Targets kNobody;
  const auto found = trees_.find(tenant);
  if (found == trees_.end() || found->second.tree.size() == 0) return kNobody;
  Tree& tree = found->second;
  if (tree.last != nullptr && tree.last_topic == topic) return *tree.last;
  tree.last_topic.assign(topic);
  auto known = tree.known.find(tree.last_topic);
  if (known == tree.known.end()) {
    if (tree.known.size() >= kCachedTopics) tree.known.clear();
    known = tree.known.emplace(tree.last_topic, std::make_unique<Targets>()).first;
    collect(tree.tree, topic, *known->second);
  }
  tree.last = known->second.get();
  return *tree.last;
}

/// One target for each session, with the highest QoS of its subscriptions and the identifiers of all of them.
void Local::collect(const TopicTree<Entry>& tree, std::string_view topic, Targets& targets) {
  tree.match(topic, [&](const Entry& entry) {
    Target one{.session = entry.session,
               .group = entry.group,
               .qos = entry.options.qos,
               .retain_as_published = entry.options.retain_as_published,
               .no_local = entry.options.no_local,
               .ids = {}};
    if (entry.id != 0) one.ids.push_back(entry.id);
    targets.push_back(std::move(one));
  });
  std::ranges::stable_sort(targets, {}, [](const Target& one) { return std::pair(one.session, one.group); });
  Targets merged;
  for (Target& one : targets) {
    if (merged.empty() || one.group != nullptr || merged.back().session != one.session ||
        merged.back().group != nullptr) {
      merged.push_back(std::move(one));
      continue;
    }
    Target& into = merged.back();
    into.qos = std::max(into.qos, one.qos);
    into.retain_as_published |= one.retain_as_published;
    into.no_local |= one.no_local;
    into.ids.insert(into.ids.end(), one.ids.begin(), one.ids.end());
  }
  targets = std::move(merged);
}

bool Local::deliver_here(Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make) {
  const Content& content = shipment.content();
  const Targets& targets = targets_of(content.tenant, content.topic);
  if (targets.empty()) return false;
  const Time now = content.expires.ns == 0 ? Time{} : wall_now();
  for (const Target& target : targets) {
    if (target.group != nullptr) deliver_shared(*target.group, shipment, receipt, make, now);
    else deliver_to(target, shipment, now);
  }
  if (any_addressee_) write_journal(shipment, receipt, make);
  return true;
}

void Local::deliver_to(const Target& target, Shipment& shipment, Time now) {
  const Content& content = shipment.content();
  Session& session = *target.session;
  Session::Delivery delivery{.qos = std::min(content.qos, target.qos),
                             .retain = content.retain && target.retain_as_published,
                             .subscription_ids = target.ids};
  if (!target.no_local || content.publisher != session.id()) return give(session, shipment, delivery, now);
  // Its own message: only those of its subscriptions count that want such.
  Target others;
  bool any = false;
  for (const Subscription& one : session.subscriptions()) {
    if (one.options.no_local || !one.published || one.filter.starts_with("$share/") ||
        !wire::mqtt::matches(one.filter, content.topic))
      continue;
    any = true;
    others.qos = std::max(others.qos, one.options.qos);
    others.retain_as_published |= one.options.retain_as_published;
    if (one.id != 0) others.ids.push_back(one.id);
  }
  if (!any) return;
  delivery = {.qos = std::min(content.qos, others.qos),
              .retain = content.retain && others.retain_as_published,
              .subscription_ids = others.ids};
  give(session, shipment, delivery, now);
}

void Local::give(Session& session, Shipment& shipment, const Session::Delivery& delivery, Time now) {
  std::vector<journal::Addressee>& addressees = addressees_[session.partition().value];
  session.deliver(shipment, delivery, now, &addressees);
  any_addressee_ |= !addressees.empty();
}

void Local::deliver_shared(SharedGroup& group, Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make,
                           Time now) {
  const Content& content = shipment.content();
  SharedGroup::Member* const member = group.pick();
  if (member == nullptr) return;
  Item item;
  item.whom = Item::For::member;
  item.session = member->session;
  item.qos = std::min(content.qos, member->options.qos);
  item.retain = content.retain && member->options.retain_as_published;
  item.subscription_id = member->subscription_id;
  if (member->shard == shard_.index()) {
    const auto found = by_id_.find(member->session);
    if (found == by_id_.end()) return;
    const std::span<const std::uint32_t> ids(&item.subscription_id, item.subscription_id != 0 ? 1 : 0);
    return give(*found->second, shipment, {item.qos, item.retain, ids}, now);
  }
  if (content.qos > 0 && !receipt && make && any_durable()) receipt = make();
  item.message = shipment.keep();
  item.receipt = receipt;
  item.shared = group.shared;
  hand_over(member->shard, std::move(item));
}

void Local::write_journal(Shipment& shipment, ReceiptPtr& receipt, const MakeReceipt& make) {
  any_addressee_ = false;
  if (!receipt && make && shipment.content().qos > 0) receipt = make();
  for (std::size_t i = 0; i < addressees_.size(); ++i) {
    if (addressees_[i].empty()) continue;
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    journal::put_message(journal_->open(partition), shipment.content(), addressees_[i]);
    journal_->keep(partition, receipt);
    addressees_[i].clear();
  }
}

// --- between shards ---

bool Local::any_durable() const {
  return std::ranges::any_of(shared_.all, [](const auto& one) { return one->has_durable(); });
}

void Local::hand_over(std::size_t shard, Item item) {
  if (lanes_.size() <= shard) lanes_.resize(shared_.all.size());
  Lane& lane = lanes_[shard];
  const std::size_t bytes = item.message->bytes() + sizeof item;
  lane.bytes += bytes;
  held_bytes_ += bytes;
  lane.open.push_back(std::move(item));
  shard_.at_turn_end(*this);
}

void Local::on_turn_end() {
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    if (!lanes_[i].open.empty() && !lanes_[i].waiting) send(i);
}

void Local::send(std::size_t shard) {
  Lane& lane = lanes_[shard];
  const auto& to = *shared_.all[shard]->mailbox_;
  if (!to.try_send(lane.open)) {
    lane.waiting = true;
    to.when_room([this, shard] {
      lanes_[shard].waiting = false;
      if (!lanes_[shard].open.empty()) send(shard);
    });
    return;
  }
  lane.open = {};
  held_bytes_ -= std::exchange(lane.bytes, 0);
  if (accepting())
    for (auto& call : std::exchange(waiting_, {})) call();
}

void Local::arrived(Parcel parcel) {
  static const MakeReceipt kNone;
  for (Item& item : parcel) {
    Shipment shipment(item.message);
    const Content& content = shipment.content();
    const Time now = content.expires.ns == 0 ? Time{} : wall_now();
    switch (item.whom) {
      case Item::For::all: (void)deliver_here(shipment, item.receipt, kNone); continue;
      case Item::For::member: {
        const auto found = by_id_.find(item.session);
        if (found != by_id_.end()) {
          const std::span<const std::uint32_t> ids(&item.subscription_id, item.subscription_id != 0 ? 1 : 0);
          give(*found->second, shipment, {item.qos, item.retain, ids}, now);
          break;
        }
        // It has ended on the way: somebody else of the group gets it.
        item.whom = Item::For::group;
        Local& home = home_of(content.tenant, item.shared);
        if (&home != this) {
          hand_over(home.shard_.index(), std::move(item));
          continue;
        }
        [[fallthrough]];
      }
      case Item::For::group: {
        const auto group = groups_.find({content.tenant, item.shared});
        if (group == groups_.end()) continue;
        std::erase_if(group->second->members, [&](const auto& member) { return member.session == item.session; });
        deliver_shared(*group->second, shipment, item.receipt, kNone, now);
      }
    }
    if (any_addressee_) write_journal(shipment, item.receipt, kNone);
  }
}

}  // namespace flux::broker
