#include "net/fuzz_server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

namespace flux::net {
namespace {

/// Alarms as libFuzzer sets them, only many more: a system call that they meet ends early.
class Alarms {
 public:
  Alarms() {
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};
    CHECK(::sigaction(SIGALRM, &nothing, &before_) == 0);
    const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 200}, .it_value = {.tv_sec = 0, .tv_usec = 200}};
    CHECK(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;
  ~Alarms() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_{};
};

TEST(FuzzServerTest, AnAlarmIsNotTheEndOfAnAnswer) {
  FuzzServer server;
  const std::string handshake =
      "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  // A continuation of nothing, byte by byte.
  const std::string input("\x00\xa4\xa4\xa4\xa4\xa4\x0a\x2c\xff\x04\xa4\xa4\xa4\xa4\xa4\x0a\x0f", 17);
  const Alarms alarms;
  for (int i = 0; i < 500; ++i) {
    const std::string answer = server.converse(handshake, input, 1);
    ASSERT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << i << ": " << answer;
    ASSERT_TRUE(answer.ends_with("\x88\x02\x03\xea")) << i << ": no close frame that says protocol error";
  }
}

}  // namespace
}  // namespace flux::net
