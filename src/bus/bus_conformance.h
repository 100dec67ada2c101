#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bus/bus.h"
#include "bus/testing/records.h"

/// One suite for every implementation of the log. Include it in just one file of a test program, and instantiate:
///
///     INSTANTIATE_TEST_SUITE_P(Memory, BusConformance, testing::Values(&make_memory_fixture));
namespace flux::bus {

/// A log with three partitions and nothing in it.
class BusFixture {
 public:
  virtual ~BusFixture() = default;
  virtual Bus& bus() = 0;
  /// Closes the log and opens it again; false where nothing outlives the object.
  virtual bool reopen() { return false; }
};
using MakeBusFixture = std::unique_ptr<BusFixture> (*)();

class BusConformance : public testing::TestWithParam<MakeBusFixture> {
 protected:
  std::unique_ptr<BusFixture> fixture_ = GetParam()();
  Bus& bus() { return fixture_->bus(); }

  /// Publishes and waits for the answer.
  Result<Offset> publish(Record record, Topic topic = Topic::raw_sensor_data, PartitionId partition = {0}) {
    std::promise<Result<Offset>> promise;
    auto answer = promise.get_future();
    bus().producer().publish(topic, partition, std::move(record),
                             [&promise](Result<Offset> offset) { promise.set_value(std::move(offset)); });
    return answer.get();
  }
  Result<Offset> publish_text(std::string text, Topic topic = Topic::raw_sensor_data, PartitionId partition = {0}) {
    return publish(conformance_event(std::move(text)), topic, partition);
  }

  std::unique_ptr<Reader> reader(Offset from = {}, Topic topic = Topic::raw_sensor_data, PartitionId partition = {0}) {
    auto made = bus().reader(topic, partition, from);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }

  static std::vector<Record> read_all(Reader& reader, std::size_t max_bytes = 1 << 20) {
    std::vector<Record> all;
    for (;;) {
      auto records = reader.read(max_bytes);
      EXPECT_TRUE(records) << records.error().message;
      if (!records || records->empty()) return all;
      std::ranges::move(*records, std::back_inserter(all));
    }
  }
};

TEST_P(BusConformance, NumbersRecordsFromZeroWithoutGaps) {
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(publish_text(std::to_string(i)), Offset{i});
  EXPECT_EQ(publish_text("other", Topic::raw_sensor_data, {1}), Offset{0});
  EXPECT_EQ(publish_text("other", Topic::alerts, {0}), Offset{0});
  const auto info = bus().info(Topic::raw_sensor_data, {0});
  ASSERT_TRUE(info);
  EXPECT_EQ(info->first, Offset{0});
  EXPECT_EQ(info->end, Offset{20});
  EXPECT_GT(info->bytes, 0U);
}

TEST_P(BusConformance, GivesBackWhatWasPublished) {
  const BatchPtr batch = conformance_batch(21.5, 3);
  const Origin origin{.input = {{2}, {99}}, .ordinal = 5};
  const Time before = wall_now();
  ASSERT_TRUE(publish({.kind = RecordKind::telemetry, .batch = batch}));
  ASSERT_TRUE(publish({.kind = RecordKind::control,
                       .payload = std::make_shared<const std::string>("control\0bytes", 13),
                       .origin = origin}));
  ASSERT_TRUE(publish_text(""));
  for (const bool again : {false, true}) {
    if (again && !fixture_->reopen()) break;
    const auto records = read_all(*reader());
    ASSERT_EQ(records.size(), 3U);
    EXPECT_EQ(records[0].kind, RecordKind::telemetry);
    ASSERT_TRUE(records[0].batch);
    EXPECT_FALSE(records[0].payload);
    EXPECT_FALSE(records[0].origin);
    EXPECT_EQ(records[0].batch->received_at(), Time{7});
    EXPECT_TRUE(std::ranges::equal(records[0].batch->words(), batch->words()));
    EXPECT_EQ(records[0].batch->heap(), batch->heap());
    EXPECT_EQ(records[0].batch->groups()[0].shape().key(), batch->groups()[0].shape().key());
    EXPECT_EQ(records[1].kind, RecordKind::control);
    EXPECT_EQ(*records[1].payload, std::string("control\0bytes", 13));
    EXPECT_EQ(records[1].origin, origin);
    EXPECT_EQ(records[2].kind, RecordKind::event);
    EXPECT_EQ(*records[2].payload, "");
    for (std::uint64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(records[i].offset, Offset{i});
      EXPECT_GE(records[i].appended_at, before);
      EXPECT_LE(records[i].appended_at, wall_now());
    }
  }
}

TEST_P(BusConformance, TailSharesTheVeryObjects) {
  const auto from_start = reader();
  const BatchPtr batch = conformance_batch(1);
  ASSERT_TRUE(publish({.kind = RecordKind::telemetry, .batch = batch}));
  const auto records = read_all(*from_start);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].batch.get(), batch.get());
}

