#include "store/series/engine/engine.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>

#include "store/series/engine/engine_impl.h"
#include "store/series/series_store_conformance.h"

namespace flux::store::engine {
namespace {

/// A folder of its own, gone with the test.
class TestFolder {
 public:
  TestFolder() {
    static std::atomic<int> next{0};
    path = std::filesystem::temp_directory_path() /
           ("flux_store_" + std::to_string(::getpid()) + "_" + std::to_string(next++));
    std::filesystem::remove_all(path);
  }
  ~TestFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::unique_ptr<Engine> open_quiet(const std::filesystem::path& folder, const Config& config = {}) {
  Environment environment;
  environment.background = false;
  auto engine = Engine::open(folder, config, environment);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return *std::move(engine);
}

struct InHeads {
  TimeSeriesStore& store() { return *engine; }
  void settle() {}
  TestFolder folder;
  std::unique_ptr<Engine> engine = open_quiet(folder.path);
};

struct InParts : InHeads {
  void settle() { EXPECT_TRUE(engine->flush().has_value()); }
};

struct Merged : InHeads {
  void settle() {
    EXPECT_TRUE(engine->flush().has_value());
    EXPECT_TRUE(engine->merge_all().has_value());
  }
};

struct Restarted : InHeads {
  void settle() {
    EXPECT_TRUE(engine->flush().has_value());
    engine.reset();
    engine = open_quiet(folder.path);
  }
};

struct SometimesFlushed : InHeads {
  void settle() {
    if (++steps % 2 == 0) EXPECT_TRUE(engine->flush().has_value());
    if (steps % 3 == 0) EXPECT_TRUE(engine->merge_all().has_value());
  }
  int steps = 0;
};

struct InBackground {
  InBackground() {
    Config config;
    config.flush_bytes = 64_KiB;
    config.flush_interval = 100_ms;
    store_held = open(folder.path, config, metrics).value();
  }
  TimeSeriesStore& store() { return *store_held; }
  void settle() {}
  TestFolder folder;
  metrics::Registry metrics;
  std::unique_ptr<TimeSeriesStore> store_held;
};

}  // namespace
}  // namespace flux::store::engine

namespace flux::store {
using EngineHarnesses = ::testing::Types<engine::InHeads, engine::InParts, engine::Merged, engine::Restarted,
                                         engine::SometimesFlushed, engine::InBackground>;
INSTANTIATE_TYPED_TEST_SUITE_P(Engine, SeriesStoreConformance, EngineHarnesses);
}  // namespace flux::store
