#include "process/service.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "bus/memory/memory_bus.h"
#include "core/batch_builder.h"
#include "process/simulation.h"
#include "runtime/spawn.h"
#include "store/series/memory/memory_store.h"
#include "wire/control/packing.h"
#include "wire/processed/processed_codec.h"

namespace flux::process {
namespace {

using runtime::block_on;
using runtime::run_on;

constexpr TenantId kTenant{1};

/// An outbox that tests fill.
class FakeChanges final : public registry::Changes {
 public:
  Async<std::vector<registry::Change>> pending(std::uint64_t after, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<registry::Change> found;
    for (const auto& [version, change] : changes_)
      if (version > after && found.size() < limit) found.push_back(change);
    co_return found;
  }
  Async<void> ack(std::uint64_t version) override {
    const std::lock_guard lock(mutex_);
    changes_.erase(changes_.begin(), changes_.upper_bound(version));
    acked_.notify_all();
    co_return {};
  }
  void on_added(std::function<void()> ready) override {
    const std::lock_guard lock(mutex_);
    ready_ = std::move(ready);
  }
  void add(registry::Change change) {
    const std::lock_guard lock(mutex_);
    changes_.emplace(change.version, std::move(change));
    if (ready_) ready_();
  }
  bool wait_until_empty() {
    std::unique_lock lock(mutex_);
    return acked_.wait_for(lock, std::chrono::seconds(10), [&] { return changes_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable acked_;
  std::map<std::uint64_t, registry::Change> changes_;
  std::function<void()> ready_;
};

/// Remembers what is shown live, and lets tests wait for it.
class FakeLive final : public LiveSink {
 public:
  void on_batch(const wire::ProcessedBatch& batch) override {
    const std::lock_guard lock(mutex);
    readings += batch.batch->reading_count();
    batches.push_back(batch);
    changed.notify_all();
  }
  void on_state(const StateChange& change) override {
    const std::lock_guard lock(mutex);
    states.emplace_back(change.device->device, change.online);
    changed.notify_all();
  }
  void on_event(TenantId /*tenant*/, const std::string& /*device*/,
                const std::shared_ptr<const std::string>& json) override {
    const std::lock_guard lock(mutex);
    events.push_back(*json);
    changed.notify_all();
  }
  bool wait(const std::function<bool()>& done) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10), done);
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t readings = 0;
  std::vector<wire::ProcessedBatch> batches;
  std::vector<std::pair<std::string, bool>> states;
  std::vector<std::string> events;
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() { shards.start(); }
  ~ServiceTest() override {
    if (service) end(false);
    shards.stop();
    shards.join();
  }

  void begin(Config config = {}) {
    directory = std::make_unique<registry::Directory>();
    registry_metrics = std::make_unique<metrics::Registry>();
    live = std::make_unique<FakeLive>();
    service = std::make_unique<Service>(Service::Parts{.shards = shards,
                                                       .workers = workers,
                                                       .bus = *bus,
                                                       .store = *store,
                                                       .checkpoints = checkpoints,
                                                       .directory = *directory,
                                                       .changes = changes,
                                                       .live = live.get(),
                                                       .metrics = *registry_metrics,
                                                       .health = health},
                                        config);
    const auto started = block_on(shards[0], service->start());
    ASSERT_TRUE(started) << started.error().message;
  }
  void end(bool drain = true) {
    if (drain) {
      const auto drained = block_on(shards[0], service->drain());
      EXPECT_TRUE(drained) << drained.error().message;
    }
    EXPECT_TRUE(block_on(shards[0], service->stop()));
    service.reset();
  }
  [[nodiscard]] PartitionId partition(std::string_view device) const {
    return partition_of(bucket_of(kTenant, device), bus->partition_count());
  }
  void publish(const std::string& device, double value, Time time = wall_now()) {
    BatchBuilder builder;
    const auto shape = std::make_shared<const Shape>(
        ShapeKey{.tenant = kTenant, .device = device, .fields = {{"temperature", ValueType::float64}}});
    builder.add_row(shape, time)[0] = to_cell(value);
    bus::Record record;
    record.batch = builder.seal(wall_now());
    bus->producer().publish(bus::Topic::raw_sensor_data, partition(device), std::move(record),
                            [](Result<Offset> offset) { CHECK(offset.has_value()); });
  }
  [[nodiscard]] std::size_t stored() const { return store->latest({.tenant = kTenant})->size(); }
  [[nodiscard]] std::size_t records(bus::Topic topic) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < bus->partition_count(); ++i)
      count += bus->info(topic, {static_cast<std::uint16_t>(i)})->end.value;
    return count;
  }

