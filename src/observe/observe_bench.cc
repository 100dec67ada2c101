#include <benchmark/benchmark.h>

#include <string>

#include "observe/log.h"
#include "observe/metrics.h"

namespace flux {
namespace {

void counter_add(benchmark::State& state) {
  static metrics::Registry registry;
  static metrics::Counter& counter = registry.counter("fluxgate_bench_events_total", "Events.");
  for (auto _ : state) counter.add();
}
BENCHMARK(counter_add)->Threads(1)->Threads(2);

void histogram_observe(benchmark::State& state) {
  static metrics::Registry registry;
  static metrics::Histogram& histogram =
      registry.histogram("fluxgate_bench_seconds", "Time.", metrics::Buckets::seconds());
  double value = 50e-6;
  for (auto _ : state) {
    histogram.observe(value);
    value = value > 1 ? 50e-6 : value * 1.1;
  }
}
BENCHMARK(histogram_observe)->Threads(1)->Threads(2);

void render_1000_series(benchmark::State& state) {
  metrics::Registry registry;
  for (int i = 0; i < 1000; ++i) {
    registry.counter("fluxgate_bench_events_total", "Events.", {{"number", std::to_string(i)}}).add(1'234'567);
  }
  for (auto _ : state) benchmark::DoNotOptimize(registry.render());
}
BENCHMARK(render_1000_series)->Unit(benchmark::kMicrosecond);

void log_line(benchmark::State& state) {
  if (!log::start({.format = log::Format::json, .output = "/dev/null"})) state.SkipWithError("cannot open /dev/null");
  for (auto _ : state) log::info("segment sealed", {{"partition", 3}, {"bytes", 134217728}, {"path", "log/3/00.seg"}});
  log::stop();
}
BENCHMARK(log_line);

void log_line_below_its_level(benchmark::State& state) {
  for (auto _ : state) log::debug("segment sealed", {{"partition", 3}, {"bytes", 134217728}});
}
BENCHMARK(log_line_below_its_level);

}  // namespace
}  // namespace flux
