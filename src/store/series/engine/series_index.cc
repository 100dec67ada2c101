#include "store/series/engine/series_index.h"

#include <algorithm>
#include <mutex>

#include "core/hash.h"
#include "observe/log.h"

namespace flux::store::engine {
namespace {

// Keys of postings that are no tag.
constexpr std::uint32_t kDevice = UINT32_MAX;
constexpr std::uint32_t kMeasurement = UINT32_MAX - 1;
constexpr std::uint32_t kTenant = UINT32_MAX - 2;

bool contains(const std::vector<std::string>& accepted, std::string_view text) {
  return accepted.empty() || std::ranges::find(accepted, text) != accepted.end();
}

}  // namespace

SeriesIndex::SeriesIndex() = default;
SeriesIndex::~SeriesIndex() = default;

std::size_t SeriesIndex::PostingHash::operator()(const Posting& posting) const {
  const std::uint64_t words[] = {static_cast<std::uint64_t>(posting.tenant.value) << 32 | posting.key, posting.value};
  return hash64(std::as_bytes(std::span(words)));
}

std::size_t SeriesIndex::TextHash::operator()(std::string_view text) const noexcept { return hash64(text); }

SeriesIndex::StringNumber SeriesIndex::intern(std::string_view text) {
  if (const auto at = string_numbers_.find(text); at != string_numbers_.end()) return at->second;
  const auto number = static_cast<StringNumber>(strings_.size());
  string_numbers_.emplace(strings_.emplace_back(text), number);
  return number;
}

std::optional<SeriesIndex::StringNumber> SeriesIndex::find(std::string_view text) const {
  const auto at = string_numbers_.find(text);
  return at == string_numbers_.end() ? std::nullopt : std::optional(at->second);
}

bool SeriesIndex::is_same(const StemRow& row, const Stem& stem) const {
  const auto same_tag = [&](const auto& ours, const auto& theirs) {
    return text(ours.first) == theirs.first && text(ours.second) == theirs.second;
  };
  return row.tenant == stem.tenant && text(row.database) == stem.database &&
         text(row.retention_policy) == stem.retention_policy && text(row.measurement) == stem.measurement &&
         text(row.device) == stem.device && std::ranges::equal(row.tags, stem.tags, same_tag);
}

SeriesIndex::StemNumber SeriesIndex::add_stem(const Stem& stem) {
  const auto number = static_cast<StemNumber>(stems_.size());
  StemRow& row = stems_.emplace_back();
  row.fingerprint = stem.fingerprint;
  row.tenant = stem.tenant;
  row.partition = stem.partition;
  row.database = intern(stem.database);
  row.retention_policy = intern(stem.retention_policy);
  row.measurement = intern(stem.measurement);
  row.device = intern(stem.device);
  for (const auto& [key, value] : stem.tags) row.tags.emplace_back(intern(key), intern(value));
  stem_numbers_.emplace(stem.fingerprint, number);
  postings_[{stem.tenant, kTenant, 0}].push_back(number);
  postings_[{stem.tenant, kDevice, row.device}].push_back(number);
  postings_[{stem.tenant, kMeasurement, row.measurement}].push_back(number);
  for (const auto& [key, value] : row.tags) postings_[{stem.tenant, key, value}].push_back(number);
  return number;
}

SeriesNumber SeriesIndex::add(const Stem& stem, std::string_view field, ValueType type) {
  const std::unique_lock lock(mutex_);
  const auto known_stem = stem_numbers_.find(stem.fingerprint);
  StemNumber stem_number = 0;
  if (known_stem == stem_numbers_.end()) {
    stem_number = add_stem(stem);
  } else {
    stem_number = known_stem->second;
    if (!is_same(stems_[stem_number], stem)) {
      log::error("two series have the same fingerprint; the later one is refused",
                 {{"fingerprint", stem.fingerprint}, {"device", stem.device}});
      return kNoSeries;
    }
  }
  StemRow& row = stems_[stem_number];
  if (row.partition != stem.partition) {
    row.many_partitions = true;
    row.partition = stem.partition;
  }
  for (const SeriesNumber number : row.series) {
    const SeriesRow& series = series_[number];
    if (text(series.field) == field) return series.type == type ? number : kNoSeries;
  }
  const auto number = static_cast<SeriesNumber>(series_.size());
  SeriesRow& series = series_.emplace_back();
  series.stem = stem_number;
  series.field = intern(field);
  series.type = type;
  row.series.push_back(number);
  return number;
}

PartitionId SeriesIndex::partition_of(const Stem& stem) const {
  const std::shared_lock lock(mutex_);
  const auto at = stem_numbers_.find(stem.fingerprint);
  return at == stem_numbers_.end() ? stem.partition : stems_[at->second].partition;
}

void SeriesIndex::note_present(SeriesNumber series) {
  const std::unique_lock lock(mutex_);
  SeriesRow& row = series_[series];
  if (row.state == State::empty) row.state = State::present;
}

void SeriesIndex::note_last(SeriesNumber series, std::int64_t time, std::int64_t received, Value value) {
  const std::unique_lock lock(mutex_);
  SeriesRow& row = series_[series];
  if (row.state == State::empty) row.state = State::present;
  if (time < row.time) return;
  row.time = time;
  row.received = received;
  if (auto* string = std::get_if<std::string>(&value)) {
    row.text = std::make_unique<std::string>(std::move(*string));
  } else {
    row.cell = std::visit(
        [](const auto& held) -> Cell {
          if constexpr (requires { to_cell(held); }) return to_cell(held);
          else return 0;
        },
        value);
  }
}

void SeriesIndex::note_erased(SeriesNumber series, bool all) {
  const std::unique_lock lock(mutex_);
  SeriesRow& row = series_[series];
  ++row.erasures;
  row.state = all ? State::empty : State::unknown;
  row.time = row.received = INT64_MIN;
}

SeriesIndex::Known SeriesIndex::known(SeriesNumber series) const {
  const std::shared_lock lock(mutex_);
  const SeriesRow& row = series_[series];
  Known known{row.state, row.erasures, {row.time, row.received, {}}};
  switch (row.type) {
    case ValueType::float64: known.last.value = as_float64(row.cell); break;
    case ValueType::int64: known.last.value = as_int64(row.cell); break;
    case ValueType::uint64: known.last.value = row.cell; break;
    case ValueType::boolean: known.last.value = row.cell != 0; break;
    case ValueType::string: known.last.value = row.text != nullptr ? *row.text : std::string(); break;
  }
  return known;
}

void SeriesIndex::settle(SeriesNumber series, std::uint32_t erasures, std::optional<LastKnown> found) {
  {
    const std::unique_lock lock(mutex_);
    SeriesRow& row = series_[series];
    if (row.erasures != erasures || row.state != State::unknown) return;
    row.state = found ? State::present : State::empty;
  }
  if (found) note_last(series, found->time, found->received, std::move(found->value));
}

void SeriesIndex::forget_before(std::int64_t time) {
  const std::unique_lock lock(mutex_);
  for (SeriesRow& row : series_) {
    if (row.state != State::present || row.time == INT64_MIN || row.time >= time) continue;
    ++row.erasures;
    row.state = State::unknown;
    row.time = row.received = INT64_MIN;
  }
}

bool SeriesIndex::stem_matches(const StemRow& row, const SeriesSelector& selector) const {
  if (row.tenant != selector.tenant) return false;
  if (!selector.database.empty() && text(row.database) != selector.database) return false;
  if (!selector.retention_policy.empty() && text(row.retention_policy) != selector.retention_policy) return false;
  if (!contains(selector.measurements, text(row.measurement)) || !contains(selector.devices, text(row.device)))
    return false;
  return std::ranges::all_of(selector.tags, [&](const Tag& tag) {
    return std::ranges::any_of(
        row.tags, [&](const auto& ours) { return text(ours.first) == tag.key && text(ours.second) == tag.value; });
  });
}

bool SeriesIndex::field_matches(const SeriesRow& row, const SeriesSelector& selector) const {
  return contains(selector.fields, text(row.field));
}

bool SeriesIndex::matches(SeriesNumber series, const SeriesSelector& selector) const {
  const std::shared_lock lock(mutex_);
  const SeriesRow& row = series_[series];
  return stem_matches(stems_[row.stem], selector) && field_matches(row, selector);
}

// The shortest list of stems that has all that can match.
const std::vector<SeriesIndex::StemNumber>* SeriesIndex::candidates(const SeriesSelector& selector,
                                                                    std::vector<StemNumber>& storage) const {
  const std::vector<StemNumber>* best = nullptr;
  const auto posting = [&](StringNumber key, StringNumber value) -> const std::vector<StemNumber>* {
    const auto at = postings_.find({selector.tenant, key, value});
    return at == postings_.end() ? &storage : &at->second;
  };
  const auto consider = [&](const std::vector<StemNumber>* list) {
    if (best == nullptr || list->size() < best->size()) best = list;
  };
  for (const Tag& tag : selector.tags) {
    const auto key = find(tag.key);
    const auto value = find(tag.value);
    if (!key || !value) return &storage;  // empty
    consider(posting(*key, *value));
  }
  if (!selector.devices.empty()) {
    std::vector<StemNumber> of_devices;
    for (const std::string& device : selector.devices) {
      const auto number = find(device);
      if (!number) continue;
      const auto* list = posting(kDevice, *number);
      if (list != &storage) of_devices.insert(of_devices.end(), list->begin(), list->end());
    }
    if (best == nullptr || of_devices.size() < best->size()) {
      std::ranges::sort(of_devices);  // a device may be named twice
      of_devices.erase(std::unique(of_devices.begin(), of_devices.end()), of_devices.end());
      storage = std::move(of_devices);
      return &storage;
    }
    return best;
  }
  if (selector.measurements.size() == 1) {
    const auto number = find(selector.measurements[0]);
    if (!number) return &storage;
    consider(posting(kMeasurement, *number));
  }
  if (best == nullptr) best = posting(kTenant, 0);
  return best;
}

SelectedSeries SeriesIndex::selected(SeriesNumber number) const {
  const SeriesRow& row = series_[number];
  const StemRow& stem = stems_[row.stem];
  return {number,
          stem.fingerprint,
          text(row.field),
          row.type,
          stem.partition,
          stem.many_partitions,
          row.state == State::unknown};
}

int SeriesIndex::compare_tags(const StemRow& a, const StemRow& b) const {
  for (std::size_t i = 0; i < a.tags.size() && i < b.tags.size(); ++i) {
    if (const int order = text(a.tags[i].first).compare(text(b.tags[i].first)); order != 0) return order;
    if (const int order = text(a.tags[i].second).compare(text(b.tags[i].second)); order != 0) return order;
  }
  return a.tags.size() < b.tags.size() ? -1 : static_cast<int>(a.tags.size() > b.tags.size());
}

std::vector<SelectedSeries> SeriesIndex::select(const SeriesSelector& selector) const {
  const std::shared_lock lock(mutex_);
  std::vector<StemNumber> storage;
  const std::vector<StemNumber>* stems = candidates(selector, storage);
  std::vector<StemNumber> matching;
  for (const StemNumber number : *stems)
    if (stem_matches(stems_[number], selector)) matching.push_back(number);

  const auto compare_stems = [&](StemNumber a, StemNumber b) {
    const int order = text(stems_[a].device).compare(text(stems_[b].device));
    return order != 0 ? order : text(stems_[a].measurement).compare(text(stems_[b].measurement));
  };
  std::ranges::sort(matching, [&](StemNumber a, StemNumber b) { return compare_stems(a, b) < 0; });
  const auto before = [&](SeriesNumber a, SeriesNumber b) {
    const SeriesRow& x = series_[a];
    const SeriesRow& y = series_[b];
    if (const int order = text(x.field).compare(text(y.field)); order != 0) return order < 0;
    const StemRow& p = stems_[x.stem];
    const StemRow& q = stems_[y.stem];
    if (const int order = compare_tags(p, q); order != 0) return order < 0;
    if (const int order = text(p.database).compare(text(q.database)); order != 0) return order < 0;
    return text(p.retention_policy) < text(q.retention_policy);
  };

  std::vector<SelectedSeries> found;
  std::vector<SeriesNumber> group;
  for (std::size_t i = 0; i < matching.size();) {
    group.clear();
    const std::size_t first = i;
    for (; i < matching.size() && compare_stems(matching[first], matching[i]) == 0; ++i)
      for (const SeriesNumber number : stems_[matching[i]].series)
        if (series_[number].state != State::empty && field_matches(series_[number], selector)) group.push_back(number);
    std::ranges::sort(group, before);
    for (const SeriesNumber number : group) found.push_back(selected(number));
  }
  return found;
}

SeriesInfoPtr SeriesIndex::info(SeriesNumber series) const {
  const std::shared_lock lock(mutex_);
  const SeriesRow& row = series_[series];
  const StemRow& stem = stems_[row.stem];
  ShapeKey key{stem.tenant,
               std::string(text(stem.database)),
               std::string(text(stem.retention_policy)),
               std::string(text(stem.measurement)),
               std::string(text(stem.device)),
               {},
               {}};
  for (const auto& [name, value] : stem.tags) key.tags.push_back({std::string(text(name)), std::string(text(value))});
  SeriesInfo info;
  info.id = series_id(key, text(row.field));
  info.tenant = key.tenant;
  info.database = std::move(key.database);
  info.retention_policy = std::move(key.retention_policy);
  info.measurement = std::move(key.measurement);
  info.device = std::move(key.device);
  info.tags = std::move(key.tags);
  info.field = text(row.field);
  info.type = row.type;
  return std::make_shared<const SeriesInfo>(std::move(info));
}

std::uint64_t SeriesIndex::count() const {
  const std::shared_lock lock(mutex_);
  return static_cast<std::uint64_t>(
      std::ranges::count_if(series_, [](const SeriesRow& row) { return row.state != State::empty; }));
}

}  // namespace flux::store::engine
