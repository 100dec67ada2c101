#include "stream/channel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "stream/stream_testing.h"

namespace flux::stream {
namespace {

using nlohmann::json;
using testing::make_shape;
using testing::Reader;

constexpr Time kNow{1'767'225'600'000'000'000};

class ChannelTest : public ::testing::Test {
 protected:
  std::unique_ptr<Channel> channel(Selector selector = {.tenant = {1}}, Epoch times = Epoch::ms) {
    selector.normalize();
    return std::make_unique<Channel>(std::move(selector), Options{.times = times}, 0, config, metrics);
  }
  static void add(Channel& channel, const ShapePtr& shape,
                  const std::vector<std::pair<Time, std::vector<Cell>>>& rows) {
    BatchBuilder builder;
    for (const auto& [time, cells] : rows) std::ranges::copy(cells, builder.add_row(shape, time).begin());
    const BatchPtr batch = builder.seal(kNow);
    for (const auto& group : batch->groups()) channel.add(*batch, group);
  }

  Config config;
  metrics::Registry registry;
  Metrics metrics{registry};
  Reader reader;
  const ShapePtr pump = make_shape("pump-1", {{"temperature", ValueType::float64}});
};

TEST_F(ChannelTest, WritesWhatTheContractShows) {
  auto live = channel();
  live->add_member(1, reader, 7);
  const auto shape = make_shape("p\"1\n", {{"f", ValueType::float64},
                                           {"i", ValueType::int64},
                                           {"u", ValueType::uint64},
                                           {"b", ValueType::boolean},
                                           {"s", ValueType::string}});
  BatchBuilder builder;
  const auto row = builder.add_row(shape, kNow + 250_ms);
  row[0] = to_cell(0.1);
  row[1] = to_cell(INT64_MIN);
  row[2] = to_cell(UINT64_MAX);
  row[3] = to_cell(true);
  row[4] = builder.add_string("say \"hi\"\x01");
  builder.add_row(shape, kNow + 251_ms)[0] = to_cell(std::nan(""));
  for (std::size_t field = 1; field < 5; ++field) builder.set_missing(field);
  const BatchPtr batch = builder.seal(kNow);
  live->add(*batch, batch->groups()[0]);
  live->flush({});
  ASSERT_EQ(reader.messages().size(), 1U);
  EXPECT_EQ(
      reader.messages()[0],
      "{\"op\":\"data\",\"id\":7,\"data\":[{\"device\":\"p\\\"1\\n\",\"metrics\":{\"f\":[[1767225600250,0.1],"
      "[1767225600251,null]],\"i\":[[1767225600250,-9223372036854775808]],\"u\":[[1767225600250,"
      "18446744073709551615]],\"b\":[[1767225600250,true]],\"s\":[[1767225600250,\"say \\\"hi\\\"\\u0001\"]]}}]}");
  EXPECT_EQ(json::parse(reader.frames()[0].second->payload()).size(), 1U);
  EXPECT_FALSE(live->has_news());
}

TEST_F(ChannelTest, DeliversEveryPointToWhoKeepsUpAndSharesTheFrame) {
  auto live = channel();
  Reader other;
  live->add_member(1, reader, 1);
  live->add_member(2, other, 2);
  for (int i = 0; i < 100; ++i) add(*live, pump, {{kNow + Duration{i}, {to_cell(double(i))}}});
  live->flush({});
  ASSERT_EQ(reader.frames().size(), 1U);
  EXPECT_EQ(reader.frames()[0].second, other.frames()[0].second);
  EXPECT_EQ(json::parse(reader.messages()[0])["data"][0]["metrics"]["temperature"].size(), 100U);
  EXPECT_EQ(other.frames()[0].first, 2U);
}

TEST_F(ChannelTest, AFasterSourceThanFramesTakeKeepsItsExtremesAndItsLastPoint) {
  config.points_per_frame = 16;
  auto live = channel();
  live->add_member(1, reader, 1);
  for (int i = 0; i < 1'000; ++i) {
    const double value = i == 333 ? 1e6 : i == 777 ? -1e6 : std::sin(i);
    add(*live, pump, {{kNow + Duration{i}, {to_cell(value)}}});
  }
  live->flush({});
  const json item = json::parse(reader.messages()[0])["data"][0];
  const auto& points = item["metrics"]["temperature"];
  EXPECT_LE(points.size(), 16U);
  EXPECT_EQ(points.size() + item["dropped"].get<std::size_t>(), 1'000U);
  double least = 0;
  double greatest = 0;
  for (const auto& point : points) {
    least = std::min(least, point[1].get<double>());
    greatest = std::max(greatest, point[1].get<double>());
  }
  EXPECT_EQ(least, -1e6);
  EXPECT_EQ(greatest, 1e6);
  EXPECT_EQ(points.back()[1].get<double>(), std::sin(999));
}

TEST_F(ChannelTest, ASlowReaderGetsTheNewestOfEachSeriesAndKnowsWhatItMissed) {
  auto live = channel();
  Reader fast;
  live->add_member(1, reader, 1);
  live->add_member(2, fast, 2);
  const auto fan = make_shape("fan-1", {{"speed", ValueType::float64}});
  reader.set_room(0);
  for (int i = 0; i < 10; ++i) {
    add(*live, pump, {{kNow + Duration{i * 1'000'000}, {to_cell(double(i))}}});
    if (i == 4) add(*live, fan, {{kNow, {to_cell(5.0)}}});
    live->flush({});
  }
  // One that is late does not replace a newer one, but is missed.
  add(*live, pump, {{kNow - 1_s, {to_cell(-1.0)}}});
  live->flush({});
  EXPECT_EQ(fast.frames().size(), 11U);
  EXPECT_TRUE(reader.frames().empty());
  EXPECT_EQ(live->slow_members(), 1U);
  EXPECT_TRUE(live->drain_slow());
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  EXPECT_EQ(live->backlog_bytes(), 0U);
  ASSERT_EQ(reader.messages().size(), 1U);
  EXPECT_EQ(
      reader.messages()[0],
      "{\"op\":\"data\",\"id\":1,\"data\":[{\"device\":\"pump-1\",\"metrics\":{\"temperature\":[[1767225600009,9]]},"
      "\"dropped\":10},{\"device\":\"fan-1\",\"metrics\":{\"speed\":[[1767225600000,5]]}}]}");
  add(*live, pump, {{kNow + 1_s, {to_cell(7.0)}}});
  live->flush({});
  EXPECT_EQ(reader.frames().back().second, fast.frames().back().second) << "it keeps up again";
}

TEST_F(ChannelTest, WhatIsKeptForASlowReaderIsBounded) {
  config.backlog = 32'768;
  auto live = channel();
  live->add_member(1, reader, 1);
  reader.set_room(0);
  std::vector<ShapePtr> shapes;
  for (int i = 0; i < 1'000; ++i)
    shapes.push_back(make_shape("device-" + std::to_string(i), {{"text", ValueType::string}}));
  std::size_t most = 0;
  for (int round = 0; round < 20; ++round) {
    BatchBuilder builder;
    for (const ShapePtr& shape : shapes) {
      const auto row = builder.add_row(shape, kNow + Duration{round});
      row[0] = builder.add_string(std::string(100, static_cast<char>('a' + round)));
    }
    const BatchPtr batch = builder.seal(kNow);
    for (const auto& group : batch->groups()) live->add(*batch, group);
    live->flush({});
    most = std::max(most, live->backlog_bytes());
  }
  EXPECT_LE(most, config.backlog);
  EXPECT_GT(most, config.backlog / 2);
  EXPECT_GT(metrics.dropped_backlog.value(), 0U);
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  EXPECT_EQ(live->backlog_bytes(), 0U);
}

TEST_F(ChannelTest, CutsLargeFramesAndFallsBehindInTheMiddle) {
  config.frame_bytes = 1'024;
  auto live = channel();
  live->add_member(1, reader, 1);
  reader.set_room(2);
  for (int i = 0; i < 100; ++i)
    add(*live, make_shape("device-" + std::to_string(i), {{"a", ValueType::float64}}), {{kNow, {to_cell(double(i))}}});
  live->flush({});
  EXPECT_EQ(reader.frames().size(), 2U);
  EXPECT_EQ(live->slow_members(), 1U);
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  std::map<std::string, int> seen;
  for (const std::string& message : reader.messages()) {
    EXPECT_LT(message.size(), 1'200U);
    for (const auto& item : json::parse(message)["data"]) {
      ++seen[item["device"].get<std::string>()];
      EXPECT_FALSE(item.contains("dropped"));
    }
  }
  EXPECT_EQ(seen.size(), 100U);
  for (const auto& [device, times] : seen) EXPECT_EQ(times, 1) << device;
}

TEST_F(ChannelTest, TakesOnlyTheMetricsThatAreWanted) {
  auto live = channel({.tenant = {1}, .metrics = {"b"}});
  live->add_member(1, reader, 1);
  const auto shape = make_shape("d", {{"a", ValueType::float64}, {"b", ValueType::float64}});
  add(*live, shape, {{kNow, {to_cell(1.0), to_cell(2.0)}}});
  add(*live, pump, {{kNow, {to_cell(1.0)}}});
  live->flush({});
  EXPECT_EQ(json::parse(reader.messages()[0])["data"],
            json::parse(R"([{"device":"d","metrics":{"b":[[1767225600000,2]]}}])"));
}

TEST_F(ChannelTest, ASnapshotNeverReplacesWhatIsNewer) {
  auto live = channel();
  live->add_member(1, reader, 1);
  const auto last = [&](const char* device, Time time, Value value) {
    auto info = std::make_shared<store::SeriesInfo>();
    info->device = device;
    info->measurement = "telemetry";
    info->field = "temperature";
    return store::LastPoint{.series = info, .time = time, .value = std::move(value)};
  };
  add(*live, pump, {{kNow, {to_cell(1.0)}}});
  live->flush({});
  live->send_snapshot(1, {last("pump-1", kNow - 1_s, 0.5), last("pump-2", kNow - 1_h, std::int64_t{42}),
                          last("pump-3", kNow - 1_h, std::string("on"))});
  ASSERT_EQ(reader.messages().size(), 2U);
  EXPECT_EQ(
      reader.messages()[1],
      "{\"op\":\"data\",\"id\":1,\"data\":[{\"device\":\"pump-2\",\"metrics\":{\"temperature\":[[1767222000000,42]]}},"
      "{\"device\":\"pump-3\",\"metrics\":{\"temperature\":[[1767222000000,\"on\"]]}}]}");
  live->send_snapshot(99, {last("pump-9", kNow, 1.0)});
  EXPECT_EQ(reader.messages().size(), 2U) << "nobody of that name";
}

TEST_F(ChannelTest, TheNewestOfOneMeasurementDoesNotHideAnothers) {
  auto live = channel();
  live->add_member(1, reader, 1);
  reader.set_room(0);
  ShapeKey key = pump->key();
  key.measurement = "hourly";
  const auto hourly = std::make_shared<const Shape>(std::move(key));
  add(*live, pump, {{kNow + 1_s, {to_cell(1.0)}}});
  add(*live, hourly, {{kNow, {to_cell(2.0)}}});
  live->flush({});
  auto info = std::make_shared<store::SeriesInfo>();
  info->device = "pump-1";
  info->measurement = "daily";
  info->field = "temperature";
  live->send_snapshot(1, {{.series = info, .time = kNow - 1_s, .value = 3.0}});
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  ASSERT_EQ(reader.messages().size(), 1U);
  EXPECT_EQ(json::parse(reader.messages()[0])["data"], json::parse(R"([
      {"device":"pump-1","metrics":{"temperature":[[1767225601000,1]]}},
      {"device":"pump-1","measurement":"hourly","metrics":{"temperature":[[1767225600000,2]]}},
      {"device":"pump-1","measurement":"daily","metrics":{"temperature":[[1767225599000,3]]}}])"));
}

TEST_F(ChannelTest, WhatASlowReadersBacklogHasNoRoomForIsCountedInItsFrames) {
  config.backlog = 4'096;
  auto live = channel();
  live->add_member(1, reader, 1);
  reader.set_room(0);
  for (int i = 0; i < 1'000; ++i)
    add(*live, make_shape("device-" + std::to_string(i), {{"a", ValueType::float64}}), {{kNow, {to_cell(double(i))}}});
  live->flush({});
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  std::size_t points = 0;
  std::size_t dropped = 0;
  for (const std::string& message : reader.messages()) {
    for (const auto& item : json::parse(message)["data"]) {
      points += item["metrics"].size();
      dropped += item.value("dropped", 0U);
    }
  }
  EXPECT_EQ(points + dropped, 1'000U);
  EXPECT_GT(points, 0U);
  EXPECT_EQ(dropped, metrics.dropped_backlog.value());
}

TEST_F(ChannelTest, KeepsTheNewestStateForASlowReader) {
  auto live = channel();
  live->add_member(1, reader, 3);
  reader.set_room(0);
  live->send_state("pump-1", make_state_frame("pump-1", registry::DeviceState::silent, false, kNow, Epoch::ms));
  live->send_state("pump-1", make_state_frame("pump-1", registry::DeviceState::online, true, kNow + 1_s, Epoch::ms));
  live->send_state("pump-2", make_state_frame("pump-2", registry::DeviceState::never, true, Time::min(), Epoch::ms));
  reader.set_room(SIZE_MAX);
  EXPECT_FALSE(live->drain_slow());
  auto messages = reader.messages();
  std::ranges::sort(messages);
  EXPECT_EQ(messages, (std::vector<std::string>{
                          "{\"op\":\"state\",\"id\":3,\"device\":\"pump-1\",\"state\":\"online\",\"connected\":true,"
                          "\"last_seen\":1767225601000}",
                          "{\"op\":\"state\",\"id\":3,\"device\":\"pump-2\",\"state\":\"never\",\"connected\":true,"
                          "\"last_seen\":null}"}));
}

TEST_F(ChannelTest, EndlessTextsBetweenTwoFramesDoNotFillTheMemory) {
  config.backlog = 10'000;
  auto live = channel();
  live->add_member(1, reader, 1);
  const auto shape = make_shape("d", {{"text", ValueType::string}});
  for (int i = 0; i < 1'000; ++i) {
    BatchBuilder builder;
    const auto row = builder.add_row(shape, kNow + Duration{i});
    row[0] = builder.add_string(std::string(1'000, static_cast<char>('a' + i % 26)));
    const BatchPtr batch = builder.seal(kNow);
    live->add(*batch, batch->groups()[0]);
  }
  live->flush({});
  const json item = json::parse(reader.messages()[0])["data"][0];
  const auto& points = item["metrics"]["text"];
  EXPECT_LE(points.size(), 10U);
  EXPECT_EQ(points.back()[1].get<std::string>(), std::string(1'000, static_cast<char>('a' + 999 % 26)));
  EXPECT_EQ(points.size() + item["dropped"].get<std::size_t>(), 1'000U);
}

TEST_F(ChannelTest, ATextThatIsTooLargeForAnyFrameIsToldOf) {
  config.backlog = 100;
  auto live = channel();
  live->add_member(1, reader, 1);
  BatchBuilder builder;
  const auto row = builder.add_row(make_shape("d", {{"text", ValueType::string}}), kNow);
  row[0] = builder.add_string(std::string(101, 'x'));
  const BatchPtr batch = builder.seal(kNow);
  live->add(*batch, batch->groups()[0]);
  EXPECT_TRUE(live->has_news());
  live->flush({});
  ASSERT_EQ(reader.messages().size(), 1U);
  EXPECT_EQ(reader.messages()[0], R"({"op":"data","id":1,"data":[{"device":"d","metrics":{},"dropped":1}]})");
  EXPECT_FALSE(live->has_news());
}

}  // namespace
}  // namespace flux::stream
