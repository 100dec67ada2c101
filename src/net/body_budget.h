#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "core/time.h"

namespace flux::net {

/// Bytes of a body: contiguous, with readable zeros behind the end.
class BodyBuffer {
 public:
  static constexpr std::size_t kSlack = 64;
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

/// What all bodies of a server may hold together, on all shards.
///
/// A body of known length takes its whole length before its first byte is read: one that is let in has room to its end,
/// so bodies that have begun never wait for each other. An eighth is kept for small bodies, so that the readings of a
/// fleet pass while large bodies, honest or not, hold the rest. When a body finds no room, those under way that come
/// slowly for what they hold are asked to leave (`short_of_room`); each looks after itself, on its own shard.
class BodyBudget {
 public:
  static constexpr std::size_t kSmallBytes = 64 * 1024;

  explicit BodyBudget(std::size_t limit) : limit_(limit), limit_of_large_(limit - limit / 8) {}

  /// `more` for a body that then holds `whole`.
  [[nodiscard]] bool take(std::size_t more, std::size_t whole);
  void give(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const { return used_.load(std::memory_order_relaxed); }

  /// A body was turned away lately, and would be again.
  [[nodiscard]] bool short_of_room(Duration now) const;

 private:
  [[nodiscard]] std::size_t limit_for(std::size_t whole) const {
    return whole <= kSmallBytes ? limit_ : limit_of_large_;
  }

  const std::size_t limit_;
  const std::size_t limit_of_large_;
  std::atomic<std::size_t> used_ = 0;
  std::atomic<std::size_t> wanted_ = 0;              // by the body that was turned away last
  std::atomic<std::int64_t> turned_away_until_ = 0;  // how long that is lately
};

/// One body's part of the budget; given back at the latest when this ends.
class BodyShare {
 public:
  BodyShare() = default;
  ~BodyShare() { give_back(); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  /// At least `bytes` in all; false when there is no room, and nothing has changed.
  [[nodiscard]] bool raise(const std::shared_ptr<BodyBudget>& budget, std::size_t bytes);
  void lower(std::size_t bytes);
  void give_back();
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<BodyBudget> budget_;  // a handler may keep the request longer than the server lives
  std::size_t bytes_ = 0;
};

}  // namespace flux::net
