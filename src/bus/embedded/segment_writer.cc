#include "bus/embedded/segment_writer.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace flux::bus::embedded {
namespace {

// Space is claimed in steps that grow with the segment: syncs then seldom change the file's size, and a topic with
// hardly any records takes hardly any disk.
constexpr std::uint64_t kFirstStep = 256U << 10;
constexpr std::uint64_t kLastStep = 16U << 20;

}  // namespace

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(FileSystem& files, const std::filesystem::path& path,
                                                             const SegmentHeader& header, Room room) {
  const auto make = [&]() -> Result<std::unique_ptr<SegmentWriter>> {
    DO(room(kFirstStep));
    // A segment of this name was begun and failed before it held any record: what the system still believes about
    // that file goes with it.
    if (files.exists(path)) DO(files.remove(path));
    TRY(auto file, files.open(path, OpenMode::create_new));
    std::byte bytes[kSegmentHeaderBytes];
    put_segment_header(header, bytes);
    const Piece piece{bytes, sizeof bytes};
    DO(file->write(0, {&piece, 1}));
    DO(file->sync());
    DO(files.sync_folder(path.parent_path()));
    return std::unique_ptr<SegmentWriter>(new SegmentWriter(std::move(file), header, std::move(room)));
  };
  auto made = make();
  if (!made) made.error().code = ErrorCode::unavailable;
  return made;
}

void SegmentWriter::encode(std::span<const Pending> group, BatchHeader& header) {
  for (const Pending& pending : group) {
    const Record& record = pending.record;
    header.kinds = static_cast<std::uint16_t>(header.kinds | 1U << static_cast<unsigned>(record.kind));
    RecordHeader entry{.kind = static_cast<std::uint8_t>(record.kind)};
    if (record.origin) entry.flags |= kRecordHasOrigin;
    const std::size_t entry_at = gather_.reserve(sizeof entry);
    if (record.origin) {
      gather_.copy(to_bytes(*record.origin));
      header.origin = *record.origin;
      header.flags |= BatchHeader::kHasOrigin;
    }
    const std::size_t start = gather_.size();
    if (record.kind == RecordKind::telemetry) {
      encoder_.encode(*record.batch, gather_);
      entry.length = static_cast<std::uint32_t>(gather_.size() - start);
    } else {
      gather_.refer(record.payload->data(), record.payload->size());
      entry.length = static_cast<std::uint32_t>(record.payload->size());
      gather_.reserve(padded(entry.length) - entry.length);
    }
    std::memcpy(gather_.filled(entry_at), &entry, sizeof entry);
  }
}

Result<Located> SegmentWriter::append(std::span<const Pending> group, const Stamp& stamp) {
  BatchHeader header{.base = stamp.base,
                     .count = static_cast<std::uint32_t>(group.size()),
                     .appended_at = stamp.appended_at,
                     .synced = stamp.synced};
  if (stamp.origin) {
    header.origin = *stamp.origin;
    header.flags |= BatchHeader::kHasOrigin;
  }
  const std::size_t known = encoder_.shape_count();
  gather_.clear();
  header_at_ = gather_.reserve(kBatchHeaderBytes);
  encode(group, header);
  if (encoder_.shape_count() > known) header.flags |= BatchHeader::kDefines;
  auto written = write(header);
  if (!written) encoder_.forget_from(known);
  return written;
}

Result<Located> SegmentWriter::append_mark(const Stamp& stamp, bool seal) {
  BatchHeader header{.base = stamp.base, .appended_at = stamp.appended_at, .synced = stamp.synced};
  if (stamp.origin) {
    header.origin = *stamp.origin;
    header.flags |= BatchHeader::kHasOrigin;
  }
  if (seal) header.flags |= BatchHeader::kSeal;
  gather_.clear();
  header_at_ = gather_.reserve(kBatchHeaderBytes);
  return write(header);
}

Result<Located> SegmentWriter::write(BatchHeader header) {
  // The seal must be the last thing in the file: no space is claimed for what would come after.
  if (!header.is(BatchHeader::kSeal)) DO(claim(gather_.size()));
  header.length = static_cast<std::uint32_t>(gather_.size() - kBatchHeaderBytes);
  header.payload_crc = header_.salt;
  bool first = true;
  for (const Piece& piece : gather_.pieces()) {
    std::span<const std::byte> bytes(static_cast<const std::byte*>(piece.data), piece.size);
    if (first) bytes = bytes.subspan(kBatchHeaderBytes);  // the first piece begins with the header itself
    first = false;
    header.payload_crc = crc32c(bytes, header.payload_crc);
  }
  put_batch_header(header, header_.salt, gather_.filled(header_at_));

  if (auto written = file_->write(size_, gather_.pieces()); !written) {
    Error error = std::move(written).error();
    // A full disk is not a broken one: what was begun is cut away, and the segment goes on when there is room.
    const bool cut = error.code == ErrorCode::unavailable && file_->truncate(size_).has_value();
    if (cut) {
      claimed_ = size_;
    } else {
      poisoned_ = true;
      error.code = ErrorCode::io;  // what is there now is not known
    }
    return std::unexpected(std::move(error));
  }
  dirty_ = true;
  const Located located{size_, header};
  size_ += gather_.size();
  claimed_ = std::max(claimed_, size_);
  return located;
}

Result<> SegmentWriter::claim(std::uint64_t bytes) {
  if (size_ + bytes <= claimed_) return {};
  const std::uint64_t step = std::clamp(size_, kFirstStep, kLastStep);
  const std::uint64_t needed = size_ + bytes - claimed_;
  // Rounded to a step where there is that much, else just what is needed.
  for (const std::uint64_t size : {(needed + step - 1) / step * step, needed}) {
    Result<> claimed = room_(size);
    if (claimed) claimed = file_->allocate(claimed_, size);
    if (claimed) {
      claimed_ += size;
      return {};
    }
    if (size == needed) {
      claimed.error().code = ErrorCode::unavailable;  // nothing was written
      return claimed;
    }
  }
  return {};
}

Result<> SegmentWriter::sync() {
  auto synced = file_->sync();
  if (!synced) {
    poisoned_ = true;
    synced.error().code = ErrorCode::io;  // even for want of room: it is not known what was kept
    return synced;
  }
  dirty_ = false;
  return synced;
}

Result<> SegmentWriter::seal(const Stamp& stamp) {
  if (dirty_) DO(sync());  // the seal vouches for all before it
  DO(file_->truncate(size_));
  claimed_ = size_;
  DO(append_mark(stamp, true));
  return sync();
}

}  // namespace flux::bus::embedded
