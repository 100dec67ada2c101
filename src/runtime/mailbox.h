#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/async.h"
#include "runtime/completion.h"
#include "runtime/shard.h"

namespace flux::runtime {

/// Bounded way from many threads into one shard. A full mailbox says so: the sender pauses its socket and asks for a
/// call when there is room. Items arrive in the order in which `try_send` took them; the receiver is woken once for any
/// number of them. Destroy it on the receiving shard (or when that shard has ended).
///
///   Mailbox<Sealed> inbox(shard, 64, [this](Sealed batch) { append(std::move(batch)); });
///   if (!inbox.try_send(batch)) {                       // not taken: `batch` is still ours
///     connection.pause_reading();
///     inbox.when_room([this] { retry(); });             // on this shard
///   }
template <class T>
class Mailbox {
 public:
  /// `on_item(T)` runs on `receiver`. `capacity` counts what is sent and not yet handled.
  Mailbox(Shard& receiver, std::size_t capacity, std::move_only_function<void(T)> on_item)
      : state_(std::make_shared<State>(receiver, capacity, std::move(on_item))) {}
  ~Mailbox() { state_->close(); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Moves from `item` only when it returns true. False: full. Any thread.
  [[nodiscard]] bool try_send(T& item) const { return state_->try_send(state_, item); }
  [[nodiscard]] bool try_send(T&& item) const { return state_->try_send(state_, item); }

  /// Runs `callback` once on the calling shard as soon as the mailbox is half empty (at once, by `post`, when it is
  /// already). Room is offered to all who wait, so a sender tries again and may have to wait again.
  void when_room(std::move_only_function<void()> callback) const { state_->when_room(std::move(callback)); }

  /// Waits for room and sends. On a shard.
  Async<void> send(T item) const {
    const auto state = state_;  // the mailbox may go while we wait
    while (!state->try_send(state, item)) {
      if (state->closed()) co_return fail(ErrorCode::cancelled, "the receiver has gone");
      Completion<> room;
      state->when_room([room] { room.resolve({}); });
      CO_DO(co_await room);
    }
    co_return {};
  }

  /// Sent and not yet handled.
  [[nodiscard]] std::size_t size() const { return state_->size(); }
  [[nodiscard]] std::size_t capacity() const { return state_->capacity_; }

 private:
  struct State {
    State(Shard& receiver, std::size_t capacity, std::move_only_function<void(T)> on_item)
        : receiver_(receiver), capacity_(std::max<std::size_t>(capacity, 1)), on_item_(std::move(on_item)) {}

    bool try_send(const std::shared_ptr<State>& self, T& item) {
      {
        const std::lock_guard lock(mutex_);
        if (closed_ || count_ >= capacity_) return false;
        ++count_;
        queue_.push_back(std::move(item));
        if (scheduled_) return true;
        scheduled_ = true;
      }
      receiver_.post([self] { self->deliver(); });
      return true;
    }

    void when_room(std::move_only_function<void()> callback) {
      Shard* const shard = Shard::current();
      CHECK(shard != nullptr);
      {
        const std::lock_guard lock(mutex_);
        if (!closed_ && count_ > capacity_ / 2) {
          waiting_.emplace_back(shard, std::move(callback));
          return;
        }
      }
      shard->post(std::move(callback));
    }

    void deliver() {
      {
        const std::lock_guard lock(mutex_);
        batch_.swap(queue_);
        scheduled_ = false;
      }
      std::size_t handled = 0;
      for (auto& item : batch_) {
        if (closed()) break;
        on_item_(std::move(item));
        ++handled;
        // Room shows while the batch is handled, not only after it: a long batch must not starve the senders.
        if (handled % kReport == 0) release(kReport);
      }
      batch_.clear();
      release(handled % kReport);
    }

    void release(std::size_t handled) {
      std::vector<std::pair<Shard*, std::move_only_function<void()>>> wake;
      {
        const std::lock_guard lock(mutex_);
        count_ -= std::min(count_, handled);
        if (count_ <= capacity_ / 2) wake.swap(waiting_);
      }
      for (auto& [shard, callback] : wake) shard->post(std::move(callback));
    }

    void close() {
      std::vector<std::pair<Shard*, std::move_only_function<void()>>> wake;
      {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        wake.swap(waiting_);
        queue_.clear();
        count_ = 0;
      }
      for (auto& [shard, callback] : wake) shard->post(std::move(callback));
    }

    bool closed() {
      const std::lock_guard lock(mutex_);
      return closed_;
    }
    std::size_t size() {
      const std::lock_guard lock(mutex_);
      return count_;
    }

    static constexpr std::size_t kReport = 16;
    Shard& receiver_;
    const std::size_t capacity_;
    std::move_only_function<void(T)> on_item_;
    std::vector<T> batch_;  // the receiver's alone

    std::mutex mutex_;  // guards what follows
    std::vector<T> queue_;
    std::vector<std::pair<Shard*, std::move_only_function<void()>>> waiting_;
    std::size_t count_ = 0;
    bool scheduled_ = false;
    bool closed_ = false;
  };

  std::shared_ptr<State> state_;
};

}  // namespace flux::runtime
