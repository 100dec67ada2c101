// Whole connections with any input: the server survives, never answers that a handler failed, and reads the same
// requests however the bytes are cut into pieces.
#include <cstdint>
#include <string_view>

#include "net/fuzz_server.h"

using namespace flux::net;

namespace {

/// Statuses and bodies, without what changes from second to second.
std::string without_dates(std::string answer) {
  for (std::size_t at = 0; (at = answer.find("\r\nDate: ", at)) != std::string::npos;) answer.erase(at, 37);
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& server = *new FuzzServer;  // never ends: its thread must not outlive what exit() takes down
  if (size < 2 || size > 40'000) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = server.converse("", input, input.size());
  if (!whole.empty() && !whole.starts_with("HTTP/1.1 ")) __builtin_trap();
  if (whole.find("HTTP/1.1 500 ") != std::string::npos && input.find("HTTP/1.1 500 ") == std::string_view::npos) {
    __builtin_trap();
  }
  const auto pieces = server.converse("", input, std::size_t{data[0]} % 64 + 1);
  // WebSocket echoes and refusals in the middle of a send may be cut off by the end of the connection.
  if (input.find("Upgrade") != std::string_view::npos || input.find("upgrade") != std::string_view::npos) return 0;
  if (whole.find("Connection: close") != std::string::npos) return 0;
  if (without_dates(whole) != without_dates(pieces)) __builtin_trap();
  return 0;
}
