// The log against a plain model of it, on a disk that fails: crashes, power cuts, failing syncs, no room.

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <map>
#include <optional>
#include <random>

#include "bus/embedded/embedded_bus.h"
#include "bus/embedded/testing/sim_files.h"
#include "bus/testing/records.h"
#include "observe/log.h"

namespace flux::bus::embedded {
namespace {

constexpr std::size_t kPartitions = 2;

class Model {
 public:
  Model(std::uint64_t seed, Fsync fsync) : random_(seed), disk_(seed ^ 0x5DEECE66D) {
    config_.partitions = kPartitions;
    config_.threads = 1;
    config_.fsync = fsync;
    config_.fsync_interval = 1_ms;
    config_.segment_bytes = 2000 + random_() % 20'000;
    config_.group_bytes = 1 + random_() % 4000;
    config_.tail_bytes = random_() % 2 == 0 ? 0 : 8000;
    config_.disk_reserve_bytes = 0;
  }

  void run(int steps, bool power_cuts) {
    start();
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      const std::uint64_t choice = random_() % 100;
      if (choice < 60) publish_some(random_() % 4 != 0);
      else if (choice < 70) change_faults();
      else if (choice < 90) read_some();
      else if (choice < 94) stop_cleanly();
      else if (choice < 97 || !power_cuts) crash(false);
      else crash(true);
    }
    stop_cleanly();
    verify_all();
  }

  void start() {
    files_ = std::make_unique<SimFiles>(disk_);
    auto opened = open("log", config_, *metrics_, *files_);
    if (!opened) {  // because the disk fails at times: without that it must open
      EXPECT_NE(opened.error().code, ErrorCode::corrupt) << opened.error().message;
      disk_.set_faults({});
      opened = open("log", config_, *metrics_, *files_);
    }
    ASSERT_TRUE(opened) << opened.error().message;
    bus_ = std::move(*opened);
    for (Lane& lane : lanes_) lane.read_to = {};
  }

  void publish_some(bool wait) {
    const std::size_t count = 1 + random_() % 12;
    std::vector<std::future<void>> answers;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t partition = random_() % kPartitions;
      const std::uint64_t number = next_++;
      Record record;
      if (random_() % 2 == 0) {
        record.batch = conformance_batch(static_cast<double>(number), 1 + random_() % 20,
                                         "device-" + std::to_string(random_() % 30));
      } else {
        record = conformance_event(std::to_string(number) + std::string(random_() % 700, '.'));
      }
      if (random_() % 3 == 0) record.origin = Origin{{{0}, {number}}, 0};
      auto answered = std::make_shared<std::promise<void>>();
      answers.push_back(answered->get_future());
      bus_->producer().publish(Topic::raw_sensor_data, {static_cast<std::uint16_t>(partition)}, std::move(record),
                               [this, partition, number, answered](Result<Offset> offset) {
                                 on_answer(partition, number, offset);
                                 answered->set_value();
                               });
    }
    if (wait)
      for (auto& answer : answers) answer.wait();
  }

  void on_answer(std::size_t partition, std::uint64_t number, const Result<Offset>& offset) {
    const std::scoped_lock lock(mutex_);
    if (!offset) {
      const ErrorCode code = offset.error().code;
      EXPECT_TRUE(code == ErrorCode::io || code == ErrorCode::unavailable || code == ErrorCode::exhausted)
          << offset.error().message;
      // What was answered with anything but `io` was not written and must never be seen.
      if (code != ErrorCode::io && !crashing_) lanes_[partition].refused.emplace(number, offset.error().message);
      return;
    }
    EXPECT_TRUE(lanes_[partition].known.emplace(offset->value, number).second ||
                lanes_[partition].known[offset->value] == number)
        << "offset " << offset->value << " was given twice";
  }

  void change_faults() {
    SimDisk::Faults faults;
    if (random_() % 2 == 0) faults.sync = 0.2;
    if (random_() % 3 == 0) faults.write = 0.1;
    if (random_() % 4 == 0) faults.other = 0.05;
    if (random_() % 3 == 0) faults.capacity = 20'000 + random_() % 100'000;
    if (random_() % 3 == 0) faults = {};
    disk_.set_faults(faults);
  }

  /// Follows each partition from where it was; what was read once is held to for good.
  void read_some() {
    for (std::size_t partition = 0; partition < kPartitions; ++partition) {
      Lane& lane = lanes_[partition];
      auto reader = bus_->reader(Topic::raw_sensor_data, {static_cast<std::uint16_t>(partition)}, lane.read_to);
      ASSERT_TRUE(reader) << reader.error().message;
      const std::size_t wish = 1 + random_() % 3000;
      for (int i = 0; i < 5; ++i) {
        const auto records = (*reader)->read(wish);
        if (!records) {
          ASSERT_NE(records.error().code, ErrorCode::corrupt) << records.error().message;
          break;  // opening a file failed by chance
        }
        for (const Record& record : *records) check(lane, record);
        if (records->empty()) break;
      }
      lane.read_to = (*reader)->position();
    }
  }

