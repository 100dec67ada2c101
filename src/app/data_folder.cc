#include "app/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/whole_file.h"

namespace flux::app {

namespace fs = std::filesystem;

Result<DataFolder> DataFolder::open(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    fs::create_directories(path, error);
    if (error) return fail_errno("cannot make the data folder " + path.string(), error.value());
    ::chmod(path.c_str(), 0700);
  }
  const std::string lock_path = path / "LOCK";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail_errno("cannot write in the data folder " + path.string(), errno);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    std::string holder = read_file(lock_path);
    while (holder.ends_with('\n')) holder.pop_back();
    ::close(lock);
    return fail(ErrorCode::already_exists, "the data folder " + path.string() + " is in use by process " +
                                               (holder.empty() ? "(unknown)" : holder) +
                                               ": stop that one, or name another folder with --data-dir");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // The lock holds without it; only the message to a second process would lack the number.
    (void)::ftruncate(lock, 0);
  }
  return DataFolder(path, lock);
}

DataFolder::DataFolder(DataFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataFolder::~DataFolder() {
  if (lock_ >= 0) ::close(lock_);
}

std::uint64_t DataFolder::free_bytes() const {
  struct statvfs disk{};
  if (statvfs(path_.c_str(), &disk) != 0) return 0;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

}  // namespace flux::app
