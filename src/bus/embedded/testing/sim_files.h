#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bus/embedded/file_system.h"

namespace flux::bus::embedded {

/// A disk in memory that fails like one: power cuts that lose or tear what was not synced, syncs that fail and then
/// pretend, writes that stop half way, no room. Everything random comes from one seed. Thread-safe.
class SimDisk {
 public:
  struct Faults {
    double sync = 0;   ///< chance that a sync of a file fails; what it was to keep is then lost at the next power cut
    double write = 0;  ///< chance that a write stops half way with an error
    double other = 0;  ///< chance that opening, truncating, claiming, renaming, removing or syncing a folder fails
    std::uint64_t capacity = UINT64_MAX;
  };

  explicit SimDisk(std::uint64_t seed) : random_(seed) {}

  void set_faults(const Faults& faults) {
    const std::scoped_lock lock(mutex_);
    faults_ = faults;
  }

  /// The process is gone: what it wrote stays, and its files answer with errors from now on.
  void kill() {
    const std::scoped_lock lock(mutex_);
    ++epoch_;
    lock_held_ = false;
  }

  /// The machine is gone: of what was not synced each sector may or may not have been written.
  void cut_power() {
    const std::scoped_lock lock(mutex_);
    ++epoch_;
    lock_held_ = false;
    std::map<std::string, std::shared_ptr<Inode>> kept;
    std::set<std::string> paths;
    for (const auto& [path, inode] : names_) paths.insert(path);
    for (const auto& [path, inode] : durable_names_) paths.insert(path);
    for (const std::string& path : paths) {
      const auto now = names_.find(path);
      const auto before = durable_names_.find(path);
      const std::shared_ptr<Inode> a = now == names_.end() ? nullptr : now->second;
      const std::shared_ptr<Inode> b = before == durable_names_.end() ? nullptr : before->second;
      if (const auto& chosen = a == b || chance(0.5) ? a : b) kept[path] = chosen;
    }
    names_ = kept;
    durable_names_ = kept;
    for (const auto& [path, inode] : names_) {
      std::string bytes = inode->durable;
      for (const Change& change : inode->unsynced) keep_some(bytes, change);
      inode->current = inode->durable = std::move(bytes);
      inode->unsynced.clear();
    }
  }