  void stop_cleanly() {
    bus_.reset();
    crashing_ = false;
    start();
    if (random_() % 2 == 0) verify_all();
  }

  void crash(bool power) {
    crashing_ = true;
    if (power) disk_.cut_power();
    else disk_.kill();
    bus_.reset();
    crashing_ = false;
    start();
    verify_all();
  }

  /// Reads everything: what was acknowledged or read before is there, in its place; nothing is there twice.
  void verify_all() {
    disk_.set_faults({});
    for (std::size_t partition = 0; partition < kPartitions; ++partition) {
      Lane& lane = lanes_[partition];
      auto reader = bus_->reader(Topic::raw_sensor_data, {static_cast<std::uint16_t>(partition)}, {});
      ASSERT_TRUE(reader) << reader.error().message;
      std::uint64_t expected = 0;
      std::optional<std::uint64_t> before;
      std::optional<Origin> origin;
      for (;;) {
        const auto records = (*reader)->read(1 << 16);
        ASSERT_TRUE(records) << records.error().message;
        if (records->empty()) break;
        for (const Record& record : *records) {
          ASSERT_EQ(record.offset.value, expected++);
          const std::uint64_t number = check(lane, record);
          ASSERT_TRUE(!before || *before < number) << "out of order, or twice";
          before = number;
          if (record.origin) origin = record.origin;
        }
      }
      const std::scoped_lock lock(mutex_);
      ASSERT_TRUE(lane.known.empty() || lane.known.rbegin()->first < expected)
          << "an acknowledged record is lost: " << lane.known.rbegin()->first << " of " << expected;
      const auto last = bus_->last_origin(Topic::raw_sensor_data, {static_cast<std::uint16_t>(partition)});
      ASSERT_EQ(*last, origin);
    }
  }

 private:
  struct Lane {
    std::map<std::uint64_t, std::uint64_t> known;  // offset -> number of the record: acknowledged or read
    std::map<std::uint64_t, std::string> refused;  // by number: why
    Offset read_to;
  };

  std::uint64_t check(Lane& lane, const Record& record) {
    std::uint64_t number = 0;
    if (record.batch) {
      const auto& group = record.batch->groups()[0];
      number = static_cast<std::uint64_t>(as_float64(record.batch->column(group, 0)[0]));
      const std::string text = "text of " + std::to_string(static_cast<double>(number));
      for (std::size_t row = 0; row < group.rows(); ++row)
        EXPECT_EQ(record.batch->string(record.batch->column(group, 1)[row]), text);
    } else {
      number = std::stoull(*record.payload);
    }
    if (record.origin) EXPECT_EQ(record.origin->input.offset.value, number);
    const std::scoped_lock lock(mutex_);
    EXPECT_LT(number, next_);
    EXPECT_FALSE(lane.refused.contains(number)) << "record " << number << " was refused: " << lane.refused[number];
    const auto [at, is_new] = lane.known.emplace(record.offset.value, number);
    EXPECT_EQ(at->second, number) << "offset " << record.offset.value << " has another record";
    return number;
  }

  std::mt19937_64 random_;
  SimDisk disk_;
  Config config_;
  std::unique_ptr<metrics::Registry> metrics_ = std::make_unique<metrics::Registry>();
  std::unique_ptr<SimFiles> files_;
  std::unique_ptr<Bus> bus_;
  std::mutex mutex_;
  std::uint64_t next_ = 0;
  std::atomic<bool> crashing_ = false;
  Lane lanes_[kPartitions];
};

class EmbeddedModel : public testing::Test {
 protected:
  void SetUp() override {
    before_ = log::detail::threshold.exchange(log::Level::off);  // thousands of failures, all of them meant
  }
  void TearDown() override { log::detail::threshold = before_; }

  /// FLUX_SEED repeats one run; FLUX_ROUNDS makes more of them.
  static void run(Fsync fsync, bool power_cuts, int rounds) {
    const char* seed = std::getenv("FLUX_SEED");
    if (const char* more = std::getenv("FLUX_ROUNDS"); more != nullptr) rounds = std::atoi(more);
    std::random_device device;
    for (int i = 0; i < (seed != nullptr ? 1 : rounds); ++i) {
      const std::uint64_t chosen = seed != nullptr ? std::strtoull(seed, nullptr, 10) : device();
      SCOPED_TRACE("FLUX_SEED=" + std::to_string(chosen));
      Model model(chosen, fsync);
      model.run(150, power_cuts);
      if (HasFailure()) {
        std::fprintf(stderr, "failed with FLUX_SEED=%llu\n", static_cast<unsigned long long>(chosen));
        return;
      }
    }
  }

  log::Level before_{};
};

TEST_F(EmbeddedModel, LosesNothingAcknowledgedToCrashesAndPowerCuts) { run(Fsync::always, true, 25); }
TEST_F(EmbeddedModel, WithoutSyncLosesNothingToCrashesOfTheProcess) { run(Fsync::off, false, 10); }

}  // namespace
}  // namespace flux::bus::embedded
