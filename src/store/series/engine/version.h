#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/ids.h"
#include "store/series/engine/part.h"
#include "store/series/series_store.h"

namespace flux::store::engine {

/// A delete. It holds for readings that its partition was given before it: those that came with an earlier flush, and
/// within the head that was open at the time, those with a smaller order.
struct Tombstone {
  std::uint64_t flush = 0;  ///< the number that the head open at the time is flushed under
  std::uint32_t order = 0;
  PartitionId partition;
  SeriesSelector selector;
  TimeRange range;
};

constexpr bool is_within(std::int64_t time, const TimeRange& range) {
  return time >= range.from.ns && (time < range.to.ns || range.to == Time::max());
}

constexpr bool overlaps(std::int64_t first, std::int64_t last, const TimeRange& range) {
  return range.from < range.to && last >= range.from.ns && (first < range.to.ns || range.to == Time::max());
}

bool matches(const SeriesSelector& selector, const Stem& stem, std::string_view field);

/// Whether a delete holds for a series that a part has. `now`: the partition that the series belongs to at present,
/// which differs from the part's when the number of partitions was changed.
inline bool applies(const Tombstone& tombstone, const Stem& stem, std::string_view field, PartitionId now) {
  return (tombstone.partition == stem.partition || tombstone.partition == now) &&
         matches(tombstone.selector, stem, field);
}

struct LivePart {
  PartPtr part;
  std::uint64_t erased_to = 0;  ///< tombstones of later flushes still have to be applied to what is read
};

struct DamagedPart {
  PartMeta meta;
  std::string problem;
};

/// What is on disk at one moment. Immutable: a query keeps the version it began with, and so the files.
struct Version {
  std::uint64_t flushed = 0;          ///< the newest flush whose parts are here
  std::vector<LivePart> parts;        ///< by (last_flush, id): later ones win
  std::vector<DamagedPart> damaged;   ///< named by the manifest, but not readable
  std::vector<Tombstone> tombstones;  ///< those not yet applied to every part; of heads too
};
using VersionPtr = std::shared_ptr<const Version>;

}  // namespace flux::store::engine
