// What the embedded log costs: `flux_bus_bench --benchmark_format=json`. Rates are per CPU second of the whole
// process; the publisher waits for its answers, so wall-clock rates stand beside them.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <semaphore>
#include <vector>

#include "bus/embedded/embedded_bus.h"
#include "core/batch_builder.h"

namespace flux::bus::embedded {
namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fluxgate-log-bench-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// `devices` shapes with `fields` doubles each, `rows` rows in all.
BatchPtr make_batch(std::size_t devices, std::size_t fields, std::size_t rows) {
  std::vector<ShapePtr> shapes;
  for (std::size_t i = 0; i < devices; ++i) {
    ShapeKey key;
    key.tenant = {1};
    key.device = "device-" + std::to_string(i);
    for (std::size_t f = 0; f < fields; ++f) key.fields.push_back({"field_" + std::to_string(f), ValueType::float64});
    shapes.push_back(std::make_shared<const Shape>(std::move(key)));
  }
  BatchBuilder builder;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto cells = builder.add_row(shapes[row % devices], Time{static_cast<std::int64_t>(row) * 1'000'000});
    for (std::size_t f = 0; f < fields; ++f) cells[f] = to_cell(static_cast<double>(row * 31 + f) / 10.0);
  }
  return builder.seal(Time{1});
}

struct Log {
  explicit Log(Fsync fsync, std::uint32_t partitions = 1, std::uint32_t threads = Config().threads) {
    config.partitions = partitions;
    config.threads = threads;
    config.fsync = fsync;
    config.retention[0].bytes = 2_GiB;
    open();
  }
  void open() {
    bus.reset();
    auto opened = embedded::open(folder.path(), config, metrics);
    CHECK_MSG(opened.has_value(), opened.error().message);
    bus = std::move(*opened);
  }

  Folder folder;
  Config config;
  metrics::Registry metrics;
  std::unique_ptr<Bus> bus;
};

std::size_t bytes_of(const TelemetryBatch& batch) { return batch.words().size_bytes() + batch.heap().size(); }

/// Publishes the batch over and over, with `depth` of them in flight.
void publish(benchmark::State& state, Log& log, const BatchPtr& batch, std::ptrdiff_t depth) {
  std::counting_semaphore<> room(depth);
  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    room.acquire();
    const PartitionId partition{static_cast<std::uint16_t>(next++ % log.bus->partition_count())};
    log.bus->producer().publish(Topic::raw_sensor_data, partition, {.kind = RecordKind::telemetry, .batch = batch},
                                [&room](Result<Offset> offset) {
                                  CHECK_MSG(offset.has_value(), offset.error().message);
                                  room.release();
                                });
  }
  for (std::ptrdiff_t i = 0; i < depth; ++i) room.acquire();
  const auto records = static_cast<std::int64_t>(state.iterations());
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(records * static_cast<std::int64_t>(bytes_of(*batch)));
  const auto groups =
      static_cast<double>(log.metrics
                              .histogram("fluxgate_bus_group_bytes", "Size of one group commit of one partition.",
                                         metrics::Buckets::bytes())
                              .snapshot()
                              .count);
  state.counters["groups"] = benchmark::Counter(groups, benchmark::Counter::kIsRate);
  const auto syncs =
      log.metrics
          .histogram("fluxgate_bus_fsync_seconds", "Time one sync of a segment took.", metrics::Buckets::seconds())
          .snapshot();
  state.counters["fsync_p50_us"] = syncs.quantile(0.5) * 1e6;
  state.counters["fsync_p99_us"] = syncs.quantile(0.99) * 1e6;
}

void publish(benchmark::State& state, Fsync fsync, const BatchPtr& batch, std::ptrdiff_t depth) {
  Log log(fsync);
  publish(state, log, batch, depth);
}

/// Four busy partitions, by the number of log threads.
void SyncedPartitions(benchmark::State& state) {
  Log log(Fsync::always, 4, static_cast<std::uint32_t>(state.range(0)));
  publish(state, log, make_batch(10, 1, 100), 256);
}
BENCHMARK(SyncedPartitions)->Arg(1)->Arg(2)->Arg(4)->MeasureProcessCPUTime()->UseRealTime();

