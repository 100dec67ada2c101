#include "ingest/outbox.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <deque>

#include "bus/memory/memory_bus.h"
#include "ingest/device_cache.h"
#include "net/test_client.h"
#include "runtime/spawn.h"

namespace flux::ingest {
namespace {

ShapePtr shape(const std::string& device) {
  return std::make_shared<const Shape>(
      ShapeKey{.tenant = {1}, .device = device, .fields = {{"a", ValueType::float64}}});
}

/// Notes what it is told.
class Recorder final : public Answerer {
 public:
  void on_batch(std::uint64_t first, std::uint64_t last, const Result<>& result) override {
    for (std::uint64_t ticket = first; ticket <= last; ++ticket) ++told[ticket];
    if (!result) failures.push_back(result.error().code);
  }
  std::map<std::uint64_t, unsigned> told;
  std::vector<ErrorCode> failures;
};

class OutboxTest : public ::testing::Test {
 protected:
  explicit OutboxTest(OutboxConfig config = {}) : bus(bus::memory::make_memory_bus(4)), metrics(registry) {
    shard.start();
    outbox = std::make_shared<Outbox>(shard, bus->producer(), 4, config, metrics, trouble);
  }
  ~OutboxTest() override {
    bus->release();
    runtime::run_on(shard, [this] {
      outbox->close();
      outbox.reset();
    });
    shard.stop();
    shard.join();
  }
  void on_shard(std::move_only_function<void()> task) { runtime::run_on(shard, std::move(task)); }
  /// On the shard: a message with one row in each of the partitions.
  unsigned message(std::uint64_t ticket, std::initializer_list<std::uint16_t> partitions) {
    outbox->begin();
    for (const std::uint16_t p : partitions) {
      outbox->touch({p});
      outbox->touch({p});
      outbox->builder({p}).add_row(shapes[p], {static_cast<std::int64_t>(ticket)});
    }
    return outbox->commit(recorder, ticket);
  }
  std::uint64_t records(std::uint16_t partition) {
    return bus->info(bus::Topic::raw_sensor_data, {partition})->end.value;
  }
  void settle() { EXPECT_TRUE(runtime::block_on(shard, outbox->flush())); }

