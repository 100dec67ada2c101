#include "registry/device_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "registry/text.h"

namespace flux::registry {

namespace {

constexpr std::size_t kChunk = 512;
/// Entries lie scattered in memory: asking for them this far ahead hides most of the wait.
constexpr std::size_t kPrefetch = 12;

std::weak_ordering compare(std::string_view name_a, std::string_view id_a, std::string_view name_b,
                           std::string_view id_b) {
  if (const auto order = compare_naturally(name_a, name_b); order != 0) return order;
  return id_a <=> id_b;
}

bool before(const DeviceEntry& a, const DeviceEntry& b) {
  return compare(DeviceIndex::name_of(a), a.id(), DeviceIndex::name_of(b), b.id()) < 0;
}

/// The beginning of a name as two numbers that compare like it: most comparisons then touch no entry.
struct SortKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  DeviceEntry* entry = nullptr;
};

SortKey sort_key(DeviceEntry& entry) {
  const std::array<char, 16> prefix = natural_prefix(DeviceIndex::name_of(entry));
  SortKey key{.entry = &entry};
  std::memcpy(&key.high, prefix.data(), 8);
  std::memcpy(&key.low, prefix.data() + 8, 8);
  key.high = __builtin_bswap64(key.high);
  key.low = __builtin_bswap64(key.low);
  return key;
}

int rank(DeviceState state) {
  switch (state) {
    case DeviceState::silent: return 0;
    case DeviceState::online: return 1;
    case DeviceState::never: return 2;
  }
  return 2;
}

}  // namespace

/// A filter made ready for many devices. Labels are judged once per set of labels, as sets are shared.
class DeviceIndex::Matcher {
 public:
  explicit Matcher(const DeviceFilter& filter) : filter_(filter), text_(ascii_lower(filter.text)) {
    for (const DeviceState state : filter.states) states_ |= 1U << static_cast<unsigned>(state);
  }

  [[nodiscard]] bool takes_all() const {
    return text_.empty() && filter_.labels.empty() && states_ == 0 && !filter_.profile && !filter_.demo;
  }

  bool operator()(const DeviceEntry& entry, const DeviceSettings& settings) {
    if (states_ != 0 && (states_ >> static_cast<unsigned>(entry.state()) & 1U) == 0) return false;
    if (filter_.demo && settings.demo != *filter_.demo) return false;
    if ((filter_.profile || !filter_.labels.empty()) && !group_matches(settings)) return false;
    return text_.empty() || contains_ignoring_case(entry.id(), text_) ||
           (settings.name && contains_ignoring_case(*settings.name, text_)) ||
           (settings.location && settings.location->place && contains_ignoring_case(*settings.location->place, text_));
  }

 private:
  bool group_matches(const DeviceSettings& settings) {
    const std::pair<const void*, const void*> key{settings.labels.get(), settings.profile_slot.get()};
    if (key == last_key_ && last_known_) return last_;
    const auto [found, fresh] = judged_.try_emplace(key, false);
    if (fresh) found->second = judge(settings);
    last_key_ = key;
    last_known_ = true;
    return last_ = found->second;
  }

  [[nodiscard]] bool judge(const DeviceSettings& settings) const {
    const ProfilePtr profile = settings.profile();
    if (filter_.profile && (profile == nullptr || profile->id != *filter_.profile)) return false;
    return std::ranges::all_of(filter_.labels, [&](const auto& wanted) {
      const std::string* value = find_label(*settings.labels, wanted.first);
      if (value == nullptr && profile != nullptr) value = find_label(profile->labels, wanted.first);
      return value != nullptr && *value == wanted.second;
    });
  }

  const DeviceFilter& filter_;
  const std::string text_;
  unsigned states_ = 0;
  boost::unordered_flat_map<std::pair<const void*, const void*>, bool, GroupHash> judged_;
  std::pair<const void*, const void*> last_key_;
  bool last_known_ = false;
  bool last_ = false;
};

bool DeviceIndex::matches(const DeviceEntry& entry, const DeviceFilter& filter, const DeviceSettings& settings) {
  return Matcher(filter)(entry, settings);
}

void DeviceIndex::insert(std::vector<DeviceEntry*> entries) {
  for (const DeviceEntry* entry : entries) count(*entry->settings_, 1);
  if (entries.size() < 64 || entries.size() < size_ / 64) {
    for (DeviceEntry* entry : entries) insert_one(*entry);
    return;
  }
  std::vector<SortKey> keys;
  keys.reserve(entries.size());
  for (DeviceEntry* entry : entries) keys.push_back(sort_key(*entry));
  std::ranges::sort(keys, [](const SortKey& a, const SortKey& b) {
    if (a.high != b.high) return a.high < b.high;
    if (a.low != b.low) return a.low < b.low;
    return before(*a.entry, *b.entry);
  });
  for (std::size_t i = 0; i < keys.size(); ++i) entries[i] = keys[i].entry;
  rebuild(std::move(entries));
}

