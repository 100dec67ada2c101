#include "bus/embedded/partition_reader.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace flux::bus::embedded {
namespace {

constexpr std::size_t kSmallChunk = 64U << 10;
constexpr std::size_t kBigChunk = 1U << 20;

}  // namespace

PartitionReader::PartitionReader(PartitionLog& log, Offset from) : log_(log), position_(from) {
  log_.add_waiter(waiter_);
}

PartitionReader::~PartitionReader() {
  log_.remove_waiter(waiter_);
  const std::scoped_lock running(waiter_->running);
  waiter_->ready = nullptr;
}

void PartitionReader::on_ready(std::move_only_function<void()> ready) {
  {
    const std::scoped_lock running(waiter_->running);
    waiter_->ready = std::move(ready);
  }
  if (log_.arm(waiter_, position_)) waiter_->call();
}

Result<> PartitionReader::seek(Offset offset) {
  const PartitionInfo info = log_.info();
  if (offset > info.end)
    return fail(ErrorCode::invalid_argument, "offset " + std::to_string(offset.value) + " lies beyond the end of " +
                                                 log_.name() + " at " + std::to_string(info.end.value));
  if (offset < info.first)
    return fail(ErrorCode::not_found, "offset " + std::to_string(offset.value) + " of " + log_.name() +
                                          " is gone; the first one kept is " + std::to_string(info.first.value));
  position_ = offset;
  damaged_ = Damaged::no;
  leave_file();
  return {};
}

Result<std::vector<Record>> PartitionReader::read(std::size_t max_bytes) {
  std::vector<Record> records;
  std::size_t bytes = 0;
  take_decoded(records, bytes, max_bytes);
  if (!records.empty()) return records;
  PartitionLog::Tail tail = log_.take_tail(position_, max_bytes, waiter_);
  if (!tail.records.empty()) {
    leave_file();  // definitions of shapes that pass by in memory are not seen
    chunk_ = {};   // and at the tail a reader needs no buffer
    position_ = tail.records.back().offset.next();
    return std::move(tail.records);
  }
  while (position_ < tail.end) {
    if (auto loaded = load(tail.end, max_bytes); !loaded) {
      if (records.empty()) {
        if (loaded.error().code == ErrorCode::corrupt) log_.context().metrics.corrupt_reads.add();
        return std::unexpected(loaded.error());
      }
      damaged_ = Damaged::no;  // first what is good; the next read meets the damage again
      break;
    }
    if (take_decoded(records, bytes, max_bytes)) break;
  }
  return records;
}

/// True when the answer is full.
bool PartitionReader::take_decoded(std::vector<Record>& records, std::size_t& bytes, std::size_t max_bytes) {
  bool full = false;
  for (; next_decoded_ < decoded_.size(); ++next_decoded_) {
    bytes += decoded_bytes_[next_decoded_];
    full = !records.empty() && bytes > max_bytes;
    if (full) break;
    position_ = decoded_[next_decoded_].offset.next();
    records.push_back(std::move(decoded_[next_decoded_]));
  }
  if (next_decoded_ == decoded_.size()) {
    decoded_.clear();
    decoded_bytes_.clear();
    next_decoded_ = 0;
  }
  return full || bytes >= max_bytes;
}

void PartitionReader::leave_file() {
  segment_.reset();
  file_.reset();
  decoded_.clear();
  decoded_bytes_.clear();
  next_decoded_ = 0;
  chunk_size_ = 0;
}

std::unexpected<Error> PartitionReader::damaged(std::uint64_t at, const std::string& what) const {
  return fail(ErrorCode::corrupt, segment_->path.string() + ", byte " + std::to_string(at) + ": " + what);
}

Result<> PartitionReader::open_segment(PartitionLog::Place place) {
  leave_file();
  segment_ = std::move(place.segment);
  next_base_ = place.next_base;
  auto opened = log_.context().files.open(segment_->path, OpenMode::read);
  if (!opened) {
    // Retention may have removed it a moment ago.
    DO(log_.find_segment(position_));
    return std::unexpected(opened.error());
  }
  auto file = std::move(*opened);
  std::byte head[kSegmentHeaderBytes];
  TRY(const std::size_t read, file->read(0, head, sizeof head));
  const auto header = read_segment_header(std::span(head).first(read), segment_->path);
  if (!header || header->base != segment_->base) {
    damaged_ = Damaged::bytes;
    if (!header) return std::unexpected(header.error());
    return damaged(32, "this segment belongs elsewhere");
  }
  header_ = *header;
  file_ = std::move(file);
  at_ = kSegmentHeaderBytes;
  decoder_.clear();
  return {};
}

