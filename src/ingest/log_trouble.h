#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "core/result.h"
#include "core/time.h"

namespace flux::ingest {

/// That the log cannot write (a full disk, a broken one), as the outboxes of all shards found. One for the process,
/// any thread. What merely comes too fast (`exhausted`) is no trouble of the log.
class LogTrouble {
 public:
  struct Report {
    Error error;       ///< the newest refusal
    Time since;        ///< of the first one
    Duration last_at;  ///< of the newest one, monotonic
  };
  /// For so long after a refusal the next one is expected, and a success in between proves nothing: a full disk has
  /// room for small batches after it had none for large ones.
  static constexpr Duration kMemory = 3_s;

  void note(const Error& error, Duration now) {
    if (error.code != ErrorCode::unavailable && error.code != ErrorCode::io) return;
    const std::scoped_lock lock(mutex_);
    if (!report_) report_.emplace(Report{error, wall_now(), now});
    report_->error = error;
    report_->last_at = now;
    open_.store(true, std::memory_order_release);
  }

  /// A batch became durable.
  void succeeded(Duration now) {
    if (!open_.load(std::memory_order_acquire)) return;
    const std::scoped_lock lock(mutex_);
    if (report_ && now - report_->last_at >= kMemory) forget();
  }

  /// Somebody knows that it is over.
  void clear() {
    const std::scoped_lock lock(mutex_);
    forget();
  }

  [[nodiscard]] std::optional<Report> report() const {
    if (!open_.load(std::memory_order_acquire)) return std::nullopt;
    const std::scoped_lock lock(mutex_);
    return report_;
  }

  /// Why readings are refused now: of the last seconds only.
  [[nodiscard]] std::optional<Error> recent(Duration now) const {
    auto found = report();
    if (!found || now - found->last_at >= kMemory) return std::nullopt;
    found->error.code = ErrorCode::unavailable;
    return std::move(found->error);
  }

 private:
  void forget() {
    report_.reset();
    open_.store(false, std::memory_order_release);
  }

  std::atomic<bool> open_ = false;
  mutable std::mutex mutex_;
  std::optional<Report> report_;  // guarded by mutex_
};

}  // namespace flux::ingest
