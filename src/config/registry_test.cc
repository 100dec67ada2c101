#include "config/registry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <fstream>

#include "config/nearest.h"

namespace flux::config {
namespace {

enum class Fsync { always, interval, off };

struct TlsConfig {
  std::filesystem::path certificate;
  std::string key_password;
  template <class Fields>
  void describe(Fields& fields) {
    fields("certificate", certificate, "PEM file.");
    fields.secret("key_password", key_password, "Opens the private key.");
  }
};

struct BusConfig {
  Bytes segment_bytes = 128_MiB;
  Duration fsync_interval = 5_ms;
  Fsync fsync = Fsync::always;
  std::uint16_t partitions = 8;
  double fill = 0.5;
  bool compress = true;
  std::vector<std::string> peers{"a", "b"};
  TlsConfig tls;

  template <class Fields>
  void describe(Fields& fields) {
    fields("segment_bytes", segment_bytes, "Size at which a segment is sealed.", {.min = 1_MiB});
    fields("fsync_interval", fsync_interval, "Longest wait before a group commit.", {.min = 1_ms, .max = 1_s});
    fields("fsync", fsync, "When a batch counts as durable.",
           {{"always", Fsync::always}, {"interval", Fsync::interval}, {"off", Fsync::off}});
    fields("partitions", partitions, "Lanes of the log.", {.min = 1, .max = 256});
    fields("fill", fill, "Share of a segment | that is reserved.");
    fields("compress", compress, "Whether batches are compressed.");
    fields("peers", peers, "Where else to look.");
    fields.group("tls", tls);
  }
  Result<> validate() const {
    if (fsync == Fsync::off && !compress) {
      return fail(ErrorCode::invalid_argument, "'bus.fsync': off needs 'bus.compress'");
    }
    return {};
  }
};

struct HttpConfig {
  std::uint16_t port = 8080;
  std::int32_t offset = 0;
  std::string host = "127.0.0.1";
  template <class Fields>
  void describe(Fields& fields) {
    fields("port", port, "Port to listen on; 0 picks a free one.");
    fields("offset", offset, "Any 32-bit number.");
    fields("host", host, "Address to listen on.");
  }
};

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    registry_.add("bus", bus_);
    registry_.add("http", http_);
    std::string folder = testing::TempDir() + "flux_config_XXXXXX";
    folder_ = ::mkdtemp(folder.data());
  }
  ~RegistryTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(std::string_view text) {
    const auto path = folder_ / "fluxgate.yaml";
    std::ofstream(path) << text;
    return path;
  }
  std::string load_error(const Sources& sources) {
    const auto loaded = registry_.load(sources);
    return loaded ? "loaded" : loaded.error().message;
  }
  /// The findings of a file with this text, its path cut off.
  std::string file_error(std::string_view text) {
    std::string message = load_error({.file = file(text)});
    const std::string path = folder_.string() + "/";
    for (auto at = message.find(path); at != std::string::npos; at = message.find(path)) message.erase(at, path.size());
    return message;
  }

  BusConfig bus_;
  HttpConfig http_;
  Registry registry_;
  std::filesystem::path folder_;
};

TEST_F(RegistryTest, KeepsDefaultsWhenNothingIsGiven) {
  ASSERT_TRUE(registry_.load({}));
  EXPECT_EQ(bus_.segment_bytes, 128_MiB);
  EXPECT_EQ(registry_.find("bus.segment_bytes")->source, "default");
}

TEST_F(RegistryTest, ReadsEveryTypeFromYaml) {
  ASSERT_EQ(file_error("bus:\n"
                       "  segment_bytes: 1GiB\n"
                       "  fsync_interval: 20ms\n"
                       "  fsync: interval\n"
                       "  partitions: 16\n"
                       "  fill: 0.25\n"
                       "  compress: false\n"
                       "  peers: [x, 'y,z']\n"
                       "  tls: {certificate: /etc/cert.pem, key_password: '1234'}\n"
                       "http.port: 9000\n"),
            "loaded");
  EXPECT_EQ(bus_.segment_bytes, 1_GiB);
  EXPECT_EQ(bus_.fsync_interval, 20_ms);
  EXPECT_EQ(bus_.fsync, Fsync::interval);
  EXPECT_EQ(bus_.partitions, 16);
  EXPECT_EQ(bus_.fill, 0.25);
  EXPECT_FALSE(bus_.compress);
  EXPECT_EQ(bus_.peers, (std::vector<std::string>{"x", "y,z"}));
  EXPECT_EQ(bus_.tls.certificate, "/etc/cert.pem");
  EXPECT_EQ(bus_.tls.key_password, "1234");
  EXPECT_EQ(http_.port, 9000);
}

