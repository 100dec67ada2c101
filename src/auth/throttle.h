#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace flux::auth {

/// Slows down guessing: after a few failures for a key (a user name, an address) each further one doubles the wait, up
/// to five minutes. A success forgets the key, as does an hour without failures. Any thread; memory is bounded.
class LoginThrottle {
 public:
  explicit LoginThrottle(int free_failures = 5, std::size_t max_keys = 100'000)
      : free_failures_(free_failures), max_keys_(max_keys) {}

  /// How long to wait still; 0 when an attempt may be made.
  [[nodiscard]] Duration wait(std::string_view key, Duration now);
  /// `exhausted` with the seconds to wait.
  Result<> admit(std::string_view key, Duration now);
  void failed(std::string_view key, Duration now);
  void succeeded(std::string_view key);
  [[nodiscard]] std::size_t keys();

 private:
  struct Entry {
    int failures = 0;
    Duration last;
    Duration blocked_until;
  };
  void forget_old(Duration now);

  const int free_failures_;
  const std::size_t max_keys_;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace flux::auth
