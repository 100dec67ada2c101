#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <map>

#include "core/batch_builder.h"
#include "core/hash.h"
#include "core/time.h"
#include "core/utf8.h"

namespace flux {
namespace {

TEST(Time, ReadsAndWritesRfc3339) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z")->ns, 0);
  EXPECT_EQ(parse_rfc3339("2026-01-01T00:00:00Z")->ns, 1'767'225'600'000'000'000);
  EXPECT_EQ(parse_rfc3339("2026-01-01t02:00:00.25+02:00")->ns, 1'767'225'600'250'000'000);
  EXPECT_EQ(parse_rfc3339("2026-01-01 00:00:00.000000001z")->ns, 1'767'225'600'000'000'001);
  EXPECT_EQ(parse_rfc3339("2016-12-31T23:59:60Z"), parse_rfc3339("2017-01-01T00:00:00Z"));
  EXPECT_EQ(to_rfc3339(Time{-1}), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(to_rfc3339(Time{1'767'225'600'250'000'000}), "2026-01-01T00:00:00.250Z");
  for (const char* bad :
       {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00+2:00", "2026-01-01T00:00:00Zx",
        "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

TEST(Time, EveryTimeRoundTrips) {
  EXPECT_TRUE(rc::check("rfc3339", [](std::int64_t ns) {
    if (ns < INT64_MIN + 2'000'000'000 || ns > INT64_MAX - 2'000'000'000) return;
    RC_ASSERT(parse_rfc3339(to_rfc3339(Time{ns})).value() == Time{ns});
  }));
}

TEST(Time, TellsUnixUnitsByMagnitude) {
  const std::int64_t seconds = 1'767'225'600;
  EXPECT_EQ(time_from_unix(seconds)->ns, seconds * 1'000'000'000);
  EXPECT_EQ(time_from_unix(seconds * 1'000)->ns, seconds * 1'000'000'000);
  EXPECT_EQ(time_from_unix(seconds * 1'000'000)->ns, seconds * 1'000'000'000);
  EXPECT_EQ(time_from_unix(seconds * 1'000'000'000)->ns, seconds * 1'000'000'000);
  EXPECT_EQ(time_from_unix(1767225600.25)->ns, 1'767'225'600'250'000'000);
  EXPECT_FALSE(time_from_unix(std::int64_t{99'999'999'999}));
  // The first and the last of each unit, and the year 9999 in it.
  constexpr std::int64_t kLast = 9'223'372'035;  // in 2262
  for (std::int64_t unit = 1; unit < 1'000'000'000; unit *= 1'000) {
    EXPECT_EQ(time_from_unix(kLast * unit)->ns, kLast * 1'000'000'000) << unit;
    EXPECT_FALSE(time_from_unix(std::int64_t{253'402'300'799} * unit)) << unit;
    EXPECT_FALSE(time_from_unix(std::int64_t{253'402'300'800} * unit)) << unit;
    EXPECT_FALSE(time_from_unix(static_cast<double>(253'402'300'800 * unit))) << unit;
    const std::int64_t next = 300'000'000'000 * unit;  // 1979 in the next unit
    EXPECT_EQ(time_from_unix(next)->ns, 300'000'000 * std::int64_t{1'000'000'000}) << unit;
    EXPECT_EQ(time_from_unix(-next)->ns, -300'000'000 * std::int64_t{1'000'000'000}) << unit;
    EXPECT_EQ(time_from_unix(static_cast<double>(next))->ns, 300'000'000 * std::int64_t{1'000'000'000}) << unit;
    EXPECT_FALSE(time_from_unix(next - 1)) << unit;
  }
  EXPECT_FALSE(time_from_unix(std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(time_from_unix(INT64_MIN));
}

TEST(Duration, ReadsAndWrites) {
  EXPECT_EQ(parse_duration("1m30s")->ns, 90'000'000'000);
  EXPECT_EQ(parse_duration("250ms")->ns, 250'000'000);
  EXPECT_EQ(parse_duration("1.5h")->ns, 5'400'000'000'000);
  EXPECT_EQ(parse_duration("0")->ns, 0);
  for (const char* bad : {"", "5", "ms", "5x", "-", ".s", "1..5s", "99999999999w"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  const std::string endless(5'000, '9');  // more digits than any number has
  EXPECT_FALSE(parse_duration(endless + "." + endless + "s"));
  EXPECT_TRUE(rc::check("duration", [](std::int32_t ms) {
    const Duration duration{std::int64_t{ms} * 1'000'000};
    RC_ASSERT(parse_duration(to_string(duration)).value() == duration);
  }));
}

TEST(Utf8, KnowsWhatIsWellFormed) {
  for (const auto* fine :
       {"", "ascii only and long enough for a word", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "mixed \xe2\x82\xac and \xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(is_utf8(fine)) << fine;
  }
  for (const auto* bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
  EXPECT_EQ(invalid_utf8_at("12345678 \xe2\x82\xac \xe2\x82"), 13U);
  EXPECT_EQ(utf8_length("\xe2\x82\xac and more"), 3U);
  EXPECT_EQ(utf8_length("\x82\xac"), 0U);
}

TEST(Hash, Crc32cMatchesItsDefinition) {
  EXPECT_EQ(crc32c(std::as_bytes(std::span("123456789", 9))), 0xE3069283U);
  EXPECT_TRUE(rc::check("crc32c in lanes equals bit by bit, and continues", [] {
    const auto size = *rc::gen::inRange<std::size_t>(0, 10'000);
    const auto seed = *rc::gen::arbitrary<std::uint8_t>();
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 131 + seed) ^ (i >> 5));
    std::uint32_t slow = ~0U;
    for (const char c : bytes) {
      slow ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) slow = (slow >> 1) ^ ((slow & 1) != 0 ? 0x82F63B78U : 0U);
    }
    const auto span = std::as_bytes(std::span(bytes));
    RC_ASSERT(crc32c(span) == ~slow);
    const std::size_t cut = size / 3;
    RC_ASSERT(crc32c(span.subspan(cut), crc32c(span.first(cut))) == ~slow);
  }));
}

TEST(Identity, IsStableAcrossReleases) {
  ShapeKey key{.tenant = {7}, .device = "pump-1", .tags = {{"site", "north"}}, .fields = {{"temperature"}}};
  const Shape shape(key);
  // Golden values: what lies on disk is found by these. A change here loses every stored reading.
  EXPECT_EQ(to_string(shape.series(0).value), "f04b1aab18c2eb9ffb824d6cb7ad02e9");
  EXPECT_EQ(shape.bucket().value, 101);
}

ShapePtr shape_of(std::string device, std::vector<FieldDef> fields) {
  return std::make_shared<const Shape>(
      ShapeKey{.tenant = {1}, .device = std::move(device), .fields = std::move(fields)});
}

TEST(BatchBuilder, KeepsTheOrderOfRowsWithinEverySeries) {
  EXPECT_TRUE(rc::check("rows of a series keep their order, missing values stay missing", [] {
    const std::array<ShapePtr, 5> shapes{shape_of("a", {{"x"}, {"y"}}), shape_of("a", {{"y"}, {"x"}}),
                                         shape_of("a", {{"z"}}), shape_of("b", {{"x"}}),
                                         shape_of("a", {{"s", ValueType::string}, {"x"}})};
    BatchBuilder builder;
    std::map<std::pair<std::string, std::string>, std::vector<std::pair<std::int64_t, Value>>> expected;
    const auto rows = *rc::gen::inRange(0, 200);
    std::int64_t readings = 0;
    for (int i = 0; i < rows; ++i) {
      const ShapePtr& shape = shapes[*rc::gen::inRange<std::size_t>(0, shapes.size())];
      const bool undo = *rc::gen::inRange(0, 5) == 0;
      const auto mark = builder.mark();
      auto cells = builder.add_row(shape, Time{i});
      std::vector<Value> values;
      for (std::size_t f = 0; f < shape->field_count(); ++f) {
        if (shape->fields()[f].type == ValueType::string) {
          const std::string text = "text " + std::to_string(i);
          cells[f] = builder.add_string(text);
          values.emplace_back(text);
        } else {
          cells[f] = to_cell(i * 1.5);
          values.emplace_back(i * 1.5);
        }
      }
      for (std::size_t f = 0; f < shape->field_count(); ++f) {
        const bool missing = *rc::gen::inRange(0, 4) == 0;
        if (missing) builder.set_missing(f);
        if (missing || undo) continue;
        ++readings;
        expected[{shape->device(), shape->fields()[f].name}].emplace_back(i, values[f]);
      }
      if (undo) builder.rollback(mark);
    }
    RC_ASSERT(builder.reading_count() == static_cast<std::size_t>(readings));
    const BatchPtr batch = builder.seal(Time{99});
    RC_ASSERT(batch->reading_count() == static_cast<std::size_t>(readings));
    RC_ASSERT(builder.empty());

    std::vector<TelemetryBatch::GroupSpec> specs;
    for (const auto& group : batch->groups())
      specs.push_back({group.shape_ptr(), static_cast<std::uint32_t>(group.rows()), group.has_validity()});
    const auto again = TelemetryBatch::assemble(specs, {batch->words().begin(), batch->words().end()},
                                                std::string(batch->heap()), Time{99});
    RC_ASSERT(again.has_value());
    RC_ASSERT((*again)->reading_count() == batch->reading_count());

    decltype(expected) found;
    for (const auto& group : (*again)->groups())
      for (std::size_t f = 0; f < group.shape().field_count(); ++f)
        for (std::size_t r = 0; r < group.rows(); ++r)
          if ((*again)->has(group, f, r))
            found[{group.shape().device(), group.shape().fields()[f].name}].emplace_back((*again)->times(group)[r],
                                                                                         (*again)->value(group, f, r));
    RC_ASSERT(found == expected);
  }));
}

TEST(TelemetryBatch, RefusesPartsThatDoNotAddUp) {
  const ShapePtr shape = shape_of("a", {{"s", ValueType::string}});
  EXPECT_TRUE(TelemetryBatch::assemble({{shape, 1, false}}, {5, to_cell(StringRef{0, 3})}, "abc", Time{}));
  EXPECT_FALSE(TelemetryBatch::assemble({{shape, 1, false}}, {5, to_cell(StringRef{1, 3})}, "abc", Time{}));
  EXPECT_FALSE(TelemetryBatch::assemble({{shape, 1, false}}, {5}, "abc", Time{}));
  EXPECT_FALSE(TelemetryBatch::assemble({{shape, 1, false}}, {5, 0, 0}, "abc", Time{}));
  EXPECT_FALSE(TelemetryBatch::assemble({{shape, 0, false}}, {}, "", Time{}));
  EXPECT_FALSE(TelemetryBatch::assemble({{shape, 1, true}}, {5, 0, 2}, "", Time{}));
}

TEST(BatchBuilder, TellsShapesApartThatComeAndGo) {
  BatchBuilder builder;
  for (int row = 0; row < 300; ++row) {
    ShapeKey key;
    key.device = "d" + std::to_string(row % 3);
    key.fields = {{"v", row % 3 == 0 ? ValueType::boolean : ValueType::int64}};
    // Gone after this row: the next one is likely to lie at the same address.
    builder.add_row(std::make_shared<const Shape>(std::move(key)), Time{row})[0] = static_cast<Cell>(row % 3);
    if (row % 2 == 0) continue;
    key.device = "d1";
    key.fields = {{"v", ValueType::int64}};
    builder.add_row(std::make_shared<const Shape>(std::move(key)), Time{row})[0] = 1;
  }
  const BatchPtr batch = builder.seal(Time{});
  ASSERT_EQ(batch->row_count(), 450U);
  for (const auto& group : batch->groups())
    for (const Cell cell : batch->column(group, 0)) EXPECT_EQ("d" + std::to_string(cell), group.shape().device());
}

}  // namespace
}  // namespace flux
