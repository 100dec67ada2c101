#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/shape.h"
#include "core/time.h"

namespace flux::wire::line {

/// Fields in the order in which lines name them. Series of one measurement mostly send the same and share it.
struct FieldList {
  struct Entry {
    std::uint32_t name = 0;  ///< offset into `names`
    std::uint32_t size = 0;  ///< of the name as sent, with its `=`
    ValueType type = ValueType::float64;
    std::uint32_t column = 0;  ///< index into the shape's fields
  };
  std::string names;  ///< `usage_user=usage_system=…`, then bytes that may be read over
  std::vector<Entry> entries;
  bool newlines = false;  ///< in names: such lines are counted the slow way
};
using FieldListPtr = std::shared_ptr<const FieldList>;

/// What one series key (measurement and tags) needs to turn its lines into rows. One thread (that of the shard).
///
/// In steady state a line names the fields of the layout used last, or some of them in that order: the reader compares
/// names with bytes and calls nothing here.
class SeriesRows {
 public:
  virtual ~SeriesRows() = default;

  /// The shape of rows with these fields; from now on their types are fixed. Fails with InfluxDB's words when a field
  /// has another type.
  virtual Result<ShapePtr> make_shape(std::vector<FieldDef> fields) = 0;
  /// The time of a line without one: the clock's, but later than every time given out for its device before.
  virtual Time next_time() = 0;

 private:
  friend class LineReader;
  struct Layout {
    ShapePtr shape;
    FieldListPtr fields;
  };
  static constexpr std::size_t kMaxLayouts = 8;
  std::vector<Layout> layouts_;  // most recently used first
};

}  // namespace flux::wire::line
