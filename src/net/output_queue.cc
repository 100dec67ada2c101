#include "net/output_queue.h"

#include <algorithm>
#include <cstring>

namespace flux::net {
namespace {

/// Free chunks of one thread. Bounded: a burst's memory goes back to the allocator.
class ChunkPool {
 public:
  ~ChunkPool() {
    for (char* chunk : free_) delete[] chunk;
  }
  char* take() {
    if (free_.empty()) return new char[OutputQueue::kChunkBytes];
    char* const chunk = free_.back();
    free_.pop_back();
    return chunk;
  }
  void give(char* chunk) {
    if (free_.size() < kKept) {
      free_.push_back(chunk);
    } else {
      delete[] chunk;
    }
  }

 private:
  static constexpr std::size_t kKept = 128;
  std::vector<char*> free_;
};

thread_local ChunkPool chunk_pool;

}  // namespace

char* OutputQueue::take_chunk() { return chunk_pool.take(); }
void OutputQueue::give_chunk(char* chunk) { chunk_pool.give(chunk); }

void OutputQueue::append(std::string_view data) {
  size_ += data.size();
  while (!data.empty()) {
    if (first_ < segments_.size()) {
      Segment& tail = segments_.back();
      if (tail.chunk != nullptr && tail.end < tail.chunk + kChunkBytes) {
        const auto room = static_cast<std::size_t>(tail.chunk + kChunkBytes - tail.end);
        const auto count = std::min(room, data.size());
        std::memcpy(tail.chunk + (tail.end - tail.chunk), data.data(), count);
        tail.end += count;
        data.remove_prefix(count);
        continue;
      }
    }
    char* const chunk = take_chunk();
    segments_.push_back({.chunk = chunk, .begin = chunk, .end = chunk});
  }
}

void OutputQueue::append(SharedBytes data, std::string_view part) {
  if (part.size() < kCopyBelow) {
    append(part);
    return;
  }
  size_ += part.size();
  segments_.push_back({.shared = std::move(data), .begin = part.data(), .end = part.data() + part.size()});
}

std::size_t OutputQueue::peek(std::span<Transport::Slice> slices) const {
  const std::size_t count = std::min(slices.size(), segments_.size() - first_);
  for (std::size_t i = 0; i < count; ++i) {
    const Segment& segment = segments_[first_ + i];
    slices[i] = {segment.begin, static_cast<std::size_t>(segment.end - segment.begin)};
  }
  return count;
}

void OutputQueue::consume(std::size_t count) {
  size_ -= count;
  while (count > 0) {
    Segment& segment = segments_[first_];
    const auto held = static_cast<std::size_t>(segment.end - segment.begin);
    if (count < held) {
      segment.begin += count;
      return;
    }
    count -= held;
    if (segment.chunk != nullptr) give_chunk(segment.chunk);
    segment = {};
    ++first_;
  }
  if (first_ == segments_.size()) {
    segments_.clear();
    first_ = 0;
  } else if (first_ > 64 && first_ > segments_.size() / 2) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutputQueue::clear() {
  for (; first_ < segments_.size(); ++first_) {
    if (segments_[first_].chunk != nullptr) give_chunk(segments_[first_].chunk);
  }
  segments_.clear();
  first_ = 0;
  size_ = 0;
}

}  // namespace flux::net
