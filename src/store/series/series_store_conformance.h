#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/batch_builder.h"
#include "store/series/series_store.h"

/// What every `TimeSeriesStore` promises. An adapter's test instantiates the suite with a harness:
///
///     struct Harness {
///       TimeSeriesStore& store();
///       void settle();  // called after each step: may flush, merge, restart … whatever must not change an answer
///     };
///     INSTANTIATE_TYPED_TEST_SUITE_P(Engine, SeriesStoreConformance, Harness);
namespace flux::store {

/// Rows for tests: `Rows("pump").field("t", 1.5)` and so on, sealed into batches of one partition.
class TestRows {
 public:
  explicit TestRows(std::string device, std::vector<FieldDef> fields = {{"v", ValueType::float64}}) {
    key.tenant = {1};
    key.device = std::move(device);
    key.fields = std::move(fields);
  }
  TestRows& row(std::int64_t time, std::vector<std::optional<Value>> values) {
    rows.push_back({time, std::move(values)});
    return *this;
  }

  ShapeKey key;
  std::vector<std::pair<std::int64_t, std::vector<std::optional<Value>>>> rows;
};

inline void add_rows(BatchBuilder& builder, const TestRows& of) {
  const auto shape = std::make_shared<const Shape>(of.key);
  for (const auto& [time, values] : of.rows) {
    const auto cells = builder.add_row(shape, Time{time});
    std::vector<Cell> filled(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!values[i]) continue;
      if (const auto* text = std::get_if<std::string>(&*values[i])) filled[i] = builder.add_string(*text);
      else if (const auto* number = std::get_if<double>(&*values[i])) filled[i] = to_cell(*number);
      else if (const auto* integer = std::get_if<std::int64_t>(&*values[i])) filled[i] = to_cell(*integer);
      else if (const auto* natural = std::get_if<std::uint64_t>(&*values[i])) filled[i] = to_cell(*natural);
      else filled[i] = to_cell(std::get<bool>(*values[i]));
    }
    std::ranges::copy(filled, cells.begin());
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!values[i]) builder.set_missing(i);
  }
}

inline BatchPtr batch_of(const std::vector<TestRows>& groups, std::int64_t received = 0) {
  BatchBuilder builder;
  for (const TestRows& rows : groups) add_rows(builder, rows);
  return builder.seal(Time{received});
}

inline Value value_of(ValueType type, Cell cell, const std::string& heap) {
  switch (type) {
    case ValueType::float64: return as_float64(cell);
    case ValueType::int64: return as_int64(cell);
    case ValueType::uint64: return cell;
    case ValueType::boolean: return cell != 0;
    case ValueType::string: return heap.substr(as_string_ref(cell).offset, as_string_ref(cell).length);
  }
  return 0.0;
}

using PointList = std::vector<std::pair<std::int64_t, Value>>;

/// All points of a scan, by "device/measurement/field", in the order given.
inline Result<std::map<std::string, PointList>> scan_all(const TimeSeriesStore& store, const SeriesSelector& selector,
                                                         TimeRange range = {}, Order order = Order::oldest_first,
                                                         std::size_t limit = SIZE_MAX) {
  std::map<std::string, PointList> found;
  DO(store.scan(selector, range, order, limit, {}, {}, [&](Points&& chunk) {
    auto& list = found[chunk.series->device + "/" + chunk.series->measurement + "/" + chunk.series->field];
    for (std::size_t i = 0; i < chunk.times.size(); ++i)
      list.emplace_back(chunk.times[i], value_of(chunk.series->type, chunk.cells[i], chunk.heap));
    return true;
  }));
  return found;
}

template <class Harness>
class SeriesStoreConformance : public ::testing::Test {
 protected:
  TimeSeriesStore& store() { return harness_.store(); }

  void append(const std::vector<TestRows>& rows, std::int64_t received = 0, PartitionId partition = {}) {
    const Offset offset = offsets_[partition];
    const auto done = store().append(partition, offset, *batch_of(rows, received));
    ASSERT_TRUE(done.has_value()) << done.error().message;
    offsets_[partition] = offset.next();
    harness_.settle();
  }
  void erase(const SeriesSelector& selector, TimeRange range = {}, PartitionId partition = {}) {
    const auto done = store().erase(partition, offsets_[partition], selector, range);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    offsets_[partition] = offsets_[partition].next();
    harness_.settle();
  }

