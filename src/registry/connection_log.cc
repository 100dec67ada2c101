#include "registry/connection_log.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "registry/model.h"

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

/// One listener. Its lock is held while the callback runs, so that the end of a subscription waits for it.
struct ConnectionLog::Subscription::State {
  std::weak_ptr<Impl> log;
  std::atomic<std::uint32_t>* listeners = nullptr;
  TenantId tenant;
  std::string device;
  std::recursive_mutex mutex;  // recursive: the callback may end its own subscription
  std::function<void(const ConnectionEventPtr&)> callback;

  [[nodiscard]] bool wants(TenantId event_tenant, std::string_view event_device) const {
    return tenant == event_tenant && (device.empty() || device == event_device);
  }
};

struct ConnectionLog::Impl {
  explicit Impl(std::size_t capacity) : ring(std::max<std::size_t>(capacity, 1)) {}

  mutable std::mutex ring_mutex;
  std::vector<ConnectionEventPtr> ring;
  std::size_t next = 0;

  mutable std::shared_mutex listeners_mutex;
  std::vector<std::shared_ptr<Subscription::State>> listeners;

  template <class Wanted>
  std::vector<ConnectionEventPtr> newest(std::size_t limit, Wanted wanted) const {
    std::vector<ConnectionEventPtr> found;
    const std::lock_guard lock(ring_mutex);
    for (std::size_t back = 1; back <= ring.size() && found.size() < limit; ++back) {
      const auto& event = ring[(next + ring.size() - back) % ring.size()];
      if (event == nullptr) break;
      if (wanted(*event)) found.push_back(event);
    }
    std::ranges::reverse(found);
    return found;
  }
};

namespace {
TenantId tenant_of(const ConnectionEvent& event) { return event.tenant.value != 0 ? event.tenant : kDefaultTenant; }
}  // namespace

ConnectionLog::ConnectionLog(std::size_t capacity) : impl_(std::make_shared<Impl>(capacity)) {}
ConnectionLog::~ConnectionLog() = default;

void ConnectionLog::add(ConnectionEvent event) {
  const auto shared = std::make_shared<const ConnectionEvent>(std::move(event));
  {
    const std::lock_guard lock(impl_->ring_mutex);
    impl_->ring[impl_->next] = shared;
    impl_->next = (impl_->next + 1) % impl_->ring.size();
  }
  if (listeners_.load(std::memory_order_acquire) == 0) return;
  std::vector<std::shared_ptr<Subscription::State>> called;
  {
    const std::shared_lock lock(impl_->listeners_mutex);
    for (const auto& listener : impl_->listeners) {
      if (listener->wants(tenant_of(*shared), shared->device)) called.push_back(listener);
    }
  }
  for (const auto& listener : called) {
    const std::lock_guard lock(listener->mutex);
    if (const auto callback = listener->callback) callback(shared);
  }
}

bool ConnectionLog::watched_slow(TenantId tenant, std::string_view device) const {
  const std::shared_lock lock(impl_->listeners_mutex);
  return std::ranges::any_of(impl_->listeners, [&](const auto& listener) { return listener->wants(tenant, device); });
}

std::vector<ConnectionEventPtr> ConnectionLog::recent(TenantId tenant, std::string_view device,
                                                      std::size_t limit) const {
  return impl_->newest(
      limit, [&](const ConnectionEvent& event) { return event.device == device && tenant_of(event) == tenant; });
}

std::vector<ConnectionEventPtr> ConnectionLog::recent(TenantId tenant, std::size_t limit) const {
  return impl_->newest(limit, [&](const ConnectionEvent& event) { return tenant_of(event) == tenant; });
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
