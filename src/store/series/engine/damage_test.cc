// Files that are not as they were written: an error that names the place, or a clean recovery; never a crash and never
// a wrong value.

#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <random>

#include "store/series/engine/engine_impl.h"
#include "store/series/engine/fault_disk.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::unique_ptr<Engine> must_open(FaultDisk& disk, const Config& config = {}) {
  Environment environment;
  environment.files = &disk;
  environment.background = false;
  auto engine = Engine::open("store", config, environment);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return *std::move(engine);
}

// Two days, several devices and types, two parts for the first day.
void fill(Engine& engine) {
  std::uint64_t offset = 0;
  for (std::int64_t part = 0; part < 3; ++part) {
    std::vector<TestRows> groups;
    for (int device = 0; device < 4; ++device) {
      TestRows rows("d" + std::to_string(device), {{"f", ValueType::float64}, {"s", ValueType::string}});
      for (std::int64_t i = 0; i < 300; ++i)
        rows.row((part * 43'200 + i * 10) * kSecond, {static_cast<double>(i) / 4, "state " + std::to_string(i % 5)});
      groups.push_back(std::move(rows));
    }
    ASSERT_TRUE(engine.append({0}, {offset++}, *batch_of(groups)).has_value());
    ASSERT_TRUE(engine.flush().has_value());
  }
}

using Found = std::map<std::string, PointList>;

// What a store that may be damaged says: nothing wrong, and errors are `corrupt`.
void check_answers(const Engine& engine, const Found& truth, const std::string& what) {
  for (const auto& [name, points] : truth) {
    SeriesSelector selector{.tenant = {1}};
    selector.devices = {name.substr(0, 2)};
    selector.fields = {name.substr(name.size() - 1)};
    const auto found = scan_all(engine, selector);
    if (!found) {
      ASSERT_EQ(found.error().code, ErrorCode::corrupt) << what << ": " << found.error().message;
      ASSERT_NE(found.error().message.find("store"), std::string::npos) << found.error().message;
    } else if (!found->empty()) {
      ASSERT_EQ(found->begin()->second, points) << what;
    } else {
      ASSERT_FALSE(engine.stats().damaged.empty()) << what;  // its index page is gone, and that is told
    }
    const auto rows = engine.aggregate(selector, {}, {{3600 * kSecond}, {0}}, {}, {}, [&](WindowedPoints&& chunk) {
      std::uint64_t count = 0;
      for (const WindowRow& row : chunk.rows) count += row.count;
      EXPECT_EQ(count, points.size()) << what;
      return true;
    });
    if (!rows) ASSERT_EQ(rows.error().code, ErrorCode::corrupt) << what << ": " << rows.error().message;
    const auto last = engine.latest(selector);
    if (!last) ASSERT_EQ(last.error().code, ErrorCode::corrupt);
    else if (!last->empty()) ASSERT_EQ((*last)[0].time.ns, points.back().first) << what;
  }
}

TEST(Damage, NoChangeOfAFileGivesAWrongValue) {
  FaultDisk disk;
  Found truth;
  {
    const auto engine = must_open(disk);
    fill(*engine);
    truth = scan_all(*engine, {.tenant = {1}}).value();
    ASSERT_EQ(truth.size(), 8U);
  }
  const auto files = disk.files();
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const auto& [path, bytes] : files) {
    for (int run = 0; run < 150 && !::testing::Test::HasFailure(); ++run) {
      std::string changed = bytes;
      std::string what = path;
      if (run % 3 == 0) {
        const std::size_t size = run == 0 ? 0 : random() % bytes.size();
        changed.resize(size);
        what += " cut to " + std::to_string(size);
      } else {
        const std::size_t at = random() % bytes.size();
        changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
        what += " changed at " + std::to_string(at);
      }
      for (const auto& [other, good] : files) disk.put(other, good);
      disk.put(path, changed);
      Environment environment;
      environment.files = &disk;
      environment.background = false;
      auto engine = Engine::open("store", {}, environment);
      if (!engine) {
        ASSERT_EQ(engine.error().code, ErrorCode::corrupt) << what << ": " << engine.error().message;
        ASSERT_NE(path.find("MANIFEST"), std::string::npos) << what << ": " << engine.error().message;
        continue;
      }
      check_answers(**engine, truth, what);
      // Merging and more readings must not make it worse.
      ASSERT_TRUE((*engine)->merge_all().has_value()) << what;
      check_answers(**engine, truth, what + ", merged");
    }
  }
}

TEST(Damage, EveryTruncationAndEveryBitOfASmallStore) {
  FaultDisk disk;
  Found truth;
  {
    const auto engine = must_open(disk);
    std::vector<TestRows> groups;
    for (int device = 0; device < 2; ++device) {
      TestRows rows("d" + std::to_string(device), {{"f", ValueType::float64}, {"s", ValueType::string}});
      for (std::int64_t i = 0; i < 6; ++i)
        rows.row(i * kSecond, {static_cast<double>(i) / 4, "is " + std::to_string(i)});
      groups.push_back(std::move(rows));
    }
    groups.push_back(TestRows("d2").row(1, {1.0}));
    ASSERT_TRUE(engine->append({0}, {0}, *batch_of(groups)).has_value());
    ASSERT_TRUE(engine->flush().has_value());
    // A deletion that no merge has seen to yet: so the manifest has one.
    SeriesSelector gone{.tenant = {1}};
    gone.devices = {"d2"};
    ASSERT_TRUE(engine->erase({0}, {1}, gone, {}).has_value());
    ASSERT_TRUE(engine->flush().has_value());
    truth = scan_all(*engine, {.tenant = {1}}).value();
    ASSERT_EQ(truth.size(), 4U);
  }
  const auto files = disk.files();
  const auto manifest = decode_manifest(files.at("store/MANIFEST")).value();
  ASSERT_EQ(manifest.tombstones.size(), 1U);
  ASSERT_EQ(files.size(), 2U) << "a manifest and a part: there are no other kinds";
  for (const auto& [path, bytes] : files) {
    const auto check = [&](std::string changed, const std::string& what) {
      for (const auto& [other, good] : files) disk.put(other, good);
      disk.put(path, std::move(changed));
      Environment environment;
      environment.files = &disk;
      environment.background = false;
      const auto engine = Engine::open("store", {}, environment);
      if (engine) {
        ASSERT_TRUE(path.ends_with(".part")) << what << ": a manifest that is not what was written was taken";
        check_answers(**engine, truth, what);
        SeriesSelector gone{.tenant = {1}};
        gone.devices = {"d2"};
        const auto found = scan_all(**engine, gone);
        if (found) ASSERT_TRUE(found->empty()) << what << ": what was deleted is back";
      } else {
        ASSERT_EQ(engine.error().code, ErrorCode::corrupt) << what << ": " << engine.error().message;
        ASSERT_FALSE(path.ends_with(".part")) << what << ": " << engine.error().message;
      }
    };
    for (std::size_t size = 0; size < bytes.size() && !HasFailure(); ++size)
      check(bytes.substr(0, size), path + " cut to " + std::to_string(size));
    for (std::size_t bit = 0; bit < bytes.size() * 8 && !HasFailure(); ++bit) {
      std::string changed = bytes;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      check(std::move(changed),
            path + " changed at byte " + std::to_string(bit / 8) + ", bit " + std::to_string(bit % 8));
    }
  }
}

TEST(Damage, AMissingPartIsReportedAndTheRestServed) {
  FaultDisk disk;
  {
    const auto engine = must_open(disk);
    fill(*engine);
  }
  for (const auto& [path, bytes] : disk.files())
    if (path.ends_with("0000000000000003.part")) disk.erase(path);
  {
    const auto engine = must_open(disk);
    ASSERT_EQ(engine->stats().damaged.size(), 1U);
    EXPECT_NE(engine->stats().damaged[0].find("0000000000000003.part"), std::string::npos);
    SeriesSelector selector{.tenant = {1}};
    selector.devices = {"d1"};
    const auto whole = scan_all(*engine, selector);
    ASSERT_FALSE(whole.has_value());
    EXPECT_EQ(whole.error().code, ErrorCode::corrupt);
    const auto first_day = scan_all(*engine, selector, {Time{0}, Time{86'400 * kSecond}});
    ASSERT_TRUE(first_day.has_value());
    EXPECT_EQ(first_day->at("d1/telemetry/f").size(), 600U);
    // New readings are taken and kept, and the gap stays known.
    ASSERT_TRUE(engine->append({0}, {3}, *batch_of({TestRows("new").row(1, {1.0})})).has_value());
    ASSERT_TRUE(engine->flush().has_value());
    ASSERT_TRUE(engine->merge_all().has_value());
  }
  Config config;
  config.serve_damaged = true;
  const auto engine = must_open(disk, config);
  EXPECT_EQ(engine->stats().damaged.size(), 1U);
  SeriesSelector selector{.tenant = {1}};
  EXPECT_EQ(scan_all(*engine, selector)->at("d1/telemetry/f").size(), 600U);
  EXPECT_EQ(engine->latest(selector)->size(), 9U);
}

TEST(Damage, ADamagedBlockCostsThatBlock) {
  FaultDisk disk;
  {
    const auto engine = must_open(disk);
    fill(*engine);
  }
  for (auto [path, bytes] : disk.files()) {
    if (!path.ends_with("0000000000000001.part")) continue;
    bytes[kPartHeaderBytes + 3] ^= 1;  // within the first block: the times of some device
    disk.put(path, bytes);
  }
  const auto engine = must_open(disk);
  int damaged = 0;
  for (int device = 0; device < 4; ++device) {
    SeriesSelector selector{.tenant = {1}};
    selector.devices = {"d" + std::to_string(device)};
    const auto found = scan_all(*engine, selector);
    if (found) {
      EXPECT_EQ(found->at(selector.devices[0] + "/telemetry/f").size(), 900U);
      continue;
    }
    ++damaged;
    EXPECT_NE(found.error().message.find("0000000000000001.part"), std::string::npos);
    EXPECT_NE(found.error().message.find("byte 64"), std::string::npos) << found.error().message;
    // After the damage, in time, everything is there.
    EXPECT_TRUE(scan_all(*engine, selector, {Time{43'200 * kSecond}, Time::max()}).has_value());
  }
  EXPECT_EQ(damaged, 1);
  EXPECT_EQ(engine->stats().damaged.size(), 1U);
}

TEST(Damage, RollupsAnswerWithoutReadingTheirReadings) {
  FaultDisk disk;
  {
    const auto engine = must_open(disk);
    TestRows rows("d");
    for (std::int64_t i = 0; i < 8640; ++i) rows.row(i * 10 * kSecond, {std::sin(static_cast<double>(i))});
    ASSERT_TRUE(engine->append({0}, {0}, *batch_of({rows})).has_value());
    ASSERT_TRUE(engine->flush().has_value());
  }
  for (auto [path, bytes] : disk.files()) {
    if (!path.ends_with(".part")) continue;
    bytes[kPartHeaderBytes + 3000] ^= 1;  // within the first block of values
    disk.put(path, bytes);
  }
  const auto engine = must_open(disk);
  std::uint64_t count = 0;
  const auto add = [&](WindowedPoints&& chunk) {
    for (const WindowRow& row : chunk.rows) count += row.count;
    return true;
  };
  const SeriesSelector selector{.tenant = {1}};
  ASSERT_TRUE(engine->aggregate(selector, {}, {{3600 * kSecond}, {0}}, {}, {}, add).has_value());
  EXPECT_EQ(count, 8640U);
  const auto finer = engine->aggregate(selector, {}, {{1800 * kSecond}, {0}}, {}, {}, add);
  ASSERT_FALSE(finer.has_value());
  EXPECT_EQ(finer.error().code, ErrorCode::corrupt);
}

TEST(Merge, AppliesDeletesForGood) {
  FaultDisk disk;
  const auto engine = must_open(disk);
  fill(*engine);
  const std::uint64_t points = engine->stats().points;
  SeriesSelector selector{.tenant = {1}};
  selector.devices = {"d2"};
  ASSERT_TRUE(engine->erase({0}, {3}, selector, {Time{0}, Time{86'400 * kSecond}}).has_value());
  selector.devices = {"nobody"};
  ASSERT_TRUE(engine->erase({0}, {4}, selector, {}).has_value());
  ASSERT_TRUE(engine->flush().has_value());
  EXPECT_EQ(engine->stats().points, points);
  while (engine->merge_once().value()) {
  }
  EXPECT_EQ(engine->stats().points, points - 2 * 300 * 2) << "two parts of the first day lost one device";
  const auto manifest = decode_manifest(disk.files().at("store/MANIFEST")).value();
  EXPECT_TRUE(manifest.tombstones.empty());
  EXPECT_EQ(disk.files().size(), 1 + engine->stats().parts);
}

TEST(Merge, KeepsPartsFew) {
  FaultDisk disk;
  const auto engine = must_open(disk);
  for (std::int64_t flush = 0; flush < 100; ++flush) {
    TestRows rows("d");
    for (std::int64_t i = 0; i < 200; ++i) rows.row((flush * 200 + i) * kSecond, {static_cast<double>(i)});
    ASSERT_TRUE(engine->append({0}, {static_cast<std::uint64_t>(flush)}, *batch_of({rows})).has_value());
    ASSERT_TRUE(engine->flush().has_value());
    while (engine->merge_once().value()) {
    }
    ASSERT_LT(engine->stats().parts, 8U);
  }
  ASSERT_TRUE(engine->merge_all().has_value());
  EXPECT_EQ(engine->stats().parts, 1U);
  EXPECT_EQ(engine->stats().points, 20'000U);
  EXPECT_EQ(disk.files().size(), 2U);
}

TEST(Merge, ReadingsOfManyDaysMakeAHandfulOfParts) {
  FaultDisk disk;
  const auto engine = must_open(disk);
  TestRows rows("d");
  for (std::int64_t day = -2000; day < 2000; ++day) rows.row(day * 86'400 * kSecond, {1.0});
  for (std::int64_t i = 0; i < 40'000; ++i) rows.row(3000 * 86'400 * kSecond + i * kSecond, {2.0});
  ASSERT_TRUE(engine->append({0}, {0}, *batch_of({rows})).has_value());
  ASSERT_TRUE(engine->flush().has_value());
  EXPECT_LE(engine->stats().parts, 6U);
  EXPECT_GE(engine->stats().parts, 2U);
  EXPECT_EQ(scan_all(*engine, {.tenant = {1}})->at("d/telemetry/v").size(), 44'000U);
}

TEST(Damage, PartsWithoutAManifestAreNotThrownAway) {
  FaultDisk disk;
  {
    const auto engine = must_open(disk);
    fill(*engine);
  }
  disk.erase("store/MANIFEST");
  const std::size_t files = disk.files().size();
  Environment environment;
  environment.files = &disk;
  environment.background = false;
  const auto engine = Engine::open("store", {}, environment);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::corrupt);
  EXPECT_EQ(disk.files().size(), files);
}

TEST(FullDisk, HoldsReadingsUntilThereIsRoom) {
  FaultDisk disk;
  Config config;
  config.max_head_bytes = 1_MiB;
  const auto engine = must_open(disk, config);
  fill(*engine);
  const std::size_t parts = engine->stats().parts;
  disk.set_free_bytes(500);
  TestRows rows("d0", {{"f", ValueType::float64}, {"s", ValueType::string}});
  for (std::int64_t i = 0; i < 1000; ++i) rows.row((200'000 + i) * kSecond, {static_cast<double>(i), "text"});
  const auto batch = batch_of({rows});
  std::uint64_t offset = 3;
  ASSERT_TRUE(engine->append({0}, {offset++}, *batch).has_value());
  const auto full = engine->flush();
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(engine->stats().read_only);
  EXPECT_FALSE(engine->stats().read_only_reason.empty());
  EXPECT_EQ(engine->resume_from({0}), Offset{3});
  EXPECT_EQ(disk.files().size(), parts + 1) << "no half-written part is left";
  // What is in memory is served, and more is taken until the limit.
  SeriesSelector selector{.tenant = {1}};
  selector.devices = {"d0"};
  EXPECT_EQ(scan_all(*engine, selector)->at("d0/telemetry/f").size(), 1900U);
  Result<> taken;
  while ((taken = engine->append({0}, {offset}, *batch)).has_value()) ++offset;
  EXPECT_EQ(taken.error().code, ErrorCode::exhausted);
  EXPECT_LT(engine->stats().head_bytes, 1_MiB);
  disk.set_free_bytes(-1);
  ASSERT_TRUE(engine->flush().has_value());
  EXPECT_FALSE(engine->stats().read_only);
  EXPECT_EQ(engine->resume_from({0}), Offset{offset});
  EXPECT_TRUE(engine->append({0}, {offset}, *batch).has_value());
  EXPECT_EQ(scan_all(*engine, selector)->at("d0/telemetry/f").size(), 1900U);
}

TEST(Retention, DropsPartsThatAreOld) {
  FaultDisk disk;
  Config config;
  config.retention = 86'400_s;
  Environment environment;
  environment.files = &disk;
  environment.background = false;
  Time now{2 * 86'400 * kSecond + 1000 * kSecond};
  environment.now = [&] { return now; };
  const auto engine = Engine::open("store", config, environment).value();
  fill(*engine);
  ASSERT_TRUE(engine->append({0}, {3}, *batch_of({TestRows("old").row(5, {1.0})})).has_value());
  ASSERT_TRUE(engine->flush().has_value());
  ASSERT_TRUE(engine->apply_retention().has_value());
  const SeriesSelector selector{.tenant = {1}};
  auto found = scan_all(*engine, selector).value();
  EXPECT_EQ(found.at("d0/telemetry/f").front().first, 86'400 * kSecond);
  EXPECT_FALSE(found.contains("old/telemetry/v"));
  EXPECT_EQ(engine->list(selector, 100, {})->size(), 8U);
  EXPECT_EQ(engine->latest(selector)->size(), 8U);
  EXPECT_EQ(disk.files().size(), 2U);  // the manifest and one part
  now = now + 86'400_s * 5;
  ASSERT_TRUE(engine->apply_retention().has_value());
  EXPECT_TRUE(engine->list(selector, 100, {})->empty());
  EXPECT_EQ(disk.files().size(), 1U);
}

}  // namespace
}  // namespace flux::store::engine
