// Sends readings as fast as a server takes them and prints what that cost the server, as one JSON object.
//
//   flux_load --mode http --http 127.0.0.1:8080 --pid 4711 --readings 3000000 --connections 8 --batch 100
//   flux_load --mode mqtt --mqtt 127.0.0.1:1883 --http 127.0.0.1:8080 --pid 4711 --readings 1000000
//             --connections 50 --in-flight 100
//   flux_load --mode line --file tsbs-cpu-only.lp --http 127.0.0.1:8080 --pid 4711 --batch 5000
//
// `line` sends the lines of a file (line protocol, ns) to /write, so many in a body; what is sent twice for one time
// counts once, so the readings that can be queried may be fewer than were sent.
// A reading is one value. CPU is the server's own (user and system, from /proc), from the first byte sent until the
// last reading can be queried. One thread on epoll, so that it takes as little as it can of a small machine.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
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
  std::string mode = "http";
  std::string http;
  std::string mqtt;
  std::string token;
  std::string file;
  std::string shape = "single";  // single: an array of one-value objects; wide: ten values an object
  int pid = 0;
  std::uint64_t readings = 1'000'000;
  std::uint64_t devices = 1'000;
  std::size_t connections = 8;
  std::size_t batch = 100;
  std::size_t in_flight = 0;  // per connection; 0: 100 for MQTT, 4 for HTTP
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "flux_load: %s\n", why.c_str());
  std::exit(1);
}

Options parse(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  if (argc % 2 == 0) die("every option takes a value");
  Options options;
  const auto text = [&](const char* name, std::string& into) {
    if (const auto at = given.find(name); at != given.end()) into = at->second, given.erase(at);
  };
  const auto number = [&](const char* name, auto& into) {
    if (const auto at = given.find(name); at != given.end()) {
      into = static_cast<std::remove_reference_t<decltype(into)>>(std::strtoull(at->second.c_str(), nullptr, 10));
      given.erase(at);
    }
  };
  text("--mode", options.mode);
  text("--http", options.http);
  text("--mqtt", options.mqtt);
  text("--token", options.token);
  text("--shape", options.shape);
  text("--file", options.file);
  number("--pid", options.pid);
  number("--readings", options.readings);
  number("--devices", options.devices);
  number("--connections", options.connections);
  number("--batch", options.batch);
  number("--in-flight", options.in_flight);
  if (!given.empty()) die("unknown option " + given.begin()->first);
  if (options.mode != "http" && options.mode != "mqtt" && options.mode != "line") die("--mode is http, mqtt or line");
  if ((options.mode == "line") == options.file.empty()) die("--file goes with --mode line");
  if (options.in_flight == 0) options.in_flight = options.mode == "mqtt" ? 100 : options.mode == "line" ? 1 : 4;
  if (options.http.empty() || (options.mode == "mqtt" && options.mqtt.empty())) die("--http (and --mqtt) are needed");
  return options;
}

int connect_to(const std::string& address, bool blocking) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) die("not an IPv4 address: " + address);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("cannot connect to " + address);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!blocking) fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

double cpu_seconds(int pid) {
  if (pid == 0) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::size_t behind_name = text.rfind(')');
  if (behind_name == std::string::npos) die("the server has gone");
  const char* at = text.c_str() + behind_name + 2;
  std::uint64_t ticks = 0;
  for (int field = 3; field <= 15; ++field) {
    if (field == 14 || field == 15) ticks += std::strtoull(at, nullptr, 10);
    at = std::strchr(at, ' ') + 1;
  }
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// One GET, answered whole: for counting what can be queried.
std::string get(const Options& options, const std::string& target) {
  const int fd = connect_to(options.http, true);
  std::string request = "GET " + target + " HTTP/1.1\r\nHost: " + options.http + "\r\nConnection: close\r\n";
  if (!options.token.empty()) request += "Authorization: Bearer " + options.token + "\r\n";
  request += "\r\n";
  if (write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) die("cannot ask the server");
  std::string answer;
  char buffer[65536];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) answer.append(buffer, static_cast<std::size_t>(n));
  close(fd);
  if (!answer.starts_with("HTTP/1.1 200")) die("the server answered " + answer.substr(0, 300));
  return answer;
}

