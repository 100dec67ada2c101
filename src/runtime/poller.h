#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "runtime/fd_watch.h"

namespace flux::runtime {

/// The descriptors of one shard in an epoll set of their own, nested in the loop's. Registered once and level
/// triggered, they need no re-arming system call per event, and one look yields all that are ready.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Readable when any watched descriptor is ready.
  [[nodiscard]] int descriptor() const { return epoll_; }

  Result<std::uint32_t> add(int fd, std::uint32_t events, FdWatchOwner& owner);
  void change(std::uint32_t slot, std::uint32_t events);
  void remove(std::uint32_t slot);

  /// Calls the owners of what is ready now.
  void dispatch();

 private:
  struct Slot {
    FdWatchOwner* owner = nullptr;
    int fd = -1;
    std::uint32_t generation = 0;  // an event of a removed watch must not reach the slot's next tenant
  };

  int epoll_ = -1;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace flux::runtime
