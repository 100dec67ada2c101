#include "app/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/address.h"

namespace flux::app {
namespace {

/// Binding without listening: nobody is answered here, and the port is free again at once.
bool taken(const net::Address& address) {
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  constexpr int kOn = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
  int bound = 0;
  if (family == AF_INET) {
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = htons(address.port);
    std::copy_n(address.ip.data() + 12, 4, reinterpret_cast<std::uint8_t*>(&native.sin_addr));
    bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&native), sizeof native);
  } else {
    constexpr int kOff = 0;
    (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &kOff, sizeof kOff);
    sockaddr_in6 native{};
    native.sin6_family = AF_INET6;
    native.sin6_port = htons(address.port);
    std::ranges::copy(address.ip, reinterpret_cast<std::uint8_t*>(&native.sin6_addr));
    bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&native), sizeof native);
  }
  const bool in_use = bound != 0 && errno == EADDRINUSE;
  ::close(fd);
  return in_use;
}

}  // namespace

Result<> check_ports(const std::vector<WantedPort>& wanted) {
  std::string ports;
  std::string flags;
  for (const WantedPort& one : wanted) {
    const auto address = net::Address::parse(one.host, one.port);
    if (one.port == 0 || !address || !taken(*address)) continue;
    ports.append(ports.empty() ? "" : " and ").append(address->text()).append(" (").append(one.what).append(")");
    flags.append(flags.empty() ? "" : " and ").append(one.flag);
  }
  if (ports.empty()) return {};
  return fail(ErrorCode::unavailable, "cannot listen on " + ports +
                                          ": another program does; stop it, or choose other ports with " + flags +
                                          " (0 picks a free one)");
}

}  // namespace flux::app