/// The sum of the counts of all windows of all devices.
std::uint64_t count_stored(const Options& options) {
  const std::string answer =
      get(options, "/api/v1/query?window=3650d&aggregate=count&group_by=label:none&epoch=s&limit=1000000");
  std::uint64_t sum = 0;
  for (std::size_t at = answer.find("\"points\":["); at != std::string::npos;
       at = answer.find("\"points\":[", at + 1)) {
    std::size_t point = at + 10;
    while (point < answer.size() && answer[point] == '[') {
      const std::size_t comma = answer.find(',', point);
      sum += std::strtoull(answer.c_str() + comma + 1, nullptr, 10);
      point = answer.find(']', comma) + 1;
      if (answer[point] == ',') ++point;
    }
  }
  return sum;
}

/// The lines of a file, body after body.
class LineFile {
 public:
  explicit LineFile(const Options& options) : lines_(options.batch) {
    if (options.file.empty()) return;
    const int fd = open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info{};
    if (fd < 0 || fstat(fd, &info) != 0) die("cannot open " + options.file);
    const auto size = static_cast<std::size_t>(info.st_size);
    const void* const bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) die("cannot read " + options.file);
    close(fd);
    rest_ = {static_cast<const char*>(bytes), size};
  }
  [[nodiscard]] bool done() const { return rest_.empty(); }

  /// The next body, and how many values are in it: lines have neither escapes nor strings with commas.
  std::string_view body(std::uint64_t& values) {
    std::size_t end = 0;
    for (std::size_t line = 0; line < lines_ && end < rest_.size(); ++line) {
      const std::string_view text = rest_.substr(end, rest_.find('\n', end) - end);
      const std::size_t fields = text.find(' ');
      if (!text.starts_with('#') && fields != std::string_view::npos)
        values += 1 + static_cast<std::uint64_t>(std::ranges::count(text.substr(fields), ','));
      end += text.size() + 1;
    }
    const std::string_view taken = rest_.substr(0, end);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::size_t lines_;
  std::string_view rest_;
};

