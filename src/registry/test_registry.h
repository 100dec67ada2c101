#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "registry/embedded.h"
#include "runtime/shard.h"
#include "runtime/spawn.h"
#include "runtime/workers.h"
#include "store/database/sqlite/sqlite_database.h"

namespace flux::registry {

/// A folder that goes with the test.
class TestFolder {
 public:
  TestFolder() {
    // In memory where that is at hand: these tests commit thousands of times, and none is about the disk.
    const std::filesystem::path memory = "/dev/shm";
    const auto parent = std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "flux-registry-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A registry over a database file, with the shard that its calls are awaited on.
class TestRegistry {
 public:
  explicit TestRegistry(std::filesystem::path file, config::Bytes max_size = 0)
      : file_(std::move(file)), max_size_(max_size) {
    shards_.start();
    open();
  }
  ~TestRegistry() { close(); }
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;

  void open() {
    auto database = store::sqlite::open({.path = file_, .max_size = max_size_}, metrics_);
    ASSERT_TRUE(database) << database.error().message;
    database_ = std::move(*database);
    directory_ = std::make_unique<Directory>();
    auto registry = EmbeddedRegistry::open(*database_, *directory_, workers_, metrics_);
    ASSERT_TRUE(registry) << registry.error().message;
    registry_ = std::move(*registry);
  }
  void close() {
    registry_.reset();
    directory_.reset();
    database_.reset();
  }
  /// As after a start of the process; what was only in memory is lost.
  void restart() {
    close();
    open();
  }

  template <class T>
  Result<T> wait(Async<T> task) {
    return runtime::block_on(shards_[0], std::move(task));
  }

  EmbeddedRegistry& operator*() { return *registry_; }
  EmbeddedRegistry* operator->() { return registry_.get(); }
  Directory& directory() { return *directory_; }
  store::Database& database() { return *database_; }
  runtime::Workers& workers() { return workers_; }
  runtime::Shard& shard() { return shards_[0]; }
  metrics::Registry& metrics() { return metrics_; }

 private:
  std::filesystem::path file_;
  config::Bytes max_size_;
  metrics::Registry metrics_;
  runtime::Shards shards_{1};
  runtime::Workers workers_{1, 64};
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<EmbeddedRegistry> registry_;
};

}  // namespace flux::registry
