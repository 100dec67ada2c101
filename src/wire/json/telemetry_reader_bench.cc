#include <benchmark/benchmark.h>

#include "wire/json/telemetry_reader.h"
#include "wire/json/testing.h"

namespace flux::wire::json {
namespace {

void run(benchmark::State& state, const std::string& text, TelemetryForm form) {
  testing::FakeSink sink("pump-1");
  TelemetryReader reader;
  TelemetryOutcome outcome;
  std::int64_t readings = 0;
  for (auto _ : state) {
    if (!reader.read(text, form, sink, outcome) || outcome.refused != 0) state.SkipWithError("refused");
    readings += outcome.readings;
    if (sink.builder.row_count() > 5'000) {
      state.PauseTiming();
      benchmark::DoNotOptimize(sink.builder.seal({}));
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(readings);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}

/// 100 reading objects of one device, one value in each.
void readings_of_one_value(benchmark::State& state) {
  std::string text = R"({"device":"pump-1","readings":[)";
  for (int i = 0; i < 100; ++i)
    text += std::string(i ? "," : "") + R"({"time":)" + std::to_string(1767225600000 + i) +
            R"(,"metrics":{"temperature":)" + std::to_string(20 + i * 0.01) + "}}";
  run(state, text + "]}", TelemetryForm::enveloped);
}
BENCHMARK(readings_of_one_value);

/// The same as an array in which each names the device.
void array_of_one_value(benchmark::State& state) {
  std::string text = "[";
  for (int i = 0; i < 100; ++i)
    text += std::string(i ? "," : "") + R"({"device":"pump-1","time":"2026-01-01T00:00:0)" + std::to_string(i % 10) +
            R"(.250Z","metrics":{"temperature":)" + std::to_string(20 + i * 0.01) + "}}";
  run(state, text + "]", TelemetryForm::enveloped);
}
BENCHMARK(array_of_one_value);

/// 20 rows of five values.
void readings_of_five_values(benchmark::State& state) {
  std::string text = R"({"device":"pump-1","readings":[)";
  for (int i = 0; i < 20; ++i)
    text += std::string(i ? "," : "") + R"({"time":)" + std::to_string(1767225600000 + i) +
            R"(,"metrics":{"temperature":21.5,"pressure":1013.25,"humidity":40,"vibration":0.0125,"running":true}})";
  run(state, text + "]}", TelemetryForm::enveloped);
}
BENCHMARK(readings_of_five_values);

void single_flat_value(benchmark::State& state) { run(state, R"({"temperature":21.5})", TelemetryForm::any); }
BENCHMARK(single_flat_value);

void single_with_time(benchmark::State& state) {
  run(state, R"({"time":1767225600123,"metrics":{"temperature":21.5}})", TelemetryForm::any);
}
BENCHMARK(single_with_time);

}  // namespace
}  // namespace flux::wire::json
