// What a message and a request cost the server: CPU time of its shard, whatever the client and the machine do
// meanwhile. `server_ns` is that time for each message, `per_core` how many of them one core could take.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"
#include "net/router.h"
#include "net/tcp.h"
#include "net/websocket.h"
#include "runtime/shard.h"

namespace flux::net {
namespace {

double shard_cpu(runtime::Shard& shard) {
  double seconds = 0;
  runtime::run_on(shard, [&] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    seconds = static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  });
  return seconds;
}

class Client {
 public:
  explicit Client(const Address& server) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }
  void send(std::string_view data) const {
    while (!data.empty()) {
      const ssize_t count = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      CHECK(count > 0);
      data.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  void receive(std::size_t count) const {
    static char buffer[1 << 18];
    while (count > 0) {
      const ssize_t part = ::recv(fd_, buffer, std::min(count, sizeof buffer), 0);
      CHECK(part > 0);
      count -= static_cast<std::size_t>(part);
    }
  }

 private:
  int fd_;
};

/// Sends `request` `batch` times on each of `connections` and reads the answers, again and again.
void converse(benchmark::State& state, runtime::Shard& shard, const Address& address, std::string_view request,
              std::size_t answer_bytes) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  std::vector<Client> clients;
  for (int i = 0; i < state.range(1); ++i) clients.emplace_back(address);
  std::string requests;
  for (std::size_t i = 0; i < batch; ++i) requests += request;
  const double before = shard_cpu(shard);
  for ([[maybe_unused]] auto _ : state) {
    for (const auto& client : clients) client.send(requests);
    for (const auto& client : clients) client.receive(batch * answer_bytes);
  }
  const double count = static_cast<double>(state.iterations()) * static_cast<double>(batch * clients.size());
  const double used = shard_cpu(shard) - before;
  state.counters["server_ns"] = used / count * 1e9;
  state.counters["per_core"] = count / used;
  state.SetItemsProcessed(static_cast<std::int64_t>(count));
}

/// Frames of two bytes length and a payload, answered with four bytes: the shape of an MQTT publish and its PUBACK.
struct Acknowledge final : TcpHandler {
  std::size_t on_data(TcpConnection& connection, std::span<const std::byte> data) override {
    std::size_t used = 0;
    while (data.size() - used >= 2) {
      const auto size =
          2 + (std::to_integer<std::size_t>(data[used]) << 8 | std::to_integer<std::size_t>(data[used + 1]));
      if (data.size() - used < size) break;
      used += size;
      connection.write(std::string_view("ack\n"));
    }
    return used;
  }
  void on_closed(TcpConnection&, CloseReason) override {}
};

void small_messages(benchmark::State& state) {
  runtime::Shards shards(1);
  shards.start();
  TcpServer server(shards, {}, [](TcpConnection&) { return std::make_shared<Acknowledge>(); });
  CHECK(server.listen("127.0.0.1", 0));
  const std::string message = std::string("\0\x46", 2) + std::string(70, 'm');
  converse(state, shards[0], server.address(), message, 4);
}
BENCHMARK(small_messages)
    ->ArgNames({"batch", "connections"})
    ->Args({1, 1})
    ->Args({1, 50})
    ->Args({100, 1})
    ->Args({100, 50});

struct Web {
  Web() {
    router.group("/api/v1").post("/telemetry", {.overlap = true}, [](HttpRequest& request, Responder responder) {
      benchmark::DoNotOptimize(request.body().data());
      responder.send_json(200, R"({"accepted":1})");
    });
    router.group("/api/v1").get("/devices/{device}/latest", {}, [](HttpRequest& request) { return latest(request); });
    shards.start();
    CHECK(server.listen("127.0.0.1", 0));
  }
  static Async<HttpResponse> latest(HttpRequest& request) {
    benchmark::DoNotOptimize(request.param("device").data());
    co_return HttpResponse::json(200, R"({"accepted":1})");
  }
  /// The length of the answer to `request`, which is the same each time.
  std::size_t answer_bytes(std::string_view request) {
    const std::string once = std::string(request);
    Client client(server.address());
    client.send(once);
    const auto* stats = server.stats()[0];
    while (stats->bytes_out.get() == 0) ::usleep(1000);
    return stats->bytes_out.get();
  }
  runtime::Shards shards{1};
  Router router;
  HttpServer server{shards, router, {}};
};

const std::string kHeaders =
    "Host: localhost:8080\r\nUser-Agent: device/1.0\r\nAccept: */*\r\nAuthorization: Bearer "
    "0123456789abcdef0123456789abcdef\r\n"
    "Content-Type: application/json\r\n";

void http_hot_route(benchmark::State& state) {
  Web web;
  const std::string body = R"({"device":"pump-1","time":"2026-01-01T00:00:00Z","metrics":{"temperature":21.5}})";
  const std::string request = "POST /api/v1/telemetry HTTP/1.1\r\n" + kHeaders +
                              "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  converse(state, web.shards[0], web.server.address(), request, web.answer_bytes(request));
}
BENCHMARK(http_hot_route)
    ->ArgNames({"batch", "connections"})
    ->Args({1, 1})
    ->Args({1, 50})
    ->Args({50, 1})
    ->Args({50, 10});

void http_coroutine_route(benchmark::State& state) {
  Web web;
  const std::string request = "GET /api/v1/devices/pump-1/latest HTTP/1.1\r\n" + kHeaders + "\r\n";
  converse(state, web.shards[0], web.server.address(), request, web.answer_bytes(request));
}
BENCHMARK(http_coroutine_route)->ArgNames({"batch", "connections"})->Args({1, 50})->Args({50, 10});

void post_between_threads(benchmark::State& state) {
  runtime::Shards shards(1);
  shards.start();
  std::size_t ran = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (int i = 0; i < 1000; ++i) shards[0].post([&ran] { ++ran; });
  }
  runtime::run_on(shards[0], [&] { benchmark::DoNotOptimize(ran); });
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(post_between_threads);

void frame_deflated(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += R"({"device":"pump-)" + std::to_string(i) + R"(","metrics":{"temperature":[[1767225600000,21.5]]}},)";
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(make_frame(MessageKind::text, text, Deflate::yes));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(frame_deflated);

}  // namespace
}  // namespace flux::net
