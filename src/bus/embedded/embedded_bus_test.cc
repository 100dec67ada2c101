#include "bus/embedded/embedded_bus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <latch>
#include <numeric>
#include <thread>

#include "bus/embedded/testing/log_harness.h"
#include "bus/embedded/testing/temporary_folder.h"
#include "config/registry.h"

namespace flux::bus::embedded {
namespace {

constexpr Topic kRaw = Topic::raw_sensor_data;

/// For what housekeeping does in its own time: asks again after each change of the disk.
bool eventually(LogHarness& log, const std::function<bool()>& holds) {
  for (;;) {
    const std::uint64_t seen = log.disk().changes();
    if (holds()) return true;
    if (!log.disk().await_change(seen)) return false;
  }
}

std::vector<std::string> texts(const LogHarness::Found& found) {
  std::vector<std::string> all;
  for (const auto& [offset, says] : found.records) all.push_back(says);
  return all;
}

Result<Offset> publish(LogHarness& log, const std::string& text) { return log.publish(conformance_event(text)); }

TEST(EmbeddedBus, AFailedSyncPoisonsTheSegmentAndThePartitionGoesOn) {
  const Quiet quiet;
  LogHarness log;
  ASSERT_TRUE(log.open());
  ASSERT_EQ(publish(log, "a"), Offset{0});
  log.disk().set_faults({.sync = 1});
  EXPECT_EQ(publish(log, "unknown").error().code, ErrorCode::io);
  EXPECT_EQ(log.bus().info(kRaw, {0})->end, Offset{1});
  // A new segment cannot be made either, and then nothing is written.
  EXPECT_EQ(publish(log, "refused").error().code, ErrorCode::unavailable);
  log.disk().set_faults({});
  ASSERT_EQ(publish(log, "b"), Offset{1});  // nobody was told of another record with this offset
  EXPECT_EQ(texts(log.read_all()), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(log.bus().producer().queued_bytes(), 0U);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_errors_total", {{"kind", "fsync"}}), 1);
  for (const bool power : {false, true}) {
    if (power) log.disk().cut_power();
    log.kill();
    ASSERT_TRUE(log.open());
    EXPECT_EQ(texts(log.read_all()), (std::vector<std::string>{"a", "b"}));
  }
}

TEST(EmbeddedBus, WhatMustBeSyncedFirstSurvivesAPowerCutWhereOthersNeedNot) {
  for (int round = 0; round < 40; ++round) {
    Config config;
    config.fsync = round % 2 == 0 ? Fsync::off : Fsync::interval;
    config.fsync_interval = 24_h;
    LogHarness log(config);
    ASSERT_TRUE(log.open());
    for (int i = 0; i < round; ++i) ASSERT_TRUE(publish(log, "before " + std::to_string(i)));
    Record record = conformance_event("a change");
    record.sync_first = true;
    const auto offset = log.publish(std::move(record));
    ASSERT_TRUE(offset);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(publish(log, "behind"));
    log.disk().cut_power();
    Quiet quiet;
    log.close();
    ASSERT_TRUE(log.open());
    const auto found = log.read_all();
    EXPECT_TRUE(found.damages.empty());
    ASSERT_GT(found.records.size(), offset->value) << "round " << round;
    EXPECT_EQ(found.records.at(offset->value), LogHarness::say(conformance_event("a change")));
  }
}

TEST(EmbeddedBus, KeepsEveryKindOfRecordOverARestart) {
  LogHarness log;
  ASSERT_TRUE(log.open());
  for (const RecordKind kind : {RecordKind::control, RecordKind::event, RecordKind::processed}) {
    Record record = conformance_event("of kind " + std::to_string(static_cast<int>(kind)));
    record.kind = kind;
    ASSERT_TRUE(log.publish(std::move(record)));
  }
  log.close();
  ASSERT_TRUE(log.open());
  const auto records = log.bus().reader(kRaw, {0}, {}).value()->read(1 << 20).value();
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].kind, RecordKind::control);
  EXPECT_EQ(records[1].kind, RecordKind::event);
  EXPECT_EQ(records[2].kind, RecordKind::processed);
  EXPECT_TRUE(records[2].payload->contains("of kind 4"));
}

TEST(EmbeddedBus, AFullDiskRefusesAndResumesByItself) {
  const Quiet quiet;
  LogHarness log;
  ASSERT_TRUE(log.open());
  std::vector<std::string> taken;
  const auto fill = [&] {
    for (int i = 0;; ++i) {
      const std::string text = std::to_string(taken.size()) + std::string(20'000, 'x');
      const auto offset = publish(log, text);
      if (!offset) return offset.error();
      EXPECT_EQ(*offset, Offset{taken.size()});
      taken.push_back(text);
      EXPECT_LT(i, 1000);
    }
  };
  for (const std::uint64_t capacity : {500'000U, 900'000U, 1'000'000U}) {
    log.disk().set_faults({.capacity = capacity});
    const Error error = fill();
    EXPECT_EQ(error.code, ErrorCode::unavailable) << error.message;
    EXPECT_GT(taken.size() * 20'000, capacity * 8 / 10);  // and not long before it was full
    EXPECT_EQ(texts(log.read_all()), taken);
  }
  log.kill();
  ASSERT_TRUE(log.open());
  EXPECT_EQ(texts(log.read_all()), taken);
  log.disk().set_faults({});
  EXPECT_EQ(publish(log, "after"), Offset{taken.size()});
}

TEST(EmbeddedBus, LeavesTheReserveOfTheDiskAlone) {
  const Quiet quiet;
  LogHarness log;
  log.config().disk_reserve_bytes = 1_MiB;  // a fiftieth of the disk is less
  log.disk().set_faults({.capacity = 2'000'000});
  ASSERT_TRUE(log.open());
  while (publish(log, std::string(10'000, 'x'))) {
  }
  std::uint64_t used = 0;
  for (const auto& [path, bytes] : log.disk().contents()) used += bytes.size();
  EXPECT_LE(used, 2'000'000U - 40'000U);
  EXPECT_GT(used, 1'800'000U);
}

TEST(EmbeddedBus, AFullQueueRefuses) {
  const Quiet quiet;
  Config config;
  config.queue_bytes = 100'000;
  config.record_bytes = 50'000;
  LogHarness log(config);
  ASSERT_TRUE(log.open());
  EXPECT_EQ(publish(log, std::string(60'000, 'x')).error().code, ErrorCode::too_large);

  // The only log thread is held up in an answer, so what follows stays in the queue.
  std::latch held(1);
  std::latch arrived(1);
  log.bus().producer().publish(kRaw, {0}, conformance_event("first"), [&](const Result<Offset>&) {
    arrived.count_down();
    held.wait();
  });
  arrived.wait();
  std::atomic<int> good = 0;
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    log.bus().producer().publish(kRaw, {0}, conformance_event(std::string(20'000, 'x')), [&](Result<Offset> offset) {
      if (offset) {
        ++good;
        return;
      }
      EXPECT_EQ(offset.error().code, ErrorCode::exhausted);
      ++refused;  // on this thread
    });
  }
  EXPECT_EQ(refused, 6);
  EXPECT_GT(log.bus().producer().queued_bytes(), 80'000U);
  EXPECT_LE(log.bus().producer().queued_bytes(), 100'000U);
  held.count_down();
  ASSERT_TRUE(publish(log, "last"));
  EXPECT_EQ(good, 4);
}

TEST(EmbeddedBus, CompletesWhatWasPublishedBeforeItCloses) {
  LogHarness log;
  ASSERT_TRUE(log.open());
  std::atomic<int> good = 0;
  for (int i = 0; i < 1000; ++i)
    log.bus().producer().publish(kRaw, {0}, conformance_event("x"), [&](const Result<Offset>& offset) {
      if (offset) ++good;
    });
  log.close();
  EXPECT_EQ(good, 1000);
  ASSERT_TRUE(log.open());
  EXPECT_EQ(log.read_all().records.size(), 1000U);
}

Config small_segments() {
  Config config;
  config.segment_bytes = 64_KiB;
  config.tail_bytes = 0;
  return config;
}

TEST(EmbeddedBus, RetentionBySizeNeverPassesWhatAGroupNeeds) {
  const Quiet quiet;
  Config config = small_segments();
  config.retention[0].bytes = 512_KiB;
  LogHarness log(config);
  ASSERT_TRUE(log.open());
  log.bus().commit("process", kRaw, {0}, {10});
  auto behind = log.bus().reader(kRaw, {0}, {});
  ASSERT_TRUE((*behind)->read(1));
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(publish(log, std::string(10'000, 'x')));
  auto info = *log.bus().info(kRaw, {0});
  EXPECT_LE(info.first, Offset{10});
  EXPECT_GT(info.bytes, 1'400'000U);

  log.bus().commit("process", kRaw, {0}, {140});
  log.bus().commit("archive", kRaw, {0}, {60});  // the slowest one counts
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publish(log, std::string(10'000, 'x')));
  info = *log.bus().info(kRaw, {0});
  EXPECT_GT(info.first, Offset{40});
  EXPECT_LE(info.first, Offset{60});

  log.bus().forget("archive");
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publish(log, std::string(10'000, 'x')));
  info = *log.bus().info(kRaw, {0});
  EXPECT_GT(info.first, Offset{60});
  EXPECT_LE(info.bytes, 512_KiB + 64_KiB + 20'000);
  EXPECT_GT(info.bytes, 400'000U);
  EXPECT_EQ(log.read_all().records.size(), info.end.value - info.first.value);

  // Who starts from further back starts at the first one kept; who was overtaken is told.
  EXPECT_EQ((*log.bus().reader(kRaw, {0}, {3}))->position(), info.first);
  auto read = (*behind)->read(1 << 20);
  while (read && !read->empty()) read = (*behind)->read(1 << 20);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::not_found);
  EXPECT_NE(read.error().message.find("first one kept is " + std::to_string(info.first.value)), std::string::npos);
  EXPECT_EQ((*behind)->seek({2}).error().code, ErrorCode::not_found);
  ASSERT_TRUE((*behind)->seek(info.first));
  EXPECT_TRUE((*behind)->read(1));

  behind->reset();
  log.kill();
  ASSERT_TRUE(log.open());
  EXPECT_EQ(log.bus().info(kRaw, {0})->first, info.first);
}

TEST(EmbeddedBus, AHardCapHoldsBackPublishersUntilConsumersComeAlong) {
  const Quiet quiet;
  Config config = small_segments();
  config.retention[0].max_bytes = 1_MiB;
  config.group_bytes = 16_KiB;
  LogHarness log(config);
  ASSERT_TRUE(log.open());
  log.bus().commit("process", kRaw, {0}, {0});
  Result<Offset> last = Offset{};
  for (int i = 0; i < 500 && last; ++i) last = publish(log, std::string(10'000, 'x'));
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, ErrorCode::exhausted);
  const PartitionInfo full = *log.bus().info(kRaw, {0});
  EXPECT_EQ(full.first, Offset{0});
  EXPECT_LE(full.bytes, 1_MiB);
  EXPECT_GT(full.bytes, 900'000U);
  EXPECT_EQ(publish(log, std::string(10'000, 'x')).error().code, ErrorCode::exhausted);
  log.bus().commit("process", kRaw, {0}, {30});
  EXPECT_EQ(publish(log, std::string(10'000, 'x')), full.end);
  EXPECT_GT(log.bus().info(kRaw, {0})->first, Offset{0});
  EXPECT_LE(log.bus().info(kRaw, {0})->first, Offset{30});
}

TEST(EmbeddedBus, WhatIsTooOldGoesEvenFromAnIdlePartition) {
  const Quiet quiet;
  Config config;
  config.retention[0].age = 1_ns;
  LogHarness log(config);
  ASSERT_TRUE(log.open());
  log.bus().commit("process", kRaw, {0}, {0});
  const Origin origin{{{0}, {77}}, 3};
  for (int i = 0; i < 5; ++i) {
    Record record = conformance_event("x");
    record.origin = origin;
    ASSERT_TRUE(log.publish(std::move(record)));
  }
  EXPECT_EQ(log.read_all().records.size(), 5U);  // a group needs them
  log.bus().commit("process", kRaw, {0}, {5});
  EXPECT_TRUE(eventually(log, [&] { return log.bus().info(kRaw, {0})->first == Offset{5}; }));
  EXPECT_EQ(log.read_all().records.size(), 0U);
  // Neither the numbering nor the last origin goes with them.
  for (const bool killed : {true, false}) {
    if (killed) log.kill();
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.bus().info(kRaw, {0})->end, Offset{5});
    EXPECT_EQ(*log.bus().last_origin(kRaw, {0}), origin);
  }
  EXPECT_EQ(publish(log, "y"), Offset{5});
  EXPECT_EQ(*log.bus().last_origin(kRaw, {0}), origin);
}

TEST(EmbeddedBus, SealsASegmentByAge) {
  const Quiet quiet;
  Config config;
  config.segment_age = 1_ns;
  LogHarness log(config);
  ASSERT_TRUE(log.open());
  const auto segments = [&] {
    std::size_t count = 0;
    for (const auto& [path, bytes] : log.disk().contents()) count += path.ends_with(".seg") ? 1 : 0;
    return count;
  };
  ASSERT_TRUE(publish(log, "a"));
  EXPECT_TRUE(eventually(log, [&] { return publish(log, "b") && segments() >= 2; }));
}

TEST(EmbeddedBus, SavesCommittedOffsetsByItself) {
  LogHarness log;
  ASSERT_TRUE(log.open());
  log.bus().commit("process", kRaw, {0}, {0});
  EXPECT_TRUE(eventually(log, [&] { return log.disk().contents().contains("log/groups"); }));
  log.kill();
  ASSERT_TRUE(log.open());
  EXPECT_EQ(log.bus().committed("process", kRaw, {0}), Offset{0});
}

TEST(EmbeddedBus, IsHeldByOneProcess) {
  TemporaryFolder folder;
  metrics::Registry first_metrics;
  metrics::Registry second_metrics;
  auto first = open(folder.path() / "deep" / "log", {}, first_metrics);
  ASSERT_TRUE(first) << first.error().message;
  const auto second = open(folder.path() / "deep" / "log", {}, second_metrics);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::already_exists);
  EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos);
  EXPECT_NE(second.error().message.find((folder.path() / "deep" / "log").string()), std::string::npos);
  first->reset();
  EXPECT_TRUE(open(folder.path() / "deep" / "log", {}, second_metrics));
}

TEST(EmbeddedBus, SaysWhyAFolderCannotBeUsed) {
  metrics::Registry metrics;
  const auto opened = open("/proc/fluxgate", {}, metrics);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("/proc/fluxgate"), std::string::npos) << opened.error().message;
}

TEST(EmbeddedBus, KeepsThePartitionsItWasMadeWith) {
  const Quiet quiet;
  TemporaryFolder folder;
  for (const std::uint32_t configured : {5U, 9U, 0U}) {
    metrics::Registry metrics;
    Config config;
    config.partitions = configured;
    auto bus = open(folder.path(), config, metrics);
    ASSERT_TRUE(bus);
    EXPECT_EQ((*bus)->partition_count(), 5U);
  }
}

TEST(EmbeddedBus, SettingsHaveNames) {
  Config config;
  config::Registry registry;
  registry.add("bus", config);
  ASSERT_TRUE(registry.load({.assignments = {"bus.fsync=interval", "bus.segment_bytes=1MiB", "bus.dead_letters.age=30d",
                                             "bus.raw_sensor_data.max_bytes=5GiB"}}));
  EXPECT_EQ(config.fsync, Fsync::interval);
  EXPECT_EQ(config.segment_bytes, 1_MiB);
  EXPECT_EQ(config.retention[static_cast<std::size_t>(Topic::dead_letters)].age, 720_h);
  EXPECT_EQ(config.retention[0].max_bytes, 5_GiB);
  EXPECT_FALSE(registry.load({.assignments = {"bus.fsync=sometimes"}}));
  config.record_bytes = 100_MiB;
  EXPECT_FALSE(config.validate());
}

TEST(EmbeddedBus, CountsWhatItDoes) {
  LogHarness log;
  ASSERT_TRUE(log.open());
  ASSERT_TRUE(log.publish({.batch = conformance_batch(1, 10)}));
  ASSERT_TRUE(publish(log, "x"));
  const metrics::Labels raw = {{"topic", "raw-sensor-data"}};
  EXPECT_EQ(log.metrics().value("fluxgate_bus_appended_records_total", raw), 2);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_appended_readings_total", raw), 20);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_segments"), 1);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_log_bytes"), static_cast<double>(log.bus().info(kRaw, {0})->bytes));
  const auto page = log.metrics().render();
  EXPECT_NE(page.find("fluxgate_bus_fsync_seconds_count 2"), std::string::npos) << page;
}

TEST(EmbeddedBus, ADamagedStretchIsReportedAndPassedOver) {
  const Quiet quiet;
  Config config;
  config.group_bytes = 1;
  LogHarness before(config);
  ASSERT_TRUE(before.open());
  std::vector<std::uint64_t> starts;
  for (int i = 0; i < 10; ++i) {
    starts.push_back(i == 0 ? 128 : before.bus().info(kRaw, {0})->bytes);
    ASSERT_TRUE(publish(before, "event " + std::to_string(i)));
  }
  before.close();
  auto contents = before.disk().contents();
  const std::string path = "log/raw-sensor-data/0/00000000000000000000.seg";
  contents[path][starts[4] + 70] ^= 1;  // a payload
  contents[path][starts[7] + 16] ^= 1;  // a header
  LogHarness log(config, contents);
  ASSERT_TRUE(log.open());
  const auto found = log.read_all();
  EXPECT_EQ(found.lost, 2U);
  EXPECT_EQ(texts(found), (std::vector<std::string>{"event 0", "event 1", "event 2", "event 3", "event 5", "event 6",
                                                    "event 8", "event 9"}));
  ASSERT_EQ(found.damages.size(), 2U);
  EXPECT_NE(found.damages[0].message.find(path + ", byte " + std::to_string(starts[4])), std::string::npos);
  EXPECT_NE(found.damages[1].message.find(path + ", byte " + std::to_string(starts[7])), std::string::npos);
  EXPECT_EQ(log.metrics().value("fluxgate_bus_errors_total", {{"kind", "corrupt"}}), 2);
  // Without going past it a reader stays where it is, and one that begins behind the damage never sees it.
  auto reader = log.bus().reader(kRaw, {0}, {4});
  for (int i = 0; i < 2; ++i) EXPECT_EQ((*reader)->read(1).error().code, ErrorCode::corrupt);
  EXPECT_EQ((*reader)->position(), Offset{4});
  EXPECT_EQ((*(*log.bus().reader(kRaw, {0}, {8}))->read(1000)).size(), 2U);
}

TEST(EmbeddedBus, ALostDefinitionCostsOnlyTheRecordsThatNeedIt) {
  const Quiet quiet;
  Config config;
  config.group_bytes = 1;
  LogHarness before(config);
  ASSERT_TRUE(before.open());
  const char* devices[] = {"a", "b", "a", "b", "b", "a"};
  std::uint64_t second = 0;
  for (int i = 0; i < 6; ++i) {
    if (i == 1) second = before.bus().info(kRaw, {0})->bytes;
    ASSERT_TRUE(before.publish({.batch = conformance_batch(i, 1, devices[i])}));
  }
  before.close();
  auto contents = before.disk().contents();
  contents["log/raw-sensor-data/0/00000000000000000000.seg"][second + 100] ^= 1;  // where "b" is defined
  LogHarness log(config, contents);
  ASSERT_TRUE(log.open());
  const auto found = log.read_all();
  ASSERT_EQ(found.records.size(), 3U);
  for (const std::uint64_t offset : {0U, 2U, 5U}) EXPECT_TRUE(found.records.at(offset).starts_with("batch of a"));
  EXPECT_EQ(found.lost, 3U);
}

/// Everything at once: publishers, a reader at the tail, one that lags, commits, retention, small segments.
TEST(EmbeddedBus, HoldsTogetherUnderManyThreads) {
  const Quiet quiet;
  for (const Fsync fsync : {Fsync::always, Fsync::interval}) {
    TemporaryFolder folder;
    metrics::Registry metrics;
    Config config;
    config.partitions = 2;
    config.threads = 3;
    config.fsync = fsync;
    config.fsync_interval = 1_ms;
    config.segment_bytes = 64_KiB;
    config.tail_bytes = 40'000;
    config.retention[0].bytes = 1_MiB;
    auto bus = open(folder.path(), config, metrics);
    ASSERT_TRUE(bus);
    constexpr int kRecords = 3000;
    for (std::uint16_t p = 0; p < 2; ++p) (*bus)->commit("follower", kRaw, {p}, {0});

    const auto follow = [&](std::uint16_t partition, std::size_t wish) {
      auto reader = (*bus)->reader(kRaw, {partition}, {});
      ASSERT_TRUE(reader);
      std::atomic<int> signals = 0;
      (*reader)->on_ready([&] {
        ++signals;
        signals.notify_all();
      });
      std::uint64_t next = 0;
      int seen = 0;
      while (next < kRecords) {
        const auto records = (*reader)->read(wish);
        ASSERT_TRUE(records) << records.error().message;
        for (const Record& record : *records) {
          ASSERT_EQ(record.offset.value, next);
          ASSERT_EQ(as_float64(record.batch->column(record.batch->groups()[0], 0)[0]), static_cast<double>(next));
          ++next;
        }
        (*bus)->commit(wish > 10'000 ? "follower" : "laggard", kRaw, {partition}, {next});
        if (records->empty()) {
          signals.wait(seen);
          seen = signals;
        }
      }
    };
    for (std::uint16_t p = 0; p < 2; ++p) (*bus)->commit("laggard", kRaw, {p}, {0});
    std::vector<std::jthread> threads;
    for (std::uint16_t p = 0; p < 2; ++p) {
      threads.emplace_back([&, p] { follow(p, 1 << 20); });
      threads.emplace_back([&, p] { follow(p, 1000); });
      threads.emplace_back([&, p] {
        for (int i = 0; i < kRecords; ++i) {
          (*bus)->producer().publish(kRaw, {p}, {.batch = conformance_batch(i, 10, "device-" + std::to_string(i % 50))},
                                     [](const Result<Offset>& offset) { EXPECT_TRUE(offset); });
          if (i % 100 == 0) {
            EXPECT_FALSE(metrics.render().empty());
          }
        }
      });
    }
    threads.clear();
    bus->reset();
    metrics::Registry again;
    auto reopened = open(folder.path(), config, again);
    ASSERT_TRUE(reopened);
    for (std::uint16_t p = 0; p < 2; ++p) {
      const PartitionInfo info = *(*reopened)->info(kRaw, {p});
      EXPECT_EQ(info.end, Offset{kRecords});
      EXPECT_GT(info.first, Offset{0});  // retention was at work
      EXPECT_EQ((*reopened)->committed("laggard", kRaw, {p}), Offset{kRecords});
    }
  }
}

}  // namespace
}  // namespace flux::bus::embedded
