#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

struct sockaddr;

namespace flux::net {

/// An IP address (IPv4 is kept as IPv4-mapped IPv6, so both compare as one) and a port.
struct Address {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;

  friend auto operator<=>(const Address&, const Address&) = default;

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;
  /// `127.0.0.1`, `::1`
  [[nodiscard]] std::string ip_text() const;
  /// `127.0.0.1:8080`, `[::1]:8080`
  [[nodiscard]] std::string text() const;

  /// `host` is a numeric IPv4 or IPv6 address, `localhost`, `*` or empty (all interfaces); nothing is resolved.
  static Result<Address> parse(std::string_view host, std::uint16_t port);
  static Address from(const sockaddr& native);
};

}  // namespace flux::net