void DeviceIndex::rebuild(std::vector<DeviceEntry*> sorted_new) {
  std::vector<DeviceEntry*> all;
  all.reserve(size_ + sorted_new.size());
  if (size_ == 0) {
    all = std::move(sorted_new);
  } else {
    std::vector<DeviceEntry*> old;
    old.reserve(size_);
    for (const Chunk& chunk : chunks_) old.insert(old.end(), chunk.begin(), chunk.end());
    std::ranges::merge(old, sorted_new, std::back_inserter(all),
                       [](const DeviceEntry* a, const DeviceEntry* b) { return before(*a, *b); });
  }
  chunks_.clear();
  constexpr std::size_t fill = kChunk * 3 / 4;
  for (std::size_t at = 0; at < all.size(); at += fill) {
    Chunk chunk(all.begin() + static_cast<std::ptrdiff_t>(at),
                all.begin() + static_cast<std::ptrdiff_t>(std::min(at + fill, all.size())));
    chunks_.push_back(std::move(chunk));
  }
  size_ = all.size();
}

DeviceIndex::Place DeviceIndex::lower_bound(std::string_view name, std::string_view id) const {
  const auto is_before = [&](const DeviceEntry* entry) { return compare(name_of(*entry), entry->id(), name, id) < 0; };
  const auto chunk = std::ranges::partition_point(chunks_, [&](const Chunk& c) { return is_before(c.back()); });
  if (chunk == chunks_.end()) return {chunks_.size(), 0};
  const auto at = std::ranges::partition_point(*chunk, is_before);
  return {static_cast<std::size_t>(chunk - chunks_.begin()), static_cast<std::size_t>(at - chunk->begin())};
}

void DeviceIndex::insert_one(DeviceEntry& entry) {
  ++size_;
  if (chunks_.empty()) {
    chunks_.push_back({&entry});
    return;
  }
  Place place = lower_bound(name_of(entry), entry.id());
  if (place.chunk == chunks_.size()) place = {chunks_.size() - 1, chunks_.back().size()};
  Chunk& chunk = chunks_[place.chunk];
  chunk.insert(chunk.begin() + static_cast<std::ptrdiff_t>(place.at), &entry);
  if (chunk.size() <= kChunk) return;
  // Split where names grow (the usual way of counting up), so that chunks before stay full.
  const std::size_t keep = place.at + 1 == chunk.size() ? chunk.size() - 1 : chunk.size() / 2;
  Chunk upper(chunk.begin() + static_cast<std::ptrdiff_t>(keep), chunk.end());
  chunk.resize(keep);
  chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(place.chunk) + 1, std::move(upper));
}

void DeviceIndex::take_out(DeviceEntry& entry) {
  const Place place = lower_bound(name_of(entry), entry.id());
  CHECK(place.chunk < chunks_.size() && chunks_[place.chunk][place.at] == &entry);
  Chunk& chunk = chunks_[place.chunk];
  chunk.erase(chunk.begin() + static_cast<std::ptrdiff_t>(place.at));
  if (chunk.empty()) chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(place.chunk));
  --size_;
}

void DeviceIndex::erase(DeviceEntry& entry) {
  take_out(entry);
  count(*entry.settings_, -1);
}

void DeviceIndex::change(DeviceEntry& entry, DeviceSettingsPtr settings) {
  const bool moves = settings->name != entry.settings_->name;
  count(*entry.settings_, -1);
  count(*settings, 1);
  if (moves) take_out(entry);
  {
    const std::lock_guard lock(entry.lock_);
    entry.settings_.swap(settings);
  }
  if (moves) insert_one(entry);
}

void DeviceIndex::count(const DeviceSettings& settings, std::ptrdiff_t by) {
  const std::pair<const void*, const void*> key{settings.labels.get(), settings.profile_slot.get()};
  const auto [found, fresh] = groups_.try_emplace(key);
  if (fresh) found->second = {settings.labels, settings.profile_slot, 0};
  found->second.devices += static_cast<std::size_t>(by);
  if (found->second.devices == 0) groups_.erase(found);
}

