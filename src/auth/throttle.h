#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace flux::auth {

/// Slows down guessing: after five failures for a key (a user name, an address) each further one doubles the wait, up
/// to five minutes. A success forgets the key, as does an hour without failures. Any thread; memory is bounded.
class LoginThrottle {
 public:
  /// `exhausted` with the seconds to wait.
  Result<> admit(std::string_view key, Duration now);
  void failed(std::string_view key, Duration now);
  void succeeded(std::string_view key);

 private:
  struct Entry {
    int failures = 0;
    Duration last;
    Duration blocked_until;
  };
  void forget_old(Duration now);

  static constexpr std::size_t kMaxKeys = 100'000;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace flux::auth
