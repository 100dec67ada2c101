#include "auth/throttle.h"

#include <algorithm>

namespace flux::auth {
namespace {
constexpr int kFreeFailures = 5;
constexpr Duration kLongestWait = 5_min;
constexpr Duration kForgetAfter = 1_h;
}  // namespace

Result<> LoginThrottle::admit(std::string_view key, Duration now) {
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(key);
  if (at == entries_.end() || now >= at->second.blocked_until) return {};
  const std::int64_t seconds = (at->second.blocked_until - now).millis() / 1000 + 1;
  return fail(ErrorCode::exhausted, "too many failed attempts: try again in " + std::to_string(seconds) + " s");
}

void LoginThrottle::failed(std::string_view key, Duration now) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxKeys) forget_old(now);
  Entry& entry = entries_[std::string(key)];
  if (now - entry.last > kForgetAfter) entry.failures = 0;
  entry.last = now;
  if (++entry.failures < kFreeFailures) return;
  const int doublings = std::min(entry.failures - kFreeFailures, 9);
  entry.blocked_until = now + std::min(Duration{1'000'000'000LL << doublings}, kLongestWait);
}

void LoginThrottle::succeeded(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (const auto at = entries_.find(key); at != entries_.end()) entries_.erase(at);
}

void LoginThrottle::forget_old(Duration now) {
  std::erase_if(entries_, [&](const auto& entry) { return now >= entry.second.blocked_until; });
  // All of them blocked: an attack from very many keys. The oldest go; whoever is behind them starts over.
  while (entries_.size() >= kMaxKeys) entries_.erase(entries_.begin());
}

}  // namespace flux::auth
