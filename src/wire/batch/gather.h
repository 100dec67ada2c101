#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace flux::wire::batch {

/// Bytes somewhere else: `iovec` without its header.
struct Piece {
  const void* data = nullptr;
  std::size_t size = 0;
};

/// Bytes to be written together: small ones are copied, long ones only referred to. Reused after `clear`, so that in
/// steady state nothing is allocated.
class Gather {
 public:
  /// What is at least this long is worth a piece of its own in a gathering write.
  static constexpr std::size_t kReferFrom = 2048;

  void clear() {
    copied_.clear();
    entries_.clear();
    size_ = 0;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  void copy(const void* data, std::size_t size) {
    if (size > 0) std::memcpy(extend(size), data, size);
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void copy(const T& value) {
    copy(&value, sizeof value);
  }
  /// The bytes at `data` must stay as they are until the write is done.
  void refer(const void* data, std::size_t size) {
    if (size < kReferFrom) return copy(data, size);
    entries_.push_back({data, 0, size});
    size_ += size;
  }
  /// Appends `size` bytes to be filled later through `filled`; returns a handle for that.
  std::size_t reserve(std::size_t size) {
    std::memset(extend(size), 0, size);
    return copied_.size() - size;
  }
  [[nodiscard]] std::byte* filled(std::size_t handle) { return copied_.data() + handle; }

  /// All bytes in order; valid until the next change.
  [[nodiscard]] std::span<const Piece> pieces() {
    pieces_.clear();
    for (const Entry& entry : entries_)
      pieces_.push_back({entry.data != nullptr ? entry.data : copied_.data() + entry.at, entry.size});
    return pieces_;
  }

 private:
  struct Entry {
    const void* data;  // null: in copied_
    std::size_t at;
    std::size_t size;
  };

  std::byte* extend(std::size_t size) {
    if (entries_.empty() || entries_.back().data != nullptr) entries_.push_back({nullptr, copied_.size(), 0});
    entries_.back().size += size;
    size_ += size;
    copied_.resize(copied_.size() + size);
    return copied_.data() + copied_.size() - size;
  }

  std::vector<std::byte> copied_;
  std::vector<Entry> entries_;
  std::vector<Piece> pieces_;
  std::size_t size_ = 0;
};

}  // namespace flux::wire::batch
