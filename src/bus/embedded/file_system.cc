#include "bus/embedded/file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <system_error>

namespace flux::bus::embedded {
namespace {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<Descriptor> open_descriptor(const std::filesystem::path& path, int flags) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
    if (fd >= 0) return Descriptor(fd);
    if (errno != EINTR) return fail_errno("cannot open " + path.string(), errno);
  }
}

class RealFile final : public File {
 public:
  RealFile(Descriptor fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Result<std::size_t> read(std::uint64_t at, void* out, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_.get(), static_cast<char*>(out) + done, size - done, static_cast<off_t>(at + done));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail_errno("cannot read " + name_ + " at byte " + std::to_string(at + done), errno);
      }
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<> write(std::uint64_t at, std::span<const Piece> pieces) override {
    iovec vector[256];
    std::size_t next = 0;     // the piece to go on with,
    std::size_t written = 0;  // and how much of it is written already
    while (next < pieces.size()) {
      int count = 0;
      for (std::size_t i = next; i < pieces.size() && count < 256; ++i, ++count) {
        const std::size_t skip = i == next ? written : 0;
        vector[count].iov_base = const_cast<char*>(static_cast<const char*>(pieces[i].data) + skip);
        vector[count].iov_len = pieces[i].size - skip;
      }
      const ssize_t n = ::pwritev(fd_.get(), vector, count, static_cast<off_t>(at));
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail_errno("cannot write " + name_ + " at byte " + std::to_string(at), errno);
      }
      at += static_cast<std::size_t>(n);
      for (auto left = static_cast<std::size_t>(n); next < pieces.size();) {
        const std::size_t rest = pieces[next].size - written;
        if (left < rest) {
          written += left;
          break;
        }
        left -= rest;
        written = 0;
        ++next;
      }
    }
    return {};
  }

  Result<> sync() override {
    if (::fdatasync(fd_.get()) != 0) return fail_errno("cannot sync " + name_, errno);
    // A sync that ext4 was stopped under (its journal aborted, for a disk that fails or a shutdown) can succeed
    // although nothing leads to what it wrote. From then on ext4 takes no writes, not even of nothing:
    // docs/formats/log.md.
    if (::pwrite(fd_.get(), "", 0, 0) < 0)
      return fail_errno("the file system stopped while " + name_ + " was synced", errno);
    return {};
  }

  Result<> truncate(std::uint64_t size) override {
    while (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      if (errno != EINTR) return fail_errno("cannot truncate " + name_, errno);
    return {};
  }

  Result<> allocate(std::uint64_t at, std::uint64_t size) override {
    while (::fallocate(fd_.get(), 0, static_cast<off_t>(at), static_cast<off_t>(size)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return {};
      return fail_errno("cannot claim space for " + name_, errno);
    }
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return fail_errno("cannot look at " + name_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  Descriptor fd_;
  std::string name_;
};

class RealLock final : public FolderLock {
 public:
  explicit RealLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  Descriptor fd_;
};

class RealFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const Path& path, OpenMode mode) override {
    const int flags = mode == OpenMode::read ? O_RDONLY : mode == OpenMode::write ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC;
    TRY(Descriptor fd, open_descriptor(path, flags));
    return std::make_unique<RealFile>(std::move(fd), path.string());
  }

  Result<std::vector<std::string>> list(const Path& folder) override {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
      names.push_back(at->path().filename().string());
    if (error) return fail_errno("cannot list " + folder.string(), error.value());
    std::ranges::sort(names);
    return names;
  }

  bool exists(const Path& path) override { return ::access(path.c_str(), F_OK) == 0; }

  Result<> make_folders(const Path& folder) override {
    if (exists(folder) || folder.empty()) return {};
    if (folder.has_parent_path() && folder.parent_path() != folder) DO(make_folders(folder.parent_path()));
    if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST)
      return fail_errno("cannot make the folder " + folder.string(), errno);
    return sync_folder(folder.has_parent_path() ? folder.parent_path() : Path("."));
  }

  Result<> rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("cannot rename " + from.string(), errno);
    return {};
  }

  Result<> remove(const Path& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("cannot remove " + path.string(), errno);
    return {};
  }

  Result<> sync_folder(const Path& folder) override {
    TRY(const Descriptor fd, open_descriptor(folder, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) != 0) return fail_errno("cannot sync " + folder.string(), errno);
    return {};
  }

  Result<DiskSpace> space(const Path& folder) override {
    struct statvfs info{};
    if (::statvfs(folder.c_str(), &info) != 0)
      return fail_errno("cannot look at the disk of " + folder.string(), errno);
    return DiskSpace{std::uint64_t{info.f_blocks} * info.f_frsize, std::uint64_t{info.f_bavail} * info.f_frsize};
  }

  Result<std::unique_ptr<FolderLock>> lock(const Path& folder) override {
    const Path path = folder / "LOCK";
    TRY(Descriptor fd, open_descriptor(path, O_RDWR | O_CREAT));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return fail_errno("cannot lock " + path.string(), errno);
      char text[32] = {};
      const ssize_t n = ::pread(fd.get(), text, sizeof text - 1, 0);
      long pid = 0;
      if (n > 0) std::from_chars(text, text + n, pid);
      const std::string holder = pid > 0 ? "process " + std::to_string(pid) : "another process";
      return fail(ErrorCode::already_exists, "the log in " + folder.string() + " is in use by " + holder);
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0)
      return fail_errno("cannot write " + path.string(), errno);
    return std::make_unique<RealLock>(std::move(fd));
  }
};

}  // namespace

FileSystem& real_files() {
  static RealFiles files;
  return files;
}

Result<std::string> read_file(FileSystem& files, const std::filesystem::path& path, std::size_t max_bytes) {
  TRY(const auto file, files.open(path, OpenMode::read));
  TRY(const std::uint64_t size, file->size());
  if (size > max_bytes) return fail(ErrorCode::corrupt, path.string() + " is longer than it can be");
  std::string bytes(size, '\0');
  TRY(const std::size_t read, file->read(0, bytes.data(), bytes.size()));
  bytes.resize(read);
  return bytes;
}

Result<> replace_file(FileSystem& files, const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  {
    TRY(const auto file, files.open(temporary, OpenMode::create_new));
    const Piece piece{bytes.data(), bytes.size()};
    DO(file->write(0, {&piece, 1}));
    DO(file->sync());
  }
  DO(files.rename(temporary, path));
  return files.sync_folder(path.parent_path());
}

}  // namespace flux::bus::embedded