void AppendBigBatches(benchmark::State& state) { publish(state, Fsync::off, make_batch(100, 4, 4000), 8); }
void AppendManyShapes(benchmark::State& state) { publish(state, Fsync::off, make_batch(1000, 1, 1000), 32); }
void AppendSmallBatches(benchmark::State& state) { publish(state, Fsync::off, make_batch(1, 1, 1), 1000); }
void SyncedBigBatches(benchmark::State& state) { publish(state, Fsync::always, make_batch(100, 4, 4000), 8); }
void SyncedSmallBatches(benchmark::State& state) { publish(state, Fsync::always, make_batch(1, 1, 1), state.range(0)); }

BENCHMARK(AppendBigBatches)->MeasureProcessCPUTime();
BENCHMARK(AppendManyShapes)->MeasureProcessCPUTime();
BENCHMARK(AppendSmallBatches)->MeasureProcessCPUTime();
BENCHMARK(SyncedBigBatches)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(SyncedSmallBatches)->Arg(1)->Arg(64)->Arg(1000)->MeasureProcessCPUTime()->UseRealTime();

/// Reads a log of `total` bytes from its files, again and again.
void read(benchmark::State& state, const BatchPtr& batch, std::size_t total) {
  Log log(Fsync::off);
  const std::size_t count = total / (bytes_of(*batch) + 64);
  std::counting_semaphore<> room(64);
  for (std::size_t i = 0; i < count; ++i) {
    room.acquire();
    log.bus->producer().publish(Topic::raw_sensor_data, {0}, {.kind = RecordKind::telemetry, .batch = batch},
                                [&room](Result<Offset>) { room.release(); });
  }
  for (int i = 0; i < 64; ++i) room.acquire();
  log.open();  // nothing is left in memory
  std::size_t records = 0;
  for ([[maybe_unused]] auto _ : state) {
    auto reader = log.bus->reader(Topic::raw_sensor_data, {0}, {});
    CHECK(reader.has_value());
    for (;;) {
      auto got = (*reader)->read(1 << 20);
      CHECK_MSG(got.has_value(), got.error().message);
      if (got->empty()) break;
      records += got->size();
      benchmark::DoNotOptimize(got->data());
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
  state.SetBytesProcessed(static_cast<std::int64_t>(records * bytes_of(*batch)));
}

void ReadBigBatches(benchmark::State& state) { read(state, make_batch(100, 4, 4000), 256_MiB); }
void ReadManyShapes(benchmark::State& state) { read(state, make_batch(1000, 1, 1000), 64_MiB); }
void ReadSmallBatches(benchmark::State& state) { read(state, make_batch(1, 1, 1), 16_MiB); }

BENCHMARK(ReadBigBatches)->MeasureProcessCPUTime();
BENCHMARK(ReadManyShapes)->MeasureProcessCPUTime();
BENCHMARK(ReadSmallBatches)->MeasureProcessCPUTime();

void OpenAfterCrash(benchmark::State& state) {
  // A segment of about 128 MiB that was never sealed: opened as after a kill.
  Log log(Fsync::off);
  const BatchPtr batch = make_batch(100, 1, static_cast<std::size_t>(state.range(0)));
  const std::size_t count = 120_MiB / (bytes_of(*batch) + 1024);
  log.config.group_bytes = 1;
  log.open();
  std::counting_semaphore<> room(64);
  for (std::size_t i = 0; i < count; ++i) {
    room.acquire();
    log.bus->producer().publish(Topic::raw_sensor_data, {0}, {.kind = RecordKind::telemetry, .batch = batch},
                                [&room](Result<Offset>) { room.release(); });
  }
  for (int i = 0; i < 64; ++i) room.acquire();
  Folder copy;
  std::filesystem::copy(log.folder.path(), copy.path(),
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    Folder crashed;
    std::filesystem::copy(copy.path(), crashed.path(),
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    metrics::Registry registry;
    state.ResumeTiming();
    auto opened = embedded::open(crashed.path(), log.config, registry);
    CHECK_MSG(opened.has_value(), opened.error().message);
    state.PauseTiming();
    opened->reset();
    state.ResumeTiming();
  }
}
BENCHMARK(OpenAfterCrash)->Arg(200)->Arg(10'000)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(5);

}  // namespace
}  // namespace flux::bus::embedded

BENCHMARK_MAIN();
