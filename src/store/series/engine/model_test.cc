// The engine against the memory store: random readings, deletes, flushes, merges, restarts and crashes, with the log
// played back as process does. Every answer must be the same. FLUX_SEED=n repeats a run; FLUX_RUNS=n does more.

#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "store/series/engine/engine_impl.h"
#include "store/series/engine/fault_disk.h"
#include "store/series/memory/memory_store.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'740'787'200 * kSecond;
constexpr int kPartitions = 2;

struct LogRecord {  // what the log would hold
  BatchPtr batch;   // or a delete
  SeriesSelector selector;
  TimeRange range;
};

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed), expected_(memory::make_store()), log_(kPartitions) { open(); }

  void step() {
    switch (random_() % 24) {
      case 0:
      case 1: flush(); break;
      case 2: EXPECT_TRUE(engine_->merge_once().has_value()); break;
      case 3:
        if (random_() % 3 == 0) EXPECT_TRUE(engine_->merge_all().has_value());
        break;
      case 4: restart(); break;
      case 5: crash(); break;
      case 6:
      case 7: erase(); break;
      case 8:
      case 9: check(); break;
      case 10: fail_sometimes(); break;
      default: append(); break;
    }
  }

  void check() {
    check_scan();
    check_latest();
    check_aggregate();
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  void open() {
    Environment environment;
    environment.files = &disk_;
    environment.background = false;
    Config config;
    config.index_cache_bytes = 64_KiB;
    auto engine = Engine::open("store", config, environment);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = *std::move(engine);
    // What is not in parts comes again from the log.
    for (std::uint16_t partition = 0; partition < kPartitions; ++partition) {
      const auto& records = log_[partition];
      for (std::uint64_t offset = engine_->resume_from({partition}).value; offset < records.size(); ++offset)
        apply(*engine_, {partition}, {offset}, records[offset]);
    }
  }

  static void apply(TimeSeriesStore& store, PartitionId partition, Offset offset, const LogRecord& record) {
    const auto done = record.batch != nullptr ? store.append(partition, offset, *record.batch)
                                              : store.erase(partition, offset, record.selector, record.range);
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }

  void publish(PartitionId partition, LogRecord record) {
    const Offset offset{log_[partition.value].size()};
    log_[partition.value].push_back(record);
    apply(*engine_, partition, offset, record);
    apply(*expected_, partition, offset, record);
  }

  std::int64_t any_time() {
    switch (below(12)) {
      case 0: return kStart + static_cast<std::int64_t>(below(30 * 86'400)) * kSecond;       // within a month
      case 1: return kStart - static_cast<std::int64_t>(below(4000ULL * 86'400)) * kSecond;  // years ago
      case 2: return kStart + static_cast<std::int64_t>(below(50)) * 10 * kSecond;           // often the same
      default:
        return clock_ += static_cast<std::int64_t>(below(3)) * 10 * kSecond + static_cast<std::int64_t>(below(2));
    }
  }

  Value any_value(ValueType type) {
    switch (type) {
      case ValueType::float64: {
        const double odd[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, 1e300, 5e-324, 0.1};
        return below(10) == 0 ? odd[below(std::size(odd))] : static_cast<double>(below(100'000)) / 100;
      }
      case ValueType::int64: return static_cast<std::int64_t>(random_() >> below(64)) - 50;
      case ValueType::uint64: return static_cast<std::uint64_t>(random_() >> below(64));
      case ValueType::boolean: return below(2) == 0;
      case ValueType::string: return std::string(below(20), 'x') + std::to_string(below(50));
    }
    return 0.0;
  }

  TestRows any_rows(PartitionId partition) {
    // Devices 0, 2, 4 belong to partition 0, the others to 1.
    const std::uint64_t device = partition.value + kPartitions * below(3);
    static constexpr ValueType kTypes[] = {ValueType::float64, ValueType::int64, ValueType::uint64, ValueType::boolean,
                                           ValueType::string};
    std::vector<FieldDef> fields;
    for (std::size_t field = 0; field < 5; ++field)
      if (below(2) == 0) fields.push_back({"f" + std::to_string(field), kTypes[field]});
    if (fields.empty()) fields.push_back({"f0", ValueType::float64});
    if (below(4) == 0) std::ranges::reverse(fields);
    TestRows rows("device" + std::to_string(device), fields);
    if (device == 3) rows.key.tags = {{"site", "north"}};
    const std::uint64_t count = below(20) == 0 ? 3000 : 1 + below(30);
    for (std::uint64_t row = 0; row < count; ++row) {
      std::vector<std::optional<Value>> values;
      for (const FieldDef& field : fields) {
        if (below(10) == 0) values.emplace_back();
        else values.emplace_back(any_value(field.type));
      }
      rows.row(any_time(), std::move(values));
    }
    return rows;
  }

  void append() {
    const PartitionId partition{static_cast<std::uint16_t>(below(kPartitions))};
    std::vector<TestRows> groups;
    for (std::uint64_t i = 0; i <= below(4); ++i) groups.push_back(any_rows(partition));
    publish(partition, {batch_of(groups, ++received_), {}, {}});
  }

  SeriesSelector any_selector() {
    SeriesSelector selector{.tenant = {1}};
    if (below(3) != 0) selector.devices.push_back("device" + std::to_string(below(6)));
    if (below(3) == 0) selector.fields.push_back("f" + std::to_string(below(5)));
    if (below(8) == 0) selector.tags.push_back({"site", "north"});
    return selector;
  }

  TimeRange any_range() {
    if (below(3) == 0) return {};
    Time from{any_time()};
    Time to{any_time()};
    if (to < from) std::swap(from, to);
    return {from, to};
  }

  void erase() {
    const PartitionId partition{static_cast<std::uint16_t>(below(kPartitions))};
    publish(partition, {nullptr, any_selector(), any_range()});
  }

  void flush() { ASSERT_TRUE(engine_->flush().has_value()); }

  void restart() {
    if (below(2) == 0) flush();
    engine_.reset();
    open();
  }

  // Some operation of a flush or merge fails half way, with or without a crash after it.
  void fail_sometimes() {
    disk_.fail_after(static_cast<std::int64_t>(below(25)), below(2) == 0 ? ENOSPC : EIO);
    if (below(3) == 0) (void)engine_->merge_all();
    (void)engine_->flush();
    if (below(2) == 0) append();
    if (below(2) == 0) erase();
    disk_.fail_after(-1, 0);
    if (below(2) == 0) return crash();
    flush();
    EXPECT_FALSE(engine_->stats().read_only);
  }

  void crash() {
    engine_.reset();
    disk_.crash(random_);
    open();
  }

  void check_scan() {
    const SeriesSelector selector = any_selector();
    const TimeRange range = any_range();
    const Order order = below(2) == 0 ? Order::oldest_first : Order::newest_first;
    const std::size_t limit = below(3) == 0 ? 1 + below(100) : SIZE_MAX;
    const auto found = scan_bits(*engine_, selector, range, order, limit);
    const auto expected = scan_bits(*expected_, selector, range, order, limit);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [series, points] : expected) {
      ASSERT_TRUE(found.contains(series)) << series;
      ASSERT_EQ(found.at(series), points) << series;
    }
    std::vector<std::string> names;
    std::vector<std::string> expected_names;
    for (const auto& info : engine_->list(selector, 100, {}).value()) names.push_back(to_string(info->id.value));
    for (const auto& info : expected_->list(selector, 100, {}).value())
      expected_names.push_back(to_string(info->id.value));
    ASSERT_EQ(names, expected_names);
    ASSERT_EQ(engine_->stats().damaged, std::vector<std::string>{});
  }

  // By bits, so that NaN and -0 count.
  static std::map<std::string, std::vector<std::pair<std::int64_t, std::string>>> scan_bits(
      const TimeSeriesStore& store, const SeriesSelector& selector, TimeRange range, Order order, std::size_t limit) {
    std::map<std::string, std::vector<std::pair<std::int64_t, std::string>>> found;
    const auto done = store.scan(selector, range, order, limit, {}, {}, [&](Points&& chunk) {
      auto& list = found[chunk.series->device + "/" + chunk.series->field];
      for (std::size_t i = 0; i < chunk.times.size(); ++i) {
        const Cell cell = chunk.cells[i];
        list.emplace_back(chunk.times[i], chunk.series->type == ValueType::string
                                              ? std::get<std::string>(value_of(ValueType::string, cell, chunk.heap))
                                              : std::to_string(cell));
      }
      return true;
    });
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return found;
  }

  void check_latest() {
    const SeriesSelector selector = any_selector();
    const auto found = engine_->latest(selector);
    const auto expected = expected_->latest(selector);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    ASSERT_EQ(found->size(), expected->size());
    for (std::size_t i = 0; i < found->size(); ++i) {
      ASSERT_EQ((*found)[i].series->id, (*expected)[i].series->id);
      ASSERT_EQ((*found)[i].time, (*expected)[i].time) << (*found)[i].series->device << (*found)[i].series->field;
      const Value& a = (*found)[i].value;
      const Value& b = (*expected)[i].value;
      if (const auto* number = std::get_if<double>(&a); number != nullptr && std::isnan(*number))
        ASSERT_TRUE(std::isnan(std::get<double>(b)));
      else ASSERT_EQ(a, b);
    }
  }

  void check_aggregate() {
    const SeriesSelector selector = any_selector();
    const TimeRange range = any_range();
    static constexpr std::int64_t kWidths[] = {7, 60, 3600, 86'400, 86'400 * 30};
    const Window window{{kWidths[below(5)] * kSecond}, {below(3) == 0 ? 1800 * kSecond : 0}};
    const auto rows_of = [&](const TimeSeriesStore& store) {
      std::map<std::string, std::pair<ValueType, WindowedPoints>> rows;
      const auto done = store.aggregate(selector, range, window, {}, {}, [&](WindowedPoints&& chunk) {
        const std::string name = chunk.series->device + "/" + chunk.series->field;
        const ValueType type = chunk.series->type;
        rows[name] = {type, std::move(chunk)};
        return true;
      });
      EXPECT_TRUE(done.has_value()) << done.error().message;
      return rows;
    };
    const auto found = rows_of(*engine_);
    const auto expected = rows_of(*expected_);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, typed] : expected) {
      const auto& [type, wanted] = typed;
      const auto& got = found.at(name).second;
      ASSERT_EQ(got.rows.size(), wanted.rows.size()) << name;
      for (std::size_t i = 0; i < got.rows.size(); ++i) {
        const WindowRow& a = got.rows[i];
        const WindowRow& b = wanted.rows[i];
        ASSERT_EQ(a.start, b.start);
        ASSERT_EQ(a.count, b.count) << name << " window " << i;
        ASSERT_EQ(a.first_time, b.first_time);
        ASSERT_EQ(a.last_time, b.last_time);
        if (type == ValueType::string) {
          ASSERT_EQ(value_of(type, a.first, got.heap), value_of(type, b.first, wanted.heap));
          ASSERT_EQ(value_of(type, a.last, got.heap), value_of(type, b.last, wanted.heap));
          continue;
        }
        ASSERT_EQ(a.first, b.first);
        ASSERT_EQ(a.last, b.last);
        const bool nan = type == ValueType::float64 && std::isnan(as_float64(b.min));
        if (!nan) {
          ASSERT_EQ(a.min, b.min) << name << " window " << i;
          ASSERT_EQ(a.max, b.max) << name << " window " << i;
        }
        if (!std::isfinite(b.sum)) ASSERT_EQ(std::isnan(a.sum), std::isnan(b.sum));
        else
          ASSERT_LE(std::abs(a.sum - b.sum),
                    1e-9 * std::max(1.0, std::abs(b.sum)) + (std::abs(b.sum) > 1e290 ? 1e290 : 0))
              << name;
      }
    }
  }

  std::mt19937_64 random_;
  FaultDisk disk_;
  std::unique_ptr<TimeSeriesStore> expected_;
  std::vector<std::vector<LogRecord>> log_;
  std::unique_ptr<Engine> engine_;
  std::int64_t clock_ = kStart;
  std::int64_t received_ = 0;
};

TEST(Engine, AnswersAsTheModelDoes) {
  const char* given = std::getenv("FLUX_SEED");
  const char* more = std::getenv("FLUX_RUNS");
  const int runs = given != nullptr ? 1 : more != nullptr ? std::atoi(more) : 12;
  for (int run = 0; run < runs; ++run) {
    const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
    SCOPED_TRACE("FLUX_SEED=" + std::to_string(seed));
    std::printf("FLUX_SEED=%llu\n", static_cast<unsigned long long>(seed));  // an exception or a crash tells no trace
    Model model(seed);
    for (int step = 0; step < 120; ++step) {
      model.step();
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "at step " << step;
        return;
      }
    }
    model.check();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace flux::store::engine
