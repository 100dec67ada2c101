#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "bus/bus.h"
#include "bus/embedded/file_system.h"

namespace flux::bus::embedded {

/// What every consumer group has done with: one small file, replaced as a whole. Thread-safe.
///
/// ```
///  0  file header, magic "FLUXGRPS"
/// 32  u32 entries, then each: u64 offset, u16 partition, u8 topic, u8 0, u32 length of the name, the name
///     u32 CRC-32C of everything before
/// ```
class GroupOffsets {
 public:
  /// Reads `path`; a missing file means no groups. `corrupt` names the byte.
  static Result<std::unique_ptr<GroupOffsets>> open(FileSystem& files, std::filesystem::path path);

  void commit(std::string_view group, Topic topic, PartitionId partition, Offset next);
  [[nodiscard]] std::optional<Offset> committed(std::string_view group, Topic topic, PartitionId partition) const;
  void forget(std::string_view group);

  /// The smallest offset that some group still needs; nothing where there is no group.
  [[nodiscard]] std::optional<Offset> needed(Topic topic, PartitionId partition) const;
  /// The greatest offset that a group committed.
  [[nodiscard]] std::optional<Offset> furthest(Topic topic, PartitionId partition) const;

  /// Writes the file if something changed since the last time that succeeded. One thread at a time.
  Result<> save();

 private:
  GroupOffsets(FileSystem& files, std::filesystem::path path) : files_(files), path_(std::move(path)) {}
  Result<> parse(std::string_view bytes);
  [[nodiscard]] std::string print() const;

  using Place = std::pair<Topic, PartitionId>;
  FileSystem& files_;
  std::filesystem::path path_;
  mutable std::mutex mutex_;
  std::map<std::string, std::map<Place, Offset>, std::less<>> groups_;
  bool changed_ = false;
};

}  // namespace flux::bus::embedded