TEST_P(BusConformance, ReadsFromAnywhere) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(publish({.kind = RecordKind::telemetry, .batch = conformance_batch(i)}));
  for (const bool again : {false, true}) {
    if (again && !fixture_->reopen()) break;
    for (std::uint64_t from = 0; from <= 50; ++from) {
      const auto at = reader({from});
      EXPECT_EQ(at->position(), Offset{from});
      const auto records = read_all(*at);
      ASSERT_EQ(records.size(), 50 - from);
      for (std::uint64_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(records[i].offset, Offset{from + i});
        EXPECT_EQ(as_float64(records[i].batch->column(records[i].batch->groups()[0], 0)[0]),
                  static_cast<double>(from + i));
      }
      EXPECT_EQ(at->position(), Offset{50});
    }
    const auto seeking = reader();
    for (const std::uint64_t to : {49U, 0U, 50U, 25U, 24U}) {
      ASSERT_TRUE(seeking->seek({to}));
      const auto records = seeking->read(1);
      ASSERT_TRUE(records);
      ASSERT_EQ(records->size(), to == 50 ? 0U : 1U);
      if (to < 50) {
        EXPECT_EQ((*records)[0].offset, Offset{to});
      }
    }
    EXPECT_EQ(seeking->seek({51}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(bus().reader(Topic::raw_sensor_data, {0}, {51}).error().code, ErrorCode::invalid_argument);
  }
}

TEST_P(BusConformance, KeepsToMaxBytesButGivesAtLeastOne) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publish_text(std::string(1000, 'x')));
  for (const bool again : {false, true}) {
    if (again && !fixture_->reopen()) break;
    const auto small = reader();
    const auto one = small->read(1);
    ASSERT_TRUE(one);
    EXPECT_EQ(one->size(), 1U);
    const auto some = small->read(5000);
    ASSERT_TRUE(some);
    EXPECT_GE(some->size(), 2U);
    EXPECT_LE(some->size(), 5U);
    EXPECT_EQ(one->size() + some->size() + read_all(*small).size(), 10U);
  }
}

TEST_P(BusConformance, PublishersKeepTheirOrder) {
  constexpr int kThreads = 3;
  constexpr int kRecords = 300;
  std::atomic<int> answered = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kRecords; ++i)
          bus().producer().publish(Topic::raw_sensor_data, {0}, conformance_event(std::to_string(t * 1000 + i)),
                                   [&](Result<Offset> offset) {
                                     if (!offset) ++failed;
                                     ++answered;
                                     answered.notify_all();
                                   });
      });
    }
  }
  for (int now = answered; now < kThreads * kRecords; now = answered) answered.wait(now);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(bus().producer().queued_bytes(), 0U);
  const auto records = read_all(*reader());
  ASSERT_EQ(records.size(), static_cast<std::size_t>(kThreads * kRecords));
  int next[kThreads] = {};
  for (const Record& record : records) {
    const int number = std::stoi(*record.payload);
    EXPECT_EQ(number % 1000, next[number / 1000]++);
  }
}