  static SeriesSelector all() { return {.tenant = {1}}; }
  static SeriesSelector device(std::string id) {
    SeriesSelector selector{.tenant = {1}};
    selector.devices = {std::move(id)};
    return selector;
  }
  PointList points(const SeriesSelector& selector, TimeRange range = {}, Order order = Order::oldest_first,
                   std::size_t limit = SIZE_MAX) {
    auto found = scan_all(store(), selector, range, order, limit);
    EXPECT_TRUE(found.has_value()) << found.error().message;
    EXPECT_LE(found->size(), 1U);
    return found->empty() ? PointList{} : found->begin()->second;
  }
  std::vector<std::string> names(const SeriesSelector& selector, std::size_t limit = SIZE_MAX,
                                 std::optional<SeriesId> after = {}) {
    std::vector<std::string> found;
    const auto listed = store().list(selector, limit, after);
    EXPECT_TRUE(listed.has_value()) << listed.error().message;
    for (const auto& info : *listed) found.push_back(info->device + "/" + info->measurement + "/" + info->field);
    return found;
  }
  std::vector<WindowRow> windows(const SeriesSelector& selector, std::int64_t width, std::int64_t offset = 0,
                                 TimeRange range = {}, std::string* heap = nullptr) {
    std::vector<WindowRow> rows;
    const auto done = store().aggregate(selector, range, {{width}, {offset}}, {}, {}, [&](WindowedPoints&& chunk) {
      rows.insert(rows.end(), chunk.rows.begin(), chunk.rows.end());
      if (heap != nullptr) *heap = chunk.heap;
      return true;
    });
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return rows;
  }

  Harness harness_;
  std::map<PartitionId, Offset> offsets_;
};

TYPED_TEST_SUITE_P(SeriesStoreConformance);

TYPED_TEST_P(SeriesStoreConformance, GivesBackEveryTypeExactly) {
  const double odd = std::bit_cast<double>(0x7FF0000000000123ULL);  // a NaN with a payload
  this->append({TestRows("d", {{"f", ValueType::float64},
                               {"i", ValueType::int64},
                               {"u", ValueType::uint64},
                               {"b", ValueType::boolean},
                               {"s", ValueType::string}})
                    .row(-5, {-0.0, INT64_MIN, UINT64_MAX, true, std::string("a\0b", 3)})
                    .row(7, {odd, INT64_MAX, std::uint64_t{0}, false, ""})
                    .row(9, {std::nullopt, std::nullopt, std::nullopt, std::nullopt, "only this"})});
  std::vector<std::uint64_t> bits;
  const auto done = this->store().scan(this->all(), {}, Order::oldest_first, SIZE_MAX, {}, {}, [&](Points&& chunk) {
    if (chunk.series->field == "f") bits = chunk.cells;
    return true;
  });
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(bits, (std::vector<std::uint64_t>{0x8000000000000000, 0x7FF0000000000123}));
  auto found = scan_all(this->store(), this->all()).value();
  EXPECT_EQ(found["d/telemetry/i"], (PointList{{-5, INT64_MIN}, {7, INT64_MAX}}));
  EXPECT_EQ(found["d/telemetry/u"], (PointList{{-5, UINT64_MAX}, {7, std::uint64_t{0}}}));
  EXPECT_EQ(found["d/telemetry/b"], (PointList{{-5, true}, {7, false}}));
  EXPECT_EQ(found["d/telemetry/s"], (PointList{{-5, std::string("a\0b", 3)}, {7, ""}, {9, "only this"}}));
}