  std::unique_ptr<bus::memory::MemoryBus> bus;
  metrics::Registry registry;
  Metrics metrics;
  LogTrouble trouble;
  runtime::Shard shard{0, "test"};
  std::shared_ptr<Outbox> outbox;
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  ShapePtr shapes[4] = {shape("a"), shape("b"), shape("c"), shape("d")};
};

TEST_F(OutboxTest, sends_one_batch_for_all_messages_of_a_turn) {
  on_shard([this] {
    for (std::uint64_t ticket = 0; ticket < 100; ++ticket) EXPECT_EQ(message(ticket, {1}), 1u);
    EXPECT_TRUE(recorder->told.empty());
  });
  settle();
  on_shard([this] { EXPECT_EQ(recorder->told.size(), 100u); });
  EXPECT_EQ(records(1), 1u);
  EXPECT_EQ(records(0), 0u);
}

TEST_F(OutboxTest, names_a_message_once_for_each_of_its_batches) {
  on_shard([this] {
    EXPECT_EQ(message(5, {0, 1, 3}), 3u);
    outbox->begin();
    outbox->touch({2});
    EXPECT_EQ(outbox->commit(recorder, 6), 0u);  // it had no rows after all
  });
  settle();
  on_shard([this] { EXPECT_EQ(recorder->told, (std::map<std::uint64_t, unsigned>{{5, 3}})); });
}

TEST_F(OutboxTest, gathers_while_a_batch_is_on_its_way) {
  bus->hold();
  on_shard([this] { message(0, {0}); });
  on_shard([] {});  // the turn has ended
  for (std::uint64_t ticket = 1; ticket <= 50; ++ticket) on_shard([this, ticket] { message(ticket, {0}); });
  bus->release();
  settle();
  EXPECT_EQ(records(0), 2u);
  on_shard([this] { EXPECT_EQ(recorder->told.size(), 51u); });
}

class SmallOutboxTest : public OutboxTest {
 protected:
  SmallOutboxTest() : OutboxTest({.batch_bytes = 4_KiB, .pending_bytes = 16_KiB, .retry_time = 50_ms}) {}
};

TEST_F(SmallOutboxTest, sends_a_large_batch_at_once) {
  on_shard([this] {
    for (std::uint64_t ticket = 0; ticket < 1000; ++ticket) message(ticket, {0});
  });
  settle();
  EXPECT_GT(records(0), 3u);
}

TEST_F(SmallOutboxTest, says_when_it_is_full_and_when_there_is_room) {
  bus->hold();
  bool called = false;
  on_shard([&] {
    std::uint64_t ticket = 0;
    while (outbox->accepting()) message(ticket++, {0});
    EXPECT_EQ(outbox->refusal().code, ErrorCode::exhausted);
    EXPECT_GT(ticket, 100u);
    outbox->when_accepting([&] { called = true; });
  });
  on_shard([&] { EXPECT_FALSE(called); });
  bus->release();
  settle();
  on_shard([&] {
    EXPECT_TRUE(called);
    EXPECT_TRUE(outbox->accepting());
    EXPECT_TRUE(outbox->empty());
  });
}

TEST_F(SmallOutboxTest, offers_a_batch_again_and_gives_up_in_the_end) {
  bus->fail_with(Error{ErrorCode::unavailable, "disk full", {}});
  on_shard([this] { message(1, {2}); });
  settle();
  on_shard([this] {
    EXPECT_EQ(recorder->failures, (std::vector{ErrorCode::unavailable}));
    EXPECT_TRUE(outbox->failing());
    EXPECT_TRUE(outbox->accepting());  // somebody has to try
  });
  EXPECT_GE(registry.value("fluxgate_ingest_publish_retries_total"), 2);
  bus->fail_with(std::nullopt);
  on_shard([this] { message(2, {2}); });
  settle();
  on_shard([this] { EXPECT_EQ(recorder->told.size(), 2u); });
  bool failing = true;
  EXPECT_TRUE(net::eventually([&] {
    on_shard([&] { failing = outbox->failing(); });
    return !failing;
  }));
}

TEST_F(SmallOutboxTest, says_that_the_log_cannot_write_whichever_shard_found_it) {
  bus->hold();
  on_shard([this] {
    std::uint64_t ticket = 0;
    while (outbox->accepting()) message(ticket++, {0});
    EXPECT_EQ(outbox->refusal().code, ErrorCode::exhausted);
    EXPECT_FALSE(outbox->failing());
    trouble.note(Error{ErrorCode::unavailable, "the disk is full", {}}, shard.now());
    EXPECT_EQ(outbox->refusal().code, ErrorCode::unavailable);
    EXPECT_EQ(outbox->refusal().message, "the disk is full");
    EXPECT_TRUE(outbox->failing());
  });
  bus->release();
  settle();
}

TEST_F(SmallOutboxTest, tells_of_the_disk_where_its_queue_is_full_for_it) {
  on_shard([this] { trouble.note(Error{ErrorCode::unavailable, "the disk is full", {}}, shard.now()); });
  bus->fail_with(Error{ErrorCode::exhausted, "the log's queue is full", {}});
  on_shard([this] { message(1, {2}); });
  settle();
  on_shard([this] { EXPECT_EQ(recorder->failures, (std::vector{ErrorCode::unavailable})); });
}

TEST(LogTrouble, lasts_until_successes_are_the_rule_again) {
  LogTrouble trouble;
  trouble.note(Error{ErrorCode::exhausted, "too fast", {}}, 1_s);
  EXPECT_FALSE(trouble.report());
  trouble.note(Error{ErrorCode::io, "fsync", {}}, 1_s);
  const Time since = trouble.report()->since;
  trouble.succeeded(2_s);
  trouble.note(Error{ErrorCode::unavailable, "full", {}}, 3_s);
  EXPECT_EQ(trouble.report()->since, since);
  EXPECT_EQ(trouble.report()->error.message, "full");
  EXPECT_TRUE(trouble.recent(5_s));
  EXPECT_FALSE(trouble.recent(6_s));
  EXPECT_TRUE(trouble.report());  // nobody has seen it work since
  trouble.succeeded(6_s);
  EXPECT_FALSE(trouble.report());
}

TEST_F(SmallOutboxTest, does_not_repeat_what_may_have_been_written) {
  bus->fail_with(Error{ErrorCode::io, "fsync", {}});
  on_shard([this] { message(1, {2}); });
  settle();
  EXPECT_EQ(registry.value("fluxgate_ingest_publish_retries_total"), 0);
}

TEST_F(OutboxTest, forgets_devices_that_were_not_heard_from) {
  registry::Directory directory;
  DeviceCache cache(100);
  on_shard([&] {
    for (int i = 0; i < 1000; ++i) {
      cache.insert(directory.ensure({1}, "device-" + std::to_string(i)), *outbox);
      EXPECT_TRUE(cache.find({1}, "device-0")) << i;  // in use all the time
      EXPECT_FALSE(cache.find({2}, "device-0"));
    }
    EXPECT_EQ(cache.size(), 100u);
    EXPECT_TRUE(cache.find({1}, "device-999"));
    EXPECT_FALSE(cache.find({1}, "device-10"));
    directory.remove({1}, "device-0");
    EXPECT_FALSE(cache.find({1}, "device-0"));
    const auto again = directory.ensure({1}, "device-0");
    EXPECT_EQ(&cache.insert(again, *outbox)->entry(), again.get());
    EXPECT_EQ(&cache.find({1}, "device-0")->entry(), again.get());
    EXPECT_EQ(cache.size(), 100u);
  });
}

TEST_F(OutboxTest, cache_holds_what_a_model_holds) {
  registry::Directory directory;
  on_shard([&] {
    EXPECT_TRUE(rc::check("found is what was inserted, and never more than fits", [&] {
      DeviceCache cache(8);
      const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 20));
      for (const int step : steps) {
        const std::string id = "m-" + std::to_string(step);
        auto slot = cache.find({1}, id);
        if (!slot) slot = cache.insert(directory.ensure({1}, id), *outbox);
        RC_ASSERT(slot->entry().id() == id);
        RC_ASSERT(cache.find({1}, id) == slot);
        RC_ASSERT(cache.size() <= 8u);
      }
    }));
  });
}

}  // namespace
}  // namespace flux::ingest
