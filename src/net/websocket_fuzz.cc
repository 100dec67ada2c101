// The WebSocket reader with any frames, masked or not, compressed or not: the server survives, and what reaches the
// handler as text is UTF-8.
#include <cstdint>
#include <string>
#include <string_view>

#include "net/content_coding.h"
#include "net/fuzz_server.h"

using namespace flux::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& server = *new FuzzServer;  // never ends: its thread must not outlive what exit() takes down
  if (size < 2 || size > 40'000) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string handshake =
      "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (data[0] & 1) handshake += "Sec-WebSocket-Extensions: permessage-deflate\r\n";
  const auto answer =
      server.converse(handshake + "\r\n", input, (data[0] >> 1) % 32 == 0 ? input.size() : (data[0] >> 1) % 32);
  if (!answer.starts_with("HTTP/1.1 101 ")) __builtin_trap();

  std::string out;
  (void)inflate_message(input, 8192, out);
  if (out.size() > 8192) __builtin_trap();
  return 0;
}
