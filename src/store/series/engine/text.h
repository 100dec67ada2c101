#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "core/value.h"

namespace flux::store::engine {

/// Inside the engine the cell of a string points to a u32 length with the bytes behind it, which lie in an arena that
/// whoever passes the cell keeps alive. So cells of several sources can stand in one column.
inline std::string_view text_of(Cell cell) {
  const char* at = std::bit_cast<const char*>(cell);
  std::uint32_t length;
  std::memcpy(&length, at, sizeof length);
  return {at + sizeof length, length};
}

/// Strings that do not move. One thread adds; what was added before a hand-over may be read by others.
class TextArena {
 public:
  Cell add(std::string_view text) {
    const std::size_t size = sizeof(std::uint32_t) + text.size();
    if (size > left_) grow(size);
    char* at = at_;
    const auto length = static_cast<std::uint32_t>(text.size());
    std::memcpy(at, &length, sizeof length);
    if (length > 0) std::memcpy(at + sizeof length, text.data(), length);
    at_ += size;
    left_ -= size;
    return std::bit_cast<Cell>(at);
  }

  /// Takes over the strings of another arena.
  void adopt(TextArena&& other) {
    for (auto& chunk : other.chunks_) chunks_.push_back(std::move(chunk));
    bytes_ += other.bytes_;
    other = TextArena();
  }

  [[nodiscard]] std::size_t memory_bytes() const { return bytes_; }

 private:
  void grow(std::size_t least) {
    // Small first, so that a head with a few short strings stays small.
    const std::size_t size = std::max(least, std::min<std::size_t>(bytes_ + 1024, 256 * 1024));
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    at_ = chunks_.back().get();
    left_ = size;
    bytes_ += size;
  }

  std::vector<std::unique_ptr<char[]>> chunks_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace flux::store::engine
