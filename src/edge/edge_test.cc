#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "edge/demo/demo_site.h"
#include "edge/machine_probe.h"
#include "observe/json.h"
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

TEST_F(FakeMachine, RoundsToWhatMeansSomething) {
  counters(100, 100, 1000);
  write("proc/loadavg", "0.52 0.4 0.3 1/2 3\n");
  write("proc/meminfo", "MemTotal: 3000 kB\nMemFree: 1 kB\nMemAvailable: 1000 kB\n");
  write("sys/class/thermal/thermal_zone0/temp", "45678\n");
  MachineProbe probe(root_, root_ / "proc", root_ / "sys");
  probe.read(10_s);
  counters(101, 102, 2000);
  const auto readings = probe.read(13_s);
  std::map<std::string, std::string> spelled;
  for (const auto& reading : readings) observe::append_json_number(spelled[std::string(reading.metric)], reading.value);
  EXPECT_EQ(spelled["cpu"], "33.3");
  EXPECT_EQ(spelled["memory"], "66.7");
  EXPECT_EQ(spelled["memory_used"], "2048000");
  EXPECT_EQ(spelled["network_in"], "333");
  EXPECT_EQ(spelled["temperature"], "45.7");
  EXPECT_EQ(spelled["load"], "0.52");
  const std::size_t point = spelled["disk"].find('.');
  EXPECT_TRUE(point == std::string::npos || spelled["disk"].size() - point == 2) << spelled["disk"];
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

TEST(DemoSite, ThePastIsFinerTheNearerAndTheSameWheneverItIsAsked) {
  const Time now{1'767'225'600'123'456'789};
  const auto times = demo::past_times({}, now);
  ASSERT_FALSE(times.empty());
  EXPECT_LE((now - times.back()).ns, (5_s).ns);
  EXPECT_GT((now - times.front()).ns, (24_h * 7 - 10_min).ns);
  for (std::size_t i = 1; i < times.size(); ++i) {
    const Duration step = times[i] - times[i - 1];
    const Duration age = now - times[i];
    EXPECT_GT(step.ns, 0);
    const Duration most = age < 59_min ? 5_s : age < 359_min ? 20_s : age < 1439_min ? 1_min : 10_min;
    ASSERT_LE(step.ns, most.ns) << age.seconds();
  }
  // A little later, the hour that both tell has the same times.
  const auto later = demo::past_times({}, now + 7_s);
  const std::set<std::int64_t> known = [&] {
    std::set<std::int64_t> out;
    for (const Time time : later) out.insert(time.ns);
    return out;
  }();
  for (const Time time : times)
    if (now - time < 59_min) EXPECT_TRUE(known.contains(time.ns));
  // After a stop of two minutes only these are missing.
  const auto gap = demo::past_times(now - 2_min, now);
  EXPECT_EQ(gap.size(), 24U);
  EXPECT_GT(gap.front().ns, (now - 2_min).ns);
  EXPECT_TRUE(demo::past_times(now, now).empty());
  EXPECT_TRUE(demo::past_times(now + 1_h, now).empty());
}

TEST(DemoSite, SomethingGoesWrongWithinAnyTenMinutes) {
  const auto devices = demo::devices();
  for (int window = 0; window < 24 * 6; ++window) {
    const Time begin{1'767'225'600'000'000'000 + window * 600'000'000'000LL};
    int fell_silent_and_came_back = 0;
    int marked = 0;
    for (const auto& device : devices) {
      int silent = 0;
      for (int second = 0; second < 600; second += 10) {
        const auto readings = demo::report(device, begin + 1_s * second);
        // A profile's devices count as silent after a minute.
        if (!readings.empty() && silent > 7) ++fell_silent_and_came_back;
        silent = readings.empty() ? silent + 1 : 0;
        for (const auto& one : readings) {
          if (one.metric == "door_open" && std::get<bool>(one.value)) ++marked;
          if (one.value == Value(std::string("warning")) || one.value == Value(std::string("fault"))) ++marked;
        }
      }
    }
    EXPECT_GT(fell_silent_and_came_back, 0) << "window " << window;
    EXPECT_GT(marked, 0) << "window " << window;
  }
}

TEST(DemoSite, TheSunShinesByDayOnly) {
  for (const auto& device : demo::devices()) {
    if (device.kind != demo::inverter) continue;
    double most = 0;
    for (int minute = 0; minute < 24 * 60; minute += 5) {
      const auto readings = demo::report(device, Time{1'767'225'600'000'000'000 + minute * 60'000'000'000LL});
      for (const auto& one : readings) {
        if (one.metric != "power") continue;
        const double power = std::get<double>(one.value);
        most = std::max(most, power);
        // From 6 to 18 o'clock an hour east of Greenwich.
        if (minute < 5 * 60 || minute >= 17 * 60) EXPECT_EQ(power, 0) << minute;
      }
    }
    EXPECT_GT(most, 2);
  }
}

demo::SiteDevice first_of(demo::Kind kind) {
  for (auto& device : demo::devices())
    if (device.kind == kind) return device;
  return {};
}

double reading(const std::vector<demo::SiteReading>& readings, std::string_view metric) {
  for (const auto& one : readings)
    if (one.metric == metric) return std::get<double>(one.value);
  return -1;
}

TEST(DemoCommands, ChangeWhatIsReported) {
  const Time time{1'767'268'800'000'000'000};  // noon
  const auto pump = first_of(demo::pump);
  const auto stopped = demo::carry_out(pump, {}, "stop", "null", time);
  ASSERT_TRUE(stopped.succeeded) << stopped.reason;
  EXPECT_EQ(reading(demo::report(pump, time, stopped.controls), "flow"), 0);
  demo::Controls running;
  running.running = true;
  const auto slow = demo::carry_out(pump, running, "set_speed", R"({"rpm":600})", time);
  ASSERT_TRUE(slow.succeeded) << slow.reason;
  EXPECT_NEAR(reading(demo::report(pump, time, slow.controls), "speed"), 600, 50);
  const auto free = demo::carry_out(pump, slow.controls, "automatic", "null", time);
  EXPECT_FALSE(free.controls.speed || free.controls.running);

  const auto roof = first_of(demo::inverter);
  const auto limited = demo::carry_out(roof, {}, "limit_power", R"({"kw":1})", time);
  if (limited.succeeded) EXPECT_LE(reading(demo::report(roof, time, limited.controls), "power"), 1);

  const auto room = first_of(demo::cold_room);
  demo::Controls colder;
  colder.target = -25;
  colder.target_before = demo::usual_target(room);
  colder.target_set = time;
  const double before = reading(demo::report(room, time, colder), "temperature");
  EXPECT_NEAR(before, reading(demo::report(room, time), "temperature"), 0.01);
  const double after = reading(demo::report(room, time + 30_min, colder), "temperature");
  EXPECT_NEAR(after - reading(demo::report(room, time + 30_min), "temperature"), -25 - colder.target_before, 0.1);
}

TEST(DemoCommands, FailWithAReason) {
  const Time time{1'767'268'800'000'000'000};
  const auto pump = first_of(demo::pump);
  EXPECT_EQ(demo::carry_out(pump, {}, "fly", "null", time).reason,
            "this device knows start, stop, set_speed, automatic");
  EXPECT_EQ(demo::carry_out(pump, {}, "set_speed", R"({"rpm":9000})", time).reason,
            "rpm is out of range: 300 to 3000 rpm");
  EXPECT_EQ(demo::carry_out(pump, {}, "set_speed", "null", time).reason, "expected rpm: a number from 300 to 3000 rpm");
  // Within a day something stands in the way of most devices, and most of the time nothing does.
  int failed = 0;
  int done = 0;
  for (const auto& device : demo::devices()) {
    const auto known = demo::known_commands(static_cast<demo::Kind>(device.kind));
    for (int minute = 0; minute < 24 * 60; minute += 5) {
      const Time then{time.ns + minute * 60'000'000'000LL};
      const auto outcome = demo::carry_out(device, {}, known.front().name,
                                           known.front().example.empty() ? "null" : known.front().example, then);
      outcome.succeeded ? ++done : ++failed;
      EXPECT_EQ(outcome.succeeded, outcome.reason.empty());
      EXPECT_GT(outcome.takes.ns, 0);
    }
  }
  EXPECT_GT(failed, 100);
  EXPECT_GT(done, 10 * failed / 3);
}

TEST(DemoCommands, AreReadAndAnsweredAsTheyAreSpelled) {
  const auto told =
      demo::read_command(R"({"id":"a","name":"set_speed","payload":{"rpm":1},"expires":"2026-01-01T00:00:00Z"})");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->payload, R"({"rpm":1})");
  EXPECT_FALSE(demo::read_command("{}"));
  EXPECT_EQ(demo::answer({.takes = 1_s, .succeeded = true, .result = R"({"rpm":1})", .reason = {}, .controls = {}}),
            R"({"result":{"rpm":1},"status":"succeeded"})");
  EXPECT_EQ(demo::answer({.takes = 1_s, .succeeded = false, .result = "null", .reason = "no", .controls = {}}),
            R"({"reason":"no","status":"failed"})");
}

}  // namespace
}  // namespace flux::edge
