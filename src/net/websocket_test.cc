#include "net/websocket.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "net/content_coding.h"
#include "net/http_test_server.h"
#include "net/websocket_session.h"
#include "runtime/spawn.h"

namespace flux::net {
namespace {

using runtime::block_on;

/// Echoes; some texts are commands.
struct EchoSocket final : WebSocketHandler {
  void on_open(WebSocket& socket) override { socket.send(MessageKind::text, "welcome"); }
  void on_message(WebSocket& socket, MessageKind kind, std::string_view payload) override {
    if (payload == "throw") throw std::runtime_error("a fault of the handler");
    if (payload == "close") return socket.close(CloseCode::policy, "as you wish");
    if (payload == "flood") {
      flooding = true;
      return fill(socket);
    }
    socket.send(kind, payload);
  }
  void fill(WebSocket& socket) {
    const auto frame = make_frame(MessageKind::binary, std::string(20'000, 'f'));
    while (!socket.above_high_water()) socket.send(frame);
    most = std::max(most.load(), socket.buffered_bytes());
    ++fills;
  }
  void on_writable(WebSocket& socket) override {
    if (flooding) fill(socket);
  }
  void on_closed(WebSocket&, std::uint16_t code, std::string_view why) override {
    reason = why;
    closed_with = code;
  }
  std::atomic<std::uint16_t> closed_with = 0;
  std::atomic<std::size_t> most = 0;
  std::atomic<int> fills = 0;
  std::string reason;
  bool flooding = false;
};

struct Frame {
  int opcode = -1;
  bool fin = false;
  bool compressed = false;
  std::string payload;
};

class SocketClient {
 public:
  explicit SocketClient(TestClient client, std::string_view headers = "") : client_(std::move(client)) {
    client_.send(handshake("/socket", headers));
    head = client_.receive_until("\r\n\r\n");
  }
  static std::string handshake(std::string_view path, std::string_view headers = "") {
    return get(path,
               "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                   std::string(headers));
  }
  static std::string frame(int first_byte, std::string_view payload, bool masked = true) {
    std::string out(1, static_cast<char>(first_byte));
    const int mask_bit = masked ? 0x80 : 0;
    if (payload.size() < 126) {
      out += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
    } else if (payload.size() <= 0xffff) {
      out += static_cast<char>(mask_bit | 126);
      out += static_cast<char>(payload.size() >> 8);
      out += static_cast<char>(payload.size());
    } else {
      out += static_cast<char>(mask_bit | 127);
      for (int shift = 56; shift >= 0; shift -= 8)
        out += static_cast<char>(static_cast<std::uint64_t>(payload.size()) >> shift);
    }
    if (!masked) return out.append(payload);
    constexpr std::string_view kMask = "\x12\x34\x56\x78";
    out += kMask;
    for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ kMask[i % 4]);
    return out;
  }
  static std::string close_payload(std::uint16_t code, std::string_view why = "") {
    return std::string{static_cast<char>(code >> 8), static_cast<char>(code)}.append(why);
  }
  bool send(int first_byte, std::string_view payload, bool masked = true) {
    return client_.send(frame(first_byte, payload, masked));
  }
  bool send_raw(std::string_view bytes) { return client_.send(bytes); }

  Frame receive() {
    Frame frame;
    const auto start = client_.receive(2);
    if (start.size() < 2) return frame;
    const auto byte = [](char c) { return static_cast<unsigned>(static_cast<unsigned char>(c)); };
    frame.fin = (byte(start[0]) & 0x80) != 0;
    frame.compressed = (byte(start[0]) & 0x40) != 0;
    frame.opcode = static_cast<int>(byte(start[0]) & 15);
    EXPECT_EQ(byte(start[1]) & 0x80, 0U) << "servers do not mask";
    std::uint64_t size = byte(start[1]) & 127;
    if (size >= 126) {
      const auto more = client_.receive(size == 126 ? 2 : 8);
      size = 0;
      for (const char c : more) size = size << 8 | byte(c);
    }
    frame.payload = client_.receive(size);
    return frame;
  }
  /// The code of the close frame that comes next (after any other frames), and then the end of the connection.
  int receive_close() {
    for (;;) {
      const auto frame = receive();
      if (frame.opcode == -1) return -1;
      if (frame.opcode != 8) continue;
      client_.finish_sending();
      EXPECT_EQ(client_.receive_all(), "");
      if (frame.payload.size() < 2) return 0;
      return static_cast<unsigned char>(frame.payload[0]) << 8 | static_cast<unsigned char>(frame.payload[1]);
    }
  }
  TestClient& raw() { return client_; }
  std::string head;

 private:
  TestClient client_;
};

class WebSocketTest : public HttpTest {
 protected:
  void serve(HttpOptions options = {}) {
    router_.group().websocket(
        "/socket", {.name = "socket"},
        [this](HttpRequest& request, WebSocket& socket) -> Result<std::shared_ptr<WebSocketHandler>> {
          if (!same_origin(request)) return fail(ErrorCode::permission_denied, "a foreign origin");
          if (request.has_header("Sec-WebSocket-Protocol")) EXPECT_TRUE(socket.select_protocol("mqtt"));
          EXPECT_FALSE(socket.select_protocol("unheard-of"));
          const std::lock_guard lock(mutex_);
          return handlers_.emplace_back(std::make_shared<EchoSocket>());
        });
    router_.group().get("/quick", {}, [](HttpRequest&, Responder responder) { responder.send_json(200, "{}"); });
    HttpTest::serve(std::move(options));
  }
  SocketClient open(std::string_view headers = "") {
    SocketClient client(connect(), headers);
    EXPECT_TRUE(client.head.starts_with("HTTP/1.1 101 ")) << client.head;
    EXPECT_EQ(client.receive().payload, "welcome");
    return client;
  }
  std::shared_ptr<EchoSocket> last() {
    const std::lock_guard lock(mutex_);
    return handlers_.back();
  }
  std::uint16_t closed_with() {
    const auto handler = last();
    EXPECT_TRUE(eventually([&] { return handler->closed_with != 0; }));
    return handler->closed_with;
  }
  std::mutex mutex_;
  std::vector<std::shared_ptr<EchoSocket>> handlers_;
};

TEST_F(WebSocketTest, UpgradesAndEchoes) {
  serve();
  auto client = open();
  EXPECT_NE(client.head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);  // RFC 6455
  EXPECT_EQ(client.head.find("Extensions"), std::string::npos);
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U, 300'000U}) {
    const std::string payload(size, 'p');
    ASSERT_TRUE(client.send(0x82, payload));
    const auto frame = client.receive();
    EXPECT_EQ(frame.opcode, 2);
    EXPECT_TRUE(frame.payload == payload) << size;
  }
  ASSERT_TRUE(client.send(0x81, "gr\xc3\xbc\xc3\x9f"));
  EXPECT_EQ(client.receive().payload, "grüß");
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.websocket_messages_in; }), 8U);
}

