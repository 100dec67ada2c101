#include "app/disk_watch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace flux::app {
namespace {

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

DiskLook DiskWatch::look(bool write) const {
  DiskLook found;
  struct statvfs disk{};
  if (::statvfs(folder_.c_str(), &disk) != 0) {
    found.writable = false;
    found.trouble = "the data folder cannot be reached";
    found.detail = fail_errno("cannot look at " + folder_.string(), errno).error().message;
    return found;
  }
  found.free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::uint64_t reserve = std::min(reserve_, std::uint64_t{disk.f_blocks} * disk.f_frsize / 50);
  if (found.free_bytes < 2 * reserve) {
    found.writable = found.free_bytes >= reserve;
    found.trouble = found.writable ? "the disk is almost full" : "the disk is full";
    found.detail = "the disk of " + folder_.string() + " has " + mebibytes(found.free_bytes) + " left; below " +
                   mebibytes(reserve) + " (bus.disk_reserve_bytes) no reading is taken";
  }
  if (!found.writable || !write) return found;
  if (const auto written = write_something(); !written) {
    found.writable = false;
    found.trouble = "the data folder cannot be written";
    found.detail = written.error().message;
  }
  return found;
}

Result<> DiskWatch::write_something() const {
  int fd = ::open(folder_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
    // A file system without nameless files.
    const std::string path = folder_ / "write.check";
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) ::unlink(path.c_str());
  }
  if (fd < 0) return fail_errno("cannot make a file in " + folder_.string(), errno);
  const std::array<char, 4096> page{};
  const bool written = ::write(fd, page.data(), page.size()) == static_cast<ssize_t>(page.size());
  const int error = errno;
  ::close(fd);
  if (!written) return fail_errno("cannot write in " + folder_.string(), error);
  return {};
}

}  // namespace flux::app
