#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "store/series/engine/fault_disk.h"

namespace flux::store::engine {

// Member functions of a class that only tests use: this file is not part of the library.

class FaultOutput final : public OutputFile {
 public:
  FaultOutput(FaultDisk& disk, FaultDisk::FilePtr file) : disk_(disk), file_(std::move(file)) {}
  Result<> append(std::string_view bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(disk_.change());
    if (disk_.free_bytes_ >= 0 && static_cast<std::int64_t>(bytes.size()) > disk_.free_bytes_) {
      file_->bytes.append(bytes.substr(0, static_cast<std::size_t>(disk_.free_bytes_)));
      disk_.free_bytes_ = 0;
      return fail_errno("cannot write", ENOSPC);
    }
    if (disk_.free_bytes_ >= 0) disk_.free_bytes_ -= static_cast<std::int64_t>(bytes.size());
    file_->bytes.append(bytes);
    return {};
  }
  Result<> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(disk_.change());
    file_->synced = file_->bytes.size();
    return {};
  }

 private:
  FaultDisk& disk_;
  FaultDisk::FilePtr file_;
};

namespace {

class FaultInput final : public InputFile {
 public:
  explicit FaultInput(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_->size(); }
  Result<> read(std::uint64_t offset, std::size_t size, char* out) const override {
    if (offset + size > bytes_->size()) return fail(ErrorCode::corrupt, "the file ends too early");
    std::memcpy(out, bytes_->data() + offset, size);
    return {};
  }

 private:
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace

Result<> FaultDisk::change() {
  if (failing_in_ < 0) return {};
  if (failing_in_ > 0) {
    --failing_in_;
    return {};
  }
  return fail_errno("cannot change the disk", error_number_);
}

Result<> FaultDisk::make_folder(const std::filesystem::path&) { return {}; }

Result<std::vector<std::string>> FaultDisk::list(const std::filesystem::path& folder) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [path, file] : names_)
    if (std::filesystem::path(path).parent_path() == folder) found.push_back(std::filesystem::path(path).filename());
  return found;
}

Result<std::unique_ptr<OutputFile>> FaultDisk::create(const std::filesystem::path& path) {
  const std::scoped_lock lock(mutex_);
  DO(change());
  names_[path] = std::make_shared<File>();
  return std::make_unique<FaultOutput>(*this, names_[path]);
}

Result<std::unique_ptr<InputFile>> FaultDisk::open(const std::filesystem::path& path) {
  const std::scoped_lock lock(mutex_);
  const auto at = names_.find(path);
  if (at == names_.end()) return fail(ErrorCode::not_found, path.string() + " is missing");
  return std::make_unique<FaultInput>(std::shared_ptr<const std::string>(at->second, &at->second->bytes));
}

Result<> FaultDisk::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  const std::scoped_lock lock(mutex_);
  DO(change());
  const auto at = names_.find(from);
  if (at == names_.end()) return fail(ErrorCode::not_found, from.string() + " is missing");
  const FilePtr file = at->second;
  names_.erase(at);
  names_[to] = file;
  return {};
}

Result<> FaultDisk::remove(const std::filesystem::path& path) {
  const std::scoped_lock lock(mutex_);
  DO(change());
  names_.erase(path);
  return {};
}

Result<> FaultDisk::sync_folder(const std::filesystem::path& folder) {
  const std::scoped_lock lock(mutex_);
  DO(change());
  const auto inside = [&](const auto& entry) { return std::filesystem::path(entry.first).parent_path() == folder; };
  std::erase_if(durable_names_, inside);
  for (const auto& entry : names_)
    if (inside(entry)) durable_names_.insert(entry);
  return {};
}

void FaultDisk::crash(std::mt19937_64& random) {
  const std::scoped_lock lock(mutex_);
  failing_in_ = free_bytes_ = -1;
  Names after;
  std::set<std::string> paths;
  for (const auto& [path, file] : names_) paths.insert(path);
  for (const auto& [path, file] : durable_names_) paths.insert(path);
  for (const std::string& path : paths) {
    const Names& from = random() % 2 == 0 ? names_ : durable_names_;
    const auto at = from.find(path);
    if (at == from.end()) continue;
    // A copy: two names may have been left for one file.
    auto file = std::make_shared<File>(*at->second);
    const std::size_t unsynced = file->bytes.size() - file->synced;
    file->bytes.resize(file->synced + (unsynced == 0 ? 0 : random() % (unsynced + 1)));
    for (std::size_t i = file->synced; i < file->bytes.size() && random() % 2 == 0; ++i) file->bytes[i] = 0;
    file->synced = file->bytes.size();
    after[path] = std::move(file);
  }
  names_ = durable_names_ = std::move(after);
}

void FaultDisk::fail_after(std::int64_t operations, int error_number) {
  const std::scoped_lock lock(mutex_);
  failing_in_ = operations;
  error_number_ = error_number;
}

void FaultDisk::set_free_bytes(std::int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  free_bytes_ = bytes;
}

std::map<std::string, std::string> FaultDisk::files() const {
  const std::scoped_lock lock(mutex_);
  std::map<std::string, std::string> found;
  for (const auto& [path, file] : names_) found[path] = file->bytes;
  return found;
}

void FaultDisk::put(const std::string& path, std::string bytes) {
  const std::scoped_lock lock(mutex_);
  auto file = std::make_shared<File>();
  file->synced = bytes.size();
  file->bytes = std::move(bytes);
  names_[path] = durable_names_[path] = file;
}

void FaultDisk::erase(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  names_.erase(path);
  durable_names_.erase(path);
}

namespace {

TEST(FaultDisk, TakesWhatWasNotSynced) {
  std::mt19937_64 random(1);
  bool name_lost = false;
  bool bytes_lost = false;
  for (int run = 0; run < 100; ++run) {
    FaultDisk disk;
    auto file = disk.create("f/a").value();
    ASSERT_TRUE(file->append("1234").has_value());
    ASSERT_TRUE(file->sync().has_value());
    ASSERT_TRUE(file->append("5678").has_value());
    if (run % 2 == 0) ASSERT_TRUE(disk.sync_folder("f").has_value());
    file.reset();
    disk.crash(random);
    const auto files = disk.files();
    if (run % 2 == 0) ASSERT_TRUE(files.contains("f/a"));
    name_lost = name_lost || files.empty();
    if (files.empty()) continue;
    ASSERT_TRUE(files.at("f/a").starts_with("1234"));
    bytes_lost = bytes_lost || files.at("f/a").size() < 8;
  }
  EXPECT_TRUE(name_lost);
  EXPECT_TRUE(bytes_lost);
}

}  // namespace
}  // namespace flux::store::engine
