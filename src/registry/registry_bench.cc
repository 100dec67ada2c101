#include <benchmark/benchmark.h>

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "registry/embedded.h"
#include "runtime/workers.h"
#include "store/database/sqlite/sqlite_database.h"

namespace flux::registry {
namespace {

constexpr std::size_t kDevices = 1'000'000;
constexpr TenantId kTenant = kDefaultTenant;

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::string id_of(std::size_t i) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "dev-%08zu", i);
  return text.data();
}

std::vector<FieldDef> fields_of(std::size_t i) {
  std::vector<FieldDef> fields;
  for (std::size_t k = 0; k < 8 + i % 3; ++k) fields.push_back({"metric" + std::to_string(k), ValueType::float64});
  return fields;
}

/// A million devices that were only discovered.
struct Discovered {
  Directory directory;
  std::vector<std::string> ids;
  double bytes_per_device = 0;

  Discovered() {
    ids.reserve(kDevices);
    for (std::size_t i = 0; i < kDevices; ++i) ids.push_back(id_of(i));
    std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
    const std::size_t before = resident_bytes();
    for (std::size_t i = 0; i < kDevices; ++i) {
      const auto entry = directory.ensure(kTenant, ids[i]);
      static_cast<void>(entry->check_or_set_types("telemetry", fields_of(i)));
    }
    while (!directory.take_unsaved(100'000).empty()) {
    }
    static_cast<void>(directory.list(kTenant, {}, DeviceSort::name, {}, 1));
    bytes_per_device = static_cast<double>(resident_bytes() - before) / kDevices;
    std::mt19937_64 random(2);
    for (const auto& id : ids) {
      const auto entry = directory.find(kTenant, id);
      entry->set_state(static_cast<DeviceState>(random() % 3));
      entry->seen({static_cast<std::int64_t>(random() >> 2)});
    }
  }
};
Discovered& discovered() {
  static Discovered devices;
  return devices;
}

/// A million devices with names, two labels, a profile and a place, in a database file.
struct Stored {
  std::filesystem::path folder;
  metrics::Registry metrics;
  runtime::Workers workers{1, 16};

  Stored() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flux-bench-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    auto database = open();
    {
      Directory directory;
      if (!EmbeddedRegistry::open(*database, directory, workers, metrics)) std::abort();
    }
    const auto written = database->write([](store::Session& session) -> Result<> {
      DO(session.run("INSERT INTO profiles VALUES (1, 'pump', NULL, '[]', NULL, '{}', 1)"));
      DO(session.run("INSERT INTO field_sets VALUES (1, '[[\"telemetry\",\"t\",1],[\"telemetry\",\"u\",1]]')"));
      for (std::size_t i = 0; i < kDevices; ++i) {
        const std::string labels =
            R"({"line":")" + std::to_string(i % 50) + R"(","site":")" + std::to_string(i % 20) + "\"}";
        DO(session.run("INSERT INTO devices VALUES (1, ?, ?, 'pump', ?, 52.5, 13.4, NULL, 0, ?, 0, 1)",
                       {id_of(i), "Pump number " + std::to_string(i), labels, i + 2}));
      }
      return {};
    });
    if (!written) std::abort();
  }
  ~Stored() { std::filesystem::remove_all(folder); }
  std::unique_ptr<store::Database> open() {
    auto database = store::sqlite::open({.path = folder / "registry.db"}, metrics);
    if (!database) std::abort();
    return std::move(*database);
  }
};

void load_a_million(benchmark::State& state) {
  Stored stored;
  for (auto _ : state) {
    auto database = stored.open();
    const std::size_t before = resident_bytes();
    Directory directory;
    auto registry = EmbeddedRegistry::open(*database, directory, stored.workers, stored.metrics);
    static_cast<void>(directory.list(kTenant, {}, DeviceSort::name, {}, 1));
    state.counters["bytes_per_device"] = static_cast<double>(resident_bytes() - before) / kDevices;
    state.PauseTiming();
    registry->reset();
    state.ResumeTiming();
  }
}
BENCHMARK(load_a_million)->Unit(benchmark::kMillisecond)->Iterations(1)->MeasureProcessCPUTime()->UseRealTime();

void find(benchmark::State& state) {
  auto& devices = discovered();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(devices.directory.find(kTenant, devices.ids[i++ % kDevices]));
  state.counters["bytes_per_device"] = devices.bytes_per_device;
}
BENCHMARK(find);

void check_known_types(benchmark::State& state) {
  const auto entry = discovered().directory.find(kTenant, discovered().ids[0]);
  const auto fields = fields_of(0);
  for (auto _ : state) benchmark::DoNotOptimize(entry->check_or_set_types("telemetry", fields));
}
BENCHMARK(check_known_types);

void settings_snapshot(benchmark::State& state) {
  const auto entry = discovered().directory.find(kTenant, discovered().ids[0]);
  for (auto _ : state) benchmark::DoNotOptimize(entry->settings());
}
BENCHMARK(settings_snapshot);

void ensure_new(benchmark::State& state) {
  Directory directory;
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(directory.ensure(kTenant, discovered().ids[i++ % kDevices]));
}
BENCHMARK(ensure_new)->Iterations(500'000);

void list(benchmark::State& state, const DeviceFilter& filter, DeviceSort sort) {
  auto& devices = discovered();
  std::size_t total = 0;
  for (auto _ : state) total = devices.directory.list(kTenant, filter, sort, {}, 100)->total;
  state.counters["total"] = static_cast<double>(total);
}
BENCHMARK_CAPTURE(list, by_name, {}, DeviceSort::name)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(list, by_last_seen, {}, DeviceSort::last_seen)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(list, by_state, {}, DeviceSort::state)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(list, text, {.text = "4711"}, DeviceSort::name)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(list, silent, {.states = {DeviceState::silent}}, DeviceSort::name)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(list, label, {.labels = {{"site", "x"}}}, DeviceSort::name)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flux::registry
