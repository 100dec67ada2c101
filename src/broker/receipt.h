#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "core/result.h"
#include "runtime/shard.h"

namespace flux::broker {

/// Held by everything that a message still waits for, on any shard and in the log. When the last of them lets go,
/// `done` is called on the publisher's shard: the message is with all who want it, and durable where that was owed; or
/// the result says why not.
class Receipt {
 public:
  Receipt(runtime::Shard& shard, std::move_only_function<void(const Result<>&)> done)
      : shard_(shard), done_(std::move(done)) {}
  Receipt(const Receipt&) = delete;
  Receipt& operator=(const Receipt&) = delete;
  ~Receipt() {
    Result<> result;
    if (error_) result = std::unexpected(*std::move(error_));
    shard_.post([done = std::move(done_), result = std::move(result)]() mutable { done(result); });
  }

  /// The first failure counts. Any thread.
  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }

 private:
  runtime::Shard& shard_;
  std::move_only_function<void(const Result<>&)> done_;
  std::mutex mutex_;
  std::optional<Error> error_;
};
using ReceiptPtr = std::shared_ptr<Receipt>;

}  // namespace flux::broker
