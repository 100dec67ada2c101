#include "process/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "core/batch_builder.h"
#include "wire/processed/processed_codec.h"

namespace flux::process::simulation {
namespace {

using wire::control::ControlRecord;

constexpr TenantId kTenant{1};
constexpr Time kStart{1'767'225'600'000'000'000};

/// A fleet that sends good and bad readings, and people who change it.
class Fleet {
 public:
  explicit Fleet(Random& random) : random_(random) {
    for (int i = 0; i < 12; ++i) {
      devices_.push_back("device-" + std::to_string(i));
      for (int shape = 0; shape < 3; ++shape) shapes_.push_back(make_shape(devices_.back(), shape));
    }
  }

  [[nodiscard]] std::size_t device_count() const { return devices_.size(); }
  [[nodiscard]] const std::string& device(std::size_t index) const { return devices_[index]; }

  /// Rows of some of the devices that `accept`.
  BatchPtr batch(Time now, const std::function<bool(const Shape&)>& accept) {
    for (std::size_t rows = 1 + random_.below(8); rows > 0; --rows) {
      const ShapePtr& shape = shapes_[random_.below(shapes_.size())];
      if (!accept(*shape)) continue;
      const auto cells = builder_.add_row(shape, event_time(now));
      for (std::size_t field = 0; field < shape->field_count(); ++field) {
        const Cell cell = value(shape->fields()[field].type);
        cells[field] = cell;
      }
      if (shape->field_count() > 1 && random_.chance(0.3)) builder_.set_missing(random_.below(shape->field_count()));
    }
    return builder_.empty() ? nullptr : builder_.seal(now);
  }

