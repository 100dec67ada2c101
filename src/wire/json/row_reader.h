#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json/device_rows.h"
#include "wire/json/lenient_parser.h"
#include "wire/json/refusals.h"
#include "wire/json/telemetry_reader.h"

namespace flux::wire::json {

/// The values of one reading as they stand in the text.
struct JsonRow {
  dom::object metrics;
  bool flat = false;  ///< `time` and `device` among the names are none of its values
  Place place;
  std::string_view under;    ///< `metrics`, or empty in the flat form
  std::optional<Time> time;  ///< none: `DeviceRows::next_time`

  [[nodiscard]] bool is_reserved(std::string_view name) const { return flat && (name == "time" || name == "device"); }
};

/// Turns objects of names and values into rows of a device. One thread.
class RowReader {
 public:
  RowReader(const TelemetryLimits& limits, const LenientParser& parser, Refusals& refusals)
      : limits_(limits), parser_(parser), refusals_(refusals) {}

  /// Adds the row to the device's builder, without the values that are refused, and counts it in `outcome`.
  void read(const JsonRow& row, DeviceRows& device, TelemetryOutcome& outcome);

 private:
  struct Absent {
    std::uint32_t field;
    Element value;
  };
  struct Text {
    std::uint32_t field;
    std::string_view value;
  };
  struct Candidate {
    std::string_view name;
    Element value;
    bool again = false;  // the name stood before
    std::uint32_t field = RowLayout::kNotStored;
  };

  /// Fills `cells_` and `absent_` when the row has exactly the names of `layout` in its order.
  bool matches(const RowLayout& layout, const JsonRow& row);
  void fill(std::size_t field, ValueType type, const Element& value);
  /// False when the value is null or cannot be of `type`. The cell of a string is set when the row is added.
  bool convert(const Element& value, ValueType type, Cell& cell) const;
  void add_row(const ShapePtr& shape, const JsonRow& row);
  /// A reading in which every value is null says nothing and is refused as such; refused values were already reported.
  void refuse_if_nothing(const JsonRow& row);

  /// A row that no layout fits.
  void learn(const JsonRow& row);
  static void mark_twice(std::vector<Candidate>& candidates);
  [[nodiscard]] std::string unusable_name(const Candidate& candidate) const;
  [[nodiscard]] ShapePtr known_shape(const std::vector<FieldDef>& fields) const;
  void remember(ShapePtr shape, const std::vector<Candidate>& candidates);
  [[nodiscard]] Error why_not(const Element& value, ValueType type) const;

  const TelemetryLimits& limits_;
  const LenientParser& parser_;
  Refusals& refusals_;
  DeviceRows* rows_ = nullptr;
  TelemetryOutcome* outcome_ = nullptr;

  std::vector<Cell> cells_;     // of the row at hand
  std::vector<Absent> absent_;  // its fields without a value, and what stood there
  std::vector<Text> strings_;   // its texts, copied into the heap when the row is added
};

}  // namespace flux::wire::json
