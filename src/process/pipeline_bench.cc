#include <benchmark/benchmark.h>

#include "core/batch_builder.h"
#include "process/pipeline.h"

namespace flux::process {
namespace {

constexpr Time kNow{1'767'225'600'000'000'000};

/// `devices` devices with `rows` rows of `fields` doubles each, all within their profile's range.
BatchPtr make_batch(const std::vector<ShapePtr>& shapes, std::size_t rows) {
  BatchBuilder builder;
  for (const ShapePtr& shape : shapes) {
    for (std::size_t row = 0; row < rows; ++row) {
      const auto cells = builder.add_row(shape, kNow + Duration{static_cast<std::int64_t>(row)});
      for (std::size_t field = 0; field < cells.size(); ++field)
        cells[field] = to_cell(20.0 + static_cast<double>(row % 10));
    }
  }
  return builder.seal(kNow);
}

void run(benchmark::State& bench, double bad_value) {
  const auto devices = static_cast<std::size_t>(bench.range(0));
  const auto rows = static_cast<std::size_t>(bench.range(1));
  const auto fields = static_cast<std::size_t>(bench.range(2));
  PartitionState state({0}, 1);
  Pipeline pipeline(state);
  std::vector<ShapePtr> shapes;
  std::vector<FieldDef> defs;
  wire::control::ProfileChanged profile{.tenant = {1}, .version = 1, .profile = "p"};
  for (std::size_t f = 0; f < fields; ++f) {
    defs.push_back({"metric" + std::to_string(f), ValueType::float64});
    profile.metrics.push_back({.name = defs.back().name, .min = -40.0, .max = 150.0});
  }
  bus::Record change;
  change.kind = bus::RecordKind::control;
  Outputs outputs;
  const auto give = [&](const wire::control::ControlRecord& record) {
    change.payload = std::make_shared<const std::string>(wire::control::encode(record));
    pipeline.apply(change, outputs);
  };
  give(profile);
  for (std::size_t d = 0; d < devices; ++d) {
    const std::string name = "device-" + std::to_string(d);
    shapes.push_back(std::make_shared<const Shape>(ShapeKey{.tenant = {1}, .device = name, .fields = defs}));
    give(wire::control::DeviceChanged{.tenant = {1}, .version = 2 + d, .device = name, .profile = "p"});
  }
  bus::Record record;
  record.batch = make_batch(shapes, rows);
  if (bad_value != 0) {
    BatchBuilder builder;
    for (const ShapePtr& shape : shapes)
      for (std::size_t row = 0; row < rows; ++row) {
        const auto cells = builder.add_row(shape, kNow);
        for (Cell& cell : cells) cell = to_cell(row == 0 ? bad_value : 20.0);
      }
    record.batch = builder.seal(kNow);
  }
  for (auto _ : bench) {
    pipeline.apply(record, outputs);
    record.offset = record.offset.next();
    benchmark::DoNotOptimize(outputs.readings.batch);
  }
  const double readings = static_cast<double>(record.batch->reading_count()) * static_cast<double>(bench.iterations());
  bench.counters["ns_per_reading"] =
      benchmark::Counter(readings / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void faultless(benchmark::State& bench) { run(bench, 0); }
void one_row_in_each_refused(benchmark::State& bench) { run(bench, 999); }

// Devices, rows of each, fields.
BENCHMARK(faultless)
    ->Args({1, 1'000, 1})
    ->Args({10, 100, 5})
    ->Args({1'000, 1, 5})
    ->Args({1'000, 1, 1})
    ->Args({1, 1, 1});
BENCHMARK(one_row_in_each_refused)->Args({10, 100, 5});

void save_state(benchmark::State& bench) {
  PartitionState state({0}, 1);
  Pipeline pipeline(state);
  Outputs outputs;
  bus::Record record;
  for (int device = 0; device < 10'000; ++device) {
    const auto shape =
        std::make_shared<const Shape>(ShapeKey{.tenant = {1},
                                               .device = "device-" + std::to_string(device),
                                               .fields = {{"a", ValueType::float64}, {"b", ValueType::float64}}});
    record.batch = make_batch({shape}, 1);
    pipeline.apply(record, outputs);
  }
  std::size_t bytes = 0;
  for (auto _ : bench) bytes = state.save().size();
  bench.counters["bytes_per_device"] = static_cast<double>(bytes) / 10'000;
  bench.counters["ns_per_device"] = benchmark::Counter(1e4 * static_cast<double>(bench.iterations()) / 1e9,
                                                       benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(save_state);

}  // namespace
}  // namespace flux::process

BENCHMARK_MAIN();