  /// Every file with its bytes, as the running system sees them.
  [[nodiscard]] std::map<std::string, std::string> contents() const {
    const std::scoped_lock lock(mutex_);
    std::map<std::string, std::string> all;
    for (const auto& [path, inode] : names_) all[path] = inode->current;
    return all;
  }
  /// For waiting until the disk says something: how often it has changed, and a change after `seen` (or a long time).
  [[nodiscard]] std::uint64_t changes() const {
    const std::scoped_lock lock(mutex_);
    return changes_;
  }
  bool await_change(std::uint64_t seen) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return changes_ != seen; });
  }

  void put(const std::string& path, std::string bytes) {
    const std::scoped_lock lock(mutex_);
    auto inode = std::make_shared<Inode>();
    inode->current = inode->durable = std::move(bytes);
    names_[path] = durable_names_[path] = std::move(inode);
  }

 private:
  friend class SimFiles;
  friend class SimFile;

  static constexpr std::uint64_t kSector = 512;

  struct Change {
    bool resize = false;
    std::uint64_t at = 0;  // or the new size
    std::string bytes;
  };
  struct Inode {
    std::string current;  // what the running system sees
    std::string durable;
    std::vector<Change> unsynced;
  };

  void touch() {
    ++changes_;
    changed_.notify_all();
  }

  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }

  static void apply(std::string& bytes, const Change& change) {
    if (change.resize) {
      bytes.resize(change.at);
      return;
    }
    if (bytes.size() < change.at + change.bytes.size()) bytes.resize(change.at + change.bytes.size());
    bytes.replace(change.at, change.bytes.size(), change.bytes);
  }

  void keep_some(std::string& bytes, const Change& change) {
    const std::uint64_t luck = random_() % 4;
    if (luck == 0) return;
    if (luck == 1 || change.resize) return apply(bytes, change);
    for (std::uint64_t from = 0; from < change.bytes.size();) {
      const std::uint64_t size = std::min(change.bytes.size() - from, kSector - (change.at + from) % kSector);
      if (chance(0.5)) apply(bytes, {false, change.at + from, change.bytes.substr(from, size)});
      from += size;
    }
  }

  [[nodiscard]] std::uint64_t used() const {
    std::uint64_t bytes = 0;
    for (const auto& [path, inode] : names_) bytes += inode->current.size();
    return bytes;
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::mt19937_64 random_;
  Faults faults_;
  std::uint64_t epoch_ = 0;
  bool lock_held_ = false;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
};

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Inode> inode, std::uint64_t epoch)
      : disk_(disk), inode_(std::move(inode)), epoch_(epoch) {}

  Result<std::size_t> read(std::uint64_t at, void* out, std::size_t size) const override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    if (at >= inode_->current.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(size, inode_->current.size() - at);
    std::memcpy(out, inode_->current.data() + at, n);
    return n;
  }

  Result<> write(std::uint64_t at, std::span<const Piece> pieces) override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    std::string bytes;
    for (const Piece& piece : pieces) bytes.append(static_cast<const char*>(piece.data), piece.size);
    Result<> result;
    if (disk_.chance(disk_.faults_.write)) {
      bytes.resize(disk_.random_() % (bytes.size() + 1));
      result = fail_errno("sim: write", EIO);
    }
    const std::uint64_t end = at + bytes.size();
    const std::uint64_t grows = end > inode_->current.size() ? end - inode_->current.size() : 0;
    if (disk_.used() + grows > disk_.faults_.capacity) {
      // What found room ends with a block, before the last one.
      const std::uint64_t room = bytes.size() - std::min<std::uint64_t>(grows, bytes.size());
      const std::uint64_t last = (at + disk_.random_() % (room + 1)) / SimDisk::kSector * SimDisk::kSector;
      bytes.resize(last > at && last < end ? last - at : 0);
      result = fail_errno("sim: write", ENOSPC);
    }
    change({false, at, std::move(bytes)});
    return result;
  }

  Result<> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    if (disk_.chance(disk_.faults_.sync)) {
      // As Linux does it: what was to be written counts as written, whether it was or not.
      for (const auto& each : inode_->unsynced) disk_.keep_some(inode_->durable, each);
      inode_->unsynced.clear();
      return fail_errno("sim: sync", EIO);
    }
    for (const auto& each : inode_->unsynced) SimDisk::apply(inode_->durable, each);
    inode_->unsynced.clear();
    return {};
  }

  Result<> truncate(std::uint64_t size) override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    if (disk_.chance(disk_.faults_.other)) return fail_errno("sim: truncate", EIO);
    change({true, size, {}});
    return {};
  }

  Result<> allocate(std::uint64_t at, std::uint64_t size) override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    if (disk_.chance(disk_.faults_.other)) return fail_errno("sim: allocate", EIO);
    const std::uint64_t end = at + size;
    const std::uint64_t grows = end > inode_->current.size() ? end - inode_->current.size() : 0;
    if (disk_.used() + grows > disk_.faults_.capacity) return fail_errno("sim: allocate", ENOSPC);
    if (grows > 0) change({true, end, {}});
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return gone();
    return inode_->current.size();
  }

 private:
  static std::unexpected<Error> gone() { return fail_errno("sim: the process is dead", EIO); }
  void change(SimDisk::Change change) {
    SimDisk::apply(inode_->current, change);
    inode_->unsynced.push_back(std::move(change));
    disk_.touch();
  }

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Inode> inode_;
  std::uint64_t epoch_;
};