  runtime::Shards shards{2, "test"};
  runtime::Workers workers{1, 64, "test-worker"};
  std::unique_ptr<bus::memory::MemoryBus> bus = bus::memory::make_memory_bus(3);
  std::unique_ptr<store::TimeSeriesStore> store = store::memory::make_store();
  simulation::MemoryCheckpoints checkpoints;
  FakeChanges changes;
  observe::Health health;
  std::unique_ptr<metrics::Registry> registry_metrics;
  std::unique_ptr<registry::Directory> directory;
  std::unique_ptr<FakeLive> live;
  std::unique_ptr<Service> service;
};

TEST_F(ServiceTest, CarriesReadingsFromTheLogToStoreRegistryAndScreen) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  EXPECT_TRUE(live->wait([&] { return live->readings == 20 && live->events.size() == 40; }));
  EXPECT_EQ(stored(), 20U);
  EXPECT_EQ(directory->size(kTenant), 20U);
  const auto entry = directory->find(kTenant, "device-7");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->state(), registry::DeviceState::online);
  EXPECT_EQ(entry->field_type("telemetry", "temperature"), ValueType::float64);
  EXPECT_GT(entry->last_seen(), Time{});
  EXPECT_EQ(records(bus::Topic::device_events), 40U);
  end();
  EXPECT_EQ(registry_metrics->value("fluxgate_process_readings_total"), 20.0) << "counted when all sinks have them";
}

TEST_F(ServiceTest, ARestartAfterADrainHasNothingToDoAgain) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  const std::size_t events = records(bus::Topic::device_events);
  EXPECT_EQ(events, 40U);
  for (std::uint16_t i = 0; i < 3; ++i) {
    const Offset log_end = bus->info(bus::Topic::raw_sensor_data, {i})->end;
    EXPECT_EQ(bus->committed("process", bus::Topic::raw_sensor_data, {i}), log_end);
    EXPECT_EQ(bus->committed("store", bus::Topic::raw_sensor_data, {i}), log_end);
  }
  begin();
  publish("device-7", 1.0);
  EXPECT_TRUE(live->wait([&] { return live->readings == 1; }));
  EXPECT_EQ(directory->size(kTenant), 20U) << "what the checkpoint knew";
  EXPECT_EQ(directory->find(kTenant, "device-3")->state(), registry::DeviceState::online);
  end();
  EXPECT_EQ(records(bus::Topic::device_events), events) << "nothing is discovered twice";
}

TEST_F(ServiceTest, CheckpointsFromBeforeProcessedDataAreGoodStill) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  for (std::uint16_t i = 0; i < 3; ++i) {
    const Offset next = checkpoints.list({i})->front();
    const auto newest = checkpoints.read({i}, next).value();
    wire::control::Unpacker in(newest.data);
    wire::control::Packer out;
    ASSERT_EQ(in.byte(), 2);
    out.byte(1);
    out.number(in.number());
    ASSERT_EQ(in.number(), 3U);
    for (int topic = 0; topic < 2; ++topic) out.number(in.number());
    in.number();
    out.text(in.text());
    ASSERT_TRUE(in.ok());
    ASSERT_TRUE(checkpoints.write({i}, checkpoints.take_over({i}).value(), {.next = next, .data = out.take()}));
  }
  bus->forget("process");
  begin();
  for (std::uint16_t i = 0; i < 3; ++i)
    EXPECT_EQ(bus->committed("process", bus::Topic::raw_sensor_data, {i}), checkpoints.list({i})->front());
  EXPECT_EQ(directory->size(kTenant), 20U);
  end();
}

TEST_F(ServiceTest, ARestartWithoutADrainRepeatsNothingEither) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  ASSERT_TRUE(live->wait([&] { return live->readings == 20; }));
  end(false);
  begin();
  publish("device-7", 1.0);
  EXPECT_TRUE(live->wait([&] { return live->readings >= 1; }));
  end();
  EXPECT_EQ(records(bus::Topic::device_events), 40U);
}

