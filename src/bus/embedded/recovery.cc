// How a partition comes back after a stop or a crash.

#include <algorithm>
#include <cstring>

#include "bus/embedded/partition_log.h"
#include "observe/log.h"

namespace flux::bus::embedded {
namespace {

constexpr std::size_t kChunk = 1U << 20;

/// Bytes behind `from` up to the last that is not zero: what a crash left there.
Result<std::uint64_t> leftover(const File& file, std::uint64_t from, std::uint64_t size) {
  std::vector<char> bytes(kChunk);
  std::uint64_t last = from;
  for (std::uint64_t at = from; at < size;) {
    TRY(const std::size_t read, file.read(at, bytes.data(), std::min<std::uint64_t>(bytes.size(), size - at)));
    if (read == 0) break;
    for (std::size_t i = read; i > 0; --i) {
      if (bytes[i - 1] == 0) continue;
      last = at + i;
      break;
    }
    at += read;
  }
  return last - from;
}

}  // namespace

Result<> PartitionLog::recover() {
  if (!context_.files.exists(folder_)) {
    expect_until(context_.groups.furthest(topic_, partition_).value_or(Offset{}), "consumer groups");
    return {};
  }
  TRY(const auto names, context_.files.list(folder_));
  for (const std::string& file : names) {
    const auto base = base_of_segment(file);
    if (!base) continue;
    auto segment = std::make_shared<Segment>();
    segment->path = folder_ / file;
    segment->base = *base;
    segments_.push_back(std::move(segment));
  }
  // From the newest down, until one is found that was begun properly.
  while (!segments_.empty()) {
    const SegmentPtr last = segments_.back();
    end_ = std::max(end_, last->base);
    TRY(const bool whole, recover_last(*last));
    if (whole) break;
    segments_.pop_back();
  }
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    TRY(const auto file, context_.files.open(segment.path, OpenMode::read));
    TRY(const std::uint64_t size, file->size());
    segment.bytes = size;
    std::byte bytes[kSegmentHeaderBytes];
    TRY(const std::size_t read, file->read(0, bytes, sizeof bytes));
    const auto header = read_segment_header(std::span(bytes).first(read), segment.path);
    // Readers will report what is wrong; until then its age is unknown, so that nothing expires by it.
    segment.created_at = header ? header->created_at : Time::max();
  }
  synced_ = end_;
  expect_until(context_.groups.furthest(topic_, partition_).value_or(Offset{}), "consumer groups");
  return {};
}

void PartitionLog::expect_until(Offset end, std::string_view known_by) {
  if (end <= end_) return;
  const std::uint64_t lost = end.value - end_.value;
  context_.metrics.lost_records.add(lost);
  log::error("records are missing at the end of the log: a segment was damaged or taken away",
             {{"partition", name()},
              {"folder", folder_.string()},
              {"from_offset", end_.value},
              {"records", lost},
              {"known_by", known_by}});
  end_ = synced_ = end;
}

Result<bool> PartitionLog::recover_last(Segment& segment) {
  TRY(auto file, context_.files.open(segment.path, OpenMode::read));
  TRY(const std::uint64_t size, file->size());
  segment.bytes = size;
  std::byte bytes[kSegmentHeaderBytes];
  TRY(const std::size_t read, file->read(0, bytes, sizeof bytes));
  const auto header = read_segment_header(std::span(bytes).first(read), segment.path);
  if (!header) {
    // The header is durable before the first record is written. So if nothing follows it, none ever was.
    TRY(const std::uint64_t after, leftover(*file, kSegmentHeaderBytes, size));
    if (after > 0) return std::unexpected(header.error());
    log::warn("a segment that was only begun is removed", {{"segment", segment.path.string()}});
    file.reset();
    DO(context_.files.remove(segment.path));
    DO(context_.files.sync_folder(folder_));
    return false;
  }
  if (header->base != segment.base || header->topic != topic_ || header->partition != partition_)
    return fail(ErrorCode::corrupt, segment.path.string() + ", byte 32: this segment belongs elsewhere");
  segment.created_at = header->created_at;

  TRY(const SegmentEnd found, find_segment_end(*file, *header));
  for (const Damage& damage : found.damages)
    log::error("a segment is damaged; its readers will be told",
               {{"segment", segment.path.string()}, {"from", damage.from}, {"to", damage.to}});
  if (!found.sealed) {
    // A newer segment may have been taken away and that not be durable. If a power cut brought it back, it would cover
    // what is now found at the end of this one.
    DO(context_.files.sync_folder(folder_));
    TRY(auto writable, context_.files.open(segment.path, OpenMode::write));
    DO(finish_unsealed(*writable, *header, found, size));
    TRY(const std::uint64_t now, writable->size());
    segment.bytes = now;
  }
  end_ = std::max(end_, found.end);
  appended_at_ = found.appended_at.value_or(header->created_at);
  last_origin_ = found.origin;
  if (!last_origin_ && found.end == segment.base && segments_.size() > 1) {
    // Begun and not written to: the one before knows.
    const Segment& before = *segments_[segments_.size() - 2];
    TRY(const auto earlier, context_.files.open(before.path, OpenMode::read));
    TRY(const std::size_t got, earlier->read(0, bytes, sizeof bytes));
    if (const auto head = read_segment_header(std::span(bytes).first(got), before.path)) {
      TRY(const SegmentEnd known, find_segment_end(*earlier, *head, segment.base));
      last_origin_ = known.origin;
    }
  }
  return true;
}

Result<> PartitionLog::finish_unsealed(File& file, const SegmentHeader& header, const SegmentEnd& found,
                                       std::uint64_t size) {
  TRY(const std::uint64_t cut, leftover(file, found.position, size));
  if (cut > 0) {
    context_.metrics.recovery_cut_bytes.add(cut);
    log::warn("an unfinished write was cut from the end of the log",
              {{"partition", name()}, {"byte", found.position}, {"bytes", cut}});
  }
  DO(file.truncate(found.position));
  // A sync that failed before the crash may have left the newest record batches in the system's memory and nowhere
  // else, marked as written. Writing them once more makes this sync mean what it says.
  const std::uint64_t reach = std::max<std::uint64_t>(16U << 20, 2 * context_.config.group_bytes);
  std::vector<std::byte> bytes(kChunk);
  for (std::uint64_t at = found.position > reach ? found.position - reach : 0; at < found.position;) {
    TRY(const std::size_t read, file.read(at, bytes.data(), std::min<std::uint64_t>(kChunk, found.position - at)));
    if (read == 0) break;
    const Piece piece{bytes.data(), read};
    DO(file.write(at, {&piece, 1}));
    at += read;
  }
  DO(file.sync());

  BatchHeader seal{.base = found.end,
                   .flags = BatchHeader::kSeal,
                   .appended_at = found.appended_at.value_or(header.created_at),
                   .synced = found.end};
  seal.payload_crc = header.salt;
  if (found.origin) {
    seal.origin = *found.origin;
    seal.flags |= BatchHeader::kHasOrigin;
  }
  std::byte mark[kBatchHeaderBytes];
  put_batch_header(seal, header.salt, mark);
  const Piece piece{mark, sizeof mark};
  auto sealed = file.write(found.position, {&piece, 1});
  if (sealed) sealed = file.sync();
  if (!sealed) {
    log::warn("a recovered segment could not be sealed", {{"partition", name()}, {"error", sealed.error()}});
    // Without room for the seal the segment stays as it is, and the next start looks for its end again.
    if (sealed.error().code != ErrorCode::unavailable) return sealed;
    return file.truncate(found.position);
  }
  return {};
}

}  // namespace flux::bus::embedded
