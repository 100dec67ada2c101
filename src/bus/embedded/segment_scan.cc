#include "bus/embedded/segment_scan.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace flux::bus::embedded {
namespace {

constexpr std::size_t kHopWindow = 4U << 10;
constexpr std::size_t kSearchWindow = 1U << 20;

}  // namespace

Result<std::optional<Located>> SegmentScan::next() {
  if (position_ + kBatchHeaderBytes > size_) return std::nullopt;
  if (position_ < window_at_ || position_ + kBatchHeaderBytes > window_at_ + window_.size()) {
    window_.resize(kHopWindow);
    TRY(const std::size_t read, file_.read(position_, window_.data(), window_.size()));
    window_.resize(read);
    window_at_ = position_;
    if (read < kBatchHeaderBytes) return std::nullopt;
  }
  const auto header = read_batch_header(std::span(window_).subspan(position_ - window_at_), salt_);
  if (!header) return std::nullopt;
  const Located found{position_, *header};
  if (found.end() > size_) return std::nullopt;
  position_ = found.end();
  return found;
}

Result<std::optional<Located>> SegmentScan::search(const std::function<bool(const BatchHeader&)>& wanted) {
  std::vector<std::byte> bytes;
  for (std::uint64_t at = position_ + 8; at + kBatchHeaderBytes <= size_;) {
    bytes.resize(std::min<std::uint64_t>(kSearchWindow, size_ - at));
    TRY(const std::size_t read, file_.read(at, bytes.data(), bytes.size()));
    bytes.resize(read);
    if (read < kBatchHeaderBytes) return std::nullopt;
    std::size_t i = 0;
    for (; i + kBatchHeaderBytes <= bytes.size(); i += 8) {
      std::uint32_t magic;
      std::memcpy(&magic, bytes.data() + i, sizeof magic);
      if (magic != kBatchMagic) [[likely]]
        continue;
      const auto header = read_batch_header(std::span(bytes).subspan(i), salt_);
      if (!header) continue;
      const Located found{at + i, *header};
      if (found.end() > size_ || !wanted(*header)) continue;
      TRY(const bool intact, payload_intact(file_, found, salt_));
      if (!intact) continue;
      position_ = found.end();
      return found;
    }
    at += i;
  }
  return std::nullopt;
}

Result<bool> payload_intact(const File& file, const Located& batch, std::uint32_t salt) {
  std::vector<std::byte> bytes(std::min<std::size_t>(batch.header.length, kSearchWindow));
  std::uint32_t crc = salt;
  for (std::uint64_t at = batch.position + kBatchHeaderBytes; at < batch.end();) {
    const std::size_t size = std::min<std::uint64_t>(bytes.size(), batch.end() - at);
    TRY(const std::size_t read, file.read(at, bytes.data(), size));
    if (read < size) return false;
    crc = crc32c(std::span(bytes).first(size), crc);
    at += size;
  }
  return crc == batch.header.payload_crc;
}

Result<SegmentEnd> find_segment_end(const File& file, const SegmentHeader& header, std::optional<Offset> until) {
  SegmentEnd found{.position = kSegmentHeaderBytes, .end = header.base};
  TRY(const std::uint64_t size, file.size());

  // A sealed segment says so in its last bytes.
  if (size >= kSegmentHeaderBytes + kBatchHeaderBytes) {
    SegmentScan last(file, header.salt, size - kBatchHeaderBytes, size);
    TRY(const auto seal, last.next());
    if (seal && seal->header.is(BatchHeader::kSeal)) {
      found.position = size;
      found.end = seal->header.base;
      found.origin = seal->header.last_origin();
      found.appended_at = seal->header.appended_at;
      found.sealed = true;
      return found;
    }
  }

  SegmentScan scan(file, header.salt, kSegmentHeaderBytes, size);
  Offset synced = header.base;
  std::vector<Located> unproven;   // not covered by a later `synced`: their checksums must tell
  std::vector<SegmentEnd> before;  // what `found` was before each of them
  for (;;) {
    const std::uint64_t at = scan.position();
    TRY(std::optional<Located> batch, scan.next());
    if (batch && batch->header.base != found.end) {
      batch.reset();
      scan.go_to(at);
    }
    if (!batch) {
      TRY(batch, scan.search([&](const BatchHeader& later) { return later.synced > found.end; }));
      if (!batch) break;
      found.damages.push_back({at, batch->position, found.end, batch->header.base});
    }
    if (until && batch->header.base >= *until) break;
    if (batch->header.synced > synced) {
      synced = batch->header.synced;
      std::size_t proven = 0;
      while (proven < unproven.size() && unproven[proven].header.end() <= synced) ++proven;
      unproven.erase(unproven.begin(), unproven.begin() + static_cast<std::ptrdiff_t>(proven));
      before.erase(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(proven));
    }
    unproven.push_back(*batch);
    before.push_back(found);
    found.position = batch->end();
    found.end = batch->header.end();
    found.origin = batch->header.last_origin();
    found.appended_at = batch->header.appended_at;
  }
  for (std::size_t i = 0; i < unproven.size(); ++i) {
    TRY(const bool intact, payload_intact(file, unproven[i], header.salt));
    if (!intact) return before[i];
  }
  return found;
}

void SegmentIndex::add(const Located& batch) {
  const std::scoped_lock lock(mutex_);
  add_locked(batch);
}

void SegmentIndex::add_locked(const Located& batch) {
  if (batch.header.count == 0) return;
  if (entries_.empty() || batch.position >= entries_.back().position + kStride)
    entries_.push_back({batch.position, batch.header.base});
  if (batch.header.is(BatchHeader::kDefines)) defining_.push_back(batch);
}

void SegmentIndex::follow_writer() {
  const std::scoped_lock lock(mutex_);
  complete_ = true;
}

Result<> SegmentIndex::ensure(const File& file, const SegmentHeader& header) {
  const std::scoped_lock lock(mutex_);
  if (complete_) return {};
  TRY(const std::uint64_t size, file.size());
  entries_.clear();
  defining_.clear();
  SegmentScan scan(file, header.salt, kSegmentHeaderBytes, size);
  Offset next = header.base;
  for (;;) {
    TRY(std::optional<Located> batch, scan.next());
    if (!batch) {
      TRY(batch, scan.search([&](const BatchHeader& later) { return later.base >= next; }));
    }
    if (!batch) break;
    add_locked(*batch);
    next = batch->header.end();
  }
  complete_ = true;
  return {};
}

SegmentIndex::Start SegmentIndex::find(Offset offset) const {
  const std::scoped_lock lock(mutex_);
  Start start;
  const auto behind = std::ranges::upper_bound(entries_, offset, {}, &Entry::base);
  if (behind != entries_.begin()) start.position = std::prev(behind)->position;
  for (const Located& batch : defining_) {
    if (batch.position >= start.position) break;
    start.defining.push_back(batch);
  }
  return start;
}

}  // namespace flux::bus::embedded
