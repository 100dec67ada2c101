// Readers, writers, flushes, merges and deletes at once. The values tell their own time, so a torn or lost reading
// shows.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "store/series/engine/engine.h"
#include "store/series/engine/engine_impl.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

constexpr std::int64_t kStep = 1'000'000'000;

TEST(Engine, ReadersSeeEveryAppendThatCameBefore) {
  const auto folder = std::filesystem::temp_directory_path() / ("flux_store_threads_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  {
    Config config;
    config.flush_bytes = 64_KiB;
    config.flush_interval = 100_ms;
    metrics::Registry metrics;
    const auto store = open(folder, config, metrics).value();
    constexpr int kWriters = 2;
    constexpr std::int64_t kRows = 30'000;
    std::array<std::atomic<std::int64_t>, kWriters> written{};
    std::atomic<int> writing{kWriters};

    std::vector<std::jthread> threads;
    for (std::uint16_t writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([&, writer] {
        std::uint64_t offset = 0;
        for (std::int64_t row = 0; row < kRows; row += 100) {
          TestRows rows("d" + std::to_string(writer), {{"v", ValueType::int64}, {"s", ValueType::string}});
          for (std::int64_t i = row; i < row + 100; ++i) rows.row(i * kStep, {i, "t" + std::to_string(i)});
          const auto batch = batch_of({rows});
          while (!store->append({writer}, {offset}, *batch)) std::this_thread::yield();
          ++offset;
          written[writer] = row + 100;
          if (row % 10'000 == 5'000) {  // a device that nobody reads
            EXPECT_TRUE(store->append({writer}, {offset++},
                                      *batch_of({TestRows("x" + std::to_string(writer)).row(row, {1.0})})));
            SeriesSelector selector{.tenant = {1}};
            selector.devices = {"x" + std::to_string(writer)};
            EXPECT_TRUE(store->erase({writer}, {offset++}, selector, {}));
          }
        }
        --writing;
      });
    }
    for (int reader = 0; reader < 2; ++reader) {
      threads.emplace_back([&, reader] {
        SeriesSelector selector{.tenant = {1}};
        selector.devices = {"d" + std::to_string(reader)};
        bool last_round = false;
        while (!last_round) {
          last_round = writing == 0;
          const std::int64_t before = written[reader];
          std::int64_t next = 0;
          std::int64_t next_text = 0;
          const auto scanned = store->scan(selector, {}, Order::oldest_first, SIZE_MAX, {}, {}, [&](Points&& chunk) {
            for (std::size_t i = 0; i < chunk.times.size(); ++i) {
              if (chunk.series->field == "v") {
                EXPECT_EQ(chunk.times[i], next * kStep);
                EXPECT_EQ(as_int64(chunk.cells[i]), next++);
              } else {
                EXPECT_EQ(chunk.times[i], next_text * kStep);
                EXPECT_EQ(value_of(ValueType::string, chunk.cells[i], chunk.heap),
                          Value{"t" + std::to_string(next_text++)});
              }
            }
            return !::testing::Test::HasFailure();
          });
          ASSERT_TRUE(scanned.has_value()) << scanned.error().message;
          ASSERT_GE(next, before);
          std::uint64_t count = 0;
          selector.fields = {"v"};
          ASSERT_TRUE(store->aggregate(selector, {}, {{3600 * kStep}, {0}}, {}, {}, [&](WindowedPoints&& chunk) {
            for (const WindowRow& row : chunk.rows) count += row.count;
            return true;
          }));
          selector.fields.clear();
          ASSERT_GE(count, static_cast<std::uint64_t>(before));
          const auto last = store->latest(selector);
          ASSERT_TRUE(last.has_value());
          if (before > 0) {
            ASSERT_EQ(last->size(), 2U);
            ASSERT_GE((*last)[1].time.ns, (before - 1) * kStep);
          }
          ASSERT_TRUE(store->list({.tenant = {1}}, 100, {}).has_value());
          (void)store->stats();
          if (::testing::Test::HasFailure()) return;
        }
      });
    }
    threads.clear();
    EXPECT_EQ(store->list({.tenant = {1}}, 100, {})->size(), 4U);
    EXPECT_TRUE(store->stats().damaged.empty());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace flux::store::engine
