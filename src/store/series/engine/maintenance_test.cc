// What `fluxgate store` tells: damage anywhere in a file is found and named, and shares add up to the files.

#include "store/series/maintenance.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>

#include "store/series/engine/engine_impl.h"
#include "store/series/engine/fault_disk.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::unique_ptr<Engine> must_open(FaultDisk& disk, bool background = false) {
  Environment environment;
  environment.files = &disk;
  environment.background = background;
  auto engine = Engine::open("store", {}, environment);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return *std::move(engine);
}

// Every type, rollups too: a reading a second.
void fill(Engine& engine, std::uint64_t offset, std::int64_t from) {
  TestRows rows("d", {{"b", ValueType::boolean},
                      {"f", ValueType::float64},
                      {"i", ValueType::int64},
                      {"s", ValueType::string},
                      {"u", ValueType::uint64}});
  for (std::int64_t i = 0; i < 2000; ++i)
    rows.row((from + i) * kSecond, {i % 7 == 0, static_cast<double>(i * i % 1000) / 8, i % 90,
                                    "w" + std::to_string(i % 3), static_cast<std::uint64_t>(i)});
  ASSERT_TRUE(engine.append({0}, {offset}, *batch_of({rows})).has_value());
}

TEST(Maintenance, AWholeStoreHasNoProblemsAndSharesAddUp) {
  FaultDisk disk;
  const auto engine = must_open(disk);
  fill(*engine, 0, 0);
  ASSERT_TRUE(engine->flush().has_value());
  fill(*engine, 1, 5000);
  ASSERT_TRUE(engine->flush().has_value());
  const CheckReport report = engine->check({}).value();
  EXPECT_EQ(report.problems, std::vector<std::string>());
  EXPECT_EQ(report.parts, 2U);
  EXPECT_EQ(report.series, 10U);
  EXPECT_EQ(report.values, 20'000U);
  EXPECT_EQ(report.bytes, engine->stats().part_bytes);

  const StorageReport storage = engine->storage({}).value();
  EXPECT_EQ(storage.values, 20'000U);
  EXPECT_EQ(storage.bytes, storage.times.bytes + storage.coded.bytes + storage.rollups.bytes + storage.index_bytes);
  EXPECT_GT(storage.rollups.blocks, 0U);
  ASSERT_EQ(storage.metrics.size(), 5U);
  std::uint64_t bytes = 0;
  for (const auto& metric : storage.metrics) {
    EXPECT_EQ(metric.measurement, "telemetry");
    EXPECT_EQ(metric.share.values, 4000U);
    bytes += metric.share.bytes;
  }
  EXPECT_EQ(bytes, storage.coded.bytes);
  bytes = 0;
  for (const auto& codec : storage.codecs) {
    EXPECT_EQ(codec.name.find("damaged"), std::string::npos) << codec.name;
    bytes += codec.share.bytes;
  }
  EXPECT_EQ(bytes, storage.coded.bytes + storage.times.bytes + storage.rollups.bytes);

  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(engine->check(stop.get_token()).error().code, ErrorCode::cancelled);
}

TEST(Maintenance, EveryDamagedByteIsFoundBehindAWarmCache) {
  FaultDisk disk;
  const auto engine = must_open(disk);
  fill(*engine, 0, 0);
  ASSERT_TRUE(engine->flush().has_value());
  ASSERT_TRUE(scan_all(*engine, {.tenant = {1}}).has_value());  // pages are in the cache now
  const std::filesystem::path path = "store/parts/0000000000000001.part";
  const std::string whole = read_file(disk, path).value();
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int run = 0; run < 200; ++run) {
    const std::size_t at = run < 4 ? std::array<std::size_t, 4>{0, 63, whole.size() - 1, whole.size() - 160}[run]
                                   : random() % whole.size();
    std::string bent = whole;
    bent[at] ^= static_cast<char>(1U << random() % 8);
    disk.put(path, bent);
    const CheckReport report = engine->check({}).value();
    ASSERT_FALSE(report.problems.empty()) << "byte " << at << " of " << whole.size();
    ASSERT_NE(report.problems[0].find(path.string()), std::string::npos) << report.problems[0];
  }
  disk.put(path, whole);
  EXPECT_TRUE(engine->check({}).value().problems.empty());
}

TEST(Maintenance, MergingToTheEndTakesInWhatIsInMemory) {
  FaultDisk disk;
  for (const bool background : {false, true}) {
    SCOPED_TRACE(background ? "in the background" : "on this thread");
    const auto engine = must_open(disk, background);
    const std::uint64_t first = background ? 10 : 0;
    for (std::uint64_t i = 0; i < 2; ++i) {
      fill(*engine, first + i, static_cast<std::int64_t>(i) * 3000);
      ASSERT_TRUE(engine->flush().has_value());
    }
    fill(*engine, first + 2, 9000);
    engine->start_merge_to_end();
    while (engine->merge_status().running) std::this_thread::yield();
    EXPECT_EQ(engine->merge_status().error, std::nullopt);
    EXPECT_GE(engine->merge_status().merges, 1U);
    EXPECT_EQ(engine->stats().parts, 1U);
    EXPECT_EQ(engine->resume_from({0}), Offset{first + 3});
    EXPECT_EQ(engine->check({}).value().values, 30'000U);
  }
}

}  // namespace
}  // namespace flux::store::engine
