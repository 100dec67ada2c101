#include "runtime/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace flux::runtime {
namespace {

std::uint32_t to_epoll(std::uint32_t events) {
  std::uint32_t bits = 0;
  if (events & kFdRead) bits |= EPOLLIN;
  if (events & kFdWrite) bits |= EPOLLOUT;
  if (events & kFdHangup) bits |= EPOLLRDHUP;
  return bits;
}

std::uint32_t from_epoll(std::uint32_t bits) {
  std::uint32_t events = 0;
  if (bits & EPOLLIN) events |= kFdRead;
  if (bits & EPOLLOUT) events |= kFdWrite;
  if (bits & EPOLLRDHUP) events |= kFdHangup;
  if (bits & (EPOLLERR | EPOLLHUP)) events |= kFdError;
  return events;
}

std::uint64_t key_of(std::uint32_t slot, std::uint32_t generation) { return (std::uint64_t{generation} << 32) | slot; }

}  // namespace

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { CHECK(epoll_ >= 0); }

Poller::~Poller() { ::close(epoll_); }

Result<std::uint32_t> Poller::add(int fd, std::uint32_t events, FdWatchOwner& owner) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].owner = &owner;
  slots_[slot].fd = fd;
  epoll_event event{.events = to_epoll(events), .data = {.u64 = key_of(slot, slots_[slot].generation)}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    slots_[slot] = {.generation = slots_[slot].generation + 1};
    free_.push_back(slot);
    return fail_errno("cannot watch a descriptor", error);
  }
  return slot;
}

void Poller::change(std::uint32_t slot, std::uint32_t events) {
  epoll_event event{.events = to_epoll(events), .data = {.u64 = key_of(slot, slots_[slot].generation)}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, slots_[slot].fd, &event) == 0);
}

void Poller::remove(std::uint32_t slot) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, slots_[slot].fd, nullptr);
  slots_[slot] = {.generation = slots_[slot].generation + 1};
  free_.push_back(slot);
}

void Poller::dispatch() {
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const auto slot = static_cast<std::uint32_t>(event.data.u64);
    const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
    if (slots_[slot].generation != generation) continue;
    slots_[slot].owner->on_fd_events(from_epoll(event.events));
  }
}

}  // namespace flux::runtime
