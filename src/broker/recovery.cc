#include <algorithm>

#include "broker/broker.h"
#include "observe/log.h"
#include "runtime/completion.h"

/// From the log to sessions, and what keeps the log short.
namespace flux::broker {
namespace {

constexpr std::string_view kGroup = "broker";
constexpr std::size_t kReadBytes = 4 << 20;
constexpr std::size_t kSlice = 200;            // sessions or topics written in one turn
constexpr std::uint64_t kShortLog = 16 << 20;  // of one partition: not worth being written anew
constexpr Duration kUpkeep = 30_s;

}  // namespace

/// A message of QoS 2 that was on its way to its subscribers.
struct Broker::Untaken {
  SessionPtr session;
  std::size_t shard = 0;
  std::uint16_t packet_id = 0;
  MessagePtr message;
};

class Broker::Recovery final : public journal::Visitor {
 public:
  explicit Recovery(Broker& broker) : broker_(broker) {}

  void session(const journal::Session& session) override {
    SessionPtr known = find(session.id);
    if (!known) {
      const std::string key(session.key);
      const std::size_t shard = std::hash<std::string>{}(key) % broker_.locals_.size();
      Local& local = *broker_.locals_[shard];
      if (const SessionPtr other = local.find(key)) {
        // One of them has ended; that it did stands in another partition.
        if (other->begun() > session.begun) return;
        end(other->id());
      }
      known = local.make(key, session.id);
      broker_.homes_[key] = shard;
      shards_[session.id] = shard;
    }
    known->restore(session);
  }
  void end(std::uint64_t id) override {
    const SessionPtr known = find(id);
    if (!known) return;
    broker_.locals_[shards_[id]]->remove(known);
    broker_.homes_.erase(known->key());
    shards_.erase(id);
  }
  void away(std::uint64_t id, std::uint32_t expiry_s, Time since) override {
    if (const SessionPtr known = find(id)) known->restore_away(expiry_s, since);
  }
  void subscribe(const journal::Subscribe& one) override {
    if (const SessionPtr known = find(one.id))
      known->restore_subscription(
          {std::string(one.filter), one.options, one.subscription_id, broker_.published_(one.filter)});
  }
  void unsubscribe(std::uint64_t id, std::string_view filter) override {
    if (const SessionPtr known = find(id)) known->restore_unsubscription(filter);
  }
  void message(const Content& content, std::span<const journal::Addressee> to) override {
    MessagePtr message;
    for (const journal::Addressee& one : to) {
      if (content.origin != 0) seen_[content.origin].push_back(one.id);
      const SessionPtr known = find(one.id);
      if (!known) continue;
      if (!message) message = std::make_shared<const Message>(content);
      known->restore_message(message, one);
    }
  }
  void received(std::uint64_t id, std::uint16_t packet_id, const Content& content) override {
    if (const SessionPtr known = find(id)) known->restore_received(packet_id, std::make_shared<const Message>(content));
  }
  void mark(journal::Kind kind, std::uint64_t id, std::uint64_t number) override {
    if (const SessionPtr known = find(id)) known->restore_mark(kind, number);
  }
  void retained(const Content& content, std::uint64_t change) override {
    broker_.retained_.restore(std::make_shared<const Message>(content), change);
  }

  /// Messages of QoS 2 that we fell over: whoever had them before is told not to take them again.
  std::vector<Untaken> untaken() {
    std::vector<Untaken> all;
    for (const auto& [id, shard] : shards_) {
      const SessionPtr session = find(id);
      for (auto& [packet_id, message] : session->untaken()) {
        for (const std::uint64_t had : seen_[message->content().origin])
          if (const SessionPtr other = find(had)) other->restore_seen(message->content().origin);
        all.push_back({session, shard, packet_id, message});
      }
    }
    return all;
  }

