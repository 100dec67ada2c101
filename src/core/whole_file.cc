#include "core/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace flux {

Result<> write_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const std::string temporary = path.string() + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno("cannot write " + path.string(), errno);
  ::fchmod(fd, mode);
  const ssize_t taken = ::write(fd, content.data(), content.size());
  const bool all = taken == static_cast<ssize_t>(content.size());
  const bool written = all && ::fsync(fd) == 0;
  const int error = taken >= 0 && !all ? ENOSPC : errno;  // a short count is a disk that has filled up
  ::close(fd);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int why = written ? errno : error;
    ::unlink(temporary.c_str());
    return fail_errno("cannot write " + path.string(), why);
  }
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); folder >= 0) {
    (void)::fsync(folder);  // some file systems know nothing of it
    ::close(folder);
  }
  return {};
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace flux