TYPED_TEST_P(SeriesStoreConformance, LastWriteWinsWhereverItIs) {
  this->append({TestRows("d").row(10, {1.0}).row(20, {2.0}).row(10, {3.0})});
  EXPECT_EQ(this->points(this->all()), (PointList{{10, 3.0}, {20, 2.0}}));
  this->append({TestRows("d").row(20, {4.0}).row(5, {5.0})});
  EXPECT_EQ(this->points(this->all()), (PointList{{5, 5.0}, {10, 3.0}, {20, 4.0}}));
  // A shape with other fields shares the series.
  this->append({TestRows("d", {{"w", ValueType::int64}, {"v", ValueType::float64}}).row(5, {std::int64_t{1}, 6.0})});
  auto found = scan_all(this->store(), this->all()).value();
  EXPECT_EQ(found["d/telemetry/v"], (PointList{{5, 6.0}, {10, 3.0}, {20, 4.0}}));
  EXPECT_EQ(found["d/telemetry/w"], (PointList{{5, std::int64_t{1}}}));
}

TYPED_TEST_P(SeriesStoreConformance, CutsByRangeOrderAndLimit) {
  TestRows rows("d");
  for (int i = 0; i < 10'000; ++i) rows.row(i * 10, {static_cast<double>(i)});
  this->append({rows});
  this->append({TestRows("d").row(15, {-1.0}).row(99'985, {-2.0})});
  EXPECT_EQ(this->points(this->all(), {Time{10}, Time{30}}), (PointList{{10, 1.0}, {15, -1.0}, {20, 2.0}}));
  EXPECT_EQ(this->points(this->all(), {Time{30}, Time{30}}), PointList{});
  EXPECT_EQ(this->points(this->all(), {Time{99'981}, Time::max()}, Order::newest_first),
            (PointList{{99'990, 9999.0}, {99'985, -2.0}}));
  EXPECT_EQ(this->points(this->all(), {}, Order::newest_first, 3),
            (PointList{{99'990, 9999.0}, {99'985, -2.0}, {99'980, 9998.0}}));
  EXPECT_EQ(this->points(this->all(), {Time::min(), Time{99'986}}, Order::newest_first, 1),
            (PointList{{99'985, -2.0}}));
  EXPECT_EQ(this->points(this->all(), {}, Order::oldest_first, 2), (PointList{{0, 0.0}, {10, 1.0}}));
  EXPECT_EQ(this->points(this->all()).size(), 10'002U);
  EXPECT_EQ(this->points(this->all(), {}, Order::newest_first).size(), 10'002U);
}

TYPED_TEST_P(SeriesStoreConformance, KeepsTheEndsOfTime) {
  this->append({TestRows("d").row(INT64_MAX, {1.0}).row(INT64_MIN, {2.0}).row(0, {3.0})});
  EXPECT_EQ(this->points(this->all()), (PointList{{INT64_MIN, 2.0}, {0, 3.0}, {INT64_MAX, 1.0}}));
  EXPECT_EQ(this->points(this->all(), {}, Order::newest_first),
            (PointList{{INT64_MAX, 1.0}, {0, 3.0}, {INT64_MIN, 2.0}}));
  EXPECT_EQ(this->windows(this->all(), 3'600'000'000'000).size(), 3U);
}

TYPED_TEST_P(SeriesStoreConformance, LatestIsTheGreatestEventTime) {
  this->append({TestRows("d").row(100, {1.0})}, 1000);
  this->append({TestRows("d").row(50, {2.0})}, 2000);
  auto last = this->store().latest(this->all()).value();
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].time, Time{100});
  EXPECT_EQ(last[0].received_at, Time{1000});
  EXPECT_EQ(last[0].value, Value{1.0});
  this->append({TestRows("d").row(100, {3.0})}, 3000);
  this->append({TestRows("e", {{"s", ValueType::string}}).row(7, {"x"}).row(3, {"y"})}, 4000);
  last = this->store().latest(this->all()).value();
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[0].value, Value{3.0});
  EXPECT_EQ(last[0].received_at, Time{3000});
  EXPECT_EQ(last[1].value, Value{"x"});
  EXPECT_EQ(last[1].received_at, Time{4000});
  EXPECT_EQ(this->store().latest(this->device("e"))->size(), 1U);
  EXPECT_TRUE(this->store().latest({.tenant = {2}})->empty());
}

TYPED_TEST_P(SeriesStoreConformance, ListsInOrderAndByPages) {
  TestRows other("b");
  other.key.measurement = "cpu";
  this->append({TestRows("b", {{"z", ValueType::float64}, {"a", ValueType::int64}}).row(1, {1.0, std::int64_t{2}}),
                TestRows("a").row(1, {1.0}), other.row(1, {1.0})});
  const std::vector<std::string> expected = {"a/telemetry/v", "b/cpu/v", "b/telemetry/a", "b/telemetry/z"};
  EXPECT_EQ(this->names(this->all()), expected);
  const auto first = this->store().list(this->all(), 2, {}).value();
  EXPECT_EQ(this->names(this->all(), 2, first[1]->id), (std::vector<std::string>{"b/telemetry/a", "b/telemetry/z"}));
  EXPECT_EQ(this->names(this->all(), 1, first[0]->id), (std::vector<std::string>{"b/cpu/v"}));
  const auto unknown = this->store().list(this->all(), 2, SeriesId{{1, 2}});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::invalid_argument);
  const auto info = this->store().list(this->device("a"), 1, {}).value()[0];
  EXPECT_EQ(info->tenant, TenantId{1});
  EXPECT_EQ(info->database, "default");
  EXPECT_EQ(info->retention_policy, "autogen");
  EXPECT_EQ(info->type, ValueType::float64);
  EXPECT_EQ(info->id, Shape(TestRows("a").key).series(0));
}

TYPED_TEST_P(SeriesStoreConformance, SelectsByEverything) {
  TestRows east("d1", {{"u", ValueType::float64}, {"v", ValueType::float64}});
  east.key.tags = {{"rack", "1"}, {"region", "east"}};
  TestRows west("d2");
  west.key.tags = {{"rack", "1"}, {"region", "west"}};
  TestRows base("d1");
  base.key.database = "other";
  base.key.retention_policy = "week";
  TestRows stranger("d1");
  stranger.key.tenant = {2};
  this->append({east.row(1, {1.0, 2.0}), west.row(1, {3.0}), base.row(1, {4.0}), stranger.row(1, {5.0})});
  const auto count = [&](SeriesSelector selector) {
    if (selector.tenant == TenantId{}) selector.tenant = {1};
    return this->names(selector).size();
  };
  EXPECT_EQ(count({}), 4U);
  EXPECT_EQ(count({.tenant = {2}}), 1U);
  EXPECT_EQ(count({.tenant = {3}}), 0U);
  EXPECT_EQ(count({.database = "default"}), 3U);
  EXPECT_EQ(count({.database = "other"}), 1U);
  EXPECT_EQ(count({.database = "none"}), 0U);
  EXPECT_EQ(count({.retention_policy = "week"}), 1U);
  EXPECT_EQ(count({.measurements = {"telemetry", "cpu"}}), 4U);
  EXPECT_EQ(count({.measurements = {"cpu"}}), 0U);
  EXPECT_EQ(count({.devices = {"d2", "d1", "d2", "d9"}}), 4U);
  EXPECT_EQ(count({.devices = {"d2"}}), 1U);
  EXPECT_EQ(count({.fields = {"u"}}), 1U);
  EXPECT_EQ(count({.tags = {{"rack", "1"}}}), 3U);
  EXPECT_EQ(count({.tags = {{"rack", "1"}, {"region", "west"}}}), 1U);
  EXPECT_EQ(count({.tags = {{"region", "north"}}}), 0U);
  EXPECT_EQ(count({.tags = {{"region", "d1"}}}), 0U);
  EXPECT_EQ(count({.devices = {"d1"}, .tags = {{"rack", "1"}}}), 2U);
}

TYPED_TEST_P(SeriesStoreConformance, AggregatesWindows) {
  this->append({TestRows("d").row(10, {3.0}).row(0, {1.0}).row(19, {-2.0}).row(25, {5.0})});
  this->append({TestRows("d").row(10, {4.0}).row(-1, {8.0})});
  auto rows = this->windows(this->all(), 20);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].start, -20);
  EXPECT_EQ(rows[0].count, 1U);
  EXPECT_EQ(rows[1].start, 0);
  EXPECT_EQ(rows[1].count, 3U);
  EXPECT_EQ(rows[1].sum, 3.0);
  EXPECT_EQ(as_float64(rows[1].min), -2.0);
  EXPECT_EQ(as_float64(rows[1].max), 4.0);
  EXPECT_EQ(as_float64(rows[1].first), 1.0);
  EXPECT_EQ(as_float64(rows[1].last), -2.0);
  EXPECT_EQ(rows[1].first_time, 0);
  EXPECT_EQ(rows[1].last_time, 19);
  EXPECT_EQ(rows[2].start, 20);
  rows = this->windows(this->all(), 20, 5, {Time{6}, Time{25}});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].start, 5);
  EXPECT_EQ(rows[0].count, 2U);
  const auto bad = this->store().aggregate(this->all(), {}, {{0}, {0}}, {}, {}, [](WindowedPoints&&) { return true; });
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, ErrorCode::invalid_argument);
}

TYPED_TEST_P(SeriesStoreConformance, AggregatesOddNumbersAndOtherTypes) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  this->append({TestRows("f")
                    .row(0, {nan})
                    .row(1, {2.0})
                    .row(2, {nan})
                    .row(100, {nan})
                    .row(200, {0.0})
                    .row(201, {-0.0})
                    .row(300, {infinity})
                    .row(301, {1.0}),
                TestRows("i", {{"v", ValueType::int64}})
                    .row(0, {INT64_MIN})
                    .row(1, {std::int64_t{-1}})
                    .row(2, {std::int64_t{5}}),
                TestRows("u", {{"v", ValueType::uint64}}).row(0, {UINT64_MAX}).row(1, {std::uint64_t{1}}),
                TestRows("b", {{"v", ValueType::boolean}}).row(0, {true}).row(1, {false}).row(2, {true}),
                TestRows("s", {{"v", ValueType::string}}).row(0, {"first"}).row(1, {"middle"}).row(2, {"last"})});
  auto rows = this->windows(this->device("f"), 100);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].count, 3U);
  EXPECT_TRUE(std::isnan(rows[0].sum));
  EXPECT_EQ(as_float64(rows[0].min), 2.0);
  EXPECT_EQ(as_float64(rows[0].max), 2.0);
  EXPECT_TRUE(std::isnan(as_float64(rows[1].min)));
  EXPECT_TRUE(std::signbit(as_float64(rows[2].min)));
  EXPECT_FALSE(std::signbit(as_float64(rows[2].max)));
  EXPECT_EQ(rows[3].sum, infinity);
  EXPECT_EQ(as_float64(rows[3].min), 1.0);
  rows = this->windows(this->device("i"), 100);
  EXPECT_EQ(as_int64(rows[0].min), INT64_MIN);
  EXPECT_EQ(as_int64(rows[0].max), 5);
  EXPECT_EQ(rows[0].sum, -9223372036854775804.0);
  rows = this->windows(this->device("u"), 100);
  EXPECT_EQ(rows[0].min, 1U);
  EXPECT_EQ(rows[0].max, UINT64_MAX);
  EXPECT_EQ(rows[0].sum, 18446744073709551616.0);
  rows = this->windows(this->device("b"), 100);
  EXPECT_EQ(rows[0].sum, 2.0);
  EXPECT_EQ(rows[0].min, 0U);
  EXPECT_EQ(rows[0].max, 1U);
  std::string heap;
  rows = this->windows(this->device("s"), 100, 0, {}, &heap);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].count, 3U);
  EXPECT_EQ(value_of(ValueType::string, rows[0].first, heap), Value{"first"});
  EXPECT_EQ(value_of(ValueType::string, rows[0].last, heap), Value{"last"});
}

TYPED_TEST_P(SeriesStoreConformance, AggregatesManyReadings) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  TestRows rows("d", {{"v", ValueType::float64}, {"n", ValueType::int64}});
  double sum = 0;
  for (std::int64_t i = 0; i < 3 * 86'400; i += 10) {  // three days, every ten seconds
    rows.row(i * kSecond, {0.25 * static_cast<double>(i % 1000), i});
    sum += 0.25 * static_cast<double>(i % 1000);
  }
  TestRows fast("fast");
  for (std::int64_t i = 0; i < 3000; ++i) fast.row(i * kSecond / 10, {0.25});  // five minutes, ten times a second
  this->append({rows, fast});
  SeriesSelector selector = this->device("d");
  selector.fields = {"v"};
  for (const std::int64_t width : {60 * kSecond, 3600 * kSecond, 86'400 * kSecond, 7 * kSecond, 86'400 * 7 * kSecond}) {
    double total = 0;
    std::uint64_t count = 0;
    for (const WindowRow& row : this->windows(selector, width)) {
      total += row.sum;
      count += row.count;
      EXPECT_EQ(row.start % width, 0);
    }
    EXPECT_EQ(count, 3U * 8640);
    EXPECT_EQ(total, sum) << width;  // quarters add up exactly
  }
  const auto hours = this->windows(selector, 3600 * kSecond, 0, {Time{1800 * kSecond}, Time{5400 * kSecond}});
  ASSERT_EQ(hours.size(), 2U);
  EXPECT_EQ(hours[0].count, 180U);
  EXPECT_EQ(hours[1].first_time, 3600 * kSecond);
  EXPECT_EQ(hours[1].last_time, 5390 * kSecond);
  const auto minutes = this->windows(this->device("fast"), 120 * kSecond, 0, {Time{30 * kSecond}, Time::max()});
  ASSERT_EQ(minutes.size(), 3U);
  EXPECT_EQ(minutes[0].count, 900U);
  EXPECT_EQ(minutes[1].sum, 300.0);
  EXPECT_EQ(minutes[2].count, 600U);
  // One late reading, and what was exact stays so.
  this->append({TestRows("d").row(3600 * kSecond + 1, {1e6})});
  const auto late = this->windows(selector, 3600 * kSecond);
  EXPECT_EQ(late.size(), 72U);
  EXPECT_EQ(late[1].count, 361U);
  EXPECT_EQ(as_float64(late[1].max), 1e6);
  EXPECT_EQ(late[0].count, 360U);
}

TYPED_TEST_P(SeriesStoreConformance, ErasesWhatWasThereBefore) {
  this->append({TestRows("d").row(10, {1.0}).row(20, {2.0}).row(30, {3.0}), TestRows("e").row(10, {4.0})});
  this->erase(this->device("d"), {Time{15}, Time{25}});
  EXPECT_EQ(this->points(this->device("d")), (PointList{{10, 1.0}, {30, 3.0}}));
  EXPECT_EQ(this->points(this->device("e")), (PointList{{10, 4.0}}));
  this->append({TestRows("d").row(20, {5.0})});
  EXPECT_EQ(this->points(this->device("d")), (PointList{{10, 1.0}, {20, 5.0}, {30, 3.0}}));
  this->erase(this->device("d"), {Time{25}, Time::max()});
  EXPECT_EQ(this->store().latest(this->device("d")).value()[0].value, Value{5.0});
  EXPECT_EQ(this->windows(this->device("d"), 1000).at(0).count, 2U);
  this->erase(this->device("d"));
  EXPECT_TRUE(this->points(this->device("d")).empty());
  EXPECT_TRUE(this->store().latest(this->device("d"))->empty());
  EXPECT_EQ(this->names(this->all()), (std::vector<std::string>{"e/telemetry/v"}));
  this->append({TestRows("d").row(1, {6.0})});
  EXPECT_EQ(this->points(this->device("d")), (PointList{{1, 6.0}}));
  EXPECT_EQ(this->store().latest(this->device("d")).value()[0].time, Time{1});
  EXPECT_EQ(this->names(this->all()).size(), 2U);
}

TYPED_TEST_P(SeriesStoreConformance, ErasesOnlyWhatItsPartitionWasGiven) {
  this->append({TestRows("d").row(10, {1.0})}, 0, {0});
  this->append({TestRows("e").row(10, {2.0})}, 0, {1});
  this->erase(this->all(), {}, {0});
  EXPECT_EQ(this->names(this->all()), (std::vector<std::string>{"e/telemetry/v"}));
}

TYPED_TEST_P(SeriesStoreConformance, RepeatsChangeNothing) {
  this->append({TestRows("d").row(10, {1.0})});
  this->erase(this->device("d"));
  this->append({TestRows("d").row(10, {2.0})});
  ASSERT_TRUE(this->store().append({}, {0}, *batch_of({TestRows("d").row(10, {3.0}).row(11, {3.0})})).has_value());
  ASSERT_TRUE(this->store().erase({}, {1}, this->all(), {}).has_value());
  EXPECT_EQ(this->points(this->all()), (PointList{{10, 2.0}}));
  ASSERT_TRUE(this->store().flush().has_value());
  EXPECT_EQ(this->store().resume_from({}), Offset{3});
  this->store().advance({}, {9});
  this->store().advance({}, {4});
  ASSERT_TRUE(this->store().flush().has_value());
  EXPECT_EQ(this->store().resume_from({}), Offset{10});
  EXPECT_EQ(this->store().resume_from({5}), Offset{0});
}

TYPED_TEST_P(SeriesStoreConformance, DropsReadingsOfAnotherType) {
  this->append({TestRows("d", {{"v", ValueType::int64}}).row(1, {std::int64_t{1}})});
  this->append({TestRows("d", {{"v", ValueType::float64}, {"w", ValueType::float64}}).row(2, {2.0, 3.0})});
  auto found = scan_all(this->store(), this->all()).value();
  EXPECT_EQ(found["d/telemetry/v"], (PointList{{1, std::int64_t{1}}}));
  EXPECT_EQ(found["d/telemetry/w"], (PointList{{2, 3.0}}));
}

TYPED_TEST_P(SeriesStoreConformance, HidesFieldsWithoutAReading) {
  this->append({TestRows("d", {{"v", ValueType::float64}, {"w", ValueType::float64}}).row(1, {1.0, std::nullopt})});
  EXPECT_EQ(this->names(this->all()), (std::vector<std::string>{"d/telemetry/v"}));
  EXPECT_EQ(this->store().latest(this->all())->size(), 1U);
  EXPECT_EQ(this->store().stats().series, 1U);
}

TYPED_TEST_P(SeriesStoreConformance, KeepsItsLimits) {
  this->append({TestRows("a").row(1, {1.0}).row(2, {1.0}), TestRows("b").row(1, {1.0})});
  const auto sink = [](Points&&) { return true; };
  auto done = this->store().scan(this->all(), {}, Order::oldest_first, 10, {.max_series = 1}, {}, sink);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::exhausted);
  EXPECT_NE(done.error().message.find("max_series"), std::string::npos);
  done = this->store().scan(this->all(), {}, Order::oldest_first, 10, {.max_points = 2}, {}, sink);
  ASSERT_FALSE(done.has_value());
  EXPECT_NE(done.error().message.find("max_points"), std::string::npos);
  done = this->store().scan(this->all(), {}, Order::oldest_first, 1, {.max_points = 2}, {}, sink);
  EXPECT_TRUE(done.has_value());
  std::stop_source stop;
  stop.request_stop();
  done = this->store().scan(this->all(), {}, Order::oldest_first, 10, {}, stop.get_token(), sink);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::cancelled);
  int calls = 0;
  done = this->store().scan(this->all(), {}, Order::oldest_first, 10, {}, {}, [&](Points&&) { return ++calls < 1; });
  EXPECT_TRUE(done.has_value());
  EXPECT_EQ(calls, 1);
}

REGISTER_TYPED_TEST_SUITE_P(SeriesStoreConformance, GivesBackEveryTypeExactly, LastWriteWinsWhereverItIs,
                            CutsByRangeOrderAndLimit, KeepsTheEndsOfTime, LatestIsTheGreatestEventTime,
                            ListsInOrderAndByPages, SelectsByEverything, AggregatesWindows,
                            AggregatesOddNumbersAndOtherTypes, AggregatesManyReadings, ErasesWhatWasThereBefore,
                            ErasesOnlyWhatItsPartitionWasGiven, RepeatsChangeNothing, DropsReadingsOfAnotherType,
                            HidesFieldsWithoutAReading, KeepsItsLimits);

}  // namespace flux::store
