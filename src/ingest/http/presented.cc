#include "ingest/http/presented.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace flux::ingest::http {
namespace {

/// As the standard alphabet, with or without padding; nothing when it is neither.
std::optional<std::string> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    else if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    else if (c >= '0' && c <= '9') value = c - '0' + 52;
    else if (c == '+' || c == '-') value = 62;
    else if (c == '/' || c == '_') value = 63;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return out;
}

}  // namespace

PresentedCredential::PresentedCredential(const net::HttpRequest& request) {
  const auto [scheme, credential] = request.authorization();
  if (net::equals_ignoring_case(scheme, "Bearer") || net::equals_ignoring_case(scheme, "Token")) {
    presented_.password = credential;
  } else if (net::equals_ignoring_case(scheme, "Basic")) {
    if (auto decoded = from_base64(credential)) {
      basic_ = *std::move(decoded);
      const std::size_t colon = std::min(basic_.find(':'), basic_.size());
      presented_.user_name = std::string_view(basic_).substr(0, colon);
      if (colon < basic_.size()) presented_.password = std::string_view(basic_).substr(colon + 1);
    }
  }
}

}  // namespace flux::ingest::http
