#include "bus/bus.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "bus/bus_conformance.h"
#include "bus/embedded/embedded_bus.h"
#include "bus/embedded/testing/temporary_folder.h"
#include "bus/memory/memory_bus.h"

namespace flux::bus {
namespace {

class MemoryFixture final : public BusFixture {
 public:
  Bus& bus() override { return *bus_; }

 private:
  std::unique_ptr<Bus> bus_ = memory::make_memory_bus(3);
};

class EmbeddedFixture final : public BusFixture {
 public:
  explicit EmbeddedFixture(embedded::Config config) : config_(std::move(config)) {
    config_.partitions = 3;
    open();
  }
  Bus& bus() override { return *bus_; }
  bool reopen() override {
    bus_.reset();
    open();
    return true;
  }

 private:
  void open() {
    auto opened = embedded::open(folder_.path(), config_, metrics_);
    CHECK_MSG(opened.has_value(), opened.error().message);
    bus_ = std::move(*opened);
  }

  embedded::TemporaryFolder folder_;
  embedded::Config config_;
  metrics::Registry metrics_;
  std::unique_ptr<Bus> bus_;
};

INSTANTIATE_TEST_SUITE_P(Memory, BusConformance, testing::Values(MakeBusFixture{[] {
                           return std::unique_ptr<BusFixture>(std::make_unique<MemoryFixture>());
                         }}));
INSTANTIATE_TEST_SUITE_P(Embedded, BusConformance, testing::Values(MakeBusFixture{[] {
                           return std::unique_ptr<BusFixture>(std::make_unique<EmbeddedFixture>(embedded::Config{}));
                         }}));
INSTANTIATE_TEST_SUITE_P(EmbeddedWithoutSync, BusConformance, testing::Values(MakeBusFixture{[] {
                           embedded::Config config;
                           config.fsync = embedded::Fsync::interval;
                           config.fsync_interval = 1_ms;
                           return std::unique_ptr<BusFixture>(std::make_unique<EmbeddedFixture>(std::move(config)));
                         }}));
// Every segment holds a few record batches only, and one record a batch.
INSTANTIATE_TEST_SUITE_P(EmbeddedSmallSegments, BusConformance, testing::Values(MakeBusFixture{[] {
                           embedded::Config config;
                           config.segment_bytes = 700;
                           config.group_bytes = 1;
                           return std::unique_ptr<BusFixture>(std::make_unique<EmbeddedFixture>(std::move(config)));
                         }}));

TEST(Topics, HaveNamesThatLeadBack) {
  for (const Topic topic : kTopics) EXPECT_EQ(topic_named(to_string(topic)), topic);
  EXPECT_EQ(to_string(Topic::raw_sensor_data), "raw-sensor-data");
  EXPECT_EQ(to_string(Topic::dead_letters), "dead-letters");
  EXPECT_EQ(topic_named("raw"), std::nullopt);
}

TEST(MemoryBus, HoldsAndFailsWhenAsked) {
  const auto bus = memory::make_memory_bus();
  std::vector<Result<Offset>> answers;
  const auto publish = [&](const char* text) {
    bus->producer().publish(Topic::alerts, {0}, conformance_event(text),
                            [&](Result<Offset> offset) { answers.push_back(std::move(offset)); });
  };
  bus->hold();
  publish("a");
  publish("b");
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(bus->producer().queued_bytes(), 2U);
  EXPECT_EQ(bus->info(Topic::alerts, {0})->end, Offset{0});
  bus->set_time(Time{5});
  bus->release();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1], Offset{1});
  bus->fail_with(Error{ErrorCode::exhausted, "full", {}});
  publish("c");
  EXPECT_EQ(answers[2].error().code, ErrorCode::exhausted);
  bus->fail_with(std::nullopt);
  publish("d");
  EXPECT_EQ(answers[3], Offset{2});
  const auto reader = bus->reader(Topic::alerts, {0}, {});
  EXPECT_EQ((*(*reader)->read(100))[0].appended_at, Time{5});
}

}  // namespace
}  // namespace flux::bus