TEST_F(ServiceTest, AStoreThatWasLostIsFilledFromTheLogAgain) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  store = store::memory::make_store();
  begin();
  publish("device-7", 1.0);
  EXPECT_TRUE(live->wait([&] { return live->readings == 21; })) << "to the new store everything is new";
  EXPECT_EQ(stored(), 20U);
  end();
  EXPECT_EQ(records(bus::Topic::device_events), 40U) << "but not to the topics";
}

TEST_F(ServiceTest, ALogThatLostItsTailGoesOnBehindWhatTheStoreKnows) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  const Offset before = bus->info(bus::Topic::raw_sensor_data, partition("device-7"))->end;
  bus = bus::memory::make_memory_bus(3);  // all of it, to make it short
  begin();
  publish("device-7", 77, wall_now() + 1_s);
  EXPECT_TRUE(live->wait([&] { return live->readings == 1; }));
  EXPECT_GE(bus->info(bus::Topic::raw_sensor_data, partition("device-7"))->end, before);
  EXPECT_GE(registry_metrics->value("fluxgate_process_lost_records_total"), 20.0);
  EXPECT_EQ(store->latest({.tenant = kTenant, .devices = {"device-7"}})->at(0).value, Value(77.0));
  EXPECT_EQ(directory->size(kTenant), 20U) << "the checkpoint still holds";
  end();
}

TEST_F(ServiceTest, ATopicThatLostItsTailGetsEachOutputOnceThroughACrashBeforeTheNextCheckpoint) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  bus = bus::memory::make_memory_bus(3);  // a power cut, and nothing was synced but the store and the checkpoints
  begin();
  for (int i = 20; i < 40; ++i) publish("device-" + std::to_string(i), i);
  ASSERT_TRUE(live->wait([&] { return live->events.size() == 40; }));
  end(false);
  EXPECT_EQ(records(bus::Topic::device_events), 40U);
  begin();
  end();
  EXPECT_EQ(records(bus::Topic::device_events), 40U) << "what was published after the loss is found again";
}

TEST_F(ServiceTest, ALogThatLostWhatOnlyACheckpointHasSeenSaysSoAndGoesOnBehindThat) {
  begin();
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  std::vector<Offset> seen;
  std::uint64_t all = 0;
  for (std::uint16_t i = 0; i < 3; ++i) {
    seen.push_back(checkpoints.list({i})->front());
    all += seen.back().value;
  }
  bus = bus::memory::make_memory_bus(3);
  store = store::memory::make_store();
  begin();
  EXPECT_EQ(registry_metrics->value("fluxgate_process_lost_records_total"), static_cast<double>(all));
  publish("device-7", 77);
  EXPECT_TRUE(live->wait([&] { return live->readings == 1; }));
  for (std::uint16_t i = 0; i < 3; ++i)
    EXPECT_GE(bus->info(bus::Topic::raw_sensor_data, {i})->end, seen[i]) << "no offset means two things";
  end();
  begin();
  EXPECT_EQ(registry_metrics->value("fluxgate_process_lost_records_total"), 0.0) << "said once";
  EXPECT_EQ(directory->size(kTenant), 1U) << "the state of what the log has, and not the old one";
  end();
}

TEST_F(ServiceTest, ALogThatLostWhatItsTopicsSpeakOfGoesOnBehindThat) {
  begin();
  publish("device-1", 1);
  ASSERT_TRUE(live->wait([&] { return live->events.size() == 2; }));
  end(false);
  // Of all files only the topic's were kept: nothing else knows of the readings.
  const auto before = std::exchange(bus, bus::memory::make_memory_bus(3));
  auto reader = before->reader(bus::Topic::device_events, partition("device-1"), {}).value();
  for (bus::Record& record : reader->read(1 << 20).value())
    bus->producer().publish(bus::Topic::device_events, partition("device-1"), std::move(record),
                            [](Result<Offset> offset) { CHECK(offset.has_value()); });
  store = store::memory::make_store();
  begin();
  publish("device-1", 2);
  ASSERT_TRUE(live->wait([&] { return live->events.size() == 2; })) << "to a node that lost it the device is new";
  end();
  std::set<std::string> origins;
  reader = bus->reader(bus::Topic::device_events, partition("device-1"), {}).value();
  for (const bus::Record& record : reader->read(1 << 20).value())
    origins.insert(record.payload->substr(0, record.payload->find(",\"time\"")));
  EXPECT_EQ(origins.size(), 4U) << "neither left out for one of the same place, nor with its id";
}

