#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace flux::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool Address::is_v4() const { return std::memcmp(ip.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0; }

bool Address::is_loopback() const {
  if (is_v4()) return ip[12] == 127;
  for (std::size_t i = 0; i < 15; ++i) {
    if (ip[i] != 0) return false;
  }
  return ip[15] == 1;
}

std::string Address::ip_text() const {
  char text[INET6_ADDRSTRLEN];
  if (is_v4()) {
    inet_ntop(AF_INET, ip.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, ip.data(), text, sizeof text);
  }
  return text;
}

std::string Address::text() const {
  const auto host = ip_text();
  return (is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<Address> Address::parse(std::string_view host, std::uint16_t port) {
  Address address;
  address.port = port;
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "*") return address;  // `::` takes IPv4 too
  const std::string text(host);
  if (inet_pton(AF_INET, text.c_str(), address.ip.data() + 12) == 1) {
    std::memcpy(address.ip.data(), kMappedPrefix.data(), kMappedPrefix.size());
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.ip.data()) == 1) return address;
  return fail(ErrorCode::invalid_argument, "'" + text + "' is no numeric IP address, 'localhost' or '*'");
}

Address Address::from(const sockaddr& native) {
  Address address;
  if (native.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &native, sizeof v4);
    std::memcpy(address.ip.data(), kMappedPrefix.data(), kMappedPrefix.size());
    std::memcpy(address.ip.data() + 12, &v4.sin_addr, 4);
    address.port = ntohs(v4.sin_port);
  } else if (native.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &native, sizeof v6);
    std::memcpy(address.ip.data(), &v6.sin6_addr, 16);
    address.port = ntohs(v6.sin6_port);
  }
  return address;
}

}  // namespace flux::net
