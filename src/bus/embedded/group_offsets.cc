#include "bus/embedded/group_offsets.h"

#include <algorithm>
#include <cstring>

#include "bus/embedded/segment_format.h"
#include "core/hash.h"

namespace flux::bus::embedded {
namespace {

constexpr std::string_view kMagic = "FLUXGRPS";
constexpr std::size_t kMaxBytes = 64U << 20;

struct Entry {
  std::uint64_t offset;
  std::uint16_t partition;
  std::uint8_t topic;
  std::uint8_t zero;
  std::uint32_t name_length;
};
static_assert(sizeof(Entry) == 16);

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

template <class T>
void append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

Result<std::unique_ptr<GroupOffsets>> GroupOffsets::open(FileSystem& files, std::filesystem::path path) {
  std::unique_ptr<GroupOffsets> offsets(new GroupOffsets(files, std::move(path)));
  if (!files.exists(offsets->path_)) return offsets;
  TRY(const std::string bytes, read_file(files, offsets->path_, kMaxBytes));
  DO(offsets->parse(bytes));
  return offsets;
}

Result<> GroupOffsets::parse(std::string_view bytes) {
  DO(check_file_header(kMagic, bytes_of(bytes), path_));
  const auto wrong = [&](std::size_t at, const std::string& what) {
    return fail(ErrorCode::corrupt, path_.string() + ", byte " + std::to_string(at) + ": " + what);
  };
  if (bytes.size() < kFileHeaderBytes + 8) return wrong(bytes.size(), "the file ends too early");
  const std::size_t end = bytes.size() - 4;
  std::uint32_t crc;
  std::memcpy(&crc, bytes.data() + end, sizeof crc);
  if (crc != crc32c(bytes_of(bytes.substr(0, end)))) return wrong(end, "the checksum is wrong");
  std::uint32_t count;
  std::memcpy(&count, bytes.data() + kFileHeaderBytes, sizeof count);
  std::size_t at = kFileHeaderBytes + 4;
  for (std::uint32_t i = 0; i < count; ++i) {
    Entry entry;
    if (end - at < sizeof entry) return wrong(at, "an entry goes beyond the end");
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    at += sizeof entry;
    if (entry.topic >= kTopicCount || end - at < entry.name_length) return wrong(at, "an entry makes no sense");
    const std::string name(bytes.substr(at, entry.name_length));
    at += entry.name_length;
    groups_[name][{static_cast<Topic>(entry.topic), {entry.partition}}] = {entry.offset};
  }
  return {};
}

std::string GroupOffsets::print() const {
  std::string out(kFileHeaderBytes, '\0');
  put_file_header(kMagic, reinterpret_cast<std::byte*>(out.data()));
  std::uint32_t count = 0;
  for (const auto& [name, offsets] : groups_) count += static_cast<std::uint32_t>(offsets.size());
  append(out, count);
  for (const auto& [name, offsets] : groups_) {
    for (const auto& [place, offset] : offsets) {
      append(out, Entry{offset.value, place.second.value, static_cast<std::uint8_t>(place.first), 0,
                        static_cast<std::uint32_t>(name.size())});
      out += name;
    }
  }
  append(out, crc32c(bytes_of(out)));
  return out;
}

void GroupOffsets::commit(std::string_view group, Topic topic, PartitionId partition, Offset next) {
  const std::scoped_lock lock(mutex_);
  auto found = groups_.find(group);
  if (found == groups_.end()) found = groups_.emplace(std::string(group), std::map<Place, Offset>()).first;
  const auto [at, is_new] = found->second.try_emplace(Place{topic, partition}, next);
  if (!is_new && at->second == next) return;
  at->second = next;
  changed_ = true;
}

std::optional<Offset> GroupOffsets::committed(std::string_view group, Topic topic, PartitionId partition) const {
  const std::scoped_lock lock(mutex_);
  const auto found = groups_.find(group);
  if (found == groups_.end()) return std::nullopt;
  const auto at = found->second.find({topic, partition});
  return at == found->second.end() ? std::nullopt : std::optional(at->second);
}

void GroupOffsets::forget(std::string_view group) {
  const std::scoped_lock lock(mutex_);
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  groups_.erase(found);
  changed_ = true;
}

std::optional<Offset> GroupOffsets::needed(Topic topic, PartitionId partition) const {
  const std::scoped_lock lock(mutex_);
  std::optional<Offset> least;
  for (const auto& [name, offsets] : groups_) {
    const auto at = offsets.find({topic, partition});
    if (at != offsets.end()) least = least ? std::min(*least, at->second) : at->second;
  }
  return least;
}

std::optional<Offset> GroupOffsets::furthest(Topic topic, PartitionId partition) const {
  const std::scoped_lock lock(mutex_);
  std::optional<Offset> most;
  for (const auto& [name, offsets] : groups_) {
    const auto at = offsets.find({topic, partition});
    if (at != offsets.end()) most = most ? std::max(*most, at->second) : at->second;
  }
  return most;
}

Result<> GroupOffsets::save() {
  std::string bytes;
  {
    const std::scoped_lock lock(mutex_);
    if (!changed_) return {};
    bytes = print();
    changed_ = false;
  }
  auto saved = replace_file(files_, path_, bytes);
  if (!saved) {
    const std::scoped_lock lock(mutex_);
    changed_ = true;
  }
  return saved;
}

}  // namespace flux::bus::embedded