TEST_F(ServiceTest, WritesWhatPassedToProcessedDataWhereThatIsOn) {
  Config config;
  config.processed_data.enabled = true;
  auto profile = std::make_shared<registry::Profile>();
  profile->id = "pump";
  profile->metrics = {{.name = "temperature", .unit = "°C", .max = 100.0}};
  changes.add({.version = 1,
               .tenant = kTenant,
               .kind = registry::Change::Kind::profile_set,
               .key = "pump",
               .profile = profile});
  changes.add({.version = 2,
               .tenant = kTenant,
               .kind = registry::Change::Kind::device_set,
               .key = "pump-1",
               .device = registry::DeviceChange{.device = "pump-1", .profile = "pump", .labels = {{"site", "north"}}}});
  begin(config);
  publish("pump-1", 50);
  publish("pump-1", 150);
  publish("pump-1", 51);
  ASSERT_TRUE(live->wait([&] { return live->readings == 2; }));
  end();
  auto reader = bus->reader(bus::Topic::processed_data, partition("pump-1"), {}).value();
  const auto written = reader->read(1 << 20).value();
  ASSERT_EQ(written.size(), 2U);
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(written[i].kind, bus::RecordKind::processed);
    const auto processed = wire::processed::decode(*written[i].payload).value();
    EXPECT_EQ(processed.position, written[i].origin->input);
    const auto& group = processed.batch->groups()[0];
    EXPECT_EQ(processed.batch->value(group, 0, 0), Value(50.0 + static_cast<double>(i)));
    EXPECT_EQ(processed.contexts[0]->profile, "pump");
    EXPECT_EQ(processed.contexts[0]->unit_of("temperature"), "°C");
    EXPECT_EQ(*processed.contexts[0]->label("site"), "north");
  }
  begin();  // off again, and in between a start that has it on
  publish("pump-1", 52);
  ASSERT_TRUE(live->wait([&] { return live->readings == 1; }));
  end();
  begin(config);
  publish("pump-1", 53);
  ASSERT_TRUE(live->wait([&] { return live->readings == 1; }));
  end();
  EXPECT_EQ(records(bus::Topic::processed_data), 3U) << "not the one that passed while it was off";
}

TEST_F(ServiceTest, ProcessedDataThatLostItsTailGetsEachBatchOnceThroughACrashBeforeTheNextCheckpoint) {
  Config config;
  config.processed_data.enabled = true;
  begin(config);
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i);
  end();
  bus = bus::memory::make_memory_bus(3);  // a power cut, and nothing was synced but the store and the checkpoints
  begin(config);
  for (int i = 0; i < 20; ++i) publish("device-" + std::to_string(i), i, wall_now() + 1_s);
  ASSERT_TRUE(live->wait([&] { return live->readings == 20; }));
  end(false);
  begin(config);
  end();
  EXPECT_EQ(records(bus::Topic::processed_data), 20U);
}

TEST_F(ServiceTest, TakesChangesOfTheRegistryToTheirPartitions) {
  // One from before we started, and a device that was deleted while we were away.
  auto profile = std::make_shared<registry::Profile>();
  profile->id = "pump";
  profile->metrics = {{.name = "temperature", .unit = "°C", .max = 100.0}};
  changes.add({.version = 1,
               .tenant = kTenant,
               .kind = registry::Change::Kind::profile_set,
               .key = "pump",
               .profile = profile});
  begin();
  EXPECT_TRUE(changes.wait_until_empty());
  registry::DeviceChange device{.device = "pump-1", .profile = "pump", .labels = {{"site", "north"}}};
  device.location = registry::Location{.latitude = 1, .longitude = 2, .place = "Hall"};
  changes.add(
      {.version = 2, .tenant = kTenant, .kind = registry::Change::Kind::device_set, .key = "pump-1", .device = device});
  EXPECT_TRUE(changes.wait_until_empty());
  publish("pump-1", 50);
  publish("pump-1", 150);
  EXPECT_TRUE(live->wait([&] { return live->readings == 1 && !live->batches.empty(); }));
  {
    const std::lock_guard lock(live->mutex);
    const auto& context = *live->batches[0].contexts[0];
    EXPECT_EQ(context.unit_of("temperature"), "°C");
    EXPECT_EQ(*context.label("site"), "north");
    EXPECT_EQ(context.location->place, "Hall");
  }
  changes.add({.version = 3, .tenant = kTenant, .kind = registry::Change::Kind::device_removed, .key = "pump-1"});
  changes.add({.version = 4, .tenant = kTenant, .kind = registry::Change::Kind::profile_removed, .key = "pump"});
  EXPECT_TRUE(changes.wait_until_empty());
  end();
  EXPECT_EQ(records(bus::Topic::dead_letters), 1U);
}

