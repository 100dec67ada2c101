#include <benchmark/benchmark.h>

#include "runtime/spawn.h"
#include "stream/channel.h"
#include "stream/hub.h"
#include "stream/stream_testing.h"

namespace flux::stream {
namespace {

constexpr TenantId kTenant{1};
constexpr Time kNow{1'767'225'600'000'000'000};

struct Sink final : Subscriber {
  bool open = true;
  std::size_t bytes = 0;
  [[nodiscard]] bool writable() const override { return open; }
  void send(std::uint64_t, const FramePtr& frame) override { bytes += frame->rest.size(); }
};

/// A channel alone: `points` of each of `series` series, then one frame, for `members` subscribers; times as integers.
void channel_frame(benchmark::State& bench) {
  const auto series = static_cast<std::size_t>(bench.range(0));
  const auto points = static_cast<std::size_t>(bench.range(1));
  const auto members = static_cast<std::size_t>(bench.range(2));
  const bool slow = bench.range(3) != 0;
  metrics::Registry registry;
  Metrics metrics(registry);
  Config config;
  Channel channel({.tenant = kTenant}, {.times = Epoch::ms}, 0, config, metrics);
  std::vector<Sink> sinks(members);
  for (std::size_t i = 0; i < members; ++i) {
    channel.add_member(i, sinks[i], i);
    sinks[i].open = !slow;
  }
  BatchBuilder builder;
  for (std::size_t s = 0; s < series; ++s) {
    const auto shape = testing::make_shape("device-" + std::to_string(s), {{"temperature", ValueType::float64}});
    for (std::size_t p = 0; p < points; ++p)
      builder.add_row(shape, kNow + Duration{static_cast<std::int64_t>(p) * 1'000'000})[0] =
          to_cell(20.25 + static_cast<double>(p % 64) / 100);
  }
  const BatchPtr batch = builder.seal(kNow);
  for (auto _ : bench) {
    for (const auto& group : batch->groups()) channel.add(*batch, group);
    channel.flush({});
  }
  const double count = static_cast<double>(series * points) * static_cast<double>(bench.iterations());
  bench.counters["ns_per_point"] =
      benchmark::Counter(count / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  bench.counters["ns_per_point_and_member"] = benchmark::Counter(
      count * static_cast<double>(members) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
// Series, points of each, members, slow.
BENCHMARK(channel_frame)
    ->Args({100, 10, 1, 0})
    ->Args({100, 10, 100, 0})
    ->Args({100, 10, 1'000, 0})
    ->Args({100, 10, 100, 1})
    ->Args({10'000, 1, 1, 0});

/// What a partition pays per group: nobody looks on, one device of many is looked at, all are.
void on_batch(benchmark::State& bench) {
  runtime::Shards shards(1, "bench");
  shards.start();
  metrics::Registry registry;
  Config config;
  config.queue = 1_MiB;  // what is not taken in time is dropped: only the partition's side is measured
  Hub hub(shards, config, registry, nullptr, nullptr);
  Sink sink;
  std::vector<Subscription> subscriptions;
  const auto wanted = bench.range(0);
  wire::ProcessedBatch batch;
  BatchBuilder builder;
  for (int i = 0; i < 1'000; ++i) {
    const auto shape = testing::make_shape("device-" + std::to_string(i), {{"temperature", ValueType::float64}});
    builder.add_row(shape, kNow)[0] = to_cell(1.0);
    batch.contexts.push_back(testing::make_context(*shape));
  }
  batch.batch = builder.seal(kNow);
  runtime::run_on(shards[0], [&] {
    if (wanted == 1) subscriptions.push_back(hub.subscribe({.tenant = kTenant, .devices = {"device-7"}}, {}, sink, 1));
    if (wanted == 2) subscriptions.push_back(hub.subscribe({.tenant = kTenant}, {}, sink, 1));
    hub.on_batch(batch);
    for (auto _ : bench) hub.on_batch(batch);
    subscriptions.clear();
  });
  bench.counters["ns_per_group"] = benchmark::Counter(1e3 * static_cast<double>(bench.iterations()) / 1e9,
                                                      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  (void)runtime::block_on(shards[0], hub.stop());
  shards.stop();
  shards.join();
}
BENCHMARK(on_batch)->Arg(0)->Arg(1)->Arg(2);

}  // namespace
}  // namespace flux::stream

BENCHMARK_MAIN();
