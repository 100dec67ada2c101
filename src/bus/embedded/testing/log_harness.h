#pragma once

#include <gtest/gtest.h>

#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bus/embedded/embedded_bus.h"
#include "bus/embedded/testing/sim_files.h"
#include "bus/testing/records.h"
#include "observe/log.h"

namespace flux::bus::embedded {

/// A log of one partition on a simulated disk, for tests that look at its files.
class LogHarness {
 public:
  explicit LogHarness(Config config = {}, const std::map<std::string, std::string>& contents = {},
                      std::uint64_t seed = 1)
      : disk_(seed) {
    config_ = std::move(config);
    config_.partitions = 1;
    config_.threads = 1;
    config_.disk_reserve_bytes = 0;
    for (const auto& [path, bytes] : contents) disk_.put(path, bytes);
  }

  Result<> open() {
    bus_.reset();
    files_ = std::make_unique<SimFiles>(disk_);
    TRY(bus_, embedded::open("log", config_, metrics_, *files_));
    return {};
  }
  void kill() {
    disk_.kill();
    bus_.reset();
  }
  void close() { bus_.reset(); }

  Result<Offset> publish(Record record) { return publish(Topic::raw_sensor_data, std::move(record)); }
  Result<Offset> publish(Topic topic, Record record) {
    std::promise<Result<Offset>> promise;
    auto answer = promise.get_future();
    bus_->producer().publish(topic, {0}, std::move(record),
                             [&promise](Result<Offset> offset) { promise.set_value(std::move(offset)); });
    return answer.get();
  }

  struct Found {
    std::map<std::uint64_t, std::string> records;  // what each says, by offset
    std::uint64_t lost = 0;
    std::vector<Error> damages;
  };
  /// Reads everything, going past damage.
  Found read_all() {
    Found found;
    auto reader = bus_->reader(Topic::raw_sensor_data, {0}, {});
    EXPECT_TRUE(reader);
    std::uint64_t next = (*reader)->position().value;
    for (;;) {
      const auto records = (*reader)->read(1 << 16);
      if (!records) {
        EXPECT_EQ(records.error().code, ErrorCode::corrupt) << records.error().message;
        found.damages.push_back(records.error());
        const auto lost = (*reader)->skip_damage();
        EXPECT_TRUE(lost && *lost > 0) << records.error().message;
        if (!lost || *lost == 0) return found;
        found.lost += *lost;
        next += *lost;
        continue;
      }
      if (records->empty()) break;
      for (const Record& record : *records) {
        EXPECT_EQ(record.offset.value, next++);
        found.records[record.offset.value] = say(record);
      }
    }
    EXPECT_EQ((*reader)->position(), bus_->info(Topic::raw_sensor_data, {0})->end);
    return found;
  }

  static std::string say(const Record& record) {
    if (!record.batch) return *record.payload;
    const auto& group = record.batch->groups()[0];
    return "batch of " + group.shape().device() + " " + std::to_string(as_float64(record.batch->column(group, 0)[0])) +
           " " + std::string(record.batch->string(record.batch->column(group, 1)[0]));
  }

  Config& config() { return config_; }
  SimDisk& disk() { return disk_; }
  Bus& bus() { return *bus_; }
  metrics::Registry& metrics() { return metrics_; }

 private:
  SimDisk disk_;
  Config config_;
  metrics::Registry metrics_;
  std::unique_ptr<SimFiles> files_;
  std::unique_ptr<Bus> bus_;
};

/// Keeps the log's own lines out of a test that means its failures.
class Quiet {
 public:
  Quiet() : before_(log::detail::threshold.exchange(log::Level::off)) {}
  ~Quiet() { log::detail::threshold = before_; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  log::Level before_;
};

}  // namespace flux::bus::embedded