TEST_F(ServiceTest, ChangesThatTheLogDidNotTakeComeAgainInOrder) {
  ChangeFeed feed(changes, *bus);
  const auto removed = [&](std::uint64_t version, const char* device) {
    changes.add({.version = version, .tenant = kTenant, .kind = registry::Change::Kind::device_removed, .key = device});
  };
  removed(1, "pump-1");
  removed(2, "pump-1");
  bus->fail_with(Error{ErrorCode::exhausted, "the log is full", {}});
  EXPECT_EQ(block_on(shards[0], feed.catch_up()).error().code, ErrorCode::exhausted);
  EXPECT_EQ(records(bus::Topic::raw_sensor_data), 0U);
  removed(3, "pump-1");
  bus->fail_with(std::nullopt);
  EXPECT_TRUE(block_on(shards[0], feed.catch_up()));
  EXPECT_TRUE(changes.wait_until_empty());
  auto reader = bus->reader(bus::Topic::raw_sensor_data, partition("pump-1"), {}).value();
  std::vector<std::uint64_t> versions;
  for (const bus::Record& record : reader->read(1 << 20).value())
    for (const auto& change : wire::control::decode_all(*record.payload).value())
      versions.push_back(std::get<wire::control::DeviceRemoved>(change).version);
  EXPECT_EQ(versions, (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST_F(ServiceTest, NoticesSilenceByTheClock) {
  Config config;
  config.silent_after = 30_ms;
  config.tick_interval = 10_ms;
  begin(config);
  publish("device-1", 1);
  EXPECT_TRUE(live->wait(
      [&] { return !live->states.empty() && live->states.back() == std::pair<std::string, bool>("device-1", false); }));
  EXPECT_EQ(directory->find(kTenant, "device-1")->state(), registry::DeviceState::silent);
  publish("device-1", 2);
  EXPECT_TRUE(live->wait([&] { return live->states.back().second; }));
  end();
}

TEST_F(ServiceTest, ErasesInTheOrderOfTheLog) {
  begin();
  publish("device-1", 1);
  publish("device-2", 1);
  ASSERT_TRUE(live->wait([&] { return live->readings == 2; }));
  ASSERT_TRUE(block_on(shards[0], publish_erase(*bus, {.tenant = kTenant, .devices = {"device-1"}})));
  publish("device-1", 2, wall_now() + 1_s);
  ASSERT_TRUE(live->wait([&] { return live->readings == 3; }));
  std::size_t points = 0;
  ASSERT_TRUE(store->scan({.tenant = kTenant, .devices = {"device-1"}}, {}, store::Order::oldest_first, 100, {}, {},
                          [&](store::Points&& chunk) {
                            points += chunk.times.size();
                            return true;
                          }));
  EXPECT_EQ(points, 1U) << "what came after the delete stays";
  EXPECT_EQ(stored(), 2U);
  end();
}

TEST_F(ServiceTest, TheFirstCheckpointDoesNotWaitForTheMachineToBeOld) {
  Config config;
  config.checkpoint_interval = 24_h * (365 * 100);  // longer than any machine has been running
  begin(config);
  publish("device-1", 1);
  ASSERT_TRUE(live->wait([&] { return live->readings == 1; }));
  // A checkpoint is written once the store covers it.
  const Duration until = monotonic_now() + 10_s;
  while (checkpoints.written == 0 && monotonic_now() < until) {
    ASSERT_TRUE(store->flush());
    run_on(shards[0], [] {});
  }
  EXPECT_EQ(checkpoints.written, 1U);
  end();
}

TEST_F(ServiceTest, AnotherProcessThatTakesOverFencesThisOne) {
  Config config;
  config.checkpoint_interval = 100_ms;
  begin(config);
  for (std::uint16_t i = 0; i < 3; ++i) ASSERT_TRUE(checkpoints.take_over({i}));
  publish("device-1", 1);
  ASSERT_TRUE(live->wait([&] { return live->readings == 1; }));
  ASSERT_TRUE(store->flush());
  end();
  EXPECT_EQ(checkpoints.written, 0U);
}

}  // namespace
}  // namespace flux::process
