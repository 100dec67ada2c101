#include "store/series/engine/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace flux::store::engine {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class RealOutputFile final : public OutputFile {
 public:
  RealOutputFile(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}

  Result<> append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_errno("cannot write " + path_.string(), errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  Result<> sync() override {
    if (::fdatasync(fd_.get()) != 0) return fail_errno("cannot sync " + path_.string(), errno);
    return {};
  }

 private:
  Descriptor fd_;
  fs::path path_;
};

class RealInputFile final : public InputFile {
 public:
  RealInputFile(int fd, std::uint64_t size, fs::path path) : fd_(fd), size_(size), path_(std::move(path)) {}

  [[nodiscard]] std::uint64_t size() const override { return size_; }

  Result<> read(std::uint64_t offset, std::size_t size, char* out) const override {
    while (size > 0) {
      const ssize_t got = ::pread(fd_.get(), out, size, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("cannot read " + path_.string(), errno);
      if (got == 0)
        return fail(ErrorCode::corrupt, path_.string() + " ends at byte " + std::to_string(offset) + ", too early");
      offset += static_cast<std::uint64_t>(got);
      size -= static_cast<std::size_t>(got);
      out += got;
    }
    return {};
  }

 private:
  Descriptor fd_;
  std::uint64_t size_;
  fs::path path_;
};

std::unexpected<Error> fail_code(const std::string& what, const std::error_code& code) {
  return fail_errno(what, code.value());
}

class RealFileSystem final : public FileSystem {
 public:
  Result<> make_folder(const fs::path& folder) override {
    std::error_code code;
    fs::create_directories(folder, code);
    if (code) return fail_code("cannot make " + folder.string(), code);
    return {};
  }

  Result<std::vector<std::string>> list(const fs::path& folder) override {
    std::error_code code;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code))
      names.push_back(at->path().filename().string());
    if (code) return fail_code("cannot list " + folder.string(), code);
    return names;
  }

  Result<std::unique_ptr<OutputFile>> create(const fs::path& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) return fail_errno("cannot create " + path.string(), errno);
    return std::make_unique<RealOutputFile>(fd, path);
  }

  Result<std::unique_ptr<InputFile>> open(const fs::path& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return fail(ErrorCode::not_found, path.string() + " is missing");
    if (fd < 0) return fail_errno("cannot open " + path.string(), errno);
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
      const int error = errno;
      ::close(fd);
      return fail_errno("cannot open " + path.string(), error);
    }
    return std::make_unique<RealInputFile>(fd, static_cast<std::uint64_t>(status.st_size), path);
  }

  Result<> rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("cannot rename " + from.string(), errno);
    return {};
  }

  Result<> remove(const fs::path& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("cannot remove " + path.string(), errno);
    return {};
  }

  Result<> sync_folder(const fs::path& folder) override {
    const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return fail_errno("cannot open " + folder.string(), errno);
    if (::fsync(fd.get()) != 0) return fail_errno("cannot sync " + folder.string(), errno);
    return {};
  }
};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem files;
  return files;
}

Result<> write_atomically(FileSystem& files, const fs::path& path, std::string_view bytes) {
  fs::path temporary = path;
  temporary += ".tmp";
  {
    TRY(const auto file, files.create(temporary));
    DO(file->append(bytes));
    DO(file->sync());
  }
  DO(files.rename(temporary, path));
  return files.sync_folder(path.parent_path());
}

Result<std::string> read_file(FileSystem& files, const fs::path& path) {
  TRY(const auto file, files.open(path));
  std::string bytes(file->size(), '\0');
  DO(file->read(0, bytes.size(), bytes.data()));
  return bytes;
}

}  // namespace flux::store::engine
