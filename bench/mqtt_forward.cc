// Publishes to a MQTT server and receives what it forwards; prints what that cost the server, as one JSON object.
//
//   flux_mqtt_forward --mqtt 127.0.0.1:1883 --pid 4711 --messages 1000000 --pairs 10 --qos 1 --payload 100 --window 200
//
// Each pair is a publisher and a subscriber of one topic; at most `window` of its messages are on their way, so that no
// server has a reason to drop any. A message counts when its subscriber has it. CPU is the server's own (user and
// system, from /proc). One thread on epoll, so that it takes as little as it can of a small machine. `--idle N`
// instead: N clients connect, each with one subscription, and do nothing; CPU and memory of that.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "wire/mqtt/decode.h"
#include "wire/mqtt/encode.h"

namespace {

using namespace flux;
namespace mqtt = wire::mqtt;

struct Options {
  std::string mqtt;
  int pid = 0;
  std::uint64_t messages = 1'000'000;
  std::size_t pairs = 10;
  unsigned qos = 0;
  std::size_t payload = 100;
  std::size_t window = 200;
  std::size_t idle = 0;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "flux_mqtt_forward: %s\n", why.c_str());
  std::exit(1);
}

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = words[i];
    const std::string value = words[i + 1];
    if (name == "--mqtt") options.mqtt = value;
    else if (name == "--pid") options.pid = std::stoi(value);
    else if (name == "--messages") options.messages = std::stoull(value);
    else if (name == "--pairs") options.pairs = std::stoull(value);
    else if (name == "--qos") options.qos = static_cast<unsigned>(std::stoul(value));
    else if (name == "--payload") options.payload = std::stoull(value);
    else if (name == "--window") options.window = std::stoull(value);
    else if (name == "--idle") options.idle = std::stoull(value);
    else die("unknown option " + std::string(name));
  }
  if (options.mqtt.empty() || options.pid == 0) die("--mqtt and --pid are needed");
  if (options.qos > 1) die("--qos is 0 or 1");
  return options;
}

