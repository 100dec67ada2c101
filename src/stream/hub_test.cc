#include "stream/hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "runtime/spawn.h"
#include "stream/stream_testing.h"

namespace flux::stream {
namespace {

using nlohmann::json;
using runtime::run_on;
using testing::make_context;
using testing::make_shape;
using testing::one_row;
using testing::Reader;

constexpr TenantId kTenant{1};
constexpr Time kNow{1'767'225'600'000'000'000};
/// Longer than any machine has been running.
constexpr Duration kAges = 24_h * (365 * 100);

class HubTest : public ::testing::Test {
 protected:
  HubTest() { shards.start(); }
  ~HubTest() override {
    if (hub) EXPECT_TRUE(runtime::block_on(shards[0], hub->stop()));
    shards.stop();
    shards.join();
  }
  Hub& start(Config config = {}, Hub::Snapshots snapshots = nullptr) {
    hub = std::make_unique<Hub>(shards, config, metrics, std::move(snapshots), &log);
    return *hub;
  }
  /// Everything sent so far has been handled when it returns.
  void settle() {
    for (int i = 0; i < 3; ++i)
      for (auto& shard : shards) run_on(*shard, [] {});
  }
  void publish(const wire::ProcessedBatch& batch, std::size_t shard = 0) {
    run_on(shards[shard], [&] { hub->on_batch(batch); });
  }

