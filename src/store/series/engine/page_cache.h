#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "store/series/engine/part_format.h"

namespace flux::store::engine {

/// Decoded index pages of all parts, the least recently used thrown out first. Thread-safe.
class PageCache {
 public:
  explicit PageCache(std::size_t bytes) : limit_(bytes) {}

  IndexPagePtr find(std::uint64_t part, std::size_t page);
  void add(std::uint64_t part, std::size_t page, IndexPagePtr value);

 private:
  struct Key {
    std::uint64_t part;
    std::size_t page;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return (key.part * 0x9E3779B97F4A7C15ULL) ^ key.page; }
  };
  struct Entry {
    Key key;
    IndexPagePtr page;
    std::size_t bytes;
  };

  std::mutex mutex_;
  std::size_t limit_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;  // newest use first
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> by_key_;
};

}  // namespace flux::store::engine
