#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "core/batch_builder.h"
#include "store/series/engine/engine_impl.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'740'787'200 * kSecond;

struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ("flux_store_bench_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::unique_ptr<Engine> open_engine(const std::filesystem::path& folder, Config config = {}) {
  Environment environment;
  environment.background = false;
  return Engine::open(folder, config, environment).value();
}

std::vector<ShapePtr> make_shapes(int devices, int fields) {
  std::vector<ShapePtr> shapes;
  for (int device = 0; device < devices; ++device) {
    ShapeKey key;
    key.tenant = {1};
    key.device = "host_" + std::to_string(device);
    key.tags = {{"arch", "x64"}, {"region", "eu-" + std::to_string(device % 7)}};
    for (int field = 0; field < fields; ++field)
      key.fields.push_back({"usage_" + std::to_string(field), field % 2 == 0 ? ValueType::int64 : ValueType::float64});
    shapes.push_back(std::make_shared<const Shape>(std::move(key)));
  }
  return shapes;
}

// Random walks from 0 to 100: integers, and doubles with two decimals.
BatchPtr make_batch(const std::vector<ShapePtr>& shapes, std::int64_t first_row, int rows, std::mt19937_64& random,
                    std::vector<std::int64_t>& walks) {
  BatchBuilder builder;
  walks.resize(shapes.size() * shapes[0]->field_count(), 5000);
  for (int row = 0; row < rows; ++row) {
    for (std::size_t device = 0; device < shapes.size(); ++device) {
      const auto cells = builder.add_row(shapes[device], Time{kStart + (first_row + row) * 10 * kSecond});
      for (std::size_t field = 0; field < cells.size(); ++field) {
        std::int64_t& walk = walks[device * cells.size() + field];
        walk = std::clamp<std::int64_t>(walk + static_cast<std::int64_t>(random() % 201) - 100, 0, 10'000);
        cells[field] = field % 2 == 0 ? to_cell(walk / 100) : to_cell(static_cast<double>(walk) / 100);
      }
    }
  }
  return builder.seal(Time{kStart});
}

// Heads take batches of `devices` groups with `rows` rows and `fields` fields each.
void append(benchmark::State& state) {
  const auto devices = static_cast<int>(state.range(0));
  const auto rows = static_cast<int>(state.range(1));
  const auto fields = static_cast<int>(state.range(2));
  const auto shapes = make_shapes(devices, fields);
  std::mt19937_64 random(1);
  std::vector<std::int64_t> walks;
  std::vector<BatchPtr> batches;
  for (int i = 0; i < 8; ++i) batches.push_back(make_batch(shapes, i * rows, rows, random, walks));
  Folder folder;
  Config config;
  config.flush_bytes = config.max_head_bytes = 64_GiB;
  auto engine = open_engine(folder.path, config);
  std::uint64_t offset = 0;
  for (auto _ : state) {
    if (!engine->append({0}, {offset}, *batches[offset % batches.size()])) state.SkipWithError("refused");
    ++offset;
    if (offset % 64 == 0 && engine->stats().head_bytes > 256_MiB) {
      state.PauseTiming();
      engine.reset();
      std::filesystem::remove_all(folder.path);
      engine = open_engine(folder.path, config);
      state.ResumeTiming();
    }
  }
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(offset) * devices * rows, benchmark::Counter::kIsRate);
  state.counters["values/s"] =
      benchmark::Counter(static_cast<double>(offset) * devices * rows * fields, benchmark::Counter::kIsRate);
}
BENCHMARK(append)->Args({1000, 1, 1})->Args({1000, 1, 10})->Args({10, 100, 10})->Args({10, 100, 1});

// A day of 100 devices with 10 fields every 10 s: 8.6 M values.
struct Day {
  explicit Day(int flushes) {
    const auto shapes = make_shapes(100, 10);
    std::mt19937_64 random(1);
    std::vector<std::int64_t> walks;
    Config config;
    config.flush_bytes = config.max_head_bytes = 64_GiB;
    engine = open_engine(folder.path, config);
    constexpr int kRows = 8640;
    constexpr int kPerBatch = 60;
    for (int row = 0, batch = 0; row < kRows; row += kPerBatch, ++batch) {
      (void)engine->append({0}, {static_cast<std::uint64_t>(batch)},
                           *make_batch(shapes, row, kPerBatch, random, walks));
      if (flushes > 0 && (batch + 1) % (kRows / kPerBatch / flushes) == 0) (void)engine->flush();
    }
  }
  Folder folder;
  std::unique_ptr<Engine> engine;
};
constexpr double kDayValues = 8640.0 * 100 * 10;