TEST_F(WebSocketTest, UpgradesBehindPipelinedRequestsAndWithEarlyFrames) {
  serve();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/quick") + SocketClient::handshake("/socket") + SocketClient::frame(0x81, "early")));
  EXPECT_EQ(body_of(client.receive_response()), "{}");
  EXPECT_TRUE(client.receive_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(client.receive(9 + 7),
            "\x81\x07welcome\x81\x05"
            "early");
}

TEST_F(WebSocketTest, RefusesWhatIsNoHandshake) {
  serve();
  auto plain = exchange(get("/socket"));
  EXPECT_EQ(status_of(plain), 426);
  EXPECT_NE(plain.find("Sec-WebSocket-Version: 13"), std::string::npos);
  EXPECT_EQ(status_of(exchange(get("/socket",
                                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))),
            426);
  EXPECT_EQ(status_of(exchange(get("/socket",
                                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: short\r\n"))),
            400);
  EXPECT_EQ(status_of(exchange(SocketClient::handshake("/socket", "Origin: http://evil.example\r\n"))), 403);
  EXPECT_EQ(status_of(exchange(post("/socket", ""))), 405);
}

TEST_F(WebSocketTest, NegotiatesTheSubprotocol) {
  serve();
  auto client = open("Sec-WebSocket-Protocol: chat, mqtt\r\n");
  EXPECT_NE(client.head.find("Sec-WebSocket-Protocol: mqtt\r\n"), std::string::npos);
}

TEST_F(WebSocketTest, JoinsFragmentsWithControlFramesBetweenThem) {
  serve();
  auto client = open();
  ASSERT_TRUE(client.send(0x01, "frag") && client.send(0x89, "ping!") && client.send(0x00, "men\xc3") &&
              client.send(0x80, "\xa4ted"));  // a character torn apart
  auto pong = client.receive();
  EXPECT_EQ(pong.opcode, 10);
  EXPECT_EQ(pong.payload, "ping!");
  EXPECT_EQ(client.receive().payload, "fragmenäted");
  // And byte by byte.
  for (const char c : SocketClient::frame(0x81, "slowly")) ASSERT_TRUE(client.send_raw({&c, 1}));
  EXPECT_EQ(client.receive().payload, "slowly");
}

struct Violation {
  std::string frames;
  int code;
};

TEST_F(WebSocketTest, ViolationsAreClosedWithTheirCode) {
  HttpOptions options;
  options.websocket_message_bytes = 10'000;
  serve(std::move(options));
  const auto f = [](int first, std::string_view payload, bool masked = true) {
    return SocketClient::frame(first, payload, masked);
  };
  const auto c = [](std::uint16_t code, std::string_view why = "") { return SocketClient::close_payload(code, why); };
  const std::vector<Violation> cases = {
      {f(0x81, "unmasked", false), 1002},
      {f(0x81, "\xc0\xaf"), 1007},      // overlong
      {f(0x81, "\xed\xa0\x80"), 1007},  // a surrogate
      {f(0x81, "abc\xc3"), 1007},       // cut short
      {f(0x01, "\xff"), 1007},          // seen before the end
      {f(0x91, "reserved bit"), 1002},
      {f(0xc1, "compression was not agreed"), 1002},
      {f(0x83, "unknown opcode"), 1002},
      {f(0x8b, "unknown control"), 1002},
      {f(0x80, "continues nothing"), 1002},
      {f(0x01, "one") + f(0x81, "another within"), 1002},
      {f(0x09, "a fragmented ping"), 1002},
      {f(0x89, std::string(126, 'x')), 1002},
      {f(0x82, std::string(10'001, 'x')), 1009},
      {f(0x02, std::string(9000, 'x')) + f(0x80, std::string(9000, 'x')), 1009},
      {f(0x88, "x"), 1002},  // half a code
      {f(0x88, c(999)), 1002},
      {f(0x88, c(1005)), 1002},
      {f(0x88, c(1000, "\xff")), 1007},
  };
  std::size_t number = 0;
  for (const auto& [frames, code] : cases) {
    auto client = open();
    ASSERT_TRUE(client.send_raw(frames));
    EXPECT_EQ(client.receive_close(), code) << "case " << number;
    EXPECT_EQ(closed_with(), code) << "case " << number;
    ++number;
  }
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.websocket_faults; }), cases.size());
}

TEST_F(WebSocketTest, PartsOfMessagesHaveRoomTogether) {
  HttpOptions options;
  options.bodies_bytes = 1_MiB;
  serve(std::move(options));
  const std::string part(400'000, 'p');
  auto first = open();
  auto second = open();
  for (auto* client : {&first, &second}) ASSERT_TRUE(client->send(0x02, part));
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() > 800'000; }));
  auto third = open();
  ASSERT_TRUE(third.send(0x02, part));
  EXPECT_EQ(third.receive_close(), 1013);
  EXPECT_EQ(closed_with(), 1013);
  EXPECT_NE(last()->reason.find("the server holds"), std::string::npos) << last()->reason;
  EXPECT_EQ(sum([](const NetStats& s) -> const Count& { return s.websocket_no_room; }), 1U);

  // Small ones pass all the while, and what is whole holds nothing.
  auto small = open();
  ASSERT_TRUE(small.send(0x01, "half ") && small.send(0x80, "and half"));
  EXPECT_EQ(small.receive().payload, "half and half");
  ASSERT_TRUE(first.send(0x80, "end"));
  EXPECT_EQ(first.receive().payload, part + "end");
  ASSERT_TRUE(second.send(0x80, ""));
  EXPECT_EQ(second.receive().payload, part);
  EXPECT_TRUE(eventually([&] { return server_->bodies_bytes() == 0; }));
}

TEST_F(WebSocketTest, PartsOfMessagesFromOneAddressHaveItsShare) {
  HttpOptions options;
  options.bodies_bytes_per_peer = 500'000;
  options.tcp.limit_loopback = true;
  serve(std::move(options));
  const std::string part(300'000, 'p');
  {
    auto first = open();
    ASSERT_TRUE(first.send(0x02, part));
    ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() > 300'000; }));
    auto second = open();
    ASSERT_TRUE(second.send(0x02, part));
    EXPECT_EQ(second.receive_close(), 1013);
    EXPECT_EQ(closed_with(), 1013);
    EXPECT_NE(last()->reason.find("from this address"), std::string::npos) << last()->reason;
  }
  EXPECT_TRUE(eventually([&] { return server_->bodies_bytes() == 0; })) << "a closed connection holds nothing";
}

TEST_F(WebSocketTest, FragmentsWithoutBytesAreCountedToo) {
  HttpOptions options;
  options.websocket_message_bytes = 10'000;
  serve(std::move(options));
  auto client = open();
  std::string empty;
  for (int i = 0; i < 100; ++i) empty += SocketClient::frame(0x00, "");
  ASSERT_TRUE(client.send_raw(SocketClient::frame(0x01, "begin") + empty));
  ASSERT_TRUE(eventually([&] { return server_->bodies_bytes() > 100 * 32; }));
  for (int i = 0; i < 10 && client.send_raw(empty); ++i) {
  }
  EXPECT_EQ(client.receive_close(), 1009);
  EXPECT_EQ(closed_with(), 1009);
  EXPECT_NE(last()->reason.find("too many fragments"), std::string::npos) << last()->reason;
}

TEST_F(WebSocketTest, AHandlerThatThrowsCostsOneConnection) {
  serve();
  auto other = open();
  auto client = open();
  ASSERT_TRUE(client.send(0x81, "throw"));
  EXPECT_EQ(client.receive_close(), 1011);
  ASSERT_TRUE(other.send(0x81, "still here"));
  EXPECT_EQ(other.receive().payload, "still here");
}

TEST_F(WebSocketTest, ClosesFromBothSides) {
  serve();
  auto leaving = open();
  ASSERT_TRUE(leaving.send(0x88, SocketClient::close_payload(1000, "bye")));
  EXPECT_EQ(leaving.receive_close(), 1000);
  EXPECT_EQ(closed_with(), 1000);
  EXPECT_EQ(last()->reason, "bye");

  auto silent = open();
  ASSERT_TRUE(silent.send(0x88, ""));
  silent.receive_close();
  EXPECT_EQ(closed_with(), 1005);

  auto told = open();
  ASSERT_TRUE(told.send(0x81, "close"));
  const auto frame = told.receive();
  EXPECT_EQ(frame.opcode, 8);
  EXPECT_EQ(frame.payload, SocketClient::close_payload(1008, "as you wish"));
  ASSERT_TRUE(told.send(0x81, "ignored now") && told.send(0x88, SocketClient::close_payload(1008)));
  EXPECT_EQ(told.raw().receive_all(), "");
  told.raw().close();
  EXPECT_EQ(closed_with(), 1008);

  auto torn = open();
  torn.raw().close();
  EXPECT_EQ(closed_with(), 1006);
}

TEST_F(WebSocketTest, SilenceIsPingedAndThenEnded) {
  HttpOptions options;
  options.websocket_ping_time = 40_ms;
  options.websocket_close_time = 40_ms;
  serve(std::move(options));
  auto silent = open();
  EXPECT_EQ(silent.receive().opcode, 9);
  EXPECT_EQ(silent.receive().opcode, -1);  // no pong came
  EXPECT_EQ(closed_with(), 1006);

  auto answering = open();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(answering.receive().opcode, 9);
    ASSERT_TRUE(answering.send(0x8a, ""));
  }
  EXPECT_EQ(last()->closed_with, 0);
  // Told to close, it does not answer: the wait ends.
  ASSERT_TRUE(answering.send(0x81, "close"));
  int opcode = 9;
  while (opcode == 9) opcode = answering.receive().opcode;
  EXPECT_EQ(opcode, 8);
  EXPECT_EQ(answering.raw().receive_all(), "");
}

TEST_F(WebSocketTest, CompressesWhereAgreed) {
  serve();
  auto client = open("Sec-WebSocket-Extensions: x-unknown, permessage-deflate; client_max_window_bits\r\n");
  EXPECT_NE(client.head.find("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"),
            std::string::npos);
  const std::string text(5000, 't');
  ASSERT_TRUE(client.send(0xc1, deflate_message(text)));
  auto frame = client.receive();
  EXPECT_TRUE(frame.compressed);
  EXPECT_LT(frame.payload.size(), 100U);
  std::string inflated;
  ASSERT_TRUE(inflate_message(frame.payload, 10'000, inflated));
  EXPECT_EQ(inflated, text);
  // Small ones go as they are, and uncompressed ones are taken too.
  ASSERT_TRUE(client.send(0x81, "small"));
  frame = client.receive();
  EXPECT_FALSE(frame.compressed);
  EXPECT_EQ(frame.payload, "small");
  // In fragments: the bit is on the first.
  const auto packed = deflate_message(text);
  ASSERT_TRUE(client.send(0x41, packed.substr(0, 3)) && client.send(0x80, packed.substr(3)));
  ASSERT_TRUE(inflate_message(client.receive().payload, 10'000, inflated));
  EXPECT_EQ(inflated, text);
  ASSERT_TRUE(client.send(0xc1, deflate_message("bad \xff utf-8")));
  EXPECT_EQ(client.receive_close(), 1007);

  const std::vector<Violation> cases = {
      {SocketClient::frame(0xc1, "\xff\xff\xff\xff"), 1007},
      {SocketClient::frame(0xc9, "compressed ping"), 1002},
      {SocketClient::frame(0xc1, deflate_message(std::string(3'000'000, 'x'))), 1009}};
  for (const auto& [frames, code] : cases) {
    auto broken = open("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    ASSERT_TRUE(broken.send_raw(frames));
    EXPECT_EQ(broken.receive_close(), code);
  }
  auto small_window = open("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n");
  EXPECT_EQ(small_window.head.find("Extensions"), std::string::npos);
}

TEST_F(WebSocketTest, OneFrameServesPlainAndCompressingReceivers) {
  const auto frame = make_frame(MessageKind::text, std::string(1000, 'z'), Deflate::yes);
  EXPECT_EQ(frame->plain().size(), 1004U);
  EXPECT_LT(frame->deflated().size(), 30U);
  EXPECT_TRUE(make_frame(MessageKind::text, "tiny", Deflate::yes)->deflated().empty());
  EXPECT_EQ(make_frame(MessageKind::binary, "ab")->plain(), std::string("\x82\x02"
                                                                        "ab"));
}

TEST_F(WebSocketTest, ASlowReaderIsSeenAndHeardOfWhenItReadsAgain) {
  HttpOptions options;
  options.tcp.high_water = 128_KiB;
  options.tcp.low_water = 32_KiB;
  serve(std::move(options));
  SocketClient client(TestClient(server_->address(), 4096));
  EXPECT_EQ(client.receive().payload, "welcome");
  ASSERT_TRUE(client.send(0x81, "flood"));
  ASSERT_TRUE(eventually([&] { return last()->fills >= 1; }));
  EXPECT_LE(last()->most, 128_KiB + 21'000);
  while (last()->fills < 5) ASSERT_EQ(client.receive().payload.size(), 20'000U);
  EXPECT_LE(last()->most, 128_KiB + 21'000);
}

TEST_F(WebSocketTest, DrainSaysGoingAway) {
  serve();
  auto client = open();
  std::thread drainer([&] { EXPECT_TRUE(block_on(shards_[0], server_->drain(20_s))); });
  const auto frame = client.receive();
  EXPECT_EQ(frame.opcode, 8);
  EXPECT_EQ(frame.payload, SocketClient::close_payload(1001, "the server is stopping"));
  ASSERT_TRUE(client.send(0x88, SocketClient::close_payload(1001)));
  EXPECT_EQ(client.raw().receive_all(), "");
  client.raw().close();
  drainer.join();
  EXPECT_EQ(closed_with(), 1001);
}

}  // namespace
}  // namespace flux::net
