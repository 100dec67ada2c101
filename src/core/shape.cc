#include "core/shape.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/hash.h"
#include "core/result.h"

namespace flux {
namespace {

static_assert(std::endian::native == std::endian::little, "columns and identities are little endian");

class Canonical {
 public:
  void add(std::uint32_t number) {
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    bytes_.append(bytes, sizeof number);
  }
  void add(std::string_view text) {
    add(static_cast<std::uint32_t>(text.size()));
    bytes_.append(text);
  }
  [[nodiscard]] Fingerprint hash() const { return hash128(std::as_bytes(std::span(bytes_))); }

 private:
  std::string bytes_;
};

Canonical canonical_stem(const ShapeKey& key, std::string_view field) {
  Canonical bytes;
  bytes.add(key.tenant.value);
  bytes.add(key.database);
  bytes.add(key.retention_policy);
  bytes.add(key.measurement);
  bytes.add(key.device);
  bytes.add(field);
  for (const Tag& tag : key.tags) {
    bytes.add(tag.key);
    bytes.add(tag.value);
  }
  return bytes;
}

}  // namespace

SeriesId series_id(const ShapeKey& stem, std::string_view field) { return {canonical_stem(stem, field).hash()}; }

Shape::Shape(ShapeKey key) : key_(std::move(key)), bucket_(bucket_of(key_.tenant, key_.device)) {
  CHECK(std::ranges::is_sorted(key_.tags, {}, &Tag::key));
  CHECK(!key_.fields.empty());
  Canonical whole = canonical_stem(key_, {});
  stem_ = whole.hash();
  series_.reserve(key_.fields.size());
  for (const FieldDef& field : key_.fields) {
    series_.push_back(series_id(key_, field.name));
    whole.add(field.name);
    whole.add(static_cast<std::uint32_t>(field.type));
  }
  fingerprint_ = whole.hash();
}

}  // namespace flux