void flush(benchmark::State& state) {
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    Day day(0);
    state.ResumeTiming();
    (void)day.engine->flush();
    state.PauseTiming();
    bytes = static_cast<double>(day.engine->stats().part_bytes);
    state.ResumeTiming();
  }
  state.counters["values/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kDayValues, benchmark::Counter::kIsRate);
  state.counters["bytes/value"] = bytes / kDayValues;
}
BENCHMARK(flush)->Unit(benchmark::kMillisecond)->Iterations(3);

void merge(benchmark::State& state) {
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    Day day(12);
    state.ResumeTiming();
    (void)day.engine->merge_all();
    state.PauseTiming();
    bytes = static_cast<double>(day.engine->stats().part_bytes);
    state.ResumeTiming();
  }
  state.counters["values/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kDayValues, benchmark::Counter::kIsRate);
  state.counters["bytes/value"] = bytes / kDayValues;
}
BENCHMARK(merge)->Unit(benchmark::kMillisecond)->Iterations(3);

// 0: in heads, 1: one part, 12: twelve parts.
Day& day_of_kind(int flushes) {
  static std::map<int, std::unique_ptr<Day>> days;
  auto& day = days[flushes];
  if (day == nullptr) day = std::make_unique<Day>(flushes);
  return *day;
}

void scan(benchmark::State& state) {
  Day& day = day_of_kind(static_cast<int>(state.range(0)));
  SeriesSelector selector{.tenant = {1}};
  std::size_t points = 0;
  for (auto _ : state) {
    (void)day.engine->scan(selector, {}, Order::oldest_first, SIZE_MAX, {.max_points = SIZE_MAX}, {},
                           [&](Points&& chunk) {
                             points += chunk.times.size();
                             return true;
                           });
  }
  state.counters["points/s"] = benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}
BENCHMARK(scan)->Arg(0)->Arg(1)->Arg(12)->Unit(benchmark::kMillisecond);

void aggregate_all(benchmark::State& state) {
  Day& day = day_of_kind(static_cast<int>(state.range(0)));
  SeriesSelector selector{.tenant = {1}};
  std::size_t rows = 0;
  for (auto _ : state) {
    (void)day.engine->aggregate(selector, {}, {{state.range(1) * kSecond}, {0}}, {}, {}, [&](WindowedPoints&& chunk) {
      rows += chunk.rows.size();
      return true;
    });
  }
  state.counters["rows"] = static_cast<double>(rows) / static_cast<double>(state.iterations());
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kDayValues, benchmark::Counter::kIsRate);
}
BENCHMARK(aggregate_all)
    ->Args({0, 3600})
    ->Args({1, 3600})
    ->Args({1, 60})
    ->Args({1, 90})
    ->Args({12, 3600})
    ->Unit(benchmark::kMillisecond);

// What a dashboard asks for: one device, one metric, one hour by minute.
void aggregate_one(benchmark::State& state) {
  Day& day = day_of_kind(static_cast<int>(state.range(0)));
  SeriesSelector selector{.tenant = {1}};
  selector.devices = {"host_42"};
  selector.fields = {"usage_1"};
  const TimeRange range{Time{kStart + 10 * 3600 * kSecond}, Time{kStart + 11 * 3600 * kSecond}};
  for (auto _ : state)
    (void)day.engine->aggregate(selector, range, {{60 * kSecond}, {0}}, {}, {}, [](WindowedPoints&&) { return true; });
}
BENCHMARK(aggregate_one)->Arg(0)->Arg(1)->Arg(12)->Unit(benchmark::kMicrosecond);

void latest_all(benchmark::State& state) {
  Day& day = day_of_kind(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(day.engine->latest({.tenant = {1}}));
}
BENCHMARK(latest_all)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

void newest_points(benchmark::State& state) {
  Day& day = day_of_kind(static_cast<int>(state.range(0)));
  SeriesSelector selector{.tenant = {1}};
  selector.devices = {"host_42"};
  for (auto _ : state)
    (void)day.engine->scan(selector, {}, Order::newest_first, 5, {}, {}, [](Points&&) { return true; });
}
BENCHMARK(newest_points)->Arg(0)->Arg(1)->Arg(12)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace flux::store::engine

BENCHMARK_MAIN();
