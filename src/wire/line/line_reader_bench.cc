#include <benchmark/benchmark.h>

#include <random>

#include "wire/line/testing.h"

namespace flux::wire::line {
namespace {

constexpr int kHosts = 200;
constexpr std::int64_t kBegin = 1'740'787'200'000'000'000;

/// As the Time Series Benchmark Suite's cpu-only use case: ten tags and ten integers a line.
std::string cpu_lines(int rounds) {
  std::mt19937 random(7);
  std::string text;
  const char* const names[] = {"user", "system",  "idle",  "nice",  "iowait",
                               "irq",  "softirq", "steal", "guest", "guest_nice"};
  for (int round = 0; round < rounds; ++round) {
    for (int host = 0; host < kHosts; ++host) {
      text +=
          "cpu,hostname=host_" + std::to_string(host) +
          ",region=ap-southeast-1,datacenter=ap-southeast-1b,rack=39,os=Ubuntu16.04LTS,arch=x64,team=NYC,service=17,"
          "service_version=1,service_environment=production ";
      for (const char* name : names) text += std::string("usage_") + name + "=" + std::to_string(random() % 101) + "i,";
      text.back() = ' ';
      text += std::to_string(kBegin + round * 10'000'000'000LL) + "\n";
    }
  }
  return text;
}

/// As its iot use case: doubles, one value in ten lines missing.
std::string iot_lines(int rounds) {
  std::mt19937 random(7);
  std::string text;
  const auto number = [&](double most) {
    char digits[32];
    const double value = static_cast<double>(random() % static_cast<unsigned>(most * 1e5)) / 1e5;
    return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  };
  for (int round = 0; round < rounds; ++round) {
    for (int truck = 0; truck < kHosts; ++truck) {
      text += "readings,name=truck_" + std::to_string(truck) +
              ",fleet=South,driver=Derek,model=G-2000,device_version=v1.5 ";
      std::string fields[] = {"load_capacity=5000",
                              "fuel_capacity=300",
                              "nominal_fuel_consumption=19",
                              "latitude=" + number(90),
                              "longitude=" + number(180),
                              "elevation=" + std::to_string(random() % 500),
                              "velocity=0",
                              "heading=" + std::to_string(random() % 360),
                              "grade=0",
                              "fuel_consumption=25"};
      const unsigned missing = random() % 100;
      for (unsigned i = 0; i < 10; ++i)
        if (i != missing) text += fields[i] + ",";
      text.back() = ' ';
      text += std::to_string(kBegin + round * 10'000'000'000LL) + "\n";
    }
  }
  return text;
}

void run(benchmark::State& state, const std::string& text) {
  const testing::Body body(text);
  LineReader reader;
  SeriesCache cache(10'000);
  testing::FakeSink sink;
  Outcome outcome;
  std::int64_t readings = 0;
  for (auto _ : state) {
    reader.read(body.view(), Precision::ns, cache, sink, outcome);
    if (outcome.refused != 0) state.SkipWithError("refused");
    readings += outcome.readings;
    state.PauseTiming();
    benchmark::DoNotOptimize(sink.builder.seal({}));
    state.ResumeTiming();
  }
  state.SetItemsProcessed(readings);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}

void cpu_only(benchmark::State& state) { run(state, cpu_lines(50)); }
BENCHMARK(cpu_only);

void iot(benchmark::State& state) { run(state, iot_lines(50)); }
BENCHMARK(iot);

/// Every line is the first of its series.
void first_sight(benchmark::State& state) {
  const testing::Body body(cpu_lines(1));
  LineReader reader;
  std::int64_t readings = 0;
  for (auto _ : state) {
    SeriesCache cache(10'000);
    testing::FakeSink sink;
    Outcome outcome;
    reader.read(body.view(), Precision::ns, cache, sink, outcome);
    readings += outcome.readings;
  }
  state.SetItemsProcessed(readings);
}
BENCHMARK(first_sight);

}  // namespace
}  // namespace flux::wire::line
