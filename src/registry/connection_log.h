#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/time.h"

namespace flux::registry {

enum class ConnectionStage : std::uint8_t { connect, auth, subscribe, publish, parse, reading };
enum class ConnectionProtocol : std::uint8_t { mqtt, http };
std::string_view to_string(ConnectionStage stage);
std::string_view to_string(ConnectionProtocol protocol);

/// One thing that happened to a device's connection: what the "connect a device" page shows.
struct ConnectionEvent {
  Time time;
  ConnectionStage stage = ConnectionStage::connect;
  bool ok = true;
  std::string message;  ///< a sentence; when not ok, exactly why. Never a credential.
  std::string peer;     ///< `127.0.0.1:5123`
  ConnectionProtocol protocol = ConnectionProtocol::mqtt;
  std::string client_id;  ///< MQTT only
  std::string device;     ///< empty while not known
  TenantId tenant;        ///< 0 while not known: nobody is shown the event then
  std::string detail;     ///< a JSON object, or empty
  bool signed_in = true;  ///< false: by somebody who has shown no right credential
};
using ConnectionEventPtr = std::shared_ptr<const ConnectionEvent>;

/// The last connection events of all devices, and who wants to hear of the next. Any thread.
///
/// Stages that happen once per connection, and everything that failed, are added always; what happens for each message
/// (publish, reading) only where `watched` says that somebody looks on:
///
///     if (log.watched(tenant, device)) log.add({...});
///
/// What happens before and at sign-in has a quarter of the room to themselves, so that strangers cannot push out what
/// devices of ours did. A failure that names no device is shown with every device of its tenant: it may have been it.
class ConnectionLog {
 public:
  explicit ConnectionLog(std::size_t capacity = 4096);
  ~ConnectionLog();
  ConnectionLog(const ConnectionLog&) = delete;
  ConnectionLog& operator=(const ConnectionLog&) = delete;

  void add(ConnectionEvent event);

  /// Whether a listener waits for this device. One relaxed load while there are no listeners at all.
  [[nodiscard]] bool watched(TenantId tenant, std::string_view device) const {
    return listeners_.load(std::memory_order_relaxed) != 0 && watched_slow(tenant, device);
  }

  /// The newest events of a device, and failures that name none, oldest first.
  [[nodiscard]] std::vector<ConnectionEventPtr> recent(TenantId tenant, std::string_view device,
                                                       std::size_t limit) const;
  /// Of all devices of the tenant.
  [[nodiscard]] std::vector<ConnectionEventPtr> recent(TenantId tenant, std::size_t limit) const;

  /// Stops listening when destroyed: the callback is then neither running nor called again (unless it destroys this
  /// itself).
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&&) noexcept;
    Subscription& operator=(Subscription&&) noexcept;
    ~Subscription();

   private:
    friend class ConnectionLog;
    struct State;
    explicit Subscription(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  /// `callback` runs on the thread that adds; it must not block: post onwards. An empty `device` means
  /// all of the tenant.
  [[nodiscard]] Subscription listen(TenantId tenant, std::string device,
                                    std::function<void(const ConnectionEventPtr&)> callback);

 private:
  [[nodiscard]] bool watched_slow(TenantId tenant, std::string_view device) const;
  struct Impl;
  std::shared_ptr<Impl> impl_;
  std::atomic<std::uint32_t> listeners_{0};
};

}  // namespace flux::registry
