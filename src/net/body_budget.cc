#include "net/body_budget.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/result.h"

namespace flux::net {
namespace {

/// Not counted in the budget, so it is about as much as a connection costs anyhow.
constexpr std::size_t kKeptBytes = 8 * 1024;
/// Longer than the second after which we tell clients to come again.
constexpr Duration kLately = 3_s;

}  // namespace

std::string_view BodyBuffer::nothing() {
  static constexpr std::array<char, kSlack> kZeros{};
  return {kZeros.data(), 0};
}

void BodyBuffer::Free::operator()(char* data) const { std::free(data); }

bool BodyBuffer::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return true;
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max() - kSlack) return false;
  char* const grown = static_cast<char*>(std::realloc(data_.get(), bytes + kSlack));
  if (grown == nullptr) return false;
  (void)data_.release();
  data_.reset(grown);
  capacity_ = bytes;
  return true;
}

void BodyBuffer::append(std::string_view data) {
  if (data.empty()) return;
  CHECK(data.size() <= capacity_ - size_);
  std::memcpy(data_.get() + size_, data.data(), data.size());
  size_ += data.size();
}

std::string_view BodyBuffer::finish() {
  if (size_ == 0) return nothing();
  std::memset(data_.get() + size_, 0, kSlack);
  return view();
}

void BodyBuffer::clear() {
  size_ = 0;
  if (capacity_ > kKeptBytes) {
    data_.reset();
    capacity_ = 0;
  }
}

void BodyBuffer::swap(BodyBuffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  std::swap(size_, other.size_);
}

// ---------------------------------------------------------------------------------------------------------------------

Holder holder_of(const Address& peer, bool limit_loopback) {
  if (peer.is_loopback() && !limit_loopback) return std::nullopt;
  return peer.ip;
}

BodyBudget::Room BodyBudget::take(std::size_t more, std::size_t whole, const Holder& holder) {
  if (holder) {
    const std::lock_guard lock(mutex_);
    std::size_t& held = held_[holder];
    if (held > limit_of_holder_ || more > limit_of_holder_ - held) {
      if (held == 0) held_.erase(holder);
      return Room::none_for_holder;  // the others need not make way for it
    }
    held += more;
  }
  const std::size_t limit = limit_for(whole);
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (used > limit || more > limit - used) {
      wanted_.store(whole, std::memory_order_relaxed);
      turned_away_until_.store((monotonic_now() + kLately).ns, std::memory_order_relaxed);
      give_holder(more, holder);
      return Room::none;
    }
  } while (!used_.compare_exchange_weak(used, used + more, std::memory_order_relaxed));
  return Room::taken;
}

void BodyBudget::give(std::size_t bytes, const Holder& holder) {
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  give_holder(bytes, holder);
}

void BodyBudget::give_holder(std::size_t bytes, const Holder& holder) {
  if (!holder) return;
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(holder);
  CHECK(at != held_.end() && at->second >= bytes);
  at->second -= bytes;
  if (at->second == 0) held_.erase(at);
}

bool BodyBudget::short_of_room(Duration now) const {
  if (now.ns >= turned_away_until_.load(std::memory_order_relaxed)) return false;
  const std::size_t wanted = wanted_.load(std::memory_order_relaxed);
  const std::size_t limit = limit_for(wanted);
  const std::size_t used = this->used();
  return used > limit || wanted > limit - used;
}

bool BodyShare::raise(const std::shared_ptr<BodyBudget>& budget, std::size_t bytes, const Holder& holder) {
  if (bytes <= bytes_) return true;
  if (bytes_ == 0) holder_ = holder;
  room_ = budget->take(bytes - bytes_, bytes, holder_);
  if (room_ != BodyBudget::Room::taken) return false;
  budget_ = budget;
  bytes_ = bytes;
  return true;
}

void BodyShare::lower(std::size_t bytes) {
  if (bytes >= bytes_) return;
  budget_->give(bytes_ - bytes, holder_);
  bytes_ = bytes;
}

void BodyShare::give_back() {
  lower(0);
  budget_.reset();
}

}  // namespace flux::net
