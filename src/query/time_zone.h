#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace flux::query {

/// A time zone of the machine's database (TZif, RFC 8536).
class TimeZone {
 public:
  /// `not_found` for a name that is none. Loaded once a process.
  static Result<std::shared_ptr<const TimeZone>> load(std::string_view name);

  /// What to add to UTC, in ns, at this moment.
  [[nodiscard]] std::int64_t offset_at(std::int64_t ns) const;
  /// The moment at which clocks there show `local` (ns since 1970 as if it were UTC). Of two, and within a gap, the one
  /// that Go's time.Date takes: the offset in force shortly before.
  [[nodiscard]] std::int64_t from_local(std::int64_t local) const;
  [[nodiscard]] const std::string& name() const { return name_; }

  /// `bytes` of one file of the database. For tests.
  static Result<TimeZone> parse(std::string name, std::string_view bytes);

 private:
  struct Rule {  ///< a day and time of the year at which clocks change
    char kind = 'M';
    int month = 0, week = 0, day = 0;
    std::int64_t second = 7200;
  };
  struct Footer {
    bool present = false;
    std::int64_t standard = 0, summer = 0;
    bool changes = false;
    Rule to_summer, to_standard;
  };
  static bool parse_footer(std::string_view text, Footer& footer);
  static bool parse_rule(std::string_view& text, Rule& rule);
  [[nodiscard]] std::int64_t by_footer(std::int64_t second) const;

  std::string name_;
  std::vector<std::int64_t> changes_;  ///< seconds, ascending
  std::vector<std::int64_t> offsets_;  ///< after each of them
  std::int64_t before_ = 0;
  Footer footer_;
};
using TimeZonePtr = std::shared_ptr<const TimeZone>;

}  // namespace flux::query