Result<> PartitionReader::locate(Offset end) {
  TRY(PartitionLog::Place place, log_.find_segment(position_));
  DO(open_segment(std::move(place)));
  if (position_ == segment_->base) return {};
  DO(segment_->index.ensure(*file_, header_));
  const SegmentIndex::Start start = segment_->index.find(position_);
  for (const Located& batch : start.defining) DO(learn(batch));
  // Record batches on the way are passed over by their headers, damaged stretches by looking for what follows them.
  chunk_end_ = end;
  TRY(const std::uint64_t size, file_->size());
  SegmentScan scan(*file_, header_.salt, start.position, size);
  for (;;) {
    at_ = scan.position();
    TRY(std::optional<Located> batch, scan.next());
    if (!batch || batch->header.end() > end) {
      scan.go_to(at_);
      TRY(batch, scan.search([&](const BatchHeader& later) { return later.count > 0 && later.end() <= end; }));
    }
    // Where `position_` lies in the damage itself, `load` will say so.
    if (!batch || batch->header.base > position_) return {};
    if (batch->header.end() > position_) {
      at_ = batch->position;
      return {};
    }
    if (batch->header.is(BatchHeader::kDefines)) DO(learn(*batch));
  }
}

/// What a damaged record batch would have defined stays unknown: the records that need it fail on their own.
Result<> PartitionReader::learn(const Located& batch) {
  TRY(const auto payload, bytes(batch.position + kBatchHeaderBytes, batch.header.length));
  if (payload.size() < batch.header.length || crc32c(payload, header_.salt) != batch.header.payload_crc) return {};
  for (std::size_t at = 0; at < payload.size();)
    if (!decode_record(payload, at, false)) return {};
  return {};
}

Result<std::span<const std::byte>> PartitionReader::bytes(std::uint64_t at, std::size_t size) {
  if (at < chunk_at_ || at + size > chunk_at_ + chunk_size_) {
    chunk_at_ = at;  // always a multiple of 8
    const std::size_t wish = std::max({size, chunk_wish_, kSmallChunk});
    if (chunk_.size() * 8 < wish) chunk_.resize((wish + 7) / 8);
    chunk_size_ = 0;
    TRY(chunk_size_, file_->read(at, chunk_.data(), wish));
    log_.context().metrics.file_read_bytes.add(chunk_size_);
  }
  const std::span<const std::byte> all(reinterpret_cast<const std::byte*>(chunk_.data()), chunk_size_);
  return all.subspan(at - chunk_at_, std::min(size, chunk_at_ + chunk_size_ - at));
}

Result<> PartitionReader::load(Offset end, std::size_t max_bytes) {
  if (damaged_ == Damaged::bytes || damaged_ == Damaged::batch) leave_file();  // look again: it may have been mended
  damaged_ = Damaged::no;
  // What lay behind the last durable record when the chunk was read may have changed since.
  if (position_ >= chunk_end_) chunk_size_ = 0;
  chunk_wish_ = std::clamp(max_bytes, kSmallChunk, kBigChunk);
  chunk_end_ = chunk_size_ == 0 ? end : chunk_end_;

  if (file_ && !next_base_) {
    TRY(const PartitionLog::Place place, log_.find_segment(position_));
    if (place.segment == segment_) next_base_ = place.next_base;
    else leave_file();
  }
  if (file_ && next_base_ && position_ >= *next_base_) leave_file();
  if (!file_) {
    chunk_end_ = end;
    DO(locate(end));
  }

  for (;;) {
    damaged_ = Damaged::bytes;
    const std::uint64_t at = at_;
    TRY(const auto head, bytes(at, kBatchHeaderBytes));
    const std::string wanted = "record " + std::to_string(position_.value);
    if (head.size() < kBatchHeaderBytes) return damaged(at, "the segment ends before " + wanted);
    const auto header = read_batch_header(head, header_.salt);
    if (!header) return damaged(at, "this is no record batch; " + wanted + " was expected");
    if (header->count == 0 && header->base <= position_) {
      at_ = Located{at, *header}.end();
      continue;
    }
    if (header->base > position_ || header->end() <= position_)
      return damaged(at, "this record batch begins with record " + std::to_string(header->base.value) + "; " + wanted +
                             " was expected");
    TRY(const auto payload, bytes(at + kBatchHeaderBytes, header->length));
    damaged_ = Damaged::batch;
    damaged_next_ = header->end();
    if (payload.size() < header->length) return damaged(at, "the record batch goes beyond the end of its segment");
    if (crc32c(payload, header_.salt) != header->payload_crc)
      return damaged(at, "the record batch of records " + std::to_string(header->base.value) + " to " +
                             std::to_string(header->end().value - 1) + " has a wrong checksum");
    TRY(const bool complete, decode(*header, payload));
    if (complete) at_ = Located{at, *header}.end();
    damaged_ = Damaged::no;
    return {};
  }
}

