#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/batch_builder.h"
#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"

namespace flux::wire::json {

/// One order of metric names as a device sends them, and the shape that such a row gets.
struct RowLayout {
  /// A name whose value is not stored: it was null when it first came, and its type is not known yet.
  static constexpr std::uint32_t kNotStored = UINT32_MAX;
  struct Key {
    std::string name;
    std::uint32_t field = kNotStored;  ///< index into the shape's fields
  };
  ShapePtr shape;
  std::vector<Key> keys;  ///< empty when the names are exactly the shape's fields in their order
};

/// What the reader needs to know of one device to turn its readings into rows. One thread (that of the shard).
///
/// In steady state a device repeats one of its few layouts: the reader compares names with bytes and calls nothing here
/// but `next_time`, and that only where the sender gave no time.
class DeviceRows {
 public:
  explicit DeviceRows(BatchBuilder& builder) : builder_(&builder) {}
  virtual ~DeviceRows() = default;

  /// The type that values of `metric` have: from the profile or as seen before; `given` when it is new.
  virtual ValueType type_of(std::string_view metric, ValueType given) = 0;
  /// The shape of rows with these fields; from now on their types are fixed for the device. Fails with the field that
  /// cannot be (another connection has just given it another type) in `error.field`; without one when there can be no
  /// row of the device at all.
  virtual Result<ShapePtr> make_shape(const std::vector<FieldDef>& fields) = 0;
  /// The time of a reading without one: the clock's, but later than every time given out for this device before.
  virtual Time next_time() = 0;

  [[nodiscard]] BatchBuilder& builder() const { return *builder_; }

 private:
  friend class RowReader;
  static constexpr std::size_t kMaxLayouts = 8;
  BatchBuilder* builder_;
  std::vector<RowLayout> layouts_;  // most recently used first
};

}  // namespace flux::wire::json
