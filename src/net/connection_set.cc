#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "net/tcp_connection.h"
#include "runtime/spawn.h"

namespace flux::net {

void ConnectionHome::link(TcpConnection::Impl& connection) {
  connection.list_index_ = connections.size();
  connections.push_back(&connection);
  if (!sweeper.active()) sweeper = shard.call_every(sweep_period, [this] { sweep(); });
}

void ConnectionHome::unlink(TcpConnection::Impl& connection) {
  connections.back()->list_index_ = connection.list_index_;
  std::swap(connections[connection.list_index_], connections.back());
  connections.pop_back();
}

void ConnectionHome::note_timeout(Duration timeout) {
  if (timeout.ns == 0) return;
  const Duration period = std::clamp(Duration{timeout.ns / 4}, 5_ms, 250_ms);
  if (period >= sweep_period) return;
  sweep_period = period;
  if (sweeper.active()) sweeper = shard.call_every(sweep_period, [this] { sweep(); });
}

void ConnectionHome::sweep() {
  if (connections.empty()) {
    sweeper.cancel();  // an idle server does not wake up
    return;
  }
  const Duration now = shard.now();
  // Nothing is unlinked meanwhile: connections end at the end of the turn. New ones may appear at the back.
  for (std::size_t i = 0; i < connections.size(); ++i) connections[i]->check_times(now);
}

ConnectionSet::ConnectionSet(runtime::Shards& shards, TcpOptions options)
    : shards_(shards), options_(std::move(options)) {
  for (auto& shard : shards) homes_.push_back(std::make_unique<ConnectionHome>(*this, *shard));
}

ConnectionSet::~ConnectionSet() = default;

ConnectionHome& ConnectionSet::least_loaded() {
  return **std::ranges::min_element(homes_, {},
                                    [](const auto& home) { return home->open.load(std::memory_order_relaxed); });
}

std::vector<const NetStats*> ConnectionSet::stats() const {
  std::vector<const NetStats*> all;
  for (const auto& home : homes_) all.push_back(&home->stats);
  return all;
}

void ConnectionSet::count_out(const Address& /*peer*/) {
  if (total_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  std::vector<runtime::Completion<>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(waiting_for_none_);
  }
  for (const auto& waiter : waiting) waiter.resolve({});
}

void ConnectionSet::move_in(ConnectionHome& /*target*/, UniqueFd /*fd*/, const Address& /*peer*/,
                            std::vector<std::byte> /*begun*/) {
  check_failed("only connections of a server move", __FILE__, __LINE__, {});
}

namespace {

/// Resolves when the last task that holds it has run, or has been dropped because its shard has ended.
struct LastOne {
  explicit LastOne(runtime::Completion<> c) : completion(std::move(c)) {}
  ~LastOne() { completion.resolve({}); }
  runtime::Completion<> completion;
};

}  // namespace

runtime::Completion<> ConnectionSet::post_to_all(void (*task)(ConnectionSet&, ConnectionHome&)) {
  runtime::Completion<> all_done;
  const auto last = std::make_shared<LastOne>(all_done);
  for (auto& home : homes_) {
    home->shard.post([self = shared_from_this(), last, task, home = home.get()] { task(*self, *home); });
  }
  return all_done;
}

namespace {

void end_all(ConnectionHome& home) {
  while (!home.connections.empty()) home.connections.back()->finish(CloseReason::aborted);
  home.sweeper.cancel();
}

}  // namespace

void ConnectionSet::stop() {
  CHECK(runtime::Shard::current() == nullptr);
  draining_ = true;
  {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t pending = homes_.size();
    // Counts down also when the task is dropped by a shard that has ended.
    struct Countdown {
      std::mutex& mutex;
      std::condition_variable& changed;
      std::size_t& pending;
      ~Countdown() {
        const std::lock_guard lock(mutex);
        --pending;
        changed.notify_all();
      }
    };
    for (auto& home : homes_) {
      auto countdown = std::make_unique<Countdown>(mutex, changed, pending);
      home->shard.post([this, home = home.get(), owned = std::move(countdown)] {
        if (home->shard.index() == 0) stop_listening();
        end_all(*home);
      });
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return pending == 0; });
  }
  // Of shards that have ended: nobody else touches these any more.
  stop_listening();
  for (auto& home : homes_) end_all(*home);
  stopped_ = true;
}

void ConnectionSet::stop_if_needed() {
  if (stopped_) return;
  CHECK_MSG(runtime::Shard::current() == nullptr, "await close() before destroying a server on a shard");
  stop();
}

Async<void> ConnectionSet::close() {
  const auto self = shared_from_this();
  draining_ = true;
  const auto all_done = post_to_all([](ConnectionSet& set, ConnectionHome& home) {
    if (home.shard.index() == 0) set.stop_listening();
    end_all(home);
  });
  CO_DO(co_await all_done);
  stopped_ = true;
  co_return {};
}

Async<void> ConnectionSet::drain(Duration limit) {
  const auto self = shared_from_this();
  draining_ = true;
  const auto told = post_to_all([](ConnectionSet& set, ConnectionHome& home) {
    if (home.shard.index() == 0) set.stop_listening();
    const auto open = home.connections;  // a handler may open or end others
    for (auto* connection : open) {
      if (std::ranges::find(home.connections, connection) != home.connections.end()) connection->drain();
    }
  });
  CO_DO(co_await told);
  runtime::Completion<> none;
  {
    const std::lock_guard lock(mutex_);
    waiting_for_none_.push_back(none);
  }
  if (total() == 0) none.resolve({});
  auto* const shard = runtime::Shard::current();
  const auto timer = shard->call_after(limit, [none, self] {
    none.resolve(fail(ErrorCode::timed_out, std::to_string(self->total()) + " connections are still open"));
  });
  co_return co_await none;
}

}  // namespace flux::net
