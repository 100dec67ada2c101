#pragma once

#include <cstdint>
#include <functional>

#include "core/result.h"
#include "runtime/shard.h"

namespace flux::runtime {

/// What a descriptor is ready for. `hangup`: the other side will send no more (reported also while reading is not
/// wanted, so that a paused connection notices). `error`: the descriptor is of no more use.
enum FdEvents : std::uint32_t { kFdRead = 1, kFdWrite = 2, kFdHangup = 4, kFdError = 8 };

class FdWatchOwner {
 public:
  /// `events` holds bits of `FdEvents`. Level triggered: comes again until handled or no longer wanted.
  /// The watch may be removed inside.
  virtual void on_fd_events(std::uint32_t events) = 0;

 protected:
  ~FdWatchOwner() = default;
};

/// A file descriptor in a shard's loop: sockets of `net`, and foreign libraries that bring a descriptor of their own
/// (libpq, libcoap). Costs no system call per event. The descriptor stays the owner's. On its shard only.
class FdWatch {
 public:
  FdWatch() = default;
  ~FdWatch() { remove(); }
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  /// `events`: bits of kFdRead, kFdWrite, kFdHangup.
  Result<> add(Shard& shard, int fd, std::uint32_t events, FdWatchOwner& owner);
  /// Changes what is wanted; nothing happens when it is the same as before.
  void want(std::uint32_t events);
  [[nodiscard]] std::uint32_t wanted() const { return wanted_; }
  /// No call comes after this. Before the descriptor is closed.
  void remove();

 private:
  Shard* shard_ = nullptr;
  FdWatchOwner* owner_ = nullptr;
  int fd_ = -1;
  std::uint32_t wanted_ = 0;
  std::uint32_t slot_ = 0;
};

}  // namespace flux::runtime
