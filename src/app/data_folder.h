#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.h"

namespace flux::app {

/// The folder of everything kept, held by one process at a time.
class DataFolder {
 public:
  /// Makes the folder (mode 0700) where it is missing and locks it. `already_exists` names the process that has it.
  static Result<DataFolder> open(const std::filesystem::path& path);
  DataFolder(DataFolder&& other) noexcept;
  DataFolder& operator=(DataFolder&&) = delete;
  ~DataFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  DataFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_;
};

}  // namespace flux::app