 private:
  [[nodiscard]] SessionPtr find(std::uint64_t id) const {
    const auto shard = shards_.find(id);
    return shard == shards_.end() ? nullptr : broker_.locals_[shard->second]->find(id);
  }
  Broker& broker_;
  std::unordered_map<std::uint64_t, std::size_t> shards_;
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> seen_;  // who has which message, by its origin
};

Result<> Broker::read_partition(PartitionId partition, Recovery& recovery) {
  const bus::Topic topic = bus::Topic::broker_state;
  TRY(const auto info, bus_.info(topic, partition));
  const auto committed = bus_.committed(kGroup, topic, partition);
  if (!committed) bus_.commit(kGroup, topic, partition, info.first);  // from now on nothing is deleted under us
  if (info.first == info.end) return {};
  TRY(const auto reader, bus_.reader(topic, partition, committed.value_or(info.first)));
  while (reader->position() < info.end) {
    auto records = reader->read(kReadBytes);
    if (!records && records.error().code == ErrorCode::corrupt) {
      TRY(const std::uint64_t lost, reader->skip_damage());
      log::error("part of the broker's state cannot be read: sessions or messages are lost",
                 {{"partition", partition.value}, {"records", lost}, {"error", records.error().message}});
      continue;
    }
    if (!records) return std::unexpected(records.error());
    if (records->empty()) break;
    for (const bus::Record& record : *records) {
      if (!record.payload) continue;
      if (const auto read = journal::read(*record.payload, recovery); !read)
        log::error("part of the broker's state cannot be read: sessions or messages are lost",
                   {{"partition", partition.value}, {"offset", record.offset.value}, {"error", read.error().message}});
    }
  }
  return {};
}

Async<void> Broker::start() {
  std::vector<Untaken> untaken;
  {
    // Nobody else is here yet: the sessions of all shards are made on this one.
    Recovery recovery(*this);
    for (std::size_t i = 0; i < bus_.partition_count(); ++i)
      CO_DO(read_partition({static_cast<std::uint16_t>(i)}, recovery));
    untaken = recovery.untaken();
    retained_.restored();
    metrics_.retained.set(static_cast<double>(retained_.size()));
  }
  for (const auto& local : locals_) {
    runtime::Completion<> settled;
    local->shard().post([this, settled, index = local->shard().index()] {
      settle_in(index);
      settled.resolve({});
    });
    CO_DO(co_await settled);
  }
  for (const Untaken& one : untaken) locals_[one.shard]->shard().post([this, one] { take_again(one); });
  runtime::Completion<> wound;
  locals_.front()->shard().post([this, wound] {
    for (std::size_t i = 0; i < bus_.partition_count(); ++i) {
      const auto info = bus_.info(bus::Topic::broker_state, {static_cast<std::uint16_t>(i)});
      if (info && info->first != info->end) compact({static_cast<std::uint16_t>(i)});
    }
    Clockwork& clockwork = *clockworks_.front();
    clockwork.upkeep = locals_.front()->shard().call_every(kUpkeep, [this] { look_at_log(); });
    publish_sys();
    if (config_.sys_interval.ns > 0)
      clockwork.sys = locals_.front()->shard().call_every(config_.sys_interval, [this] { publish_sys(); });
    wound.resolve({});
  });
  CO_DO(co_await wound);
  co_return {};
}

/// On the publisher's shard.
void Broker::take_again(const Untaken& one) {
  Local& local = *locals_[one.shard];
  auto receipt = std::make_shared<Receipt>(local.shard(),
                                           [session = one.session, packet_id = one.packet_id](const Result<>& result) {
                                             if (result) session->taken(packet_id);
                                           });
  (void)local.publish(one.message->content(), [&receipt] { return receipt; });
}

/// On its shard: the sessions that were read go to work.
void Broker::settle_in(std::size_t shard) {
  Local& local = *locals_[shard];
  const Time now = wall_now();
  std::vector<SessionPtr> all;
  for (const auto& [key, session] : local.sessions()) all.push_back(session);
  for (const SessionPtr& session : all) {
    if (session->away_since().ns == 0) {
      // It was connected when we fell.
      session->restore_away(session->expiry_s(), now);
      journal::put_away(local.journal().open(session->partition()), session->id(), session->expiry_s(), now);
    }
    local.enlist(session);
    if (session->expiry_s() != kNeverExpires)
      expect(shard, session, session->away_since() + Duration{std::int64_t{session->expiry_s()} * 1'000'000'000});
  }
}

// --- the log is kept short ---

void Broker::look_at_log() {
  for (std::size_t i = 0; i < compacted_bytes_.size(); ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    const auto info = bus_.info(bus::Topic::broker_state, partition);
    if (info && info->bytes > kShortLog + 2 * compacted_bytes_[i]) compact(partition);
  }
}

/// Writes anew what holds, and lets go of all that was written before.
void Broker::compact(PartitionId partition) {
  if (compacting_[partition.value]) return;
  const auto info = bus_.info(bus::Topic::broker_state, partition);
  if (!info) return;
  compacting_[partition.value] = true;
  // The last to let go of it sees whether all is durable.
  const std::shared_ptr<Round> done(
      new Round{}, [this, alive = std::weak_ptr<int>(alive_), partition, before = *info](Round* round) {
        const std::unique_ptr<Round> owned(round);
        if (alive.expired()) return;
        const bool whole = owned->begun == owned->durable;
        locals_.front()->shard().post([this, partition, before, whole] { compacted(partition, before, whole); });
      });
  for (std::size_t shard = 0; shard < locals_.size(); ++shard) {
    locals_[shard]->shard().post([this, shard, partition, done] {
      auto left = std::make_shared<std::vector<std::weak_ptr<Session>>>();
      for (const auto& [key, session] : locals_[shard]->sessions())
        if (session->durable() && session->partition() == partition) left->push_back(session);
      write_sessions(shard, partition, std::move(left), done);
    });
  }
  write_retained(partition, {}, {}, done);
}

void Broker::compacted(PartitionId partition, const bus::PartitionInfo& before, bool whole) {
  compacting_[partition.value] = false;
  if (!whole) return;  // the next round tries again
  const auto after = bus_.info(bus::Topic::broker_state, partition);
  if (after && after->bytes > before.bytes) compacted_bytes_[partition.value] = after->bytes - before.bytes;
  bus_.commit(kGroup, bus::Topic::broker_state, partition, before.end);
}

namespace {

template <class Round>
auto when_written(const std::shared_ptr<Round>& round) {
  ++round->begun;
  return [round](const Result<>& result) {
    if (result) ++round->durable;
  };
}

}  // namespace

void Broker::write_sessions(std::size_t shard, PartitionId partition,
                            std::shared_ptr<std::vector<std::weak_ptr<Session>>> left,
                            const std::shared_ptr<Round>& done) {
  Local& local = *locals_[shard];
  for (std::size_t i = 0; i < kSlice && !left->empty(); ++i) {
    const auto session = left->back().lock();
    left->pop_back();
    if (session && session->durable()) session->write_all(local.journal().open(partition));
  }
  local.journal().when_durable(partition, when_written(done));
  if (!left->empty())
    local.shard().post([this, shard, partition, left, done] { write_sessions(shard, partition, left, done); });
}

void Broker::write_retained(PartitionId partition, TenantId tenant, std::string after,
                            const std::shared_ptr<Round>& done) {
  Local& local = *locals_.front();
  auto kept = retained_.page(tenant, after, kSlice);
  if (kept.empty()) {
    tenant = retained_.next_tenant(tenant);
    if (tenant.value == 0) return;
    kept = retained_.page(tenant, {}, kSlice);
    if (kept.empty()) return;
  }
  after = kept.back().message->content().topic;
  for (const RetainedStore::Kept& one : kept) {
    const Content& content = one.message->content();
    if (content.tenant.value == 0 || Local::retained_partition(local.journal(), content.topic) != partition) continue;
    journal::put_retained(local.journal().open(partition), content, one.change);
  }
  local.journal().when_durable(partition, when_written(done));
  local.shard().post([this, partition, tenant, after, done] { write_retained(partition, tenant, after, done); });
}

}  // namespace flux::broker
