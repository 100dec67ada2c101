#include "gateway/rest/topic_pages.h"

#include <gtest/gtest.h>

#include "bus/memory/memory_bus.h"

namespace flux::gateway {
namespace {

class TopicPages : public testing::Test {
 protected:
  void add(PartitionId partition, std::uint32_t tenant, const std::string& device, const std::string& type,
           int number) {
    bus_->set_time(Time{number * 1'000'000'000LL});
    const std::string text = R"({"tenant":)" + std::to_string(tenant) + R"(,"device":")" + device + R"(","type":")" +
                             type + R"(","time":")" + to_rfc3339(Time{number * 1'000'000'000LL}) + R"(","n":)" +
                             std::to_string(number) + "}";
    bus::Record record;
    record.kind = bus::RecordKind::event;
    record.payload = std::make_shared<const std::string>(text);
    bus_->producer().publish(bus::Topic::device_events, partition, std::move(record), [](auto) {});
  }
  std::vector<int> numbers(TopicFilter filter, std::size_t limit) {
    std::vector<int> out;
    std::string cursor;
    do {
      const auto page = read_topic(*bus_, bus::Topic::device_events, filter, limit, cursor);
      EXPECT_TRUE(page) << page.error().message;
      EXPECT_LE(page->items.size(), limit);
      for (const auto& item : page->items) {
        EXPECT_EQ(item.find("tenant"), std::string::npos);
        out.push_back(std::stoi(item.substr(item.find(R"("n":)") + 4)));
      }
      cursor = page->next;
    } while (!cursor.empty());
    return out;
  }
  std::unique_ptr<bus::memory::MemoryBus> bus_ = bus::memory::make_memory_bus(3);
};

TEST_F(TopicPages, GivesTheNewestFirstAcrossPartitionsWhateverThePageSize) {
  std::vector<int> expected;
  for (int i = 0; i < 1500; ++i) {
    add(PartitionId{static_cast<std::uint16_t>(i * 7 % 3)}, i % 5 == 0 ? 2 : 1, "d", i % 2 == 0 ? "a" : "b", i);
    if (i % 5 != 0 && i % 2 == 0) expected.insert(expected.begin(), i);
  }
  for (const std::size_t limit : {1UL, 7UL, 100UL, 10'000UL})
    EXPECT_EQ(numbers({.tenant = {1}, .device = {}, .types = {"a"}}, limit), expected);
}

TEST_F(TopicPages, ADeviceIsReadFromItsPartitionOnly) {
  const std::string device = "pump-1";
  const PartitionId home = partition_of(bucket_of({1}, device), 3);
  add(home, 1, device, "a", 1);
  add(home, 1, "other", "a", 2);
  add(home, 1, device, "a", 3);
  EXPECT_EQ(numbers({.tenant = {1}, .device = device, .types = {}}, 1), (std::vector<int>{3, 1}));
  EXPECT_EQ(numbers({.tenant = {1}, .device = device, .types = {}, .from = Time{2'000'000'000}}, 10),
            (std::vector<int>{3}));
}

TEST_F(TopicPages, LooksThroughRecordsThatHaveNeitherDeviceNorTime) {
  const PartitionId home = partition_of(bucket_of({1}, "pump-1"), 3);
  bus::Record record;
  record.kind = bus::RecordKind::event;
  record.payload = std::make_shared<const std::string>(
      R"({"tenant":1,"n":7,"time":null,"received_at":"1970-01-01T00:00:05Z","device":null})");
  bus_->producer().publish(bus::Topic::device_events, home, std::move(record), [](auto) {});
  add(home, 1, "pump-1", "a", 9);
  EXPECT_EQ(numbers({.tenant = {1}, .device = "pump-1", .types = {}}, 10), (std::vector<int>{9}));
  EXPECT_EQ(numbers({.tenant = {1}, .device = {}, .types = {}, .from = Time{5'000'000'000}}, 10),
            (std::vector<int>{9, 7}));
  EXPECT_EQ(numbers({.tenant = {1}, .device = {}, .types = {}, .to = Time{6'000'000'000}}, 10), (std::vector<int>{7}));
}

TEST_F(TopicPages, RefusesCursorsThatAreNotOurs) {
  add({0}, 1, "d", "a", 1);
  for (const char* cursor :
       {"x", "0-", "0-5", "0-0.1-0", "0-0.1-0.2-0.3-0", "1-0.0-0.2-0", "-", "0-0.1-0.2-99999999999999999999"}) {
    const auto page =
        read_topic(*bus_, bus::Topic::device_events, {.tenant = {1}, .device = {}, .types = {}}, 10, cursor);
    ASSERT_FALSE(page) << cursor;
    EXPECT_EQ(page.error().field, "cursor");
  }
  EXPECT_TRUE(
      read_topic(*bus_, bus::Topic::device_events, {.tenant = {1}, .device = {}, .types = {}}, 10, "0-0.1-0.2-0"));
}

}  // namespace
}  // namespace flux::gateway
