#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/tcp.h"

namespace flux::net {

/// Bytes on their way to one socket: small writes are gathered in pooled chunks, large shared ones are referred to. An
/// empty queue holds no chunk, so that idle connections cost little. One thread.
class OutputQueue {
 public:
  OutputQueue() = default;
  ~OutputQueue() { clear(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  void append(std::string_view data);
  void append(SharedBytes data, std::string_view part);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  /// The first bytes, as slices; returns how many slices were filled in.
  std::size_t peek(std::span<Transport::Slice> slices) const;
  /// The first `count` bytes have been sent.
  void consume(std::size_t count);
  void clear();

  static constexpr std::size_t kChunkBytes = 16 * 1024;
  /// Shared bytes below this are copied: a reference costs an atomic counter and a slice of its own.
  static constexpr std::size_t kCopyBelow = 1024;

 private:
  struct Segment {
    char* chunk = nullptr;  // pooled; or null and `shared` holds the bytes
    SharedBytes shared;
    const char* begin = nullptr;
    const char* end = nullptr;
  };
  static char* take_chunk();
  static void give_chunk(char* chunk);

  std::vector<Segment> segments_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace flux::net