TEST_P(BusConformance, SaysWhenThereIsMore) {
  const auto at = reader();
  std::atomic<int> calls = 0;
  at->on_ready([&] {
    ++calls;
    calls.notify_all();
  });
  EXPECT_EQ(calls, 0);
  ASSERT_TRUE(publish_text("a"));
  calls.wait(0);
  // Not again before a read has come back empty.
  ASSERT_TRUE(publish_text("b"));
  ASSERT_TRUE(publish_text("c"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(read_all(*at).size(), 3U);  // the last read armed it
  ASSERT_TRUE(publish_text("d"));
  calls.wait(1);
  EXPECT_EQ(calls, 2);

  std::atomic<int> at_once = 0;
  at->on_ready([&] { ++at_once; });
  EXPECT_EQ(at_once, 1);  // "d" is there already
}

TEST_P(BusConformance, NothingIsCalledOnceTheReaderIsGone) {
  for (int i = 0; i < 50; ++i) {
    auto at = reader(bus().info(Topic::raw_sensor_data, {0})->end);
    auto alive = std::make_shared<std::atomic<bool>>(true);
    std::atomic<int> late = 0;
    at->on_ready([alive, &late] {
      if (!*alive) ++late;
    });
    std::promise<void> done;
    bus().producer().publish(Topic::raw_sensor_data, {0}, conformance_event("x"),
                             [&](Result<Offset>) { done.set_value(); });
    at.reset();
    *alive = false;
    done.get_future().wait();
    EXPECT_EQ(late, 0);
  }
}

TEST_P(BusConformance, RemembersWhatGroupsCommitted) {
  EXPECT_EQ(bus().committed("process", Topic::raw_sensor_data, {0}), std::nullopt);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publish_text("x"));
  bus().commit("process", Topic::raw_sensor_data, {0}, {4});
  bus().commit("process", Topic::raw_sensor_data, {1}, {0});
  bus().commit("archive", Topic::raw_sensor_data, {0}, {2});
  bus().commit("process", Topic::raw_sensor_data, {0}, {7});
  bus().commit("gone", Topic::raw_sensor_data, {0}, {1});
  bus().forget("gone");
  for (const bool again : {false, true}) {
    if (again && !fixture_->reopen()) break;
    EXPECT_EQ(bus().committed("process", Topic::raw_sensor_data, {0}), Offset{7});
    EXPECT_EQ(bus().committed("process", Topic::raw_sensor_data, {1}), Offset{0});
    EXPECT_EQ(bus().committed("archive", Topic::raw_sensor_data, {0}), Offset{2});
    EXPECT_EQ(bus().committed("archive", Topic::alerts, {0}), std::nullopt);
    EXPECT_EQ(bus().committed("gone", Topic::raw_sensor_data, {0}), std::nullopt);
  }
}

TEST_P(BusConformance, KnowsTheLastOrigin) {
  const Origin first{.input = {{0}, {10}}, .ordinal = 0};
  const Origin second{.input = {{0}, {10}}, .ordinal = 3};
  EXPECT_EQ(*bus().last_origin(Topic::dead_letters, {1}), std::nullopt);
  for (const auto& origin : {std::optional(first), std::optional(second), std::optional<Origin>()}) {
    Record record = conformance_event("x");
    record.origin = origin;
    ASSERT_TRUE(publish(std::move(record), Topic::dead_letters, {1}));
  }
  EXPECT_EQ(*bus().last_origin(Topic::dead_letters, {1}), second);
  EXPECT_EQ(*bus().last_origin(Topic::dead_letters, {0}), std::nullopt);
  if (!fixture_->reopen()) return;
  EXPECT_EQ(*bus().last_origin(Topic::dead_letters, {1}), second);
  ASSERT_TRUE(fixture_->reopen());
  EXPECT_EQ(*bus().last_origin(Topic::dead_letters, {1}), second);
}

TEST_P(BusConformance, GoesOnAfterItWasClosed) {
  std::uint64_t next = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3; ++i, ++next)
      EXPECT_EQ(publish({.kind = RecordKind::telemetry, .batch = conformance_batch(static_cast<double>(next))}),
                Offset{next});
    if (!fixture_->reopen()) break;
  }
  const auto records = read_all(*reader());
  ASSERT_EQ(records.size(), next);
  for (std::uint64_t i = 0; i < next; ++i) {
    EXPECT_EQ(records[i].offset, Offset{i});
    EXPECT_EQ(as_float64(records[i].batch->column(records[i].batch->groups()[0], 0)[0]), static_cast<double>(i));
  }
}

TEST_P(BusConformance, RefusesWhatMakesNoSense) {
  EXPECT_EQ(publish_text("x", Topic::raw_sensor_data, {3}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(bus().reader(Topic::alerts, {3}, {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(bus().info(Topic::alerts, {3}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(publish({.kind = RecordKind::telemetry}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(publish({.kind = RecordKind::event}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(bus().partition_count(), 3U);
}

}  // namespace flux::bus