  runtime::Shards shards{3, "test"};
  metrics::Registry metrics;
  registry::ConnectionLog log;
  std::unique_ptr<Hub> hub;
};

TEST_F(HubTest, TheFirstPointGoesOutAtOnceAndTheNextWithTheInterval) {
  start();
  Reader hasty;
  Reader patient;
  Subscription first;
  Subscription second;
  run_on(shards[1], [&] {
    first = hub->subscribe({.tenant = kTenant}, {.interval = kAges}, hasty, 1);
    second = hub->subscribe({.tenant = kTenant}, {.interval = 20_ms}, patient, 1);
  });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  const auto context = make_context(*pump);
  publish(one_row(pump, context, kNow, {1}));
  EXPECT_TRUE(hasty.wait_for_frames(1));
  publish(one_row(pump, context, kNow + 1_s, {2}));
  publish(one_row(pump, context, kNow + 2_s, {3}));
  EXPECT_TRUE(patient.wait([](const auto& frames) {
    std::size_t points = 0;
    for (const auto& [id, frame] : frames)
      for (const auto& item : json::parse(frame->payload())) points += item["metrics"]["a"].size();
    return points == 3;
  }));
  EXPECT_EQ(hasty.frames().size(), 1U) << "its next frame is a hundred years away";
  run_on(shards[1], [&] {
    first = {};
    second = {};
  });
}

TEST_F(HubTest, ThoseWhoWantTheSameShareAFrame) {
  start();
  std::vector<Reader> readers(50);
  std::vector<Subscription> subscriptions;
  run_on(shards[2], [&] {
    for (std::size_t i = 0; i < readers.size(); ++i) {
      // However they spell it.
      Selector selector{.tenant = kTenant, .devices = {"b", "a"}};
      if (i % 2 == 0) selector.devices = {"a", "b", "a"};
      subscriptions.push_back(hub->subscribe(std::move(selector), {}, readers[i], i));
    }
  });
  const auto shape = make_shape("a", {{"x", ValueType::float64}});
  publish(one_row(shape, make_context(*shape), kNow, {1}));
  for (Reader& reader : readers) EXPECT_TRUE(reader.wait_for_frames(1));
  for (const Reader& reader : readers) EXPECT_EQ(reader.frames()[0].second, readers[0].frames()[0].second);
  EXPECT_EQ(metrics.value("fluxgate_stream_frames_built_total"), 1.0);
  EXPECT_EQ(metrics.value("fluxgate_stream_subscriptions"), 50.0);
  run_on(shards[2], [&] { subscriptions.clear(); });
  EXPECT_EQ(metrics.value("fluxgate_stream_subscriptions"), 0.0);
  publish(one_row(shape, make_context(*shape), kNow + 1_s, {2}));
  settle();
  EXPECT_EQ(readers[0].frames().size(), 1U) << "nobody looks on any more";
}

TEST_F(HubTest, SelectsAsAPlainLoopWould) {
  const std::uint64_t seed = 20'260'101;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  Config config;
  config.interval = config.min_interval = 1_ms;
  start(config);
  struct Source {
    ShapePtr shape;
    wire::DeviceContextPtr context;
  };
  std::vector<Source> sources;
  const char* const metric_names[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 30; ++i) {
    std::vector<FieldDef> fields;
    for (const char* name : metric_names)
      if (below(2) == 0) fields.push_back({name, ValueType::float64});
    if (fields.empty()) fields.push_back({"a", ValueType::float64});
    std::vector<Tag> labels;
    if (below(2) == 0) labels.push_back({"line", std::to_string(below(2))});
    if (below(2) == 0) labels.push_back({"site", std::to_string(below(3))});
    const auto shape = make_shape("device-" + std::to_string(i), fields, {1 + static_cast<std::uint32_t>(below(2))});
    sources.push_back({shape, make_context(*shape, labels)});
  }
  struct Wanted {
    Selector selector;
    Reader reader;
    Subscription subscription;
    std::set<std::tuple<std::string, std::string, std::int64_t>> expected;
  };
  std::vector<std::unique_ptr<Wanted>> all;
  for (int i = 0; i < 200; ++i) {
    auto wanted = std::make_unique<Wanted>();
    wanted->selector.tenant = {1 + static_cast<std::uint32_t>(below(2))};
    for (std::size_t n = below(2) * below(4); n > 0; --n)
      wanted->selector.devices.push_back("device-" + std::to_string(below(32)));
    if (below(3) == 0) wanted->selector.labels.push_back({"site", std::to_string(below(3))});
    if (below(5) == 0) wanted->selector.labels.push_back({"line", std::to_string(below(2))});
    for (std::size_t n = below(2) * below(3); n > 0; --n) wanted->selector.metrics.push_back(metric_names[below(4)]);
    all.push_back(std::move(wanted));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    run_on(shards[i % 3],
           [&] { all[i]->subscription = hub->subscribe(all[i]->selector, {.times = Epoch::ns}, all[i]->reader, i); });
  }
  for (int round = 0; round < 100; ++round) {
    BatchBuilder builder;
    wire::ProcessedBatch batch;
    std::set<std::size_t> used;
    for (int i = 0; i < 5; ++i) {
      const std::size_t which = below(sources.size());
      if (!used.insert(which).second) continue;
      const Time time{kNow.ns + round};
      builder.add_row(sources[which].shape, time);
      batch.contexts.push_back(sources[which].context);
      for (auto& wanted : all) {
        const Selector& s = wanted->selector;
        const auto& device = *sources[which].context;
        if (s.tenant != device.tenant) continue;
        if (!s.devices.empty() && std::ranges::find(s.devices, device.device) == s.devices.end()) continue;
        if (!std::ranges::all_of(
                s.labels, [&](const Tag& tag) { return std::ranges::find(device.labels, tag) != device.labels.end(); }))
          continue;
        for (const FieldDef& field : sources[which].shape->fields())
          if (s.metrics.empty() || std::ranges::find(s.metrics, field.name) != s.metrics.end())
            wanted->expected.emplace(device.device, field.name, time.ns);
      }
    }
    batch.batch = builder.seal(kNow);
    publish(batch, static_cast<std::size_t>(round) % 3);
  }
  std::size_t points = 0;
  for (auto& wanted : all) {
    std::set<std::tuple<std::string, std::string, std::int64_t>> got;
    const bool complete = wanted->reader.wait([&](const auto& frames) {
      got.clear();
      for (const auto& [id, frame] : frames)
        for (const auto& item : json::parse(frame->payload()))
          for (const auto& [metric, values] : item["metrics"].items())
            for (const auto& point : values)
              got.emplace(item["device"].template get<std::string>(), metric, point[0].template get<std::int64_t>());
      return got.size() >= wanted->expected.size();
    });
    EXPECT_TRUE(complete);
    EXPECT_EQ(got, wanted->expected);
    points += got.size();
  }
  EXPECT_GT(points, 1'000U);
  for (std::size_t i = 0; i < all.size(); ++i) run_on(shards[i % 3], [&] { all[i]->subscription = {}; });
}

TEST_F(HubTest, SeesWhenADeviceGetsALabelAndWhenSomebodyComes) {
  Config config;
  config.interval = config.min_interval = 1_ms;
  start(config);
  Reader north;
  Subscription subscription;
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  publish(one_row(pump, make_context(*pump, {{"site", "north"}}), kNow, {0}));  // nobody is there yet
  run_on(shards[0], [&] {
    subscription = hub->subscribe({.tenant = kTenant, .labels = {{"site", "north"}}}, {.times = Epoch::ns}, north, 1);
  });
  publish(one_row(pump, make_context(*pump), kNow, {1}));
  publish(one_row(pump, make_context(*pump, {{"site", "north"}}), kNow + 1_s, {2}));
  publish(one_row(pump, make_context(*pump, {{"site", "south"}}), kNow + 2_s, {3}));
  publish(one_row(pump, make_context(*pump, {{"site", "north"}}), kNow + 3_s, {4}));
  std::vector<double> values;
  EXPECT_TRUE(north.wait([&](const auto& frames) {
    values.clear();
    for (const auto& [id, frame] : frames)
      for (const auto& item : json::parse(frame->payload()))
        for (const auto& point : item["metrics"]["a"]) values.push_back(point[1].template get<double>());
    return values.size() == 2;
  }));
  EXPECT_EQ(values, (std::vector<double>{2, 4}));
  run_on(shards[0], [&] { subscription = {}; });
}

TEST_F(HubTest, AReaderThatStopsReadingCostsOnePointPerSeries) {
  Config config;
  config.interval = config.min_interval = 1_ms;
  start(config);
  Reader stuck;
  Reader fast;
  stuck.set_room(0);
  std::vector<Subscription> subscriptions;
  run_on(shards[1], [&] {
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {}, stuck, 1));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {}, fast, 1));
  });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  const auto context = make_context(*pump);
  constexpr int kPoints = 20'000;
  for (int i = 0; i < kPoints / 100; ++i) {
    BatchBuilder builder;
    for (int k = 0; k < 100; ++k) builder.add_row(pump, kNow + Duration{i * 100 + k})[0] = to_cell(double(i * 100 + k));
    publish({.batch = builder.seal(kNow), .contexts = {context}, .position = {}});
  }
  const auto count = [](const auto& frames) {
    std::size_t points = 0;
    for (const auto& [id, frame] : frames)
      for (const auto& item : json::parse(frame->payload())) {
        points += item["metrics"]["a"].size();
        points += item.contains("dropped") ? item["dropped"].template get<std::size_t>() : 0;
      }
    return points;
  };
  EXPECT_TRUE(fast.wait([&](const auto& frames) { return count(frames) == kPoints; }));
  EXPECT_TRUE(stuck.frames().empty());
  stuck.set_room(SIZE_MAX);
  EXPECT_TRUE(stuck.wait([&](const auto& frames) { return count(frames) == kPoints; }));
  EXPECT_EQ(stuck.frames().size(), 1U);
  const json item = json::parse(stuck.frames()[0].second->payload())[0];
  EXPECT_EQ(item["dropped"].get<int>(), kPoints - 1);
  EXPECT_EQ(item["metrics"]["a"][0][1].get<double>(), kPoints - 1);
  run_on(shards[1], [&] { subscriptions.clear(); });
}

