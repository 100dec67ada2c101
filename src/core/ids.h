#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace flux {

/// A tenant's number in the registry; 0 is none.
struct TenantId {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(TenantId, TenantId) = default;
};

/// One ordered lane of the log. How many there are may change; buckets never do.
struct PartitionId {
  std::uint16_t value = 0;
  friend constexpr auto operator<=>(PartitionId, PartitionId) = default;
};

/// One of 256 slices that devices hash into, fixed for good. State belongs to buckets, buckets to partitions.
struct BucketId {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(BucketId, BucketId) = default;
};

inline constexpr std::size_t kBucketCount = 256;

/// The number of a record within its topic and partition, counted from 0 without gaps.
struct Offset {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(Offset, Offset) = default;
  [[nodiscard]] constexpr Offset next() const { return {value + 1}; }
};

/// A record's place in one topic.
struct Position {
  PartitionId partition;
  Offset offset;
  friend constexpr auto operator<=>(const Position&, const Position&) = default;
};

/// 128 bits that stand for a thing's whole identity; collisions are checked where an identity is registered.
struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend constexpr auto operator<=>(const Fingerprint&, const Fingerprint&) = default;
};

/// 32 lower-case hexadecimal digits.
std::string to_string(Fingerprint fingerprint);

/// Fingerprint of (tenant, database, retention policy, measurement, device, field, tags).
struct SeriesId {
  Fingerprint value;
  friend constexpr auto operator<=>(const SeriesId&, const SeriesId&) = default;
};

/// The bucket of a device: the top eight bits of XXH3-64 of its id, seeded with the tenant.
BucketId bucket_of(TenantId tenant, std::string_view device);

/// The partition that holds `bucket` when there are `partitions` of them (1 to 256): contiguous ranges of buckets.
constexpr PartitionId partition_of(BucketId bucket, std::size_t partitions) {
  return {static_cast<std::uint16_t>(bucket.value * partitions / kBucketCount)};
}

}  // namespace flux

template <>
struct std::hash<flux::Fingerprint> {
  std::size_t operator()(const flux::Fingerprint& f) const noexcept { return f.low; }
};
template <>
struct std::hash<flux::SeriesId> {
  std::size_t operator()(const flux::SeriesId& s) const noexcept { return s.value.low; }
};
template <>
struct std::hash<flux::TenantId> {
  std::size_t operator()(flux::TenantId t) const noexcept { return t.value * 0x9E3779B97F4A7C15ULL; }
};
