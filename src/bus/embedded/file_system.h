#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "wire/batch/gather.h"

namespace flux::bus::embedded {

using wire::batch::Piece;

/// An open file. Reading is thread-safe; the rest is for one thread at a time.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `size` bytes at `at`; fewer only at the end of the file. Returns how many.
  virtual Result<std::size_t> read(std::uint64_t at, void* out, std::size_t size) const = 0;
  /// Writes all pieces one after another from `at` on, or fails: then any part of it may have been written.
  virtual Result<> write(std::uint64_t at, std::span<const Piece> pieces) = 0;
  /// Makes what was written durable (fdatasync, and the file system is still taking writes after it). After a failure
  /// nothing is known of what was written since the last success, and trying again would lie.
  virtual Result<> sync() = 0;
  virtual Result<> truncate(std::uint64_t size) = 0;
  /// Claims space for [at, at + size) and makes the file that long, so that a sync of later writes changes no sizes.
  /// `unavailable` when the disk has no room. Where the file system cannot do this it succeeds without doing it.
  virtual Result<> allocate(std::uint64_t at, std::uint64_t size) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() const = 0;
};

enum class OpenMode : std::uint8_t {
  read,        ///< must exist
  write,       ///< for reading and writing; must exist
  create_new,  ///< for reading and writing; emptied where it exists
};

struct DiskSpace {
  std::uint64_t total = 0;
  std::uint64_t available = 0;
};

/// A held lock on a folder; released on destruction.
class FolderLock {
 public:
  virtual ~FolderLock() = default;
};

/// What the log asks of the operating system: the seam where tests put a disk that fails. Thread-safe.
class FileSystem {
 public:
  using Path = std::filesystem::path;
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const Path& path, OpenMode mode) = 0;
  /// Names of what lies in `folder`, sorted.
  virtual Result<std::vector<std::string>> list(const Path& folder) = 0;
  [[nodiscard]] virtual bool exists(const Path& path) = 0;
  virtual Result<> make_folders(const Path& folder) = 0;
  virtual Result<> rename(const Path& from, const Path& to) = 0;
  virtual Result<> remove(const Path& path) = 0;
  /// Makes creations, renames and removals in `folder` durable.
  virtual Result<> sync_folder(const Path& folder) = 0;
  virtual Result<DiskSpace> space(const Path& folder) = 0;
  /// `already_exists` when another open log holds it; the message names the holder's pid where it is known.
  virtual Result<std::unique_ptr<FolderLock>> lock(const Path& folder) = 0;
};

/// The operating system's.
FileSystem& real_files();

/// Reads the whole file; `corrupt` above `max_bytes`.
Result<std::string> read_file(FileSystem& files, const std::filesystem::path& path, std::size_t max_bytes);

/// Replaces `path` by `bytes` in one step that survives a crash: either the old content or the new, never a mixture.
Result<> replace_file(FileSystem& files, const std::filesystem::path& path, std::string_view bytes);

}  // namespace flux::bus::embedded