void DeviceIndex::count_into(DeviceFacets& facets) const {
  // A label whose values are all different (a serial number) is no facet: its count stops somewhere.
  constexpr std::size_t kValuesCounted = 10'000;
  const auto add = [&](const std::string& label, const std::string& value, std::size_t devices) {
    auto& values = facets.labels[label];
    if (const auto known = values.find(value); known != values.end()) known->second += devices;
    else if (values.size() < kValuesCounted) values.emplace(value, devices);
  };
  for (const auto& [key, group] : groups_) {
    const ProfilePtr profile = group.profile ? group.profile->current() : nullptr;
    if (profile) facets.profiles[profile->id] += group.devices;
    for (const auto& [label, value] : *group.labels) add(label, value, group.devices);
    if (!profile) continue;
    for (const auto& [label, value] : profile->labels) {
      if (find_label(*group.labels, label) == nullptr) add(label, value, group.devices);
    }
  }
}

template <class Visit>
void DeviceIndex::visit_from(Place place, Visit visit) const {
  for (std::size_t c = place.chunk; c < chunks_.size(); ++c) {
    const Chunk& chunk = chunks_[c];
    for (std::size_t i = c == place.chunk ? place.at : 0; i < chunk.size(); ++i) {
      if (i + kPrefetch < chunk.size()) {
        const auto* const ahead = reinterpret_cast<const char*>(chunk[i + kPrefetch]);
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 64);
      }
      if (!visit(*chunk[i])) return;
    }
  }
}

DeviceIndex::SearchResult DeviceIndex::search(const DeviceFilter& filter, DeviceSort sort, const After* after,
                                              std::size_t limit) const {
  Matcher matcher(filter);
  SearchResult result;
  // Later pages go by the first page's count, so they end as soon as they are full.
  const bool counting = after == nullptr;
  if (!counting) result.total = after->total;
  auto& found = result.devices;

  if (sort == DeviceSort::name) {
    const bool all = matcher.takes_all();
    Place place;
    if (after != nullptr) place = lower_bound(after->name, after->id);
    visit_from(place, [&](DeviceEntry& entry) {
      if (after != nullptr && compare(name_of(entry), entry.id(), after->name, after->id) <= 0) return true;
      if (!all && !matcher(entry, *entry.settings_)) return true;
      if (found.size() < limit) {
        found.push_back(&entry);
      } else {
        result.more = true;
        if (all || !counting) return false;
      }
      if (counting) ++result.total;
      return true;
    });
    if (all && counting) result.total = size_;
    return result;
  }

  if (sort == DeviceSort::state) {
    std::array<std::vector<DeviceEntry*>, 3> ranks;  // in the order of names within each
    visit_from({}, [&](DeviceEntry& entry) {
      if (!matcher(entry, *entry.settings_)) return true;
      if (counting) ++result.total;
      const int r = rank(entry.state());
      if (after != nullptr) {
        const int last = rank(after->state);
        if (r < last) return true;
        if (r == last && compare(name_of(entry), entry.id(), after->name, after->id) <= 0) return true;
      }
      auto& same = ranks[static_cast<std::size_t>(r)];
      if (same.size() <= limit) same.push_back(&entry);
      return true;
    });
    for (const auto& same : ranks) {
      for (DeviceEntry* const entry : same) {
        if (found.size() < limit) found.push_back(entry);
        else result.more = true;
      }
    }
    return result;
  }

  // By time heard from: the best `limit + 1` of all, in a heap whose top is the worst of them.
  struct Seen {
    std::int64_t at;
    DeviceEntry* entry;
  };
  const auto better = [](const Seen& a, const Seen& b) {
    return a.at != b.at ? a.at > b.at : a.entry->id() < b.entry->id();
  };
  std::vector<Seen> best;
  visit_from({}, [&](DeviceEntry& entry) {
    if (!matcher(entry, *entry.settings_)) return true;
    if (counting) ++result.total;
    const Seen seen{entry.last_seen().ns, &entry};
    if (after != nullptr) {
      if (seen.at > after->last_seen || (seen.at == after->last_seen && entry.id() <= after->id)) return true;
    }
    if (best.size() <= limit) {
      best.push_back(seen);
      std::ranges::push_heap(best, better);
    } else if (better(seen, best.front())) {
      std::ranges::pop_heap(best, better);
      best.back() = seen;
      std::ranges::push_heap(best, better);
    }
    return true;
  });
  std::ranges::sort_heap(best, better);
  result.more = best.size() > limit;
  if (result.more) best.pop_back();
  for (const Seen& seen : best) found.push_back(seen.entry);
  return result;
}

}  // namespace flux::registry