Result<bool> PartitionReader::decode(const BatchHeader& header, std::span<const std::byte> payload) {
  decoded_.reserve(header.count);
  std::size_t at = 0;
  for (Offset offset = header.base; offset < header.end(); offset = offset.next()) {
    const std::size_t start = at;
    const bool wanted = offset >= position_;
    auto record = decode_record(payload, at, wanted);
    if (!record) {
      if (!wanted) continue;
      // The records before it are good, and are given first; it will be met again.
      if (!decoded_.empty()) return false;
      if (at > start) {  // its length is known, so the ones behind it can be read
        damaged_ = Damaged::record;
        damaged_next_ = offset.next();
      }
      return damaged(at_, "record " + std::to_string(offset.value) + ": " + record.error().message);
    }
    if (!wanted) continue;
    record->offset = offset;
    record->appended_at = header.appended_at;
    decoded_.push_back(std::move(*record));
    decoded_bytes_.push_back(at - start);
  }
  return true;
}

Result<Record> PartitionReader::decode_record(std::span<const std::byte> payload, std::size_t& at, bool wanted) {
  const auto wrong = [](const char* what) { return fail(ErrorCode::corrupt, what); };
  RecordHeader entry;
  std::size_t next = at;
  if (payload.size() - next < sizeof entry) return wrong("its header goes beyond the record batch");
  std::memcpy(&entry, payload.data() + next, sizeof entry);
  next += sizeof entry;
  Record record;
  if ((entry.flags & kRecordHasOrigin) != 0) {
    OriginBytes origin;
    if (payload.size() - next < sizeof origin) return wrong("its origin goes beyond the record batch");
    std::memcpy(&origin, payload.data() + next, sizeof origin);
    next += sizeof origin;
    record.origin = from_bytes(origin);
  }
  if (payload.size() - next < padded(entry.length)) return wrong("it goes beyond the record batch");
  const auto body = payload.subspan(next, entry.length);
  at = next + padded(entry.length);
  if (entry.kind < 1 || entry.kind > 4) return wrong("there is no such kind of record");
  record.kind = static_cast<RecordKind>(entry.kind);
  if (record.kind != RecordKind::telemetry) {
    if (wanted)
      record.payload = std::make_shared<const std::string>(reinterpret_cast<const char*>(body.data()), body.size());
  } else if (wanted) {
    TRY(record.batch, decoder_.decode(body));
  } else {
    DO(decoder_.learn(body));
  }
  return record;
}

Result<std::uint64_t> PartitionReader::skip_damage() {
  if (damaged_ == Damaged::no) return 0;
  const Offset from = position_;
  const Offset end = log_.info().end;
  Offset next = end;
  if (damaged_ != Damaged::bytes) {
    next = damaged_next_;
  } else {
    TRY(const PartitionLog::Place place, log_.find_segment(position_));
    if (place.next_base) next = *place.next_base;
    if (file_) {
      TRY(const std::uint64_t size, file_->size());
      SegmentScan scan(*file_, header_.salt, at_, size);
      TRY(const auto found, scan.search([&](const BatchHeader& later) {
        return later.count > 0 && later.base > position_ && later.end() <= next;
      }));
      if (found) next = found->header.base;
    }
  }
  position_ = next;
  damaged_ = Damaged::no;
  leave_file();
  return position_.value - from.value;
}

}  // namespace flux::bus::embedded