TEST_F(HubTest, BeginsWithASnapshotWhereItIsAskedFor) {
  Selector asked;
  start({}, [&](const Selector& selector, const std::function<void(Result<std::vector<store::LastPoint>>)>& done) {
    asked = selector;
    // As a worker would answer, from another thread.
    std::thread([done] {
      auto info = std::make_shared<store::SeriesInfo>();
      info->device = "pump-1";
      info->measurement = "telemetry";
      info->field = "a";
      done(std::vector<store::LastPoint>{{.series = info, .time = kNow, .received_at = kNow, .value = 21.5}});
    }).join();
  });
  Reader with;
  Reader without;
  std::vector<Subscription> subscriptions;
  run_on(shards[1], [&] {
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {.snapshot = false}, without, 1));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant, .devices = {"pump-1"}}, {.snapshot = true}, with, 1));
  });
  EXPECT_TRUE(with.wait_for_frames(1));
  EXPECT_EQ(with.messages()[0],
            "{\"op\":\"data\",\"id\":1,\"data\":[{\"device\":\"pump-1\",\"metrics\":{\"a\":[[\"2026-01-01T00:00:00Z\","
            "21.5]]}}]}");
  EXPECT_EQ(asked.devices, std::vector<std::string>{"pump-1"});
  settle();
  EXPECT_TRUE(without.frames().empty());
  run_on(shards[1], [&] { subscriptions.clear(); });
}

