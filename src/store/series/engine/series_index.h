#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "store/series/engine/part_format.h"
#include "store/series/series_store.h"

namespace flux::store::engine {

/// A series' place in the index of this process; never on disk.
using SeriesNumber = std::uint32_t;
inline constexpr SeriesNumber kNoSeries = UINT32_MAX;

/// The newest reading of a series that lies in parts.
struct LastKnown {
  std::int64_t time = INT64_MIN;
  std::int64_t received = INT64_MIN;
  Value value;
};

/// What a query needs of a series. The string views live as long as the index.
struct SelectedSeries {
  SeriesNumber number = kNoSeries;
  Fingerprint stem;
  std::string_view field;
  ValueType type = ValueType::float64;
  PartitionId partition;
  bool many_partitions = false;  ///< has lived in several: heads of all may have readings
  bool unknown = false;          ///< readings were erased; whether any is left takes a look
};

/// All series of the store, by what they are: stems and their fields, found by device, tag and measurement.
/// Strings are kept once. Thread-safe; readers do not wait for each other.
class SeriesIndex {
 public:
  SeriesIndex();
  ~SeriesIndex();
  SeriesIndex(const SeriesIndex&) = delete;
  SeriesIndex& operator=(const SeriesIndex&) = delete;

  /// The number of a series, which is added if it is new. `kNoSeries` when it is known with another type, or when its
  /// fingerprint belongs to something else.
  SeriesNumber add(const Stem& stem, std::string_view field, ValueType type);

  /// Whether a series has readings. Unknown: some of them were erased, and nobody has looked what is left.
  enum class State : std::uint8_t { empty, present, unknown };

  /// The partition that the stem's series belong to; the given one's where it is not known.
  [[nodiscard]] PartitionId partition_of(const Stem& stem) const;

  void note_present(SeriesNumber series);
  /// A part has this as the series' newest reading; the newest of all such is kept, at equal times the one noted last.
  void note_last(SeriesNumber series, std::int64_t time, std::int64_t received, Value value);
  /// Readings were erased (all of them, or some).
  void note_erased(SeriesNumber series, bool all);
  struct Known {
    State state = State::empty;
    std::uint32_t erasures = 0;
    LastKnown last;
  };
  [[nodiscard]] Known known(SeriesNumber series) const;
  /// What a look at an unknown series found; does nothing if it was erased from again since `erasures`.
  void settle(SeriesNumber series, std::uint32_t erasures, std::optional<LastKnown> found);
  /// Series whose newest flushed reading is before `time` become unknown: their parts were dropped.
  void forget_before(std::int64_t time);

  /// Matching series that are not empty, in the order of `TimeSeriesStore::list`.
  [[nodiscard]] std::vector<SelectedSeries> select(const SeriesSelector& selector) const;
  [[nodiscard]] bool matches(SeriesNumber series, const SeriesSelector& selector) const;
  [[nodiscard]] SeriesInfoPtr info(SeriesNumber series) const;
  /// Series that are not empty.
  [[nodiscard]] std::uint64_t count() const;

 private:
  using StringNumber = std::uint32_t;
  using StemNumber = std::uint32_t;

  struct StemRow {
    Fingerprint fingerprint;
    TenantId tenant;
    StringNumber database, retention_policy, measurement, device;
    std::vector<std::pair<StringNumber, StringNumber>> tags;
    PartitionId partition;
    bool many_partitions = false;
    std::vector<SeriesNumber> series;
  };
  struct SeriesRow {
    StemNumber stem;
    StringNumber field;
    ValueType type;
    State state = State::empty;
    std::uint32_t erasures = 0;
    std::int64_t time = INT64_MIN;
    std::int64_t received = INT64_MIN;
    Cell cell = 0;
    std::unique_ptr<std::string> text;  // strings only
  };
  struct Posting {  // tenant, and what the stem has: a device, a measurement, or a tag
    TenantId tenant;
    StringNumber key;
    StringNumber value;
    friend bool operator==(const Posting&, const Posting&) = default;
  };
  struct PostingHash {
    std::size_t operator()(const Posting& posting) const;
  };
  struct FingerprintHash {
    using is_avalanching = void;
    std::size_t operator()(const Fingerprint& f) const noexcept { return f.low; }
  };
  struct TextHash {
    std::size_t operator()(std::string_view text) const noexcept;
  };

  StringNumber intern(std::string_view text);
  [[nodiscard]] std::optional<StringNumber> find(std::string_view text) const;
  [[nodiscard]] std::string_view text(StringNumber number) const { return strings_[number]; }
  StemNumber add_stem(const Stem& stem);
  [[nodiscard]] bool is_same(const StemRow& row, const Stem& stem) const;
  [[nodiscard]] const std::vector<StemNumber>* candidates(const SeriesSelector& selector,
                                                          std::vector<StemNumber>& storage) const;
  [[nodiscard]] bool stem_matches(const StemRow& row, const SeriesSelector& selector) const;
  [[nodiscard]] bool field_matches(const SeriesRow& row, const SeriesSelector& selector) const;
  [[nodiscard]] SelectedSeries selected(SeriesNumber number) const;
  [[nodiscard]] int compare_tags(const StemRow& a, const StemRow& b) const;

  mutable std::shared_mutex mutex_;
  std::deque<std::string> strings_;  // a deque, so that views stay good
  boost::unordered_flat_map<std::string_view, StringNumber, TextHash> string_numbers_;
  std::deque<StemRow> stems_;
  boost::unordered_flat_map<Fingerprint, StemNumber, FingerprintHash> stem_numbers_;
  std::deque<SeriesRow> series_;
  boost::unordered_flat_map<Posting, std::vector<StemNumber>, PostingHash> postings_;
};

}  // namespace flux::store::engine
