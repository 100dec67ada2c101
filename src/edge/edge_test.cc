#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "edge/demo/site.h"
#include "edge/machine_probe.h"
#include "registry/model.h"

namespace flux::edge {
namespace {

namespace fs = std::filesystem;

class FakeMachine : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("machine-" + std::to_string(::getpid()));
    fs::create_directories(root_ / "proc" / "net");
    fs::create_directories(root_ / "sys" / "block" / "vda");
    fs::create_directories(root_ / "sys" / "class" / "thermal" / "thermal_zone0");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const fs::path& path, const std::string& text) { std::ofstream(root_ / path) << text; }
  void counters(int busy, int idle, int bytes) {
    write("proc/stat", "cpu  " + std::to_string(busy) + " 0 0 " + std::to_string(idle) + " 0 0 0 0 0 0\n");
    write("proc/net/dev", "h\nh\n    lo: 999 0 0 0 0 0 0 0 999 0\n  eth0: " + std::to_string(bytes) +
                              " 0 0 0 0 0 0 0 " + std::to_string(2 * bytes) + " 0\n");
    write("proc/diskstats", " 8 0 vda 1 0 " + std::to_string(bytes) + " 0 1 0 " + std::to_string(bytes) +
                                " 0\n 8 1 vda1 1 0 7777 0 1 0 7777 0\n");
  }
  fs::path root_;
};

TEST_F(FakeMachine, MeasuresRatesBetweenTwoLooks) {
  counters(100, 100, 1000);
  write("proc/loadavg", "0.50 0.4 0.3 1/2 3\n");
  write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n");
  write("sys/class/thermal/thermal_zone0/temp", "45500\n");
  MachineProbe probe(root_, root_ / "proc", root_ / "sys");
  const auto as_map = [](const std::vector<MachineReading>& readings) {
    std::map<std::string, double> out;
    for (const auto& reading : readings) out[std::string(reading.metric)] = reading.value;
    return out;
  };
  auto first = as_map(probe.read(10_s));
  EXPECT_FALSE(first.contains("cpu"));
  EXPECT_DOUBLE_EQ(first["memory"], 75);
  EXPECT_DOUBLE_EQ(first["temperature"], 45.5);
  EXPECT_DOUBLE_EQ(first["load"], 0.5);
  counters(125, 175, 3000);
  auto second = as_map(probe.read(12_s));
  EXPECT_DOUBLE_EQ(second["cpu"], 25);
  EXPECT_DOUBLE_EQ(second["network_in"], 1000);
  EXPECT_DOUBLE_EQ(second["network_out"], 2000);
  EXPECT_DOUBLE_EQ(second["disk_read"], 512'000);
  std::set<std::string_view> known;
  for (const auto& metric : machine_metrics()) known.insert(metric.name);
  for (const auto& [name, value] : second) EXPECT_TRUE(known.contains(name)) << name;
}

TEST_F(FakeMachine, LeavesOutWhatAMachineDoesNotOffer) {
  MachineProbe probe(root_ / "nowhere", root_ / "nowhere", root_ / "nowhere");
  probe.read(1_s);
  EXPECT_TRUE(probe.read(2_s).empty());
}

TEST(DemoSite, HasFiftyDevicesWhoseReadingsFitTheirProfiles) {
  std::map<std::string, registry::Profile> profiles;
  for (auto& profile : demo::profiles()) profiles[profile.id] = profile;
  EXPECT_EQ(profiles.size(), 5U);
  std::set<std::string> ids;
  std::size_t silent = 0;
  for (const auto& device : demo::devices()) {
    EXPECT_TRUE(registry::check_device_id(device.device.device));
    EXPECT_TRUE(device.device.demo);
    ids.insert(device.device.device);
    const registry::Profile& profile = profiles.at(*device.device.profile);
    for (int minute = 0; minute < 24 * 60; minute += 3) {
      const Time time{1'767'225'600'000'000'000 + minute * 60'000'000'000LL};
      const auto readings = demo::report(device, time);
      if (readings.empty()) ++silent;
      for (const auto& reading : readings) {
        const auto* metric = profile.find(reading.metric);
        ASSERT_NE(metric, nullptr) << reading.metric;
        EXPECT_EQ(type_of(reading.value), metric->type) << reading.metric;
        if (const auto* number = std::get_if<double>(&reading.value)) {
          if (metric->min) EXPECT_GE(*number, *metric->min) << device.device.device << " " << reading.metric;
          if (metric->max) EXPECT_LE(*number, *metric->max) << device.device.device << " " << reading.metric;
        }
      }
    }
  }
  EXPECT_EQ(ids.size(), 50U);
  EXPECT_GT(silent, 0U) << "something should go wrong now and then";
  EXPECT_LT(silent, 50U * 480 / 20) << "but most of the time it should not";
}

TEST(DemoSite, TheSameMomentIsTheSameStory) {
  const auto devices = demo::devices();
  const Time time{1'767'225'600'000'000'000};
  for (const auto& device : devices) {
    const auto once = demo::report(device, time);
    const auto again = demo::report(device, time);
    ASSERT_EQ(once.size(), again.size());
    for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].value, again[i].value);
  }
}

}  // namespace
}  // namespace flux::edge
