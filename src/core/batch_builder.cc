#include "core/batch_builder.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>

#include "core/result.h"

namespace flux {
namespace {

struct FingerprintHash {
  using is_avalanching = void;
  std::size_t operator()(const Fingerprint& f) const noexcept { return f.low; }
};

// A staged row: header, time, one cell per field, then validity words if the header says so.
constexpr std::uint64_t kHasValidity = 1ULL << 32;

constexpr std::size_t words_for(std::size_t bits) { return (bits + 63) / 64; }

}  // namespace

struct BatchBuilder::State {
  struct Open {
    ShapePtr shape;
    std::uint32_t rows = 0;
    bool has_validity = false;
  };

  std::vector<std::uint64_t> staged;
  std::string heap;
  std::vector<Open> groups;
  boost::unordered_flat_map<Fingerprint, std::uint32_t, FingerprintHash> by_shape;
  // Open groups per stem. Shapes of one stem that share a field share a series; a row must not go into a group that is
  // older than a group of the same series, or the order of its readings would be lost.
  boost::unordered_flat_map<Fingerprint, std::vector<std::uint32_t>, FingerprintHash> by_stem;
  std::size_t last_row = 0;
  std::size_t rows = 0;
  std::size_t readings = 0;

  // The group of the row before, which most often is the group of this one. Only a shape that its group keeps alive is
  // remembered: the address of another may come back as another shape's.
  const Shape* recent_shape = nullptr;
  std::uint32_t recent_group = 0;

  std::uint32_t group_for(const ShapePtr& shape) {
    if (recent_shape == shape.get()) return recent_group;
    const auto [at, inserted] = by_shape.try_emplace(shape->fingerprint(), static_cast<std::uint32_t>(groups.size()));
    if (inserted) {
      close_overlapping(*shape);
      by_stem[shape->stem()].push_back(at->second);
      groups.push_back({shape, 0, false});
    }
    recent_group = at->second;
    recent_shape = groups[recent_group].shape == shape ? shape.get() : nullptr;
    return recent_group;
  }

  void close_overlapping(const Shape& shape) {
    const auto stem = by_stem.find(shape.stem());
    if (stem == by_stem.end()) return;
    std::erase_if(stem->second, [&](std::uint32_t index) {
      const Shape& other = *groups[index].shape;
      const bool overlaps = std::ranges::any_of(other.fields(), [&](const FieldDef& theirs) {
        return std::ranges::any_of(shape.fields(), [&](const FieldDef& ours) { return ours.name == theirs.name; });
      });
      if (overlaps) by_shape.erase(other.fingerprint());
      return overlaps;
    });
  }

  [[nodiscard]] std::size_t row_words(std::size_t at) const {
    const std::uint64_t header = staged[at];
    const std::size_t fields = groups[static_cast<std::uint32_t>(header)].shape->field_count();
    return 2 + fields + ((header & kHasValidity) != 0 ? words_for(fields) : 0);
  }