TEST_F(RegistryTest, StrongerSourcesWin) {
  const Sources sources{.file = file("bus: {segment_bytes: 1MiB, partitions: 2, fill: 0.1}\nhttp: {port: 1}\n"),
                        .environment = {"FLUXGATE_BUS_PARTITIONS=4", "FLUXGATE_BUS_FILL=0.2", "HOME=/home",
                                        "FLUXGATE_HTTP_PORT=2", "FLUXGATE_BUS_PEERS=p, q"},
                        .assignments = {"bus.fill=0.3", "http.port=3"}};
  ASSERT_TRUE(registry_.set("http.port", "4", "--http-port"));
  ASSERT_EQ(load_error(sources), "loaded");
  EXPECT_EQ(bus_.segment_bytes, 1_MiB);
  EXPECT_EQ(bus_.partitions, 4);
  EXPECT_EQ(bus_.fill, 0.3);
  EXPECT_EQ(http_.port, 4);
  EXPECT_EQ(bus_.peers, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(registry_.find("bus.segment_bytes")->source, (folder_ / "fluxgate.yaml").string() + ":1");
  EXPECT_EQ(registry_.find("bus.partitions")->source, "FLUXGATE_BUS_PARTITIONS");
  EXPECT_EQ(registry_.find("bus.fill")->source, "--set bus.fill");
  EXPECT_EQ(registry_.find("http.port")->source, "--http-port");
}

TEST_F(RegistryTest, RejectsUnknownKeysWithTheNearestName) {
  EXPECT_EQ(file_error("bus:\n  segment_byts: 1\n"),
            "fluxgate.yaml:2: unknown setting 'bus.segment_byts'; did you mean 'bus.segment_bytes'?");
  EXPECT_EQ(file_error("buss:\n  partitions: 1\n"), "fluxgate.yaml:1: unknown group 'buss'; did you mean 'bus'?");
  EXPECT_EQ(file_error("http:\n  partitions: 1\n"),
            "fluxgate.yaml:2: unknown setting 'http.partitions'; did you mean 'bus.partitions'?");
  EXPECT_EQ(file_error("bus:\n  zzzzzzzzzzzzz: 1\n"), "fluxgate.yaml:2: unknown setting 'bus.zzzzzzzzzzzzz'");
  EXPECT_EQ(load_error({.environment = {"FLUXGATE_BUS_PARTITION=4"}}),
            "FLUXGATE_BUS_PARTITION: unknown setting in the environment; did you mean FLUXGATE_BUS_PARTITIONS?");
  EXPECT_EQ(load_error({.assignments = {"bus.partition=4"}}),
            "--set bus.partition: unknown setting 'bus.partition'; did you mean 'bus.partitions'?");
  EXPECT_EQ(registry_.set("http.prot", "1", "--http-port").error().message,
            "--http-port: unknown setting 'http.prot'; did you mean 'http.port'?");
}

TEST_F(RegistryTest, SaysWhatWasExpected) {
  EXPECT_EQ(file_error("bus: {partitions: many}"),
            "fluxgate.yaml:1: 'bus.partitions': expected an integer of 0 or more, not 'many'");
  EXPECT_EQ(file_error("bus: {partitions: 257}"),
            "fluxgate.yaml:1: 'bus.partitions': expected integer from 1 to 256, not '257'");
  EXPECT_EQ(file_error("http: {port: 65536}"),
            "fluxgate.yaml:1: 'http.port': expected integer from 0 to 65535, not '65536'");
  EXPECT_EQ(file_error("bus: {segment_bytes: 1KiB}"),
            "fluxgate.yaml:1: 'bus.segment_bytes': expected bytes of at least 1MiB, not '1KiB'");
  EXPECT_EQ(file_error("bus: {fsync_interval: 2h}"),
            "fluxgate.yaml:1: 'bus.fsync_interval': expected duration from 1ms to 1s, not '2h'");
  EXPECT_EQ(file_error("bus: {fsync_interval: soon}"),
            "fluxgate.yaml:1: 'bus.fsync_interval': expected a duration, such as 250ms, 90s or 1h, not 'soon'");
  EXPECT_EQ(file_error("bus: {fsync: never}"),
            "fluxgate.yaml:1: 'bus.fsync': expected one of always, interval, off, not 'never'");
  EXPECT_EQ(file_error("bus: {compress: yes}"), "fluxgate.yaml:1: 'bus.compress': expected true or false, not 'yes'");
  EXPECT_EQ(file_error("bus: {fill: half}"), "fluxgate.yaml:1: 'bus.fill': expected a number, such as 0.5, not 'half'");
  EXPECT_EQ(file_error("bus: {peers: {a: b}}"), "fluxgate.yaml:1: 'bus.peers': expected a list");
  EXPECT_EQ(file_error("bus: {partitions: [1]}"), "fluxgate.yaml:1: 'bus.partitions': expected integer");
  EXPECT_EQ(file_error("bus: 3"), "fluxgate.yaml:1: 'bus' is a group: expected settings below it");
  EXPECT_EQ(load_error({.assignments = {"bus.fill"}}), "--set bus.fill: expected key=value");
}

TEST_F(RegistryTest, ReportsEverythingAtOnce) {
  EXPECT_EQ(file_error("bus:\n  partitions: 0\n  fsink: off\nhttp: {port: x}\n"),
            "fluxgate.yaml:2: 'bus.partitions': expected integer from 1 to 256, not '0'\n"
            "fluxgate.yaml:3: unknown setting 'bus.fsink'; did you mean 'bus.fsync'?\n"
            "fluxgate.yaml:4: 'http.port': expected an integer of 0 or more, not 'x'");
}

TEST_F(RegistryTest, RejectsWhatIsSetTwice) {
  EXPECT_EQ(file_error("bus:\n  fill: 0.1\nbus.fill: 0.2\n"), "fluxgate.yaml:3: 'bus.fill' is set twice");
  EXPECT_EQ(file_error("bus:\n  fill: 0.1\n  fill: 0.2\n"), "fluxgate.yaml:3: 'bus.fill' is set twice");
}

TEST_F(RegistryTest, ReportsFilesThatAreNoYaml) {
  EXPECT_TRUE(file_error("bus: [1, 2").starts_with("fluxgate.yaml:")) << file_error("bus: [1, 2");
  EXPECT_EQ(file_error("- 1\n"), "fluxgate.yaml:1: expected settings such as 'log: {level: info}'");
  EXPECT_EQ(load_error({.file = "/nonexistent/x.yaml"}), "/nonexistent/x.yaml: cannot be read");
  EXPECT_EQ(file_error("# nothing\n"), "loaded");
  EXPECT_EQ(file_error("bus:\n"), "loaded");
}

TEST_F(RegistryTest, NeverShowsASecret) {
  ASSERT_EQ(load_error({.assignments = {"bus.tls.key_password=hunter2"}}), "loaded");
  EXPECT_EQ(registry_.print().find("hunter2"), std::string::npos);
  EXPECT_NE(registry_.print().find("# key_password: ********  # --set bus.tls.key_password"), std::string::npos);
  EXPECT_EQ(file_error("bus: {tls: {key_password: [hunter2]}}").find("hunter2"), std::string::npos);
}

TEST_F(RegistryTest, AsksTheConfigsWhetherTheyFitTogether) {
  EXPECT_EQ(load_error({.assignments = {"bus.fsync=off", "bus.compress=false"}}),
            "'bus.fsync': off needs 'bus.compress'");
}

TEST_F(RegistryTest, IgnoresWhatKubernetesPutsIntoTheEnvironment) {
  EXPECT_EQ(load_error({.environment = {"FLUXGATE_SERVICE_HOST=10.0.0.1", "FLUXGATE_SERVICE_PORT=8080",
                                        "FLUXGATE_SERVICE_PORT_HTTP=8080", "FLUXGATE_PORT=tcp://10.0.0.1:8080",
                                        "FLUXGATE_MQTT_PORT_1883_TCP_ADDR=10.0.0.1", "FLUXGATE_CONFIG=x"},
                        .ignored_environment = {"FLUXGATE_CONFIG"}}),
            "loaded");
  EXPECT_NE(load_error({.environment = {"FLUXGATE_PORT=8080"}}), "loaded");
}

TEST_F(RegistryTest, PrintsYamlThatLoadsAgain) {
  ASSERT_EQ(
      load_error({.assignments = {"bus.segment_bytes=2000001", "bus.fsync=off", "bus.peers=x,true", "bus.fill=1e-9",
                                  "http.host=yes: #no", "bus.tls.certificate=", "http.offset=-7"}}),
      "loaded");
  BusConfig bus;
  HttpConfig http;
  Registry again;
  again.add("bus", bus);
  again.add("http", http);
  const auto loaded = again.load({.file = file(registry_.print())});
  ASSERT_TRUE(loaded) << loaded.error().message << "\n" << registry_.print();
  EXPECT_EQ(bus.segment_bytes, 2000001);
  EXPECT_EQ(bus.fsync, Fsync::off);
  EXPECT_EQ(bus.peers, (std::vector<std::string>{"x", "true"}));
  EXPECT_EQ(bus.fill, 1e-9);
  EXPECT_EQ(http.host, "yes: #no");
  EXPECT_EQ(http.offset, -7);
}

TEST_F(RegistryTest, AnyTextSurvivesPrintAndLoad) {
  EXPECT_TRUE(rc::check("print, then load", [this] {
    const std::string text = *rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
    http_.host = text;
    HttpConfig http;
    BusConfig bus;
    Registry again;
    again.add("bus", bus);
    again.add("http", http);
    const auto loaded = again.load({.file = file(registry_.print())});
    RC_ASSERT(loaded.has_value());
    RC_ASSERT(http.host == text);
  }));
}

TEST_F(RegistryTest, PrintsOnlyWhatChanged) {
  ASSERT_EQ(load_error({.assignments = {"bus.fsync=off"}}), "loaded");
  // Not what somebody set to what it is anyhow.
  ASSERT_TRUE(registry_.set("bus.segment_bytes", print_setting(bus_.segment_bytes), "--set bus.segment_bytes"));
  EXPECT_EQ(registry_.print(true), "bus:\n  # When a batch counts as durable.\n  fsync: off  # --set bus.fsync\n");
}

TEST_F(RegistryTest, WritesAReferencePage) {
  const std::string page = registry_.reference();
  EXPECT_NE(page.find("## bus\n"), std::string::npos);
  EXPECT_NE(
      page.find("| `bus.segment_bytes` | bytes of at least 1MiB | `128MiB` | Size at which a segment is sealed. |"),
      std::string::npos);
  EXPECT_NE(page.find("| `bus.fsync` | one of always, interval, off | `always` |"), std::string::npos);
  EXPECT_NE(page.find("Share of a segment \\| that"), std::string::npos);
  EXPECT_NE(page.find("| `bus.tls.key_password` | text (secret) |  | Opens"), std::string::npos);
}

TEST(RegistryDeathTest, RefusesTwoFieldsOfOneName) {
  HttpConfig one;
  HttpConfig two;
  Registry registry;
  registry.add("http", one);
  EXPECT_DEATH(registry.add("http", two), "http.port is described twice");
}

TEST(Bytes, ReadsAndWritesUnits) {
  EXPECT_EQ(*parse_bytes("4096"), 4096);
  EXPECT_EQ(*parse_bytes("64KiB"), 64_KiB);
  EXPECT_EQ(*parse_bytes("2 TiB"), 2048_GiB);
  EXPECT_EQ(*parse_bytes("10MB"), 10'000'000);
  for (const char* wrong : {"", "MiB", "-1", "1.5GiB", "1mib", "1 GiB x", "16777216TiB"}) {
    EXPECT_FALSE(parse_bytes(wrong)) << wrong;
  }
  EXPECT_TRUE(rc::check("round trip",
                        [](std::uint64_t count) { RC_ASSERT(parse_bytes(to_string(Bytes(count)))->count == count); }));
}

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("prot", "port"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_TRUE(rc::check("symmetric, zero only for equals", [](const std::string& a, const std::string& b) {
    RC_ASSERT(edit_distance(a, b) == edit_distance(b, a));
    RC_ASSERT((edit_distance(a, b) == 0) == (a == b));
  }));
}

}  // namespace
}  // namespace flux::config
