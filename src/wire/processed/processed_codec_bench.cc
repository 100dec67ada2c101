#include <benchmark/benchmark.h>

#include "core/batch_builder.h"
#include "wire/processed/processed_codec.h"

namespace flux::wire::processed {
namespace {

/// A batch of so many devices, with so many rows of one value each.
ProcessedBatch batch_of(std::int64_t devices, std::int64_t rows) {
  BatchBuilder builder;
  ProcessedBatch batch;
  for (std::int64_t device = 0; device < devices; ++device) {
    ShapeKey key{.tenant = {1}, .device = "device-" + std::to_string(device)};
    key.fields = {{"temperature", ValueType::float64}};
    const auto shape = std::make_shared<const Shape>(std::move(key));
    for (std::int64_t row = 0; row < rows; ++row) builder.add_row(shape, Time{row})[0] = to_cell(21.5);
    batch.contexts.push_back(std::make_shared<const DeviceContext>(DeviceContext{.tenant = {1},
                                                                                 .device = shape->device(),
                                                                                 .profile = "pump",
                                                                                 .labels = {{"site", "north"}},
                                                                                 .units = {{"temperature", "°C"}}}));
  }
  batch.batch = builder.seal(Time{1});
  return batch;
}

void encode(benchmark::State& state) {
  const ProcessedBatch batch = batch_of(state.range(0), state.range(1));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto parts = encode_parts(batch);
    bytes = parts.front().size();
    benchmark::DoNotOptimize(parts.data());
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  state.SetItemsProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(encode)->Args({1, 1})->Args({1, 1'000})->Args({1'000, 1})->Args({100, 100});

void decode(benchmark::State& state) {
  const std::string bytes = processed::encode(batch_of(state.range(0), state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(processed::decode(bytes)->batch.get());
  state.SetItemsProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(decode)->Args({1, 1})->Args({1, 1'000})->Args({1'000, 1})->Args({100, 100});

}  // namespace
}  // namespace flux::wire::processed