/// Waits until every record of the log is processed, hence can be queried: asking costs the server less than counting.
/// The figure is up to 100 ms old, so that it has to be seen for longer.
void wait_for_processing(const Options& options) {
  const Duration give_up = monotonic_now() + 120_s;
  for (int idle = 0; idle < 4;) {
    const std::string answer = get(options, "/metrics");
    bool lags = false;
    for (std::size_t at = answer.find("\nfluxgate_process_lag_records{"); at != std::string::npos;
         at = answer.find("\nfluxgate_process_lag_records{", at + 1))
      lags |= std::strtod(answer.c_str() + answer.find("} ", at) + 2, nullptr) > 0;
    idle = lags ? 0 : idle + 1;
    if (monotonic_now() > give_up) die("what was acknowledged is not processed after two minutes");
    usleep(50'000);
  }
}

/// Makes the messages: device after device, each with times of its own that go up, so that no reading replaces another.
class Source {
 public:
  explicit Source(const Options& options) : options_(options), rounds_(options.devices, 0), file_(options) {}

  [[nodiscard]] bool done() const { return options_.mode == "line" ? file_.done() : made_ >= options_.readings; }
  [[nodiscard]] std::uint64_t made() const { return made_; }

  std::string http_body() {
    std::string body = "[";
    const std::size_t values = options_.shape == "wide" ? 10 : 1;
    for (std::size_t n = 0; n < options_.batch && !done(); n += values) {
      if (n != 0) body += ',';
      const std::uint64_t device = next_device();
      body += R"({"device":"load-)" + std::to_string(device) + R"(","time":)" + time(device) + R"(,"metrics":{)";
      for (std::size_t v = 0; v < values; ++v) {
        if (v != 0) body += ',';
        body += values == 1 ? R"("temperature":)" : R"("metric_)" + std::to_string(v) + R"(":)";
        body += value();
      }
      body += "}}";
      made_ += values;
    }
    return body + "]";
  }

  std::string_view line_body() { return file_.body(made_); }

  /// Topic and payload of one reading.
  std::pair<std::string, std::string> message() {
    const std::uint64_t device = next_device();
    ++made_;
    return {"v1/devices/load-" + std::to_string(device) + "/telemetry",
            R"({"time":)" + time(device) + R"(,"metrics":{"temperature":)" + value() + "}}"};
  }

 private:
  std::uint64_t next_device() {
    const std::uint64_t device = next_++ % options_.devices;
    ++rounds_[device];
    return device;
  }
  std::string time(std::uint64_t device) { return std::to_string(1'767'225'600'000ULL + rounds_[device] * 1'000); }
  std::string value() {
    seed_ = seed_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return std::to_string(15 + (seed_ >> 33) % 1000 / 100) + "." + std::to_string((seed_ >> 40) % 100);
  }

  const Options& options_;
  std::vector<std::uint64_t> rounds_;
  LineFile file_;
  std::uint64_t next_ = 0;
  std::uint64_t made_ = 0;
  std::uint64_t seed_ = 42;
};

struct Connection {
  int fd = -1;
  bool ready = false;  // MQTT: the CONNACK has come
  std::string out;
  std::size_t written = 0;
  std::string in;
  std::deque<Duration> sent;  // when each unanswered message was made
  std::deque<std::size_t> counts;
  std::uint16_t packet_id = 0;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), source_(options) {}

  void run() {
    const std::string& address = options_.mode == "mqtt" ? options_.mqtt : options_.http;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t i = 0; i < options_.connections; ++i) {
      auto& connection = *connections_.emplace_back(std::make_unique<Connection>());
      connection.fd = connect_to(address, false);
      connection.ready = options_.mode != "mqtt";
      if (options_.mode == "mqtt") {
        const std::string id = "load-" + std::to_string(i);
        mqtt::Connect hello{.version = mqtt::Version::v3_1_1,
                            .clean_start = true,
                            .keep_alive = 600,
                            .client_id = id,
                            .will = {},
                            .user_name = std::string_view("load"),
                            .password = std::as_bytes(std::span(options_.token))};
        mqtt::encode(hello, {}, {}, connection.out);
      }
      epoll_event event{EPOLLIN | EPOLLOUT | EPOLLET, {.u64 = i}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    }
    for (auto& connection : connections_) step(*connection);
    std::vector<epoll_event> events(connections_.size());
    while (acknowledged_ < source_.made() || !source_.done()) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 30'000);
      if (count == 0) die("no answer for 30 s");
      for (int i = 0; i < count; ++i) step(*connections_[events[static_cast<std::size_t>(i)].data.u64]);
    }
    for (auto& connection : connections_) close(connection->fd);
  }

  [[nodiscard]] std::uint64_t sent() const { return source_.made(); }
  [[nodiscard]] double quantile(double q) {
    if (latencies_.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(latencies_.size() - 1));
    std::nth_element(latencies_.begin(), latencies_.begin() + at, latencies_.end());
    return latencies_[static_cast<std::size_t>(at)];
  }

 private:
  void step(Connection& connection) {
    receive(connection);
    fill(connection);
    flush(connection);
  }

  void fill(Connection& connection) {
    while (connection.ready && connection.sent.size() < options_.in_flight && !source_.done()) {
      const std::uint64_t before = source_.made();
      if (options_.mode == "mqtt") {
        const auto [topic, payload] = source_.message();
        if (++connection.packet_id == 0) connection.packet_id = 1;
        mqtt::Publish publish{.dup = false,
                              .qos = 1,
                              .retain = false,
                              .topic = topic,
                              .packet_id = connection.packet_id,
                              .payload = std::as_bytes(std::span(payload))};
        mqtt::encode(publish, mqtt::Version::v3_1_1, {}, connection.out);
      } else if (options_.mode == "line") {
        const std::string_view body = source_.line_body();
        connection.out += "POST /write?db=default HTTP/1.1\r\nHost: " + options_.http + "\r\n";
        if (!options_.token.empty()) connection.out += "Authorization: Token " + options_.token + "\r\n";
        connection.out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        connection.out += body;
      } else {
        const std::string body = source_.http_body();
        connection.out +=
            "POST /api/v1/telemetry HTTP/1.1\r\nHost: " + options_.http + "\r\nContent-Type: application/json\r\n";
        if (!options_.token.empty()) connection.out += "Authorization: Bearer " + options_.token + "\r\n";
        connection.out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
      }
      connection.sent.push_back(monotonic_now());
      connection.counts.push_back(source_.made() - before);
    }
  }

  void flush(Connection& connection) {
    while (connection.written < connection.out.size()) {
      const ssize_t n =
          write(connection.fd, connection.out.data() + connection.written, connection.out.size() - connection.written);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) die("the server closed a connection");
      connection.written += static_cast<std::size_t>(n);
    }
    connection.out.clear();
    connection.written = 0;
  }

  void receive(Connection& connection) {
    char buffer[65536];
    for (;;) {
      const ssize_t n = read(connection.fd, buffer, sizeof buffer);
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) die("the server closed a connection: " + connection.in);
      connection.in.append(buffer, static_cast<std::size_t>(n));
    }
    const std::size_t used = options_.mode == "mqtt" ? take_mqtt(connection) : take_http(connection);
    connection.in.erase(0, used);
  }

  void answered(Connection& connection) {
    latencies_.push_back((monotonic_now() - connection.sent.front()).seconds());
    acknowledged_ += connection.counts.front();
    connection.sent.pop_front();
    connection.counts.pop_front();
  }

  std::size_t take_mqtt(Connection& connection) {
    std::size_t used = 0;
    while (connection.in.size() - used >= 4) {
      const auto type = static_cast<unsigned char>(connection.in[used]) >> 4;
      if (type == 2) {
        if (connection.in[used + 3] != 0) die("the server refused the connection");
        connection.ready = true;
      } else if (type == 4) {
        answered(connection);
      } else {
        die("an unexpected packet");
      }
      used += 2U + static_cast<unsigned char>(connection.in[used + 1]);
    }
    return used;
  }

  std::size_t take_http(Connection& connection) {
    std::size_t used = 0;
    for (;;) {
      const std::string_view rest = std::string_view(connection.in).substr(used);
      const std::size_t head = rest.find("\r\n\r\n");
      if (head == std::string_view::npos) return used;
      if (rest.starts_with("HTTP/1.1 204")) {
        used += head + 4;
        answered(connection);
        continue;
      }
      std::size_t at = rest.substr(0, head).find("ontent-Length: ");
      if (at == std::string_view::npos) at = rest.substr(0, head).find("ontent-length: ");
      if (at == std::string_view::npos) die("an answer without a length");
      const std::size_t length = std::strtoull(rest.data() + at + 15, nullptr, 10);
      if (rest.size() < head + 4 + length) return used;
      if (!rest.starts_with("HTTP/1.1 200") || rest.substr(head + 4, length).find("refused") != std::string_view::npos)
        die("the server answered " + std::string(rest.substr(0, head + 4 + length)));
      used += head + 4 + length;
      answered(connection);
    }
  }

  const Options& options_;
  Source source_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t acknowledged_ = 0;
  std::vector<double> latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::uint64_t stored_before = count_stored(options);
  const double cpu_before = cpu_seconds(options.pid);
  const Duration began = monotonic_now();
  Load load(options);
  load.run();
  const double acknowledged_s = (monotonic_now() - began).seconds();
  const double acknowledged_cpu = cpu_seconds(options.pid) - cpu_before;
  if (options.mode == "line") wait_for_processing(options);
  std::uint64_t stored = 0;
  double wall = (monotonic_now() - began).seconds();
  double cpu = cpu_seconds(options.pid) - cpu_before;
  const Duration give_up = monotonic_now() + 60_s;
  while ((stored = count_stored(options) - stored_before) < load.sent()) {
    if (options.mode == "line") break;  // some were sent twice: which, only the server knows
    if (monotonic_now() > give_up)
      die("only " + std::to_string(stored) + " of " + std::to_string(load.sent()) + " can be queried");
    usleep(20'000);
  }
  if (stored > load.sent()) die("there are " + std::to_string(stored) + " readings, more than were sent");
  if (options.mode != "line") {
    wall = (monotonic_now() - began).seconds();
    cpu = cpu_seconds(options.pid) - cpu_before;
  }
  const auto readings = static_cast<double>(load.sent());
  std::printf(
      "{\"mode\":\"%s\",\"shape\":\"%s\",\"readings\":%llu,\"queryable\":%llu,\"connections\":%zu,\"in_flight\":%zu,"
      "\"batch\":%zu,"
      "\"seconds_until_acknowledged\":%.3f,\"seconds_until_queryable\":%.3f,\"server_cpu_s\":%.2f,"
      "\"server_cpu_s_until_acknowledged\":%.2f,\"readings_per_cpu_s\":%.0f,\"readings_per_s\":%.0f,"
      "\"ack_ms_p50\":%.2f,\"ack_ms_p99\":%.2f}\n",
      options.mode.c_str(), options.shape.c_str(), static_cast<unsigned long long>(load.sent()),
      static_cast<unsigned long long>(stored), options.connections, options.in_flight,
      options.mode == "mqtt" ? 1 : options.batch, acknowledged_s, wall, cpu, acknowledged_cpu,
      cpu > 0 ? readings / cpu : 0, readings / wall, 1e3 * load.quantile(0.5), 1e3 * load.quantile(0.99));
}