double cpu_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::size_t end = text.rfind(") ");
  if (end == std::string::npos) die("no such process");
  unsigned long user = 0;
  unsigned long system = 0;
  if (std::sscanf(text.c_str() + end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    die("cannot read the server's CPU time");
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double memory_kib(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
  die("cannot read the server's memory");
}

int connect_to(const std::string& address, std::size_t number) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) die("not an address: " + address);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // One loopback address has some 28,000 ports.
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7F000001U + static_cast<std::uint32_t>(number / 20'000));
  if (number >= 20'000) (void)::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    die("cannot connect: " + std::string(std::strerror(errno)));
  const int yes = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

struct Client {
  int fd = -1;
  bool publisher = false;
  std::size_t pair = 0;
  bool ready = false;
  bool wants_out = false;
  std::string in;
  std::string out;
  std::uint16_t last_id = 0;
};

struct Pair {
  Client* publisher = nullptr;
  std::string topic;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t acknowledged = 0;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), payload_(options.payload, 'x') {}

  void run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (options_.idle > 0) return idle();
    pairs_.resize(options_.pairs);
    for (std::size_t i = 0; i < options_.pairs; ++i) {
      pairs_[i].topic = "bench/" + std::to_string(i) + "/messages";
      add(false, i);
    }
    wait_ready();
    for (std::size_t i = 0; i < options_.pairs; ++i) pairs_[i].publisher = &add(true, i);
    wait_ready();
    const double before = cpu_seconds(options_.pid);
    const Duration began = monotonic_now();
    for (auto& pair : pairs_) fill(pair);
    while (received_ < options_.messages) turn();
    const double seconds = (monotonic_now() - began).seconds();
    const double cpu = cpu_seconds(options_.pid) - before;
    std::printf(
        "{\"messages\": %llu, \"qos\": %u, \"seconds\": %.2f, \"cpu_seconds\": %.2f, \"messages_per_s\": %.0f, "
        "\"messages_per_cpu_s\": %.0f}\n",
        static_cast<unsigned long long>(received_), options_.qos, seconds, cpu,
        static_cast<double>(received_) / seconds, static_cast<double>(received_) / cpu);
  }

 private:
  void idle() {
    pairs_.resize(1);
    const double memory = memory_kib(options_.pid);
    const double before = cpu_seconds(options_.pid);
    const Duration began = monotonic_now();
    for (std::size_t i = 0; i < options_.idle; ++i) {
      pairs_[0].topic = "idle/" + std::to_string(i);
      add(false, 0);
    }
    wait_ready();
    const double cpu = cpu_seconds(options_.pid) - before;
    std::printf(
        "{\"clients\": %zu, \"seconds\": %.2f, \"cpu_seconds\": %.2f, \"connects_per_cpu_s\": %.0f, "
        "\"bytes_per_client\": %.0f}\n",
        options_.idle, (monotonic_now() - began).seconds(), cpu, static_cast<double>(options_.idle) / cpu,
        (memory_kib(options_.pid) - memory) * 1024 / static_cast<double>(options_.idle));
  }

  Client& add(bool publisher, std::size_t pair) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.fd = connect_to(options_.mqtt, clients_.size());
    client.publisher = publisher;
    client.pair = pair;
    const std::string id = "bench-" + std::to_string(clients_.size());
    mqtt::encode(mqtt::Connect{.version = mqtt::Version::v3_1_1, .keep_alive = 600, .client_id = id}, {}, {},
                 client.out);
    if (!publisher)
      mqtt::encode(mqtt::Subscribe{.packet_id = 1,
                                   .filters = {{pairs_[pair].topic, {.qos = static_cast<std::uint8_t>(options_.qos)}}}},
                   mqtt::Version::v3_1_1, {}, client.out);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &client}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
    flush(client);
    if (clients_.size() % 64 == 0) turn(0);
    return client;
  }

  void wait_ready() {
    while (ready_ < clients_.size()) turn();
  }

  void fill(Pair& pair) {
    Client& client = *pair.publisher;
    const std::uint64_t share = options_.messages / options_.pairs + 1;
    const std::uint64_t behind = options_.qos == 0 ? pair.received : std::min(pair.received, pair.acknowledged);
    while (pair.sent < share && pair.sent - behind < options_.window) {
      ++pair.sent;
      mqtt::Publish publish{.qos = static_cast<std::uint8_t>(options_.qos),
                            .topic = pair.topic,
                            .payload = std::as_bytes(std::span(payload_))};
      if (options_.qos > 0)
        publish.packet_id = client.last_id = static_cast<std::uint16_t>(client.last_id % 65'535 + 1);
      mqtt::encode(publish, mqtt::Version::v3_1_1, {}, client.out);
    }
    flush(client);
  }

  void flush(Client& client) {
    std::size_t at = 0;
    while (at < client.out.size()) {
      const ssize_t count = ::send(client.fd, client.out.data() + at, client.out.size() - at, MSG_NOSIGNAL);
      if (count > 0) {
        at += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN) {
        break;
      } else {
        die("the server has closed a connection");
      }
    }
    client.out.erase(0, at);
    const bool wants = !client.out.empty();
    if (wants == client.wants_out) return;
    client.wants_out = wants;
    epoll_event event{.events = EPOLLIN | (wants ? std::uint32_t{EPOLLOUT} : 0U), .data = {.ptr = &client}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event);
  }

  void turn(int wait_ms = 10'000) {
    epoll_event events[256];
    const int count = ::epoll_wait(epoll_, events, 256, wait_ms);
    if (count == 0 && wait_ms > 0) die("nothing has come for 10 s: " + std::to_string(received_) + " messages so far");
    for (int i = 0; i < count; ++i) {
      Client& client = *static_cast<Client*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) != 0) flush(client);
      if ((events[i].events & ~std::uint32_t{EPOLLOUT}) != 0) read(client);
    }
  }

  void read(Client& client) {
    static char buffer[256 * 1024];
    const ssize_t count = ::recv(client.fd, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) die("the server has closed a connection");
    std::string_view data(buffer, static_cast<std::size_t>(count));
    if (!client.in.empty()) {
      client.in.append(data);
      data = client.in;
    }
    std::size_t used = 0;
    mqtt::Properties properties;
    while (used < data.size()) {
      const auto frame = mqtt::read_frame(std::as_bytes(std::span(data)).subspan(used), 1 << 20);
      if (!frame) die(frame.error().message);
      if (!*frame) break;
      used += (*frame)->size;
      take(client, **frame, properties);
    }
    std::string rest(data.substr(used));
    client.in = std::move(rest);
    if (!client.out.empty()) flush(client);
    if (pairs_[client.pair].publisher != nullptr) fill(pairs_[client.pair]);
  }

  void take(Client& client, const mqtt::Frame& frame, mqtt::Properties& properties) {
    switch (frame.type) {
      case mqtt::PacketType::connack: {
        const auto connack = mqtt::decode_connack(frame, mqtt::Version::v3_1_1, properties);
        if (!connack || connack->reason != mqtt::Reason::success) die("a CONNECT was refused");
        if (client.publisher) ++ready_;
        break;
      }
      case mqtt::PacketType::suback: ++ready_; break;
      case mqtt::PacketType::puback: ++pairs_[client.pair].acknowledged; break;
      case mqtt::PacketType::publish: {
        ++pairs_[client.pair].received;
        ++received_;
        if (options_.qos == 0) break;
        const auto publish = mqtt::decode_publish(frame, mqtt::Version::v3_1_1, properties);
        if (!publish) die(publish.error().message);
        if (publish->qos > 0) mqtt::encode_puback(publish->packet_id, client.out);
        break;
      }
      default: break;
    }
  }

  const Options options_;
  const std::string payload_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Pair> pairs_;
  std::size_t ready_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace

int main(int count, char** words) {
  Load(parse(count, words)).run();
  return 0;
}
