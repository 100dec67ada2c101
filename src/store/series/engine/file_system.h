#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

/// The few things that the engine asks of a disk, so that tests can put a disk with crashes and faults in its place.
namespace flux::store::engine {

/// A file being written from its beginning. One thread.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  /// `unavailable` when the disk is full.
  virtual Result<> append(std::string_view bytes) = 0;
  /// On return, what was appended survives a crash. After a failure the file is worthless: nobody can tell what the
  /// disk holds.
  virtual Result<> sync() = 0;
};

/// A file that no longer changes. Thread-safe.
class InputFile {
 public:
  virtual ~InputFile() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Exactly `size` bytes; `corrupt` when the file ends before.
  virtual Result<> read(std::uint64_t offset, std::size_t size, char* out) const = 0;
};

/// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<> make_folder(const std::filesystem::path& folder) = 0;
  /// Names of the files in `folder`.
  virtual Result<std::vector<std::string>> list(const std::filesystem::path& folder) = 0;
  /// A new file, or an emptied one.
  virtual Result<std::unique_ptr<OutputFile>> create(const std::filesystem::path& path) = 0;
  /// `not_found` when there is none.
  virtual Result<std::unique_ptr<InputFile>> open(const std::filesystem::path& path) = 0;
  virtual Result<> rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual Result<> remove(const std::filesystem::path& path) = 0;
  /// On return, files created, renamed and removed in `folder` stay so after a crash.
  virtual Result<> sync_folder(const std::filesystem::path& folder) = 0;
};

/// The operating system's.
FileSystem& real_file_system();

/// Writes `bytes` so that `path` holds all of them or what it held before, whatever happens.
Result<> write_atomically(FileSystem& files, const std::filesystem::path& path, std::string_view bytes);

/// The whole file.
Result<std::string> read_file(FileSystem& files, const std::filesystem::path& path);

}  // namespace flux::store::engine
