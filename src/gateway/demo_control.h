#pragma once

#include <cstddef>

#include "runtime/async.h"

namespace flux::gateway {

/// The demo site as the API sees it.
class DemoControl {
 public:
  struct Status {
    bool installed = false;
    bool running = false;
    std::size_t devices = 0;
  };
  virtual ~DemoControl() = default;
  virtual Async<Status> status() = 0;
  /// Makes profiles and devices where they are missing and lets them report. Does nothing when it runs already.
  virtual Async<Status> start_site() = 0;
  /// Ends it, removes its devices and erases their readings.
  virtual Async<void> remove() = 0;
};

}  // namespace flux::gateway
