#include "auth/throttle.h"

#include <algorithm>
#include <vector>

namespace flux::auth {
namespace {
constexpr Duration kLongestWait = 5_min;
constexpr Duration kForgetAfter = 1_h;
}  // namespace

Duration LoginThrottle::wait(std::string_view key, Duration now) {
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(key);
  if (at == entries_.end() || now >= at->second.blocked_until) return {};
  return at->second.blocked_until - now;
}

Result<> LoginThrottle::admit(std::string_view key, Duration now) {
  const Duration left = wait(key, now);
  if (left.ns == 0) return {};
  const std::int64_t seconds = left.millis() / 1000 + 1;
  return fail(ErrorCode::exhausted, "too many failed attempts: try again in " + std::to_string(seconds) + " s");
}

void LoginThrottle::failed(std::string_view key, Duration now) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= max_keys_ && !entries_.contains(key)) forget_old(now);
  Entry& entry = entries_[std::string(key)];
  if (now - entry.last > kForgetAfter) entry.failures = 0;
  entry.last = now;
  if (++entry.failures < free_failures_) return;
  const int doublings = std::min(entry.failures - free_failures_, 9);
  entry.blocked_until = now + std::min(Duration{1'000'000'000LL << doublings}, kLongestWait);
}

void LoginThrottle::succeeded(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (const auto at = entries_.find(key); at != entries_.end()) entries_.erase(at);
}

std::size_t LoginThrottle::keys() {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

/// A quarter at a time, so that the search through all of them is paid for by many failures.
void LoginThrottle::forget_old(Duration now) {
  const std::size_t kept = max_keys_ - std::max<std::size_t>(max_keys_ / 4, 1);
  std::erase_if(entries_, [&](const auto& entry) { return now - entry.second.last > kForgetAfter; });
  if (entries_.size() <= kept) return;
  // An attack from very many keys. Those that failed longest ago go; whoever is behind them starts over.
  std::vector<Duration> lasts;
  lasts.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) lasts.push_back(entry.last);
  const auto limit = lasts.begin() + static_cast<std::ptrdiff_t>(entries_.size() - kept);
  std::ranges::nth_element(lasts, limit);
  const Duration oldest_kept = *limit;
  std::erase_if(entries_, [&](const auto& entry) { return entry.second.last < oldest_kept; });
  // Many at the very same instant.
  while (entries_.size() > kept) entries_.erase(entries_.begin());
}

}  // namespace flux::auth
