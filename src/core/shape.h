#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/value.h"

namespace flux {

struct Tag {
  std::string key;
  std::string value;
  friend auto operator<=>(const Tag&, const Tag&) = default;
};

struct FieldDef {
  std::string name;
  ValueType type = ValueType::float64;
  friend auto operator<=>(const FieldDef&, const FieldDef&) = default;
};

/// What a row of readings is about, without its values: whose it is and which fields it has.
struct ShapeKey {
  TenantId tenant;
  std::string database = "default";
  std::string retention_policy = "autogen";
  std::string measurement = "telemetry";
  std::string device;            ///< the device's external id, unique within the tenant
  std::vector<Tag> tags;         ///< sorted by key, keys unique
  std::vector<FieldDef> fields;  ///< in the sender's order, names unique, at least one
  friend auto operator<=>(const ShapeKey&, const ShapeKey&) = default;
};

/// A `ShapeKey` with what is derived from it once: fingerprints, bucket, series. Immutable, shared between threads.
class Shape {
 public:
  explicit Shape(ShapeKey key);

  [[nodiscard]] const ShapeKey& key() const { return key_; }
  [[nodiscard]] TenantId tenant() const { return key_.tenant; }
  [[nodiscard]] const std::string& device() const { return key_.device; }
  [[nodiscard]] const std::vector<FieldDef>& fields() const { return key_.fields; }
  [[nodiscard]] std::size_t field_count() const { return key_.fields.size(); }

  /// Of the whole key, fields included.
  [[nodiscard]] Fingerprint fingerprint() const { return fingerprint_; }
  /// Of the key without its fields: shapes with the same stem may share series.
  [[nodiscard]] Fingerprint stem() const { return stem_; }
  [[nodiscard]] BucketId bucket() const { return bucket_; }
  [[nodiscard]] SeriesId series(std::size_t field) const { return series_[field]; }

 private:
  ShapeKey key_;
  Fingerprint fingerprint_;
  Fingerprint stem_;
  BucketId bucket_;
  std::vector<SeriesId> series_;
};

using ShapePtr = std::shared_ptr<const Shape>;

/// The identity of one series: the same bytes everywhere, hashed by XXH3-128:
/// tenant (u32), then database, retention policy, measurement, device, field, and each tag's key and value,
/// each string as u32 length and bytes, all little endian.
SeriesId series_id(const ShapeKey& stem, std::string_view field);

}  // namespace flux
