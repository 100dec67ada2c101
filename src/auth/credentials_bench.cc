#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "auth/credentials.h"
#include "runtime/shard.h"
#include "runtime/spawn.h"
#include "store/database/sqlite/sqlite_database.h"

namespace flux::auth {
namespace {

struct Fleet {
  std::filesystem::path folder;
  metrics::Registry metrics;
  runtime::Workers workers{1, 16};
  runtime::Shards shards{1};
  registry::Directory directory;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<registry::EmbeddedRegistry> registry;
  std::unique_ptr<Credentials> credentials;
  std::vector<std::string> tokens;

  Fleet() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flux-bench-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    shards.start();
    database = std::move(*store::sqlite::open({.path = folder / "registry.db"}, metrics));
    registry = std::move(*registry::EmbeddedRegistry::open(*database, directory, workers, metrics));
    credentials = std::move(*Credentials::open(*database, *registry, directory, metrics));
    for (int i = 0; i < 1000; ++i) {
      auto made = runtime::block_on(
          shards[0], credentials->create_ingest_key(registry::kDefaultTenant, "k" + std::to_string(i), true));
      tokens.push_back(made->secret);
    }
  }
  ~Fleet() {
    credentials.reset();
    registry.reset();
    database.reset();
    std::filesystem::remove_all(folder);
  }
};
Fleet& fleet() {
  static Fleet made;
  return made;
}

void look_up(benchmark::State& state) {
  auto& f = fleet();
  const Time now = wall_now();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(f.credentials->authenticate({.password = f.tokens[i++ % 1000]}, now));
}
BENCHMARK(look_up);

void look_up_again_on_a_connection(benchmark::State& state) {
  auto& f = fleet();
  DeviceAuthCache cache(*f.credentials);
  const Time now = wall_now();
  for (auto _ : state) benchmark::DoNotOptimize(cache.authenticate({.password = f.tokens[0]}, now));
}
BENCHMARK(look_up_again_on_a_connection);

void identity_is_live(benchmark::State& state) {
  auto& f = fleet();
  const Time now = wall_now();
  const auto identity = f.credentials->authenticate({.password = f.tokens[0]}, now).value();
  for (auto _ : state) benchmark::DoNotOptimize(identity->live(now));
}
BENCHMARK(identity_is_live);

}  // namespace
}  // namespace flux::auth
