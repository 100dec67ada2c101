#include "wire/line/series_cache.h"

#include <algorithm>
#include <span>

#include <boost/unordered/unordered_flat_map.hpp>

#include "core/hash.h"
#include "wire/line/scan.h"

namespace flux::wire::line {
namespace {

/// Lists that are not shared any more are forgotten beyond this.
constexpr std::size_t kSharedLists = 4'096;

struct Avalanched {
  using is_avalanching = void;
  std::size_t operator()(std::uint64_t hash) const noexcept { return hash; }
};

std::uint64_t hash_of(const FieldList& list) {
  std::uint64_t hash = hash64(list.names);
  for (const FieldList::Entry& entry : list.entries) {
    const std::uint64_t words[] = {hash, entry.size, static_cast<std::uint64_t>(entry.type), entry.column};
    hash = hash64(std::as_bytes(std::span(words)));
  }
  return hash;
}

bool equal(const FieldList& a, const FieldList& b) {
  return a.names == b.names && std::ranges::equal(a.entries, b.entries, [](const auto& x, const auto& y) {
           return x.size == y.size && x.type == y.type && x.column == y.column;
         });
}

}  // namespace

struct SeriesCache::Map {
  boost::unordered_flat_map<std::uint64_t, std::uint32_t, Avalanched> slots;
  boost::unordered_flat_map<std::uint64_t, FieldListPtr, Avalanched> lists;
};

SeriesCache::SeriesCache(std::size_t capacity) : capacity_(capacity), map_(std::make_unique<Map>()) {}
SeriesCache::~SeriesCache() = default;

SeriesRows* SeriesCache::present(std::uint32_t index) {
  if (last_ != kNone) slots_[last_].next = index;
  last_ = index;
  Slot& slot = slots_[index];
  slot.recent = true;
  return slot.rows.get();
}

SeriesRows* SeriesCache::expected(const char* at, const char* end, std::size_t& size) {
  if (last_ == kNone || slots_[last_].next == kNone) return nullptr;
  const std::uint32_t index = slots_[last_].next;
  const std::string& key = slots_[index].key;
  if (key.empty() || slots_[index].newlines || key.size() >= static_cast<std::size_t>(end - at)) return nullptr;
  if (at[key.size()] != ' ' || !same(at, key.data(), key.size())) return nullptr;
  size = key.size();
  return present(index);
}

std::uint32_t SeriesCache::index_of(std::string_view key, std::uint64_t hash) const {
  const auto found = map_->slots.find(hash);
  return found != map_->slots.end() && slots_[found->second].key == key ? found->second : kNone;
}

SeriesRows* SeriesCache::find(std::string_view key) {
  const std::uint32_t index = index_of(key, hash64(key));
  return index == kNone ? nullptr : present(index);
}

SeriesRows* SeriesCache::known(std::string_view key) const {
  const std::uint32_t index = index_of(key, hash64(key));
  return index == kNone ? nullptr : slots_[index].rows.get();
}

void SeriesCache::vacate(std::uint32_t index) {
  Slot& slot = slots_[index];
  if (const auto found = map_->slots.find(slot.hash); found != map_->slots.end() && found->second == index)
    map_->slots.erase(found);
  slot = {};
  --used_;
}

void SeriesCache::erase(std::string_view key) {
  const std::uint32_t index = index_of(key, hash64(key));
  if (index == kNone) return;
  vacate(index);
  free_.push_back(index);
}

std::uint32_t SeriesCache::free_slot() {
  if (!free_.empty()) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  if (slots_.size() < capacity_) {
    slots_.emplace_back();
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  for (;;) {
    hand_ = hand_ + 1 < slots_.size() ? hand_ + 1 : 0;
    if (!slots_[hand_].recent) break;
    slots_[hand_].recent = false;
  }
  vacate(hand_);
  return hand_;
}

SeriesRows& SeriesCache::insert(std::string_view key, std::unique_ptr<SeriesRows> rows) {
  const std::uint64_t hash = hash64(key);
  std::uint32_t index = index_of(key, hash);
  if (index == kNone) {
    index = free_slot();
    Slot& slot = slots_[index];
    // Comparisons read a few bytes beyond the key.
    slot.key.reserve(key.size() + 16);
    slot.key.assign(key);
    slot.hash = hash;
    slot.newlines = key.contains('\n');
    ++used_;
  }
  slots_[index].rows = std::move(rows);
  map_->slots.insert_or_assign(hash, index);
  SeriesRows& held = *present(index);
  slots_[index].recent = false;  // new ones have to earn it
  return held;
}

FieldListPtr SeriesCache::share(FieldList list) {
  if (map_->lists.size() > kSharedLists) map_->lists.clear();
  FieldListPtr& slot = map_->lists[hash_of(list)];
  if (!slot || !equal(*slot, list)) slot = std::make_shared<const FieldList>(std::move(list));
  return slot;
}

}  // namespace flux::wire::line
