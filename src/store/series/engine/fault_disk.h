#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "store/series/engine/file_system.h"

namespace flux::store::engine {

/// A disk in memory for tests, with all that can go wrong: a crash takes what was not synced (files' bytes as well as
/// names in folders), in parts and in any order; the disk gets full; an operation fails. Thread-safe.
class FaultDisk final : public FileSystem {
 public:
  Result<> make_folder(const std::filesystem::path& folder) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) override;
  Result<std::unique_ptr<OutputFile>> create(const std::filesystem::path& path) override;
  Result<std::unique_ptr<InputFile>> open(const std::filesystem::path& path) override;
  Result<> rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Result<> remove(const std::filesystem::path& path) override;
  Result<> sync_folder(const std::filesystem::path& folder) override;

  /// Power goes: names come back as they were at some moment since their folder was synced, files with what was synced
  /// and perhaps some of what followed. Everything that is open must have been closed.
  void crash(std::mt19937_64& random);
  /// After this many more operations that change something, each one fails with `code`; -1: never.
  void fail_after(std::int64_t operations, int error_number);
  /// Bytes that still fit; -1: any number.
  void set_free_bytes(std::int64_t bytes);

  [[nodiscard]] std::map<std::string, std::string> files() const;
  void put(const std::string& path, std::string bytes);
  void erase(const std::string& path);

 private:
  friend class FaultOutput;
  struct File {
    std::string bytes;
    std::size_t synced = 0;
  };
  using FilePtr = std::shared_ptr<File>;
  using Names = std::map<std::string, FilePtr>;  // by whole path

  Result<> change();

  mutable std::mutex mutex_;
  Names names_;
  Names durable_names_;
  std::int64_t failing_in_ = -1;
  int error_number_ = 0;
  std::int64_t free_bytes_ = -1;
};

}  // namespace flux::store::engine
