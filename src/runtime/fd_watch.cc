#include "runtime/fd_watch.h"

#include "runtime/shard_impl.h"

namespace flux::runtime {

Result<> FdWatch::add(Shard& shard, int fd, std::uint32_t events, FdWatchOwner& owner) {
  CHECK(shard_ == nullptr);
  TRY(slot_, shard.impl().poller.add(fd, events, owner));
  shard_ = &shard;
  owner_ = &owner;
  fd_ = fd;
  wanted_ = events;
  return {};
}

void FdWatch::want(std::uint32_t events) {
  if (shard_ == nullptr || events == wanted_) return;
  wanted_ = events;
  shard_->impl().poller.change(slot_, events);
}

void FdWatch::remove() {
  if (shard_ == nullptr) return;
  shard_->impl().poller.remove(slot_);
  shard_ = nullptr;
}

}  // namespace flux::runtime
