#pragma once

#include <string>
#include <string_view>

#include "core/time.h"
#include "ingest/sign_in.h"
#include "registry/connection_log.h"

namespace flux::ingest {

/// Writes one connection's events to the connection log, and at most a few failures a second, so that a device that
/// fails again and again neither floods the log nor costs much. One thread.
class Tracer {
 public:
  Tracer(registry::ConnectionLog& log, registry::ConnectionProtocol protocol, std::string peer)
      : log_(log), protocol_(protocol), peer_(std::move(peer)) {}

  void set_client(std::string client_id) { client_id_ = without_secrets(client_id); }
  void set_device(TenantId tenant, std::string device) {
    tenant_ = tenant;
    device_ = std::move(device);
  }

  [[nodiscard]] bool watched(TenantId tenant, std::string_view device) const { return log_.watched(tenant, device); }

  void ok(registry::ConnectionStage stage, std::string message, std::string_view device = {}) {
    add(stage, true, std::move(message), device);
  }
  void failed(registry::ConnectionStage stage, std::string message, std::string_view device = {}) {
    if (budget()) add(stage, false, std::move(message), device);
  }
  /// True when a failure may be written now: ask before making up a long message.
  bool budget() {
    const Duration now = monotonic_now();
    if (now - refilled_ >= 1_s) {
      refilled_ = now;
      left_ = kPerSecond;
    }
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  void add(registry::ConnectionStage stage, bool ok, std::string message, std::string_view device = {}) {
    log_.add({.time = wall_now(),
              .stage = stage,
              .ok = ok,
              .message = without_secrets(message),
              .peer = peer_,
              .protocol = protocol_,
              .client_id = client_id_,
              .device = device.empty() ? device_ : std::string(device),
              .tenant = tenant_,
              .detail = {}});
  }

 private:
  static constexpr int kPerSecond = 5;
  registry::ConnectionLog& log_;
  registry::ConnectionProtocol protocol_;
  std::string peer_;
  std::string client_id_;
  std::string device_;
  TenantId tenant_;
  Duration refilled_{};
  int left_ = kPerSecond;
};

}  // namespace flux::ingest