/// One process's view of a `SimDisk`, good until the disk is killed or cut.
class SimFiles final : public FileSystem {
 public:
  explicit SimFiles(SimDisk& disk) : disk_(disk), epoch_(disk.epoch_) {}

  Result<std::unique_ptr<File>> open(const Path& path, OpenMode mode) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    const std::string name = path.string();
    auto found = disk_.names_.find(name);
    if (mode != OpenMode::create_new && found == disk_.names_.end()) return fail_errno("sim: open " + name, ENOENT);
    if (mode == OpenMode::create_new) {
      if (found == disk_.names_.end()) found = disk_.names_.emplace(name, std::make_shared<SimDisk::Inode>()).first;
      found->second->current.clear();
      found->second->unsynced.push_back({true, 0, {}});
    }
    return std::make_unique<SimFile>(disk_, found->second, epoch_);
  }
  Result<std::vector<std::string>> list(const Path& folder) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    std::vector<std::string> names;
    for (const auto& [path, inode] : disk_.names_)
      if (Path(path).parent_path() == folder) names.push_back(Path(path).filename().string());
    std::ranges::sort(names);
    return names;
  }
  bool exists(const Path& path) override {
    const std::scoped_lock lock(disk_.mutex_);
    const std::string below = path.string() + "/";
    const auto at = disk_.names_.lower_bound(below);
    return disk_.names_.contains(path.string()) || (at != disk_.names_.end() && at->first.starts_with(below));
  }
  Result<> make_folders(const Path&) override {
    const std::scoped_lock lock(disk_.mutex_);
    return check();  // a folder exists as soon as it has a file
  }
  Result<> rename(const Path& from, const Path& to) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    const auto found = disk_.names_.find(from.string());
    if (found == disk_.names_.end()) return fail_errno("sim: rename", ENOENT);
    const auto inode = found->second;
    disk_.names_.erase(found);
    disk_.names_[to.string()] = inode;
    disk_.touch();
    return {};
  }
  Result<> remove(const Path& path) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    disk_.names_.erase(path.string());
    disk_.touch();
    return {};
  }
  Result<> sync_folder(const Path& folder) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    std::erase_if(disk_.durable_names_, [&](const auto& entry) { return Path(entry.first).parent_path() == folder; });
    for (const auto& [path, inode] : disk_.names_)
      if (Path(path).parent_path() == folder) disk_.durable_names_[path] = inode;
    return {};
  }
  Result<DiskSpace> space(const Path&) override {
    const std::scoped_lock lock(disk_.mutex_);
    if (epoch_ != disk_.epoch_) return fail_errno("sim: the process is dead", EIO);
    const std::uint64_t used = disk_.used();
    const std::uint64_t total = disk_.faults_.capacity;
    return DiskSpace{total, total > used ? total - used : 0};
  }
  Result<std::unique_ptr<FolderLock>> lock(const Path&) override {
    const std::scoped_lock lock(disk_.mutex_);
    DO(check());
    if (disk_.lock_held_) return fail(ErrorCode::already_exists, "sim: locked");
    disk_.lock_held_ = true;
    return std::make_unique<Lock>(disk_, epoch_);
  }

 private:
  class Lock final : public FolderLock {
   public:
    Lock(SimDisk& disk, std::uint64_t epoch) : disk_(disk), epoch_(epoch) {}
    ~Lock() override {
      const std::scoped_lock lock(disk_.mutex_);
      if (epoch_ == disk_.epoch_) disk_.lock_held_ = false;
    }

   private:
    SimDisk& disk_;
    std::uint64_t epoch_;
  };

  Result<> check() {
    if (epoch_ != disk_.epoch_) return fail_errno("sim: the process is dead", EIO);
    if (disk_.chance(disk_.faults_.other)) return fail_errno("sim: by chance", EIO);
    return {};
  }

  SimDisk& disk_;
  std::uint64_t epoch_;
};

}  // namespace flux::bus::embedded
