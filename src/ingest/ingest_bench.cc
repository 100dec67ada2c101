#include <benchmark/benchmark.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <condition_variable>
#include <thread>

#include "ingest/testing.h"

/// From the socket to the log's door and back: all of ingest and its share of net and runtime, with a log that takes
/// everything at once. `per_cpu_second` counts the server's CPU only, the generator's threads are left out.
namespace flux::ingest {
namespace {

/// Answers on a thread of its own, as a log does, and keeps nothing.
class NullBus final : public bus::Bus, private bus::Producer {
 public:
  NullBus() : thread_([this] { run(); }) {}
  ~NullBus() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  std::size_t partition_count() const override { return 2; }
  bus::Producer& producer() override { return *this; }
  Result<std::unique_ptr<bus::Reader>> reader(bus::Topic, PartitionId, Offset) override {
    return fail(ErrorCode::not_found, "none");
  }
  Result<bus::PartitionInfo> info(bus::Topic, PartitionId) const override { return bus::PartitionInfo{}; }
  void commit(std::string_view, bus::Topic, PartitionId, Offset) override {}
  std::optional<Offset> committed(std::string_view, bus::Topic, PartitionId) const override { return std::nullopt; }
  void forget(std::string_view) override {}
  Result<std::optional<bus::Origin>> last_origin(bus::Topic, PartitionId) override {
    return std::optional<bus::Origin>();
  }

 private:
  void publish(bus::Topic, PartitionId, bus::Record record, bus::Published done) override {
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(std::move(record), std::move(done));
    changed_.notify_one();
  }
  std::size_t queued_bytes() const override { return 0; }
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto taken = std::exchange(queue_, {});
      lock.unlock();
      for (auto& [record, done] : taken) done(Offset{0});
      taken.clear();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<bus::Record, bus::Published>> queue_;
  bool ended_ = false;
  std::thread thread_;
};

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Server {
  Server() : shards(2) {
    shards.start();
    Config config;
    config.mqtt.host = "127.0.0.1";
    config.mqtt.port = 0;
    service = std::make_unique<IngestService>(
        config, IngestService::Needs{shards, bus, directory, databases, authenticator, log, metrics});
    service->mount(router.group("/api/v1"), router.group());
    http = std::make_unique<net::HttpServer>(shards, router, net::HttpOptions{});
    CHECK(http->listen("127.0.0.1", 0).has_value());
    CHECK(runtime::block_on(shards[0], service->start()).has_value());
  }
  ~Server() {
    http->stop();
    (void)runtime::block_on(shards[0], service->stop());
    shards.stop();
    shards.join();
  }
  NullBus bus;
  registry::Directory directory;
  registry::Databases databases;
  auth::OpenDeviceAuthenticator authenticator;
  registry::ConnectionLog log;
  metrics::Registry metrics;
  runtime::Shards shards;
  net::Router router;
  std::unique_ptr<IngestService> service;
  std::unique_ptr<net::HttpServer> http;
};

void report(benchmark::State& state, double readings, double cpu) {
  state.counters["per_cpu_second"] = readings / cpu;
  state.counters["per_second"] = benchmark::Counter(readings, benchmark::Counter::kIsRate);
}

/// `rounds` windows on each connection; the next window goes out when the one before was answered.
void drive(std::vector<net::TestClient>& clients, const std::vector<std::string>& requests, std::size_t answer_bytes,
           int rounds) {
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i].send(requests[i]));
  for (int round = 1; round <= rounds; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      CHECK(clients[i].receive(answer_bytes).size() == answer_bytes);
      if (round < rounds) CHECK(clients[i].send(requests[i]));
    }
  }
}

void mqtt_single_messages(benchmark::State& state) {
  Server server;
  constexpr int kConnections = 50;
  constexpr int kWindow = 100;
  std::vector<net::TestClient> clients;
  std::vector<std::string> windows;
  for (int c = 0; c < kConnections; ++c) {
    clients.emplace_back(*server.service->mqtt_address());
    std::string bytes;
    const std::string id = "device-" + std::to_string(c);
    wire::mqtt::encode(wire::mqtt::Connect{.version = wire::mqtt::Version::v3_1_1, .keep_alive = 60, .client_id = id},
                       {}, {}, bytes);
    CHECK(clients.back().send(bytes) && clients.back().receive(4).size() == 4);
    bytes.clear();
    const std::string payload = R"({"temperature":21.5})";
    const std::string topic = "v1/devices/" + id + "/telemetry";
    for (std::uint16_t m = 1; m <= kWindow; ++m)
      wire::mqtt::encode(
          wire::mqtt::Publish{.qos = 1, .topic = topic, .packet_id = m, .payload = std::as_bytes(std::span(payload))},
          wire::mqtt::Version::v3_1_1, {}, bytes);
    windows.push_back(std::move(bytes));
  }
  drive(clients, windows, kWindow * 4, 5);
  double readings = 0;
  double cpu = 0;
  for (auto _ : state) {
    const double before = cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD);
    drive(clients, windows, kWindow * 4, 50);
    cpu += cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD) - before;
    readings += kConnections * kWindow * 50;
  }
  report(state, readings, cpu);
}
BENCHMARK(mqtt_single_messages)->UseRealTime()->Unit(benchmark::kMillisecond);

void http_batches_of_100(benchmark::State& state) {
  Server server;
  constexpr int kConnections = 16;
  std::vector<net::TestClient> clients;
  std::vector<std::string> requests;
  for (int c = 0; c < kConnections; ++c) {
    std::string body = R"({"device":"device-)" + std::to_string(c) + R"(","readings":[)";
    for (int i = 0; i < 100; ++i)
      body += std::string(i ? "," : "") + R"({"time":)" + std::to_string(1767225600000 + i) +
              R"(,"metrics":{"temperature":21.5}})";
    body += "]}";
    clients.emplace_back(server.http->address());
    requests.push_back(
        "POST /api/v1/telemetry HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abcdefghijklmnopqrstuvwxyz\r\n"
        "Content-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  CHECK(clients[0].send(requests[0]));
  const std::size_t answer = clients[0].receive_response().size();
  drive(clients, requests, answer, 5);
  double readings = 0;
  double cpu = 0;
  for (auto _ : state) {
    const double before = cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD);
    drive(clients, requests, answer, 200);
    cpu += cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD) - before;
    readings += kConnections * 100 * 200;
  }
  report(state, readings, cpu);
}
BENCHMARK(http_batches_of_100)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flux::ingest