  void clear() {
    staged.clear();
    heap.clear();
    groups.clear();
    by_shape.clear();
    by_stem.clear();
    rows = readings = last_row = 0;
    recent_shape = nullptr;
  }
};

BatchBuilder::BatchBuilder() : state_(std::make_unique<State>()) {}
BatchBuilder::~BatchBuilder() = default;
BatchBuilder::BatchBuilder(BatchBuilder&&) noexcept = default;
BatchBuilder& BatchBuilder::operator=(BatchBuilder&&) noexcept = default;

std::span<Cell> BatchBuilder::add_row(const ShapePtr& shape, Time time) {
  State& s = *state_;
  const std::uint32_t group = s.group_for(shape);
  const std::size_t fields = shape->field_count();
  s.last_row = s.staged.size();
  s.staged.resize(s.last_row + 2 + fields);
  s.staged[s.last_row] = group;
  s.staged[s.last_row + 1] = static_cast<std::uint64_t>(time.ns);
  ++s.groups[group].rows;
  ++s.rows;
  s.readings += fields;
  return {s.staged.data() + s.last_row + 2, fields};
}

void BatchBuilder::set_missing(std::size_t field) {
  State& s = *state_;
  CHECK(s.rows > 0);
  const auto group = static_cast<std::uint32_t>(s.staged[s.last_row]);
  const std::size_t fields = s.groups[group].shape->field_count();
  CHECK(field < fields);
  const std::size_t bits_at = s.last_row + 2 + fields;
  if ((s.staged[s.last_row] & kHasValidity) == 0) {
    s.staged[s.last_row] |= kHasValidity;
    s.groups[group].has_validity = true;
    s.staged.resize(bits_at + words_for(fields), ~0ULL);
  }
  std::uint64_t& word = s.staged[bits_at + field / 64];
  const std::uint64_t bit = 1ULL << (field % 64);
  if ((word & bit) == 0) return;
  word &= ~bit;
  s.staged[s.last_row + 2 + field] = 0;
  --s.readings;
}

Cell BatchBuilder::add_string(std::string_view text) {
  State& s = *state_;
  CHECK(s.heap.size() + text.size() <= UINT32_MAX);
  const StringRef ref{static_cast<std::uint32_t>(s.heap.size()), static_cast<std::uint32_t>(text.size())};
  s.heap.append(text);
  return to_cell(ref);
}

BatchBuilder::Mark BatchBuilder::mark() const {
  return {state_->staged.size(), state_->heap.size(), state_->rows, state_->readings};
}

void BatchBuilder::rollback(const Mark& mark) {
  State& s = *state_;
  for (std::size_t at = mark.staged; at < s.staged.size(); at += s.row_words(at))
    --s.groups[static_cast<std::uint32_t>(s.staged[at])].rows;
  s.staged.resize(mark.staged);
  s.heap.resize(mark.heap);
  s.rows = mark.rows;
  s.readings = mark.readings;
}

bool BatchBuilder::empty() const { return state_->rows == 0; }
std::size_t BatchBuilder::row_count() const { return state_->rows; }
std::size_t BatchBuilder::reading_count() const { return state_->readings; }
std::size_t BatchBuilder::byte_count() const {
  return state_->staged.size() * sizeof(Cell) + state_->heap.size() + state_->groups.size() * 16;
}

BatchPtr BatchBuilder::seal(Time received_at) {
  State& s = *state_;
  auto batch = std::make_shared<TelemetryBatch>();
  batch->received_at_ = received_at;
  batch->row_count_ = s.rows;
  batch->reading_count_ = s.readings;

  constexpr std::uint32_t kNoGroup = UINT32_MAX;
  std::vector<std::uint32_t> target(s.groups.size(), kNoGroup);  // staging group -> group of the batch
  std::size_t words = 0;
  for (std::size_t i = 0; i < s.groups.size(); ++i) {
    const State::Open& open = s.groups[i];
    if (open.rows == 0) continue;  // its only rows were rolled back
    target[i] = static_cast<std::uint32_t>(batch->groups_.size());
    TelemetryBatch::Group& group = batch->groups_.emplace_back();
    group.shape_ = open.shape;
    group.rows_ = open.rows;
    group.has_validity_ = open.has_validity;
    group.first_word_ = words;
    words += group.word_count();
  }
  batch->words_.resize(words);

  std::vector<std::uint32_t> filled(batch->groups_.size(), 0);
  for (std::size_t at = 0; at < s.staged.size();) {
    const std::uint64_t header = s.staged[at];
    const std::uint32_t index = target[static_cast<std::uint32_t>(header)];
    const TelemetryBatch::Group& group = batch->groups_[index];
    const std::size_t fields = group.shape_->field_count();
    const std::size_t row = filled[index]++;
    std::uint64_t* column = batch->words_.data() + group.first_word_ + row;
    for (std::size_t word = 1; word <= fields + 1; ++word, column += group.rows_) *column = s.staged[at + word];
    at += 2 + fields;
    if (group.has_validity_) {
      std::uint64_t* bits = batch->words_.data() + group.first_word_ + group.rows_ * (1 + fields);
      const bool row_has_bits = (header & kHasValidity) != 0;
      for (std::size_t field = 0; field < fields; ++field) {
        const bool present = !row_has_bits || ((s.staged[at + field / 64] >> (field % 64)) & 1) != 0;
        if (present) bits[field * group.validity_words() + row / 64] |= 1ULL << (row % 64);
      }
    }
    if ((header & kHasValidity) != 0) at += words_for(fields);
  }
  batch->heap_ = s.heap;
  s.clear();
  return batch;
}

}  // namespace flux
