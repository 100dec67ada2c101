#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "net/address.h"

namespace flux::net {

/// A blocking socket for tests: speaks bytes, knows no protocol. Gives up after 20 s so that a broken test ends.
class TestClient {
 public:
  explicit TestClient(const Address& server, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), pending_(std::move(other.pending_)) {}
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  ~TestClient() { close(); }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return fd_; }

  /// False when the server has closed or reset the connection.
  bool send(std::string_view data) {
    while (!data.empty()) {
      const ssize_t count = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      data.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// Sends what the socket takes without waiting; returns how much.
  std::size_t send_some(std::string_view data) {
    const ssize_t count = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  /// Exactly `count` bytes, or fewer when the connection ends before.
  std::string receive(std::size_t count) {
    while (pending_.size() < count && fill()) {
    }
    return take(std::min(count, pending_.size()));
  }

  /// Up to and with `mark`; all there is when the connection ends before it.
  std::string receive_until(std::string_view mark) {
    for (;;) {
      const auto at = pending_.find(mark);
      if (at != std::string::npos) return take(at + mark.size());
      if (!fill()) return take(pending_.size());
    }
  }

  /// Everything until the server closes. `*reset` says whether it did so by a reset.
  std::string receive_all(bool* reset = nullptr) {
    while (fill()) {
    }
    if (reset != nullptr) *reset = last_error_ == ECONNRESET;
    EXPECT_NE(last_error_, EAGAIN) << "the server did not close";
    return take(pending_.size());
  }

  /// One HTTP answer with a Content-Length (or without a body when `head_only`).
  std::string receive_response(bool head_only = false) {
    std::string head = receive_until("\r\n\r\n");
    if (head_only) return head;
    const auto at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    return head + receive(std::stoul(head.substr(at + 16)));
  }

  void finish_sending() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  bool fill() {
    char buffer[65536];
    const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
    last_error_ = count < 0 ? errno : 0;
    if (count <= 0) return false;
    pending_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }
  std::string take(std::size_t count) {
    std::string taken = pending_.substr(0, count);
    pending_.erase(0, count);
    return taken;
  }

  int fd_ = -1;
  bool connected_ = false;
  int last_error_ = 0;
  std::string pending_;
};

/// Waits for a condition that another thread brings about; false after 20 s.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    ::usleep(1000);
  }
  return false;
}

}  // namespace flux::net
