#include "process/topic_sink.h"

#include <gtest/gtest.h>

#include "bus/memory/memory_bus.h"
#include "core/batch_builder.h"
#include "process/processed_sink.h"
#include "wire/processed/processed_codec.h"

namespace flux::process {
namespace {

constexpr TenantId kTenant{1};
constexpr bus::Topic kTopic = bus::Topic::processed_data;

class ProcessedSinkTest : public testing::Test {
 protected:
  /// Rows of one device with a text of `text_bytes` each.
  static Outputs outputs(std::uint64_t offset, std::size_t rows, std::size_t text_bytes) {
    ShapeKey key{.tenant = kTenant, .device = "d"};
    key.fields = {{"text", ValueType::string}};
    const auto shape = std::make_shared<const Shape>(std::move(key));
    BatchBuilder builder;
    for (std::size_t i = 0; i < rows; ++i)
      builder.add_row(shape, Time{static_cast<std::int64_t>(i)})[0] = builder.add_string(std::string(text_bytes, 'x'));
    Outputs made;
    made.position = {PartitionId{0}, Offset{offset}};
    made.readings = {.batch = builder.seal(Time{1}),
                     .contexts = {std::make_shared<const wire::DeviceContext>(
                         wire::DeviceContext{.tenant = kTenant, .device = "d"})},
                     .position = made.position};
    return made;
  }
  std::unique_ptr<ProcessedSink> sink(TopicSink::Limits limits = {.outputs = 100, .bytes = 64 << 20}) {
    return std::make_unique<ProcessedSink>(*bus, PartitionId{0}, limits,
                                           [](std::move_only_function<void()> task) { task(); });
  }
  [[nodiscard]] std::size_t rows_written() const {
    std::size_t rows = 0;
    auto reader = bus->reader(kTopic, {0}, {}).value();
    for (auto records = reader->read(1 << 20).value(); !records.empty(); records = reader->read(1 << 20).value())
      for (const bus::Record& record : records) rows += wire::processed::decode(*record.payload)->batch->row_count();
    return rows;
  }

  std::unique_ptr<bus::memory::MemoryBus> bus = bus::memory::make_memory_bus(1);
};

TEST_F(ProcessedSinkTest, WaitsByBytesForALogThatDoesNotKeepUp) {
  const auto limited = sink({.outputs = 1'000, .bytes = 10'000});
  bus->hold();
  std::uint64_t taken = 0;
  Result<> answer;
  while ((answer = limited->write(outputs(taken, 1, 3'000)))) {
    ++taken;
    ASSERT_LT(taken, 100U);
  }
  EXPECT_EQ(answer.error().code, ErrorCode::exhausted);
  EXPECT_EQ(taken, 4U) << "the one that passed the limit was the last";
  EXPECT_EQ(limited->durable(), Offset{0});
  bus->release();
  EXPECT_EQ(limited->durable(), kEverything);
  EXPECT_TRUE(limited->write(outputs(taken, 1, 3'000)));
  EXPECT_EQ(rows_written(), 5U);
}

TEST_F(ProcessedSinkTest, HasFewBytesUnderWayAtOnce) {
  const auto one = sink();
  bus->hold();
  for (std::uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(one->write(outputs(i, 1, 100'000)));
  EXPECT_LE(bus->producer().queued_bytes(), (1U << 20) + 101'000)
      << "the log's queue is for the devices' readings first";
  bus->release();
  EXPECT_EQ(rows_written(), 40U);
}

TEST_F(ProcessedSinkTest, APartOfARecordThatIsThereIsNotWrittenAgain) {
  const Outputs large = outputs(7, 300, 10'000);  // three parts
  auto first = sink();
  ASSERT_TRUE(first->write(large));
  const auto parts = bus->info(kTopic, {0})->end;
  EXPECT_GT(parts, Offset{2});
  first.reset();
  // A crash after the first part: the others were not kept.
  bus::Record kept = bus->reader(kTopic, {0}, {}).value()->read(1).value().front();
  bus = bus::memory::make_memory_bus(1);
  bus->producer().publish(kTopic, {0}, std::move(kept), [](Result<Offset> offset) { CHECK(offset.has_value()); });
  const auto second = sink();
  ASSERT_TRUE(second->recover(Offset{7}, Offset{0}));
  ASSERT_TRUE(second->write(large));
  EXPECT_EQ(bus->info(kTopic, {0})->end, parts);
  EXPECT_EQ(rows_written(), 300U);
}

TEST_F(ProcessedSinkTest, ARecoveryPassesOverWhatOthersWroteIntoTheTopic) {
  // Dead letters of ingest have no origin.
  const auto others = [&] {
    bus::Record record;
    record.kind = bus::RecordKind::event;
    record.payload = std::make_shared<const std::string>("{}");
    bus->producer().publish(kTopic, {0}, std::move(record), [](Result<Offset> offset) { CHECK(offset.has_value()); });
  };
  others();
  auto first = sink();
  ASSERT_TRUE(first->write(outputs(7, 1, 10)));
  others();
  ASSERT_TRUE(first->write(outputs(8, 1, 10)));
  others();
  first.reset();
  const auto second = sink();
  ASSERT_TRUE(second->recover(Offset{7}, Offset{0}));
  const Offset end = bus->info(kTopic, {0})->end;
  for (const std::uint64_t input : {7U, 8U}) ASSERT_TRUE(second->write(outputs(input, 1, 10)));
  EXPECT_EQ(bus->info(kTopic, {0})->end, end) << "both are there";
  EXPECT_EQ(second->scan_from(), end);
  ASSERT_TRUE(second->write(outputs(9, 1, 10)));
  EXPECT_EQ(bus->info(kTopic, {0})->end, end.next());
  EXPECT_EQ((*bus->last_origin(kTopic, {0}))->input.offset, Offset{9});
}

TEST_F(ProcessedSinkTest, GoesOnBehindWhatTheLogWillNeverTake) {
  const auto one = sink();
  bus->fail_with(Error{ErrorCode::too_large, "no record of this size", {}});
  ASSERT_TRUE(one->write(outputs(1, 1, 10)));
  EXPECT_EQ(one->refused_outputs(), 1U);
  EXPECT_EQ(one->durable(), kEverything);
  bus->fail_with(std::nullopt);
  ASSERT_TRUE(one->write(outputs(2, 1, 10)));
  EXPECT_EQ(rows_written(), 1U);
}

}  // namespace
}  // namespace flux::process
