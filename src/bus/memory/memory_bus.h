#pragma once

#include <memory>
#include <optional>

#include "bus/bus.h"

namespace flux::bus::memory {

/// A log in memory, for the tests of other rooms: everything happens inside the calls, on the caller's thread, unless
/// `hold` says otherwise. Keeps every record until it is destroyed.
class MemoryBus : public Bus {
 public:
  /// From now on records wait, unreadable and unanswered, until `release`: as if the disk were slow.
  virtual void hold() = 0;
  /// Completes what waits, in order, and holds no more.
  virtual void release() = 0;
  /// From now on every publish is answered with `error`, and nothing is written; nullopt ends it.
  virtual void fail_with(std::optional<Error> error) = 0;
  /// Stamps `appended_at` from now on; until then records get the wall clock.
  virtual void set_time(Time now) = 0;
};

std::unique_ptr<MemoryBus> make_memory_bus(std::size_t partitions = 1);

}  // namespace flux::bus::memory
