#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/value.h"
#include "wire/line/values.h"

namespace flux::wire::line {

/// Why a line is no point, in InfluxDB's words, and at which byte that was seen.
struct PointError {
  std::size_t offset = 0;
  std::string cause;
};

/// One line, taken apart:
///
/// ```
/// weather,location=us-midwest,season=summer temperature=82,sky="blue \"ish\"",rain=f 1465839830100400200
/// measurement, tags                         fields                                  time
/// ```
///
/// A backslash before a comma, a blank, and (but in measurements) an equals sign takes its meaning away; elsewhere it
/// is a character like others. In strings it does so before `"` and backslash, and newlines may stand there. Views
/// point into the line or into the point, until the next `parse`.
class Point {
 public:
  struct Tag {
    std::string_view key;
    std::string_view value;
  };
  struct Field {
    std::string_view raw_key;  ///< as sent
    std::string_view key;
    ValueType type = ValueType::float64;
    Cell cell = 0;          ///< but for strings
    std::string_view text;  ///< of strings
  };

  std::string_view raw_key;  ///< measurement and tags as sent
  std::string_view measurement;
  std::vector<Tag> tags;             ///< sorted by key, keys unique
  std::vector<Field> fields;         ///< in the order sent; a key that comes twice stands once, with its last value
  std::optional<std::int64_t> time;  ///< ns

  /// `line` has neither the newline at its end nor blanks before it.
  std::optional<PointError> parse(std::string_view line, Precision precision);

 private:
  std::optional<PointError> parse_key(std::string_view line, std::size_t& at);
  std::optional<PointError> parse_tag(std::string_view line, std::size_t& at, bool& more);
  std::optional<PointError> parse_field(std::string_view line, std::size_t& at);
  std::optional<PointError> parse_time(std::string_view line, std::size_t at, Precision precision);
  void drop_repeated();
  std::string_view unescaped(std::string_view text, std::string_view escapable);

  std::string scratch_;  // unescaped text; has room for the whole line before it begins
  std::string cause_;
  std::vector<unsigned> order_;
};

/// Where the line that begins at `at` ends: at a newline that stands in no string and behind no backslash, or at
/// `end`. A string that is never closed ends with the first newline, so that it costs its own line only.
const char* find_line_end(const char* at, const char* end);

}  // namespace flux::wire::line
