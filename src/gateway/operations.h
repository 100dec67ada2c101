#pragma once

#include <string>

#include "auth/accounts.h"
#include "net/router.h"
#include "observe/health.h"
#include "observe/metrics.h"

namespace flux::gateway {

/// What every process answers, whatever its roles: `/healthz`, `/readyz` and `/metrics`.
class Operations {
 public:
  struct Services {
    observe::Health& health;
    metrics::Registry& metrics;
    auth::Accounts& accounts;
    auth::Mode mode;
    std::string metrics_token;  ///< reads `/metrics` and nothing else; empty: there is none
  };
  explicit Operations(Services services) : services_(std::move(services)) {}

  /// Once, before the server listens; this outlives the router's use.
  void mount(net::Router& router);
  /// For a process without the gateway: every other path is not found, and says why.
  static void mount_absence(net::Router& router);

 private:
  Services services_;
};

}  // namespace flux::gateway