  ControlRecord change() {
    ++version_;
    const std::string profile = random_.chance(0.5) ? "pump" : "fan";
    const std::string& device = devices_[random_.below(devices_.size())];
    switch (random_.below(8)) {
      case 0: return wire::control::ProfileRemoved{kTenant, version_, profile};
      case 1: return wire::control::DeviceRemoved{kTenant, version_, device};
      case 2:
        return wire::control::EraseReadings{
            .tenant = kTenant,
            .version = version_,
            .devices = {device},
            .from = kStart,
            .to = kStart + Duration{static_cast<std::int64_t>(random_.below(100)) * 1'000'000'000}};
      case 3:
      case 4:
        return wire::control::ProfileChanged{
            .tenant = kTenant,
            .version = version_,
            .profile = profile,
            .metrics = {{.name = "a", .unit = "V", .min = -10.0, .max = 5.0 + static_cast<double>(random_.below(90))},
                        {.name = "c", .type = ValueType::int64, .max = 50.0}},
            .silent_after = random_.chance(0.3)
                                ? std::nullopt
                                : std::optional(Duration{1'000'000'000 * static_cast<std::int64_t>(random_.below(8))}),
            .labels = {{"kind", profile}}};
      default:
        return wire::control::DeviceChanged{.tenant = kTenant,
                                            .version = version_,
                                            .device = device,
                                            .name = "Device " + std::to_string(version_),
                                            .profile = profile,
                                            .labels = {{"site", random_.chance(0.5) ? "north" : "south"}}};
    }
  }

 private:
  static ShapePtr make_shape(const std::string& device, int kind) {
    ShapeKey key{.tenant = kTenant, .device = device};
    if (kind == 0) key.fields = {{"a", ValueType::float64}, {"b", ValueType::float64}, {"s", ValueType::string}};
    if (kind == 1) key.fields = {{"c", ValueType::int64}, {"d", ValueType::uint64}, {"e", ValueType::boolean}};
    if (kind == 2) key.fields = {{"a", ValueType::float64}};
    return std::make_shared<const Shape>(std::move(key));
  }
  Time event_time(Time now) {
    if (random_.chance(0.03)) return now + 2_h;
    if (random_.chance(0.03)) return now - 3_h;
    return now - Duration{static_cast<std::int64_t>(random_.below(20'000)) * 1'000'000};
  }
  Cell value(ValueType type) {
    switch (type) {
      case ValueType::float64:
        if (random_.chance(0.03)) return to_cell(std::nan(""));
        return to_cell(static_cast<double>(random_.below(120)) - 15);
      case ValueType::int64: return to_cell(static_cast<std::int64_t>(random_.below(60)));
      case ValueType::uint64: return to_cell(static_cast<std::uint64_t>(random_.below(60)));
      case ValueType::boolean: return to_cell(random_.chance(0.5));
      case ValueType::string: return builder_.add_string(std::string(1 + random_.below(36), 'x'));
    }
    return 0;
  }

  Random& random_;
  std::vector<std::string> devices_;
  std::vector<ShapePtr> shapes_;
  BatchBuilder builder_;
  std::uint64_t version_ = 0;
};

Config test_config() {
  Config config;
  config.silent_after = 3_s;
  config.max_age = 1_h;
  config.max_string = 32;
  config.dead_letters_per_record = 6;
  config.read_bytes = 4'096;
  config.checkpoint_interval = 2_s;
  config.output_queue = 16;
  config.output_bytes = 8_KiB;
  config.processed_data.enabled = true;
  return config;
}

std::vector<std::string> topic_content(bus::Bus& bus, bus::Topic topic, PartitionId partition) {
  std::vector<std::string> content;
  auto reader = bus.reader(topic, partition, {}).value();
  for (auto records = reader->read(1 << 20).value(); !records.empty(); records = reader->read(1 << 20).value())
    for (const bus::Record& record : records) content.push_back(*record.payload);
  return content;
}

std::vector<std::string> sorted(std::vector<std::string> texts) {
  std::ranges::sort(texts);
  return texts;
}

std::size_t readings_of(const std::vector<std::string>& processed) {
  std::size_t readings = 0;
  for (const std::string& record : processed) readings += wire::processed::decode(record)->batch->reading_count();
  return readings;
}

/// Every point of the store as text.
std::vector<std::string> store_content(const store::TimeSeriesStore& store) {
  std::vector<std::string> content;
  const auto scanned =
      store.scan({.tenant = kTenant}, {}, store::Order::oldest_first, SIZE_MAX, {}, {}, [&](store::Points&& points) {
        for (std::size_t i = 0; i < points.times.size(); ++i) {
          std::string text =
              points.series->device + "/" + points.series->field + "@" + std::to_string(points.times[i]) + "=";
          if (points.series->type == ValueType::string) {
            const StringRef ref = as_string_ref(points.cells[i]);
            text += points.heap.substr(ref.offset, ref.length);
          } else {
            text += std::to_string(points.cells[i]);
          }
          content.push_back(std::move(text));
        }
        return true;
      });
  CHECK(scanned.has_value());
  return content;
}

/// A node: a processor for every partition, over a log that survives.
class Node {
 public:
  Node(bus::Bus& log, std::uint64_t seed) : random(seed), bus(log, random), store(random), config(test_config()) {}

  void start() {
    const Needs needs{
        .bus = bus,
        .store = store,
        .checkpoints = checkpoints,
        .directory = nullptr,
        .config = config,
        .metrics = metrics,
        .post = [this](std::move_only_function<void()> task) { tasks_.push_back(std::move(task)); },
        .background = [this](std::move_only_function<void()> task) { background_.push_back(std::move(task)); },
        .listening_since = now};
    for (std::size_t i = 0; i < bus.partition_count(); ++i) {
      processors.push_back(std::make_unique<Processor>(needs, PartitionId{static_cast<std::uint16_t>(i)}));
      CHECK(processors.back()->recover().has_value());
    }
  }

  void crash() {
    processors.clear();
    bus.crash();
    store.crash();
    while (!background_.empty() && random.chance(0.5)) {
      background_.front()();
      background_.pop_front();
    }
    background_.clear();
    tasks_.clear();
  }

  void turn() {
    const auto progress = processors[random.below(processors.size())]->step();
    CHECK(progress.has_value());
    if (random.chance(0.5)) bus.work(random.below(6));
    if (random.chance(0.5)) run(tasks_);
    if (random.chance(0.2)) run(background_);
    if (random.chance(0.2)) processors[random.below(processors.size())]->maintain(now, now - Time{});
  }

  /// What is under way goes on, and nothing new begins.
  void work() {
    bus.work(1'000);
    run(tasks_);
    run(background_);
  }

  /// Until nothing moves any more.
  void settle() {
    bus.failures = store.failures = 0;
    for (int quiet = 0; quiet < 3;) {
      bool moved = false;
      for (const auto& processor : processors) {
        moved |= processor->step().value() != Processor::Progress::idle;
        processor->maintain(now, now - Time{});
        moved |= !processor->settled();
      }
      moved |= bus.busy() || !tasks_.empty() || !background_.empty();
      work();
      quiet = moved ? 0 : quiet + 1;
    }
  }

  /// Readings that did not pass.
  [[nodiscard]] double refused() const {
    double sum = 0;
    for (std::size_t i = 0; i < kReasonCount; ++i)
      sum += registry.value("fluxgate_process_refused_readings_total",
                            {{"reason", std::string(to_string(static_cast<Reason>(i)))}});
    return sum;
  }

  Random random;
  SimulatedBus bus;
  SimulatedStore store;
  MemoryCheckpoints checkpoints;
  Config config;
  metrics::Registry registry;
  Metrics metrics{registry};
  Time now = kStart;
  std::vector<std::unique_ptr<Processor>> processors;

 private:
  static void run(std::deque<std::move_only_function<void()>>& tasks) {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }
  std::deque<std::move_only_function<void()>> tasks_;
  std::deque<std::move_only_function<void()>> background_;
};

void append(bus::Bus& bus, PartitionId partition, bus::Record record) {
  bus.producer().publish(bus::Topic::raw_sensor_data, partition, std::move(record),
                         [](Result<Offset> offset) { CHECK(offset.has_value()); });
}

void append_change(bus::Bus& bus, const ControlRecord& change, PartitionId partition) {
  bus::Record record;
  record.kind = bus::RecordKind::control;
  record.payload = std::make_shared<const std::string>(wire::control::encode(change));
  append(bus, partition, std::move(record));
}

/// As the feed of changes does it, sometimes twice.
void append_change(bus::Bus& bus, const ControlRecord& change, Random& random) {
  const std::size_t partitions = bus.partition_count();
  const std::string* device = nullptr;
  if (const auto* changed = std::get_if<wire::control::DeviceChanged>(&change)) device = &changed->device;
  if (const auto* removed = std::get_if<wire::control::DeviceRemoved>(&change)) device = &removed->device;
  if (const auto* erase = std::get_if<wire::control::EraseReadings>(&change)) device = &erase->devices.front();
  for (int times = random.chance(0.2) ? 2 : 1; times > 0; --times) {
    for (std::size_t i = 0; i < partitions; ++i) {
      const PartitionId partition{static_cast<std::uint16_t>(i)};
      if (device == nullptr || partition_of(bucket_of(kTenant, *device), partitions) == partition)
        append_change(bus, change, partition);
    }
  }
}

std::uint64_t base_seed() {
  const char* given = std::getenv("FLUXGATE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

class Crashes : public testing::TestWithParam<int> {};

TEST_P(Crashes, LeaveEverythingExactlyOnce) {
  const std::uint64_t seed = base_seed() * 1'000 + static_cast<std::uint64_t>(GetParam());
  SCOPED_TRACE("seed " + std::to_string(seed) + " (FLUXGATE_SEED sets the thousands)");
  constexpr std::size_t kPartitions = 3;
  const auto log = bus::memory::make_memory_bus(kPartitions);
  Node node(*log, seed);
  Random& random = node.random;
  Fleet fleet(random);
  node.bus.failures = random.chance(0.5) ? 0.05 : 0;
  node.store.failures = random.chance(0.5) ? 0.1 : 0;
  const bool switched = GetParam() % 4 == 3;  // processed-data is on in some lives and off in others
  node.start();
  int crashes = 0;
  for (int action = 0; action < 1'500; ++action) {
    node.now = node.now + Duration{static_cast<std::int64_t>(random.below(200)) * 1'000'000};
    if (random.chance(0.002)) node.now = node.now + 20_s;
    log->set_time(node.now);
    if (random.chance(0.3)) {
      const PartitionId partition{static_cast<std::uint16_t>(random.below(kPartitions))};
      const auto mine = [&](const Shape& shape) { return partition_of(shape.bucket(), kPartitions) == partition; };
      if (const BatchPtr batch = fleet.batch(node.now, mine)) {
        bus::Record record;
        record.batch = batch;
        append(*log, partition, std::move(record));
      }
    }
    if (random.chance(0.02)) append_change(*log, fleet.change(), random);
    if (random.chance(0.02)) CHECK(node.store.flush().has_value());
    if (random.chance(0.005)) {
      // The settings change with a restart, and with them what the log says.
      node.crash();
      if (random.chance(0.3)) node.checkpoints.damage_newest({static_cast<std::uint16_t>(random.below(kPartitions))});
      if (random.chance(0.3))
        node.config.silent_after = Duration{1'000'000'000 * static_cast<std::int64_t>(1 + random.below(6))};
      if (switched) node.config.processed_data.enabled = random.chance(0.6);
      ++crashes;
      node.start();
      continue;
    }
    node.turn();
  }
  node.settle();
  // Long enough for every device to fall silent, ticks being a second apart.
  for (int second = 0; second < 12; ++second) {
    node.now = node.now + 1_s;
    node.settle();
  }

  // The same log, processed in one go by a node that nothing ever happens to.
  const auto copy = bus::memory::make_memory_bus(kPartitions);
  for (std::size_t i = 0; i < kPartitions; ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    auto reader = log->reader(bus::Topic::raw_sensor_data, partition, {}).value();
    for (auto records = reader->read(1 << 20).value(); !records.empty(); records = reader->read(1 << 20).value())
      for (bus::Record& record : records) append(*copy, partition, std::move(record));
  }
  Node calm(*copy, 1);
  calm.config = node.config;
  calm.config.processed_data.enabled = true;
  calm.now = node.now;
  calm.start();
  for (const auto& processor : calm.processors) processor->quiesce();
  calm.settle();

  std::size_t silences = 0;
  std::size_t letters = 0;
  std::size_t readings = 0;
  for (std::size_t i = 0; i < kPartitions; ++i) {
    const PartitionId partition{static_cast<std::uint16_t>(i)};
    EXPECT_EQ(copy->info(bus::Topic::raw_sensor_data, partition)->end,
              log->info(bus::Topic::raw_sensor_data, partition)->end);
    EXPECT_EQ(node.processors[i]->state().hash(), calm.processors[i]->state().hash());
    for (const bus::Topic topic : {bus::Topic::dead_letters, bus::Topic::device_events}) {
      const auto got = sorted(topic_content(*log, topic, partition));
      EXPECT_EQ(got, sorted(topic_content(*copy, topic, partition)));
      EXPECT_EQ(std::set<std::string>(got.begin(), got.end()).size(), got.size()) << "each once";
    }
    // Each says of which record and which part it is, so that equal ones would be repeats.
    const auto processed = sorted(topic_content(*log, bus::Topic::processed_data, partition));
    const auto all_processed = sorted(topic_content(*copy, bus::Topic::processed_data, partition));
    EXPECT_EQ(std::set<std::string>(processed.begin(), processed.end()).size(), processed.size()) << "each once";
    if (switched) EXPECT_TRUE(std::ranges::includes(all_processed, processed));
    else EXPECT_EQ(processed, all_processed);
    EXPECT_GT(processed.size(), 0U);
    readings += readings_of(all_processed);
    letters += topic_content(*log, bus::Topic::dead_letters, partition).size();
    for (const std::string& event : topic_content(*log, bus::Topic::device_events, partition))
      silences += event.contains("device_silent") ? 1 : 0;
    node.processors[i]->state().for_each([](const DeviceStatePtr& device) {
      EXPECT_TRUE(device->silent || device->silent_after.ns == 0 || device->last_arrival == Time::min()) << device->id;
    });
    EXPECT_LE(log->committed("process", bus::Topic::raw_sensor_data, partition).value(), node.processors[i]->next());
  }
  EXPECT_EQ(store_content(node.store), store_content(calm.store));
  EXPECT_GT(silences, 0U);
  EXPECT_GT(letters, 0U);
  EXPECT_GT(node.checkpoints.written, 0U);
  const double refused = calm.refused();
  EXPECT_EQ(static_cast<double>(readings) + refused, calm.registry.value("fluxgate_process_readings_total"))
      << "what passed is there, and nothing else";
  RecordProperty("crashes", crashes);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Crashes, testing::Range(0, 40));

TEST(Switch, WhatWasWrittenBeforeItWasOffIsFoundWhenItIsOnAgain) {
  const auto log = bus::memory::make_memory_bus(1);
  log->set_time(kStart);
  Node node(*log, 1);
  node.config.output_queue = 1'000;
  node.config.output_bytes = 1_MiB;
  Fleet fleet(node.random);
  for (int i = 0; i < 200; ++i) {
    bus::Record record;
    record.batch = fleet.batch(kStart, [](const Shape&) { return true; });
    append(*log, {0}, std::move(record));
  }
  const auto written = [&] { return topic_content(*log, bus::Topic::processed_data, {0}); };
  node.start();
  node.settle();
  const auto all = written();
  EXPECT_GT(all.size(), 150U);

  // Off, and a checkpoint in the middle of what was written already.
  node.crash();
  node.config.processed_data.enabled = false;
  node.start();
  Processor& processor = *node.processors[0];
  EXPECT_EQ(processor.step().value(), Processor::Progress::worked);
  EXPECT_LT(processor.next(), Offset{150});
  ASSERT_TRUE(node.store.flush());
  processor.checkpoint();
  while (!processor.checkpointed()) node.work();
  node.crash();
  node.config.processed_data.enabled = true;
  node.start();
  node.settle();
  EXPECT_EQ(written(), all);
}

/// What one bucket says, without the places that depend on the number of partitions.
std::string without_place(const std::string& json) {
  const std::size_t id = json.find(",\"time\"");
  const std::size_t source = json.find(",\"source\"");
  return json.substr(id, source == std::string::npos ? std::string::npos : source - id);
}

TEST(Determinism, StateAndOutputsDoNotDependOnThePartitions) {
  for (std::uint64_t seed = base_seed() * 1'000; seed < base_seed() * 1'000 + 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    struct Lane {
      explicit Lane(PartitionId partition, std::size_t count) : state(partition, count), pipeline(state) {}
      PartitionState state;
      Pipeline pipeline;
      Offset next;
    };
    const auto lanes_for = [](std::size_t count) {
      std::vector<std::unique_ptr<Lane>> lanes;
      for (std::size_t i = 0; i < count; ++i)
        lanes.push_back(std::make_unique<Lane>(PartitionId{static_cast<std::uint16_t>(i)}, count));
      return lanes;
    };
    auto two = lanes_for(2);
    auto four = lanes_for(4);
    std::vector<std::string> said_by_two;
    std::vector<std::string> said_by_four;
    const auto give = [](Lane& lane, bus::Record record, std::vector<std::string>& said) {
      record.offset = lane.next;
      lane.next = lane.next.next();
      Outputs outputs;
      lane.pipeline.apply(record, outputs);
      for (const Signal& signal : outputs.signals) said.push_back(without_place(*signal.json));
    };
    Random random(seed);
    Fleet fleet(random);
    Time now = kStart;
    const auto config = test_config();
    const auto give_all = [&](const ControlRecord& change) {
      bus::Record record;
      record.kind = bus::RecordKind::control;
      record.payload = std::make_shared<const std::string>(wire::control::encode(change));
      for (auto& lane : two) give(*lane, record, said_by_two);
      for (auto& lane : four) give(*lane, record, said_by_four);
    };
    give_all(config.rules());
    for (int action = 0; action < 400; ++action) {
      now = now + Duration{static_cast<std::int64_t>(random.below(400)) * 1'000'000};
      if (action == 200) {
        // The four move together to two, and back: buckets go, and what all partitions share.
        auto moved = lanes_for(4);
        for (std::size_t bucket = 0; bucket < kBucketCount; ++bucket) {
          const BucketId id{static_cast<std::uint8_t>(bucket)};
          auto& from = two[partition_of(id, 2).value]->state;
          auto& to = moved[partition_of(id, 4).value]->state;
          to.adopt_shared(from);
          ASSERT_TRUE(to.load_bucket(from.save_bucket(id)));
        }
        four = std::move(moved);
      }
      if (random.chance(0.2)) {
        give_all(wire::control::Tick{now, kStart});
      } else if (random.chance(0.1)) {
        const ControlRecord change = fleet.change();
        const auto* changed = std::get_if<wire::control::DeviceChanged>(&change);
        const auto* removed = std::get_if<wire::control::DeviceRemoved>(&change);
        if (changed == nullptr && removed == nullptr) {
          give_all(change);
          continue;
        }
        const BucketId bucket = bucket_of(kTenant, changed != nullptr ? changed->device : removed->device);
        bus::Record record;
        record.kind = bus::RecordKind::control;
        record.payload = std::make_shared<const std::string>(wire::control::encode(change));
        give(*two[partition_of(bucket, 2).value], record, said_by_two);
        give(*four[partition_of(bucket, 4).value], record, said_by_four);
      } else {
        const BucketId bucket = bucket_of(kTenant, fleet.device(random.below(fleet.device_count())));
        const BatchPtr batch = fleet.batch(now, [&](const Shape& shape) { return shape.bucket() == bucket; });
        if (!batch) continue;
        bus::Record record;
        record.batch = batch;
        give(*two[partition_of(bucket, 2).value], record, said_by_two);
        give(*four[partition_of(bucket, 4).value], record, said_by_four);
      }
    }
    for (std::size_t bucket = 0; bucket < kBucketCount; ++bucket) {
      const BucketId id{static_cast<std::uint8_t>(bucket)};
      ASSERT_EQ(two[partition_of(id, 2).value]->state.save_bucket(id),
                four[partition_of(id, 4).value]->state.save_bucket(id));
    }
    EXPECT_EQ(sorted(said_by_two), sorted(said_by_four));
    EXPECT_FALSE(said_by_two.empty());
  }
}

}  // namespace
}  // namespace flux::process::simulation
