#include "store/series/engine/page_cache.h"

namespace flux::store::engine {

IndexPagePtr PageCache::find(std::uint64_t part, std::size_t page) {
  const std::scoped_lock lock(mutex_);
  const auto at = by_key_.find({part, page});
  if (at == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  return at->second->page;
}

void PageCache::add(std::uint64_t part, std::size_t page, IndexPagePtr value) {
  const std::scoped_lock lock(mutex_);
  const Key key{part, page};
  if (by_key_.contains(key)) return;
  const std::size_t bytes = value->memory_bytes();
  entries_.push_front({key, std::move(value), bytes});
  by_key_[key] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > limit_ && entries_.size() > 1) {
    bytes_ -= entries_.back().bytes;
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace flux::store::engine
