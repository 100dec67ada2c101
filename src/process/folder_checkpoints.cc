#include "process/folder_checkpoints.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "core/hash.h"

namespace flux::process {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[] = "FLUXCKPT";
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kKept = 2;
constexpr char kSuffix[] = ".checkpoint";

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  static Result<File> open(const fs::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
    if (fd < 0) return fail_errno("cannot open " + path.string(), errno);
    return File(fd);
  }
  Result<> write(std::string_view bytes, const fs::path& path) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_errno("cannot write " + path.string(), errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<> sync(const fs::path& path) {
    if (::fsync(fd_) != 0) return fail_errno("cannot sync " + path.string(), errno);
    return {};
  }
  Result<> lock(const fs::path& path) {
    while (::flock(fd_, LOCK_EX) != 0)
      if (errno != EINTR) return fail_errno("cannot lock " + path.string(), errno);
    return {};
  }

 private:
  int fd_;
};

Result<std::string> read_file(const fs::path& path) {
  std::FILE* stream = std::fopen(path.c_str(), "rb");
  if (stream == nullptr) return fail_errno("cannot open " + path.string(), errno);
  std::string bytes;
  char buffer[65'536];
  std::size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof buffer, stream)) > 0) bytes.append(buffer, got);
  const bool bad = std::ferror(stream) != 0;
  std::fclose(stream);
  if (bad) return fail_errno("cannot read " + path.string(), EIO);
  return bytes;
}

Result<> sync_folder(const fs::path& folder) {
  TRY(File handle, File::open(folder, O_RDONLY | O_DIRECTORY));
  return handle.sync(folder);
}

/// The file has all of `bytes` or does not change, whatever happens.
Result<> replace_file(const fs::path& path, std::string_view bytes) {
  const fs::path temporary = path.string() + ".tmp";
  const auto written = [&]() -> Result<> {
    TRY(File file, File::open(temporary, O_WRONLY | O_CREAT | O_TRUNC));
    DO(file.write(bytes, temporary));
    DO(file.sync(temporary));
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("cannot rename " + temporary.string(), errno);
    return sync_folder(path.parent_path());
  }();
  if (!written) ::unlink(temporary.c_str());
  return written;
}

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <class T>
T get(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string file_name(Offset next) {
  char name[48];
  std::snprintf(name, sizeof name, "%020llu%s", static_cast<unsigned long long>(next.value), kSuffix);
  return name;
}

/// `7 1b2c3d4e`: the number, and the CRC-32C of its digits.
std::string generation_text(Generation generation) {
  const std::string digits = std::to_string(generation.value);
  char crc[16];
  std::snprintf(crc, sizeof crc, " %08x\n", crc32c(std::as_bytes(std::span(digits))));
  return digits + crc;
}

class FolderCheckpoints final : public Checkpoints {
 public:
  explicit FolderCheckpoints(fs::path folder) : folder_(std::move(folder)) {}

  Result<Generation> take_over(PartitionId partition) override {
    const fs::path folder = folder_of(partition);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail_errno("cannot make " + folder.string(), error.value());
    TRY(const File lock, locked(folder));
    TRY(const Generation last, generation_of(folder));
    const Generation mine{last.value + 1};
    DO(replace_file(folder / "generation", generation_text(mine)));
    return mine;
  }

  Result<> write(PartitionId partition, Generation generation, const Checkpoint& checkpoint) override {
    const fs::path folder = folder_of(partition);
    TRY(const File lock, locked(folder));
    TRY(const Generation present, generation_of(folder));
    if (present != generation) {
      return fail(ErrorCode::permission_denied, "generation " + std::to_string(present.value) +
                                                    " has taken over from " + std::to_string(generation.value));
    }
    std::string bytes;
    bytes.reserve(kHeaderBytes + checkpoint.data.size() + 4);
    bytes.append(kMagic, 8);
    put(bytes, kFormat);
    put(bytes, std::uint32_t{partition.value});
    put(bytes, generation.value);
    put(bytes, checkpoint.next.value);
    put(bytes, std::uint64_t{checkpoint.data.size()});
    bytes += checkpoint.data;
    put(bytes, crc32c(std::as_bytes(std::span(bytes))));
    DO(replace_file(folder / file_name(checkpoint.next), bytes));
    TRY(const std::vector<Offset> all, list(partition));
    for (std::size_t i = kKept; i < all.size(); ++i) ::unlink((folder / file_name(all[i])).c_str());
    return {};
  }

  Result<std::vector<Offset>> list(PartitionId partition) override {
    std::vector<Offset> offsets;
    std::error_code error;
    for (fs::directory_iterator at(folder_of(partition), error), end; !error && at != end; at.increment(error)) {
      const std::string name = at->path().filename().string();
      if (!name.ends_with(kSuffix)) continue;
      std::uint64_t next = 0;
      const char* const stop = name.data() + name.size() - (sizeof kSuffix - 1);
      const auto [parsed, status] = std::from_chars(name.data(), stop, next);
      if (status == std::errc() && parsed == stop) offsets.push_back({next});
    }
    if (error && error != std::errc::no_such_file_or_directory)
      return fail_errno("cannot list " + folder_of(partition).string(), error.value());
    std::ranges::sort(offsets, std::ranges::greater());
    return offsets;
  }

  Result<Checkpoint> read(PartitionId partition, Offset next) override {
    const fs::path path = folder_of(partition) / file_name(next);
    TRY(std::string bytes, read_file(path));
    const auto corrupt = [&](const char* what) { return fail(ErrorCode::corrupt, path.string() + " " + what); };
    if (bytes.size() < kHeaderBytes + 4 || bytes.compare(0, 8, kMagic) != 0) return corrupt("is not a checkpoint");
    const std::string_view held = std::string_view(bytes).substr(0, bytes.size() - 4);
    if (get<std::uint32_t>(bytes, held.size()) != crc32c(std::as_bytes(std::span(held)))) return corrupt("is damaged");
    if (get<std::uint32_t>(bytes, 8) != kFormat) return corrupt("has a format that this program does not know");
    if (get<std::uint32_t>(bytes, 12) != partition.value || get<std::uint64_t>(bytes, 24) != next.value ||
        get<std::uint64_t>(bytes, 32) != held.size() - kHeaderBytes)
      return corrupt("says something else than its name");
    return Checkpoint{next, std::string(held.substr(kHeaderBytes))};
  }

 private:
  [[nodiscard]] fs::path folder_of(PartitionId partition) const {
    char name[16];
    std::snprintf(name, sizeof name, "%04u", static_cast<unsigned>(partition.value));
    return folder_ / name;
  }

  static Result<File> locked(const fs::path& folder) {
    const fs::path path = folder / "lock";
    TRY(File file, File::open(path, O_RDWR | O_CREAT));
    DO(file.lock(path));
    return file;
  }

  static Result<Generation> generation_of(const fs::path& folder) {
    const fs::path path = folder / "generation";
    if (::access(path.c_str(), F_OK) != 0) return Generation{};
    TRY(const std::string text, read_file(path));
    Generation generation;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), generation.value);
    // Printed again it must be what was read; files of the first versions have no checksum.
    if (parsed.ec != std::errc() ||
        (text != generation_text(generation) && text != std::to_string(generation.value) + "\n"))
      return fail(ErrorCode::corrupt, path.string() + " is damaged");
    return generation;
  }

  fs::path folder_;
};

}  // namespace

Result<std::unique_ptr<Checkpoints>> open_folder_checkpoints(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail_errno("cannot make " + folder.string(), error.value());
  return std::make_unique<FolderCheckpoints>(folder);
}

}  // namespace flux::process
