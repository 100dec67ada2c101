#include "broker/broker.h"

#include <algorithm>
#include <random>

#include "runtime/completion.h"

namespace flux::broker {
namespace {

Time later(Time from, std::uint32_t seconds) { return from + Duration{std::int64_t{seconds} * 1'000'000'000}; }

}  // namespace

Broker::Broker(const Config& config, const Needs& needs)
    : config_(config),
      shards_(needs.shards),
      bus_(needs.bus),
      version_(needs.version),
      published_(needs.published),
      registry_(needs.metrics),
      metrics_(needs.metrics),
      retained_(config.retained_messages, config.retained_bytes),
      compacted_bytes_(needs.bus.partition_count()),
      compacting_(needs.bus.partition_count()) {
  for (auto& shard : shards_) {
    locals_.push_back(std::make_unique<Local>(*shard, Local::Shared{config_, metrics_, retained_, bus_, locals_}));
    clockworks_.push_back(std::make_unique<Clockwork>());
  }
}

Broker::~Broker() = default;

std::uint64_t Broker::new_id() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  for (;;)
    if (const std::uint64_t id = random(); id != 0) return id;
}

std::string Broker::key(TenantId tenant, std::string_view device, std::string_view client_id) {
  // MQTT strings have no U+0000, so the parts cannot run into each other.
  std::string key = std::to_string(tenant.value);
  key.append(1, '\0').append(device).append(1, '\0').append(client_id);
  return key;
}

std::size_t Broker::home(const std::string& key, std::size_t here) const {
  const std::lock_guard lock(mutex_);
  const auto found = homes_.find(key);
  return found == homes_.end() ? here : found->second;
}

void Broker::forget(const std::string& key, std::size_t shard) {
  const std::lock_guard lock(mutex_);
  const auto found = homes_.find(key);
  if (found != homes_.end() && found->second == shard) homes_.erase(found);
}

Result<Broker::Connected> Broker::connect(std::size_t shard, const std::string& key, Link& link,
                                          Connecting connecting) {
  Local& here = *locals_[shard];
  {
    const std::lock_guard lock(mutex_);
    const auto [at, fresh] = homes_.try_emplace(key, shard);
    if (!fresh && at->second != shard)
      return fail(ErrorCode::unavailable, "this client connects twice at the same time: try again");
    if (fresh && homes_.size() > config_.sessions) {
      homes_.erase(at);
      return fail(ErrorCode::exhausted,
                  "there are " + std::to_string(config_.sessions) + " sessions already (ingest.mqtt.broker.sessions)");
    }
  }
  Connected made;
  made.session = here.find(key);
  if (made.session) {
    if (Link* const older = made.session->link()) {
      made.took_over = true;
      // Its own end finds that the session is another's.
      made.session->disconnect(std::nullopt, wall_now());
      metrics_.connected.add(-1);
      older->taken_over();
    }
    const bool ends = connecting.clean_start || !made.session->durable();
    // A client that comes back before the delay is over has not died.
    if (made.session->will && (ends || (made.took_over && made.session->will->delay.ns == 0)))
      publish_will(*made.session);
    made.session->will.reset();
    if (ends) {
      if (made.session->durable()) made.session->write_end();
      here.remove(made.session);
      made.session.reset();
    }
  }
  made.present = made.session != nullptr;
  if (!made.session) made.session = here.make(key, new_id());
  made.session->connect(link, connecting.limits, connecting.expiry_s);
  made.session->will = std::move(connecting.will);
  here.changed(*made.session);
  metrics_.connected.add(1);
  return made;
}

void Broker::disconnect(std::size_t shard, const SessionPtr& session, const Link& link, Leaving leaving) {
  if (session->link() != &link) return;
  const Time now = wall_now();
  session->disconnect(leaving.expiry_s, now);
  locals_[shard]->changed(*session);
  metrics_.connected.add(-1);
  if (!leaving.will) session->will.reset();
  if (!session->durable()) return end(shard, session);
  if (session->will && session->will->delay.ns == 0) publish_will(*session);
  if (session->will) expect(shard, session, now + session->will->delay);
  if (session->expiry_s() != kNeverExpires) expect(shard, session, later(now, session->expiry_s()));
}

void Broker::publish_will(Session& session) {
  auto will = *std::exchange(session.will, std::nullopt);
  will.publish();
}

void Broker::end(std::size_t shard, const SessionPtr& session) {
  if (session->will) publish_will(*session);
  if (session->durable()) session->write_end();
  locals_[shard]->remove(session);
  forget(session->key(), shard);
}

// --- the clock ---

void Broker::expect(std::size_t shard, const SessionPtr& session, Time when) {
  clockworks_[shard]->due.emplace(when, Due{session, session->away_since()});
  wind(shard);
}

void Broker::wind(std::size_t shard) {
  Clockwork& clockwork = *clockworks_[shard];
  if (clockwork.due.empty()) return clockwork.timer.cancel();
  // The wall clock may jump: it is looked at once a minute at least.
  const Duration left{std::clamp<std::int64_t>((clockwork.due.begin()->first - wall_now()).ns, 0, (60_s).ns)};
  clockwork.timer = locals_[shard]->shard().call_after(left + 1_ms, [this, shard] { look(shard); });
}

void Broker::look(std::size_t shard) {
  Clockwork& clockwork = *clockworks_[shard];
  const Time now = wall_now();
  while (!clockwork.due.empty() && clockwork.due.begin()->first <= now) {
    const Due due = clockwork.due.begin()->second;
    clockwork.due.erase(clockwork.due.begin());
    const auto session = due.session.lock();
    // It has been back since, or has ended.
    if (!session || session->connected() || session->away_since() != due.away_since) continue;
    if (session->expiry_s() != kNeverExpires && later(session->away_since(), session->expiry_s()) <= now) {
      metrics_.expired_sessions.add();
      end(shard, session);
    } else if (session->will && session->away_since() + session->will->delay <= now) {
      publish_will(*session);
    }
  }
  wind(shard);
}

Async<void> Broker::stop() {
  for (const auto& local : locals_) {
    runtime::Completion<> written;
    local->shard().post([this, &here = *local, written] {
      Clockwork& clockwork = *clockworks_[here.shard().index()];
      clockwork.timer.cancel();
      clockwork.upkeep.cancel();
      clockwork.sys.cancel();
      const auto left = std::make_shared<std::size_t>(here.journal().partitions());
      for (std::size_t i = 0; i < here.journal().partitions(); ++i) {
        here.journal().when_durable({static_cast<std::uint16_t>(i)}, [left, written](const Result<>& result) {
          if (!result) written.resolve(std::unexpected(result.error()));
          else if (--*left == 0) written.resolve({});
        });
      }
    });
    const auto outcome = co_await written;
    runtime::Completion<> closed;
    local->shard().post([&here = *local, closed] {
      here.journal().close();
      closed.resolve({});
    });
    CO_DO(co_await closed);
    CO_DO(outcome);
  }
  co_return {};
}

}  // namespace flux::broker
