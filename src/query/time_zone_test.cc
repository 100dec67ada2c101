#include "query/time_zone.h"

#include <gtest/gtest.h>

#include "core/time.h"
#include "query/influxql/windows.h"

namespace flux::query {
namespace {

constexpr std::int64_t kHour = 3'600'000'000'000;

std::int64_t at(std::string_view text) { return parse_rfc3339(text).value().ns; }

TEST(TimeZone, KnowsOffsetsBeforeAndAfterChanges) {
  const auto berlin = TimeZone::load("Europe/Berlin").value();
  EXPECT_EQ(berlin->offset_at(at("2026-03-29T00:59:59Z")), kHour);
  EXPECT_EQ(berlin->offset_at(at("2026-03-29T01:00:00Z")), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(at("2026-10-25T00:59:59Z")), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(at("2026-10-25T01:00:00Z")), kHour);
  const auto york = TimeZone::load("America/New_York").value();
  EXPECT_EQ(york->offset_at(at("2026-03-08T06:59:59Z")), -5 * kHour);
  EXPECT_EQ(york->offset_at(at("2026-03-08T07:00:00Z")), -4 * kHour);
  EXPECT_EQ(TimeZone::load("Asia/Kolkata").value()->offset_at(at("2026-01-01T00:00:00Z")), 5 * kHour + kHour / 2);
  EXPECT_EQ(TimeZone::load("UTC").value()->offset_at(0), 0);
}

TEST(TimeZone, GoesOnByItsRuleBehindItsTable) {
  const auto berlin = TimeZone::load("Europe/Berlin").value();
  EXPECT_EQ(berlin->offset_at(at("2150-07-01T00:00:00Z")), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(at("2150-12-01T00:00:00Z")), kHour);
  // Clocks in the south change the other way round.
  const auto sydney = TimeZone::load("Australia/Sydney").value();
  EXPECT_EQ(sydney->offset_at(at("2150-07-01T00:00:00Z")), 10 * kHour);
  EXPECT_EQ(sydney->offset_at(at("2150-12-31T00:00:00Z")), 11 * kHour);
  EXPECT_EQ(sydney->offset_at(at("2150-01-02T00:00:00Z")), 11 * kHour);
}

TEST(TimeZone, ReadsLocalTimes) {
  const auto berlin = TimeZone::load("Europe/Berlin").value();
  EXPECT_EQ(berlin->from_local(at("2026-07-01T12:00:00Z")), at("2026-07-01T10:00:00Z"));
  EXPECT_EQ(berlin->from_local(at("2026-12-01T12:00:00Z")), at("2026-12-01T11:00:00Z"));
}

TEST(TimeZone, TakesNoOtherFile) {
  for (const char* name : {"Nowhere/Never", "../../etc/passwd", "/etc/passwd", "Europe", "posixrules\n", "zone.tab"})
    EXPECT_FALSE(TimeZone::load(name)) << name;
  EXPECT_FALSE(TimeZone::parse("x", "TZif2"));
  EXPECT_FALSE(TimeZone::parse("x", std::string(44, '\xff')));
}

TEST(InfluxqlWindows, DaysHave23And25Hours) {
  const influxql::Windows days{{24 * kHour, 0}, TimeZone::load("Europe/Berlin").value(), 0, 0};
  const auto spring = days.at(at("2026-03-29T12:00:00Z"));
  EXPECT_EQ(spring.start, at("2026-03-28T23:00:00Z"));
  EXPECT_EQ(spring.end, at("2026-03-29T22:00:00Z"));
  const auto autumn = days.at(at("2026-10-25T12:00:00Z"));
  EXPECT_EQ(autumn.start, at("2026-10-24T22:00:00Z"));
  EXPECT_EQ(autumn.end, at("2026-10-25T23:00:00Z"));
}

TEST(InfluxqlWindows, StandTheEndsOfTime) {
  for (const std::int64_t offset : {std::int64_t{0}, kHour, -kHour})
    for (const auto& zone : {TimeZonePtr(), TimeZone::load("Europe/Berlin").value()}) {
      const influxql::Windows hours{{kHour, offset}, zone, influxql::kMinTime, influxql::kMaxTime};
      for (const std::int64_t time :
           {influxql::kMinTime, influxql::kMinTime + 1, influxql::kMaxTime - 1, influxql::kMaxTime}) {
        const auto window = hours.at(time);
        EXPECT_LT(window.start, window.end);
      }
    }
}

}  // namespace
}  // namespace flux::query