TEST_F(HubTest, SendsStatesToWhoSelectedTheDeviceAndEventsToWhoWantsThem) {
  start();
  Reader north;
  Reader temperatures;
  Reader other_tenant;
  Reader events;
  Reader events_of_one;
  std::vector<Subscription> subscriptions;
  run_on(shards[1], [&] {
    subscriptions.push_back(
        hub->subscribe({.tenant = kTenant, .labels = {{"site", "north"}}}, {.times = Epoch::ms}, north, 1));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant, .metrics = {"x", "y"}}, {}, temperatures, 2));
    subscriptions.push_back(hub->subscribe({.tenant = {2}}, {}, other_tenant, 3));
    subscriptions.push_back(hub->subscribe_events(kTenant, {}, events, 4));
    subscriptions.push_back(hub->subscribe_events(kTenant, {"pump-2"}, events_of_one, 5));
  });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  hub->on_state(*make_context(*pump, {{"site", "north"}}), registry::DeviceState::silent, false, kNow);
  hub->on_event(kTenant, "pump-1", R"({"id":"0-1-0","device":"pump-1","type":"device_silent"})");
  hub->on_event(kTenant, "pump-2", R"({"id":"0-2-0","device":"pump-2","type":"device_online"})");
  hub->on_event({2}, "pump-2", R"({"id":"0-3-0"})");
  EXPECT_TRUE(north.wait_for_frames(1));
  EXPECT_TRUE(temperatures.wait_for_frames(1));
  EXPECT_TRUE(events.wait_for_frames(2));
  EXPECT_TRUE(events_of_one.wait_for_frames(1));
  settle();
  EXPECT_EQ(north.messages(),
            std::vector<std::string>{"{\"op\":\"state\",\"id\":1,\"device\":\"pump-1\",\"state\":\"silent\","
                                     "\"connected\":false,\"last_seen\":1767225600000}"});
  EXPECT_EQ(temperatures.messages(),
            std::vector<std::string>{"{\"op\":\"state\",\"id\":2,\"device\":\"pump-1\",\"state\":\"silent\","
                                     "\"connected\":false,\"last_seen\":\"2026-01-01T00:00:00Z\"}"});
  EXPECT_TRUE(other_tenant.frames().empty());
  EXPECT_EQ(
      events.messages()[0],
      "{\"op\":\"event\",\"id\":4,\"event\":{\"id\":\"0-1-0\",\"device\":\"pump-1\",\"type\":\"device_silent\"}}");
  EXPECT_EQ(events.frames().size(), 2U);
  EXPECT_EQ(events_of_one.frames().size(), 1U);
  EXPECT_EQ(events_of_one.frames()[0].second, events.frames()[1].second);
  run_on(shards[1], [&] { subscriptions.clear(); });
}

