#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "core/time.h"
#include "net/address.h"

namespace flux::net {

/// Bytes of a body: contiguous, with readable zeros behind the end.
class BodyBuffer {
 public:
  static constexpr std::size_t kSlack = 64;
  /// No bytes, with the slack behind them.
  static std::string_view nothing();
  /// Room for `bytes` in all, no more. False when there is no memory: what is held stays.
  [[nodiscard]] bool reserve(std::size_t bytes);
  /// Within what is reserved.
  void append(std::string_view data);
  /// Zeroes the slack; the data stays until `clear`.
  std::string_view finish();
  /// A small buffer is kept for the next body.
  void clear();
  void swap(BodyBuffer& other) noexcept;
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::string_view view() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(char* data) const;
  };
  std::unique_ptr<char, Free> data_;
  std::size_t capacity_ = 0;  // without the slack
  std::size_t size_ = 0;
};

/// Whose input it is: an IP address; nothing where none is told apart, as with loopback, which may be a proxy's.
using Holder = std::optional<std::array<std::uint8_t, 16>>;
[[nodiscard]] Holder holder_of(const Address& peer, bool limit_loopback);

/// What all unfinished input of a server may hold together, on all shards: bodies of requests, parts of WebSocket
/// messages or of packets; and of that, how much of one address.
///
/// A body of known length takes its whole length before its first byte is read: one that is let in has room to its end,
/// so bodies that have begun never wait for each other. An eighth is kept for small bodies, so that the readings of a
/// fleet pass while large bodies, honest or not, hold the rest. When a body finds no room, those under way that come
/// slowly for what they hold are asked to leave (`short_of_room`); each looks after itself, on its own shard.
class BodyBudget {
 public:
  static constexpr std::size_t kSmallBytes = 64 * 1024;

  enum class Room : std::uint8_t { taken, none, none_for_holder };

  explicit BodyBudget(std::size_t limit) : BodyBudget(limit, limit) {}
  BodyBudget(std::size_t limit, std::size_t limit_of_holder)
      : limit_(limit), limit_of_large_(limit - limit / 8), limit_of_holder_(limit_of_holder) {}

  /// `more` for a body that then holds `whole`.
  [[nodiscard]] Room take(std::size_t more, std::size_t whole, const Holder& holder);
  void give(std::size_t bytes, const Holder& holder);
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }

  /// A body was turned away lately, and would be again.
  [[nodiscard]] bool short_of_room(Duration now) const;

 private:
  [[nodiscard]] std::size_t limit_for(std::size_t whole) const {
    return whole <= kSmallBytes ? limit_ : limit_of_large_;
  }
  void give_holder(std::size_t bytes, const Holder& holder);

  const std::size_t limit_;
  const std::size_t limit_of_large_;
  const std::size_t limit_of_holder_;
  std::atomic<std::size_t> used_ = 0;
  std::atomic<std::size_t> wanted_ = 0;              // by the body that was turned away last
  std::atomic<std::int64_t> turned_away_until_ = 0;  // how long that is lately
  std::mutex mutex_;
  std::map<Holder, std::size_t> held_;  // of those who hold anything
};

/// One body's part of the budget; given back at the latest when this ends.
class BodyShare {
 public:
  BodyShare() = default;
  ~BodyShare() { give_back(); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  /// At least `bytes` in all; false when there is no room, and nothing has changed. One holder for its whole life.
  [[nodiscard]] bool raise(const std::shared_ptr<BodyBudget>& budget, std::size_t bytes, const Holder& holder = {});
  /// Whether the last `raise` failed for what this one address holds, and not for what all do.
  [[nodiscard]] bool is_holders_fault() const { return room_ == BodyBudget::Room::none_for_holder; }
  void lower(std::size_t bytes);
  void give_back();
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<BodyBudget> budget_;  // a handler may keep the request longer than the server lives
  Holder holder_;
  std::size_t bytes_ = 0;
  BodyBudget::Room room_ = BodyBudget::Room::taken;
};

}  // namespace flux::net
