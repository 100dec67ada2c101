#pragma once

#include <string_view>
#include <vector>

#include "core/time.h"
#include "runtime/async.h"
#include "runtime/gate.h"

namespace flux::runtime {

/// A part of the process with a life: `app` starts services in the order of need and ends them in reverse.
/// All three run on the home shard (index 0).
class Service {
 public:
  virtual ~Service() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Ready to serve when it returns. On an error nothing of it keeps running.
  virtual Async<void> start() = 0;
  /// Refuse new work, finish what was taken: seal, publish, commit. Returns when nothing is under way.
  virtual Async<void> drain() = 0;
  /// Release everything. Also called when `drain` failed or took too long.
  virtual Async<void> stop() = 0;
};

/// Services in starting order. On one shard only.
class ServiceGroup {
 public:
  /// `service` must outlive the group's `stop`.
  void add(Service& service) { services_.push_back(&service); }

  /// Starts each; on the first error stops those already started, in reverse, and returns it with the service's name.
  Async<void> start();
  /// Drains in reverse order. Each has until `limit` from now in total; what fails or takes longer is reported in the
  /// returned error, and the others are drained all the same.
  Async<void> drain(Duration limit);
  /// Stops in reverse order; returns the first error after having stopped all.
  Async<void> stop();

 private:
  std::vector<Service*> services_;
  std::size_t started_ = 0;
};

}  // namespace flux::runtime