TEST_F(HubTest, ReadersLearnOfWhatAShardThatFellBehindHasDropped) {
  Config config;
  config.interval = config.min_interval = 1_ms;
  config.queue = config::Bytes{1};  // what comes while something is under way is dropped
  start(config);
  Reader all;
  Reader one_metric;
  Reader slow;
  slow.set_room(0);
  std::vector<Subscription> subscriptions;
  run_on(shards[1], [&] {
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {.times = Epoch::s}, all, 1));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant, .metrics = {"b"}}, {.times = Epoch::s}, one_metric, 2));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {.times = Epoch::s}, slow, 3));
  });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}, {"b", ValueType::float64}});
  const auto fan = make_shape("fan-1", {{"a", ValueType::float64}});
  std::latch busy(1);
  shards[1].post([&] { busy.wait(); });
  for (int i = 0; i < 5; ++i) publish(one_row(pump, make_context(*pump), kNow + Duration{i * 1'000'000'000LL}, {1, 2}));
  for (int i = 0; i < 3; ++i) publish(one_row(fan, make_context(*fan), kNow, {3}));
  {
    BatchBuilder builder;  // of the second row only `b` is there
    builder.add_row(pump, kNow);
    builder.add_row(pump, kNow);
    builder.set_missing(0);
    publish({.batch = builder.seal(kNow), .contexts = {make_context(*pump)}, .position = {}});
  }
  busy.count_down();
  struct Seen {
    std::map<std::string, std::size_t> points, dropped;
    bool operator==(const Seen&) const = default;
  };
  const auto seen = [](const auto& frames) {
    Seen result;
    for (const auto& [id, frame] : frames) {
      for (const auto& item : json::parse(frame->payload())) {
        const auto device = item["device"].template get<std::string>();
        for (const auto& [metric, points] : item["metrics"].items()) result.points[device] += points.size();
        if (item.contains("dropped")) result.dropped[device] += item["dropped"].template get<std::size_t>();
      }
    }
    return result;
  };
  const Seen everything{.points = {{"pump-1", 2}}, .dropped = {{"pump-1", 4 * 2 + 3}, {"fan-1", 3}}};
  const Seen of_b{.points = {{"pump-1", 1}}, .dropped = {{"pump-1", 4 + 2}}};
  EXPECT_TRUE(all.wait([&](const auto& frames) { return seen(frames) == everything; }));
  EXPECT_TRUE(one_metric.wait([&](const auto& frames) { return seen(frames) == of_b; }));
  EXPECT_TRUE(slow.frames().empty());
  slow.set_room(SIZE_MAX);
  // Of the two points of one row it gets both: they are of two series.
  EXPECT_TRUE(slow.wait([&](const auto& frames) { return seen(frames) == everything; }));
  EXPECT_EQ(metrics.value("fluxgate_stream_dropped_readings_total", {{"reason", "queue"}}), 4 * 2 + 3 + 4.0);
  run_on(shards[1], [&] { subscriptions.clear(); });
}

TEST_F(HubTest, MeasurementsOfADeviceAreApart) {
  Config config;
  config.interval = config.min_interval = 1_ms;
  start(config);
  Reader all;
  Reader plain;
  Reader vibration;
  std::vector<Subscription> subscriptions;
  run_on(shards[1], [&] {
    subscriptions.push_back(hub->subscribe({.tenant = kTenant}, {.times = Epoch::s}, all, 1));
    subscriptions.push_back(
        hub->subscribe({.tenant = kTenant, .measurements = {"telemetry"}}, {.times = Epoch::s}, plain, 1));
    subscriptions.push_back(hub->subscribe({.tenant = kTenant, .devices = {"pump-1"}, .measurements = {"vibration"}},
                                           {.times = Epoch::s}, vibration, 1));
  });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  ShapeKey key = pump->key();
  key.measurement = "vibration";
  const auto other = std::make_shared<const Shape>(std::move(key));
  const auto context = make_context(*pump);
  BatchBuilder builder;
  builder.add_row(pump, kNow)[0] = to_cell(1.0);
  builder.add_row(other, kNow)[0] = to_cell(2.0);
  publish({.batch = builder.seal(kNow), .contexts = {context, context}, .position = {}});
  const std::string of_plain = R"({"device":"pump-1","metrics":{"a":[[1767225600,1]]}})";
  const std::string of_vibration = R"({"device":"pump-1","measurement":"vibration","metrics":{"a":[[1767225600,2]]}})";
  const std::string head = R"({"op":"data","id":1,"data":[)";
  EXPECT_TRUE(all.wait_for_frames(1));
  EXPECT_TRUE(plain.wait_for_frames(1));
  EXPECT_TRUE(vibration.wait_for_frames(1));
  EXPECT_EQ(all.messages()[0], head + of_plain + "," + of_vibration + "]}");
  EXPECT_EQ(plain.messages()[0], head + of_plain + "]}");
  EXPECT_EQ(vibration.messages()[0], head + of_vibration + "]}");
  run_on(shards[1], [&] { subscriptions.clear(); });
}

TEST_F(HubTest, ASlowReaderOfEventsKeepsTheNewestAndKnowsHowManyItMissed) {
  Config config;
  config.events_backlog = 5;
  start(config);
  Reader events;
  events.set_room(0);
  Subscription subscription;
  run_on(shards[1], [&] { subscription = hub->subscribe_events(kTenant, {}, events, 4); });
  for (int i = 0; i < 20; ++i) hub->on_event(kTenant, "d", "{\"n\":" + std::to_string(i) + "}");
  settle();
  events.set_room(SIZE_MAX);
  EXPECT_TRUE(events.wait_for_frames(5));
  settle();
  EXPECT_EQ(events.frames().size(), 5U);
  EXPECT_EQ(events.messages()[0], "{\"op\":\"event\",\"id\":4,\"dropped\":15,\"event\":{\"n\":15}}");
  EXPECT_EQ(events.frames()[0].second->payload(), "{\"n\":15}");
  EXPECT_EQ(events.messages()[1], "{\"op\":\"event\",\"id\":4,\"event\":{\"n\":16}}");
  run_on(shards[1], [&] { subscription = {}; });
}

TEST_F(HubTest, TracesTheConnectionsOfADevice) {
  start();
  const auto event = [](const char* device, const char* message, bool ok) {
    return registry::ConnectionEvent{.time = kNow,
                                     .stage = registry::ConnectionStage::auth,
                                     .ok = ok,
                                     .message = message,
                                     .peer = "127.0.0.1:5123",
                                     .device = device,
                                     .tenant = kTenant,
                                     .detail = "{\"user\":\"x\"}"};
  };
  log.add(event("pump-1", "before", true));
  Reader reader;
  Subscription subscription;
  run_on(shards[1], [&] { subscription = hub->subscribe_trace(kTenant, "pump-1", reader, 2); });
  EXPECT_TRUE(log.watched(kTenant, "pump-1"));
  log.add(event("pump-2", "another's", true));
  log.add(event("pump-1", "the \"token\" is not known", false));
  EXPECT_TRUE(reader.wait_for_frames(2));
  settle();
  ASSERT_EQ(reader.frames().size(), 2U);
  EXPECT_EQ(reader.messages()[1],
            "{\"op\":\"trace\",\"id\":2,\"event\":{\"time\":\"2026-01-01T00:00:00Z\",\"stage\":\"auth\",\"ok\":false,"
            "\"message\":\"the \\\"token\\\" is not known\",\"peer\":\"127.0.0.1:5123\",\"protocol\":\"mqtt\","
            "\"detail\":{\"user\":\"x\"}}}");
  run_on(shards[1], [&] { subscription = {}; });
  EXPECT_FALSE(log.watched(kTenant, "pump-1"));
}

TEST_F(HubTest, DropsAndCountsWhenAShardDoesNotKeepUp) {
  Config config;
  config.queue = 1;
  start(config);
  Reader reader;
  Subscription subscription;
  run_on(shards[1], [&] { subscription = hub->subscribe({.tenant = kTenant}, {}, reader, 1); });
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  run_on(shards[1], [&] {
    // The shard is busy with us while three batches arrive for it.
    for (int i = 0; i < 3; ++i) hub->on_batch(one_row(pump, make_context(*pump), kNow, {1}));
  });
  settle();
  EXPECT_EQ(metrics.value("fluxgate_stream_dropped_readings_total", {{"reason", "queue"}}), 2.0);
  EXPECT_EQ(reader.frames().size(), 1U);
  run_on(shards[1], [&] { subscription = {}; });
}

TEST_F(HubTest, ASubscriberMayEndSubscriptionsWhileItIsServed) {
  start();
  struct Quitter final : Subscriber {
    std::vector<Subscription>* all = nullptr;
    std::atomic<int> frames{0};
    [[nodiscard]] bool writable() const override { return true; }
    void send(std::uint64_t, const FramePtr&) override {
      ++frames;
      all->clear();
    }
  } quitter;
  std::vector<Subscription> all;
  quitter.all = &all;
  const auto pump = make_shape("pump-1", {{"a", ValueType::float64}});
  const auto open = [&] {
    for (std::uint64_t i = 0; i < 5; ++i) all.push_back(hub->subscribe({.tenant = kTenant}, {}, quitter, i));
    for (std::uint64_t i = 0; i < 5; ++i) all.push_back(hub->subscribe_events(kTenant, {}, quitter, i));
  };
  run_on(shards[1], open);
  publish(one_row(pump, make_context(*pump), kNow, {1}));
  settle();
  EXPECT_EQ(quitter.frames, 1);
  run_on(shards[1], open);
  hub->on_state(*make_context(*pump), registry::DeviceState::online, true, kNow);
  settle();
  EXPECT_EQ(quitter.frames, 2);
  run_on(shards[1], open);
  hub->on_event(kTenant, "pump-1", "{}");
  settle();
  EXPECT_EQ(quitter.frames, 3);
  EXPECT_EQ(metrics.value("fluxgate_stream_subscriptions"), 0.0);
}

// Nothing to check but that it ends well: for the thread sanitizer.
TEST_F(HubTest, ComingAndGoingWhileReadingsPass) {
  Config config;
  config.interval = config.min_interval = 1_ms;
  start(config);
  std::vector<ShapePtr> shapes;
  std::vector<wire::DeviceContextPtr> contexts;
  for (int i = 0; i < 20; ++i) {
    shapes.push_back(make_shape("device-" + std::to_string(i), {{"a", ValueType::float64}}));
    contexts.push_back(make_context(*shapes.back(), {{"site", std::to_string(i % 3)}}));
  }
  std::atomic<std::size_t> received{0};
  struct Counting final : Subscriber {
    std::atomic<std::size_t>* received = nullptr;
    mutable std::size_t asked = 0;
    [[nodiscard]] bool writable() const override { return ++asked % 3 != 0; }
    void send(std::uint64_t, const FramePtr& frame) override { *received += frame->rest.size(); }
  };
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      std::vector<std::pair<std::unique_ptr<Counting>, Subscription>> open;
      for (int i = 0; i < 300; ++i) {
        run_on(shards[t], [&] {
          if (random() % 3 == 0 || open.empty()) {
            auto reader = std::make_unique<Counting>();
            reader->received = &received;
            Selector selector{.tenant = kTenant};
            if (random() % 2 == 0) selector.devices = {"device-" + std::to_string(random() % 20)};
            if (random() % 3 == 0) selector.labels = {{"site", std::to_string(random() % 3)}};
            Subscription subscription = hub->subscribe(std::move(selector), {}, *reader, 1);
            open.emplace_back(std::move(reader), std::move(subscription));
          } else if (random() % 3 == 0) {
            open.pop_back();
          }
          const std::size_t which = random() % shapes.size();
          hub->on_batch(one_row(shapes[which], contexts[which], kNow + Duration{i}, {double(i)}));
          hub->on_state(*contexts[which], registry::DeviceState::online, true, kNow);
          hub->on_event(kTenant, shapes[which]->device(), "{}");
        });
      }
      run_on(shards[t], [&] { open.clear(); });
    });
  }
  threads.clear();
  EXPECT_GT(received.load(), 0U);
  EXPECT_EQ(metrics.value("fluxgate_stream_subscriptions"), 0.0);
}

}  // namespace
}  // namespace flux::stream
