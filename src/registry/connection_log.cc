#include "registry/connection_log.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

namespace flux::registry {

std::string_view to_string(ConnectionStage stage) {
  switch (stage) {
    case ConnectionStage::connect: return "connect";
    case ConnectionStage::auth: return "auth";
    case ConnectionStage::subscribe: return "subscribe";
    case ConnectionStage::publish: return "publish";
    case ConnectionStage::parse: return "parse";
    case ConnectionStage::reading: return "reading";
  }
  return "connect";
}

std::string_view to_string(ConnectionProtocol protocol) {
  return protocol == ConnectionProtocol::mqtt ? "mqtt" : "http";
}

namespace {

/// Whether who looks at `device` (empty: at all of them) is shown the event.
bool concerns(const ConnectionEvent& event, TenantId tenant, std::string_view device) {
  if (event.tenant.value == 0 || event.tenant != tenant) return false;
  return device.empty() || event.device == device || (event.device.empty() && !event.ok);
}

/// The newest events of one kind.
class Ring {
 public:
  struct Kept {
    std::uint64_t number = 0;  ///< in the order of arrival, over all rings
    ConnectionEventPtr event;
  };
  explicit Ring(std::size_t capacity) : kept_(std::max<std::size_t>(capacity, 1)) {}

  void add(Kept kept) {
    kept_[next_] = std::move(kept);
    next_ = (next_ + 1) % kept_.size();
  }
  /// From the newest back; null when there are no more.
  [[nodiscard]] const Kept* back(std::size_t steps) const {
    if (steps > kept_.size()) return nullptr;
    const Kept& kept = kept_[(next_ + kept_.size() - steps) % kept_.size()];
    return kept.event == nullptr ? nullptr : &kept;
  }

 private:
  std::vector<Kept> kept_;
  std::size_t next_ = 0;
};

}  // namespace

/// One listener. Its lock is held while the callback runs, so that the end of a subscription waits for it.
struct ConnectionLog::Subscription::State {
  std::weak_ptr<Impl> log;
  std::atomic<std::uint32_t>* listeners = nullptr;
  TenantId tenant;
  std::string device;
  std::recursive_mutex mutex;  // recursive: the callback may end its own subscription
  std::function<void(const ConnectionEventPtr&)> callback;
};

struct ConnectionLog::Impl {
  explicit Impl(std::size_t capacity) : events(capacity), strangers(capacity / 4) {}

  mutable std::mutex rings_mutex;
  Ring events;
  Ring strangers;  ///< of those who have not signed in
  std::uint64_t count = 0;

  mutable std::shared_mutex listeners_mutex;
  std::vector<std::shared_ptr<Subscription::State>> listeners;

  template <class Wanted>
  std::vector<ConnectionEventPtr> newest(std::size_t limit, Wanted wanted) const {
    std::vector<ConnectionEventPtr> found;
    const std::lock_guard lock(rings_mutex);
    const Ring::Kept* one = events.back(1);
    const Ring::Kept* other = strangers.back(1);
    for (std::size_t ones = 1, others = 1; (one || other) && found.size() < limit;) {
      const bool first = other == nullptr || (one != nullptr && one->number > other->number);
      const ConnectionEventPtr& event = first ? one->event : other->event;
      if (wanted(*event)) found.push_back(event);
      if (first) one = events.back(++ones);
      else other = strangers.back(++others);
    }
    std::ranges::reverse(found);
    return found;
  }
};

ConnectionLog::ConnectionLog(std::size_t capacity) : impl_(std::make_shared<Impl>(capacity)) {}
ConnectionLog::~ConnectionLog() = default;

void ConnectionLog::add(ConnectionEvent event) {
  const auto shared = std::make_shared<const ConnectionEvent>(std::move(event));
  {
    const std::lock_guard lock(impl_->rings_mutex);
    (shared->signed_in ? impl_->events : impl_->strangers).add({++impl_->count, shared});
  }
  if (listeners_.load(std::memory_order_acquire) == 0) return;
  std::vector<std::shared_ptr<Subscription::State>> called;
  {
    const std::shared_lock lock(impl_->listeners_mutex);
    for (const auto& listener : impl_->listeners) {
      if (concerns(*shared, listener->tenant, listener->device)) called.push_back(listener);
    }
  }
  for (const auto& listener : called) {
    const std::lock_guard lock(listener->mutex);
    if (const auto callback = listener->callback) callback(shared);
  }
}

bool ConnectionLog::watched_slow(TenantId tenant, std::string_view device) const {
  const std::shared_lock lock(impl_->listeners_mutex);
  return std::ranges::any_of(impl_->listeners, [&](const auto& listener) {
    return listener->tenant == tenant && (listener->device.empty() || listener->device == device);
  });
}

std::vector<ConnectionEventPtr> ConnectionLog::recent(TenantId tenant, std::string_view device,
                                                      std::size_t limit) const {
  return impl_->newest(limit, [&](const ConnectionEvent& event) { return concerns(event, tenant, device); });
}

std::vector<ConnectionEventPtr> ConnectionLog::recent(TenantId tenant, std::size_t limit) const {
  return impl_->newest(limit, [&](const ConnectionEvent& event) { return concerns(event, tenant, {}); });
}

ConnectionLog::Subscription ConnectionLog::listen(TenantId tenant, std::string device,
                                                  std::function<void(const ConnectionEventPtr&)> callback) {
  auto state = std::make_shared<Subscription::State>();
  state->log = impl_;
  state->listeners = &listeners_;
  state->tenant = tenant;
  state->device = std::move(device);
  state->callback = std::move(callback);
  {
    const std::unique_lock lock(impl_->listeners_mutex);
    impl_->listeners.push_back(state);
    listeners_.fetch_add(1, std::memory_order_release);
  }
  return Subscription(std::move(state));
}

ConnectionLog::Subscription::Subscription(Subscription&&) noexcept = default;

ConnectionLog::Subscription& ConnectionLog::Subscription::operator=(Subscription&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

ConnectionLog::Subscription::~Subscription() {
  if (!state_) return;
  if (const auto log = state_->log.lock()) {
    const std::unique_lock lock(log->listeners_mutex);
    std::erase(log->listeners, state_);
    state_->listeners->fetch_sub(1, std::memory_order_release);
  }
  const std::lock_guard lock(state_->mutex);
  state_->callback = nullptr;
}

}  // namespace flux::registry
