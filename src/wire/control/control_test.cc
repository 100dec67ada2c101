#include "wire/control/control.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "wire/control/packing.h"

namespace flux::wire::control {
namespace {

std::vector<ControlRecord> examples() {
  return {
      ProfileChanged{.tenant = {1},
                     .version = 7,
                     .profile = "pump",
                     .name = "Pump",
                     .metrics = {{"temperature", ValueType::float64, "°C", -40.0, 150.0, false},
                                 {"spin", ValueType::int64, "", {}, 3000.0, true}},
                     .silent_after = 5_min,
                     .labels = {{"kind", "wet"}}},
      ProfileChanged{.profile = ""},
      ProfileRemoved{{2}, 8, "pump"},
      DeviceChanged{.tenant = {4'000'000'000},
                    .version = UINT64_MAX,
                    .device = "pump-1",
                    .name = "North pump",
                    .profile = "pump",
                    .labels = {{"line", "2"}, {"site", "north"}},
                    .location = Location{52.5, -13.25, "Hall 3"},
                    .units = {{"temperature", "°F"}}},
      DeviceRemoved{{1}, 10, "pump-1", Time{1'767'225'600'000'000'000}},
      EraseReadings{.tenant = {1},
                    .version = 11,
                    .database = "default",
                    .retention_policy = "autogen",
                    .measurements = {"telemetry"},
                    .devices = {"a", "b"},
                    .fields = {"x"},
                    .tags = {{"k", "v"}},
                    .from = Time{-5},
                    .to = Time::max()},
      Tick{Time{1'767'225'600'000'000'000}, Time::min()},
      RulesChanged{
          .silent_after = 0_s, .max_future = 1_s, .max_age = 7_s, .max_string_bytes = 1, .dead_letters_per_record = 2},
  };
}

TEST(Control, EveryKindRoundTrips) {
  for (const ControlRecord& record : examples()) {
    const auto back = decode(encode(record));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, record) << kind_name(record);
  }
}

TEST(Control, BytesNeverChange) {
  EXPECT_EQ(encode(Tick{Time{1'000'000'000}, Time{}}), std::string("\x01\x06\x80\xA8\xD6\xB9\x07\x00", 8));
  EXPECT_EQ(encode(DeviceRemoved{{1}, 300, "ab", Time{1}}), std::string("\x01\x04\x01\xAC\x02\x02"
                                                                        "ab\x02",
                                                                        9));
}

TEST(Control, EveryTruncationAndEveryTrailingByteIsRefused) {
  for (const ControlRecord& record : examples()) {
    const std::string bytes = encode(record);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = decode(std::string_view(bytes).substr(0, size));
      ASSERT_FALSE(cut) << kind_name(record) << " cut to " << size;
      EXPECT_EQ(cut.error().code, ErrorCode::corrupt);
    }
    EXPECT_FALSE(decode(bytes + '\0')) << kind_name(record);
  }
}

TEST(Control, SeveralGoAsOne) {
  const auto all = examples();
  const std::string bytes = encode(std::span(all));
  EXPECT_EQ(decode_all(bytes).value(), all);
  EXPECT_EQ(decode_all(encode(all[2])).value(), std::vector{all[2]});
  EXPECT_EQ(decode_all(encode(std::span<const ControlRecord>())).value().size(), 0U);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(decode_all(std::string_view(bytes).substr(0, size))) << size;
  EXPECT_FALSE(decode_all(bytes + "x"));
}

TEST(Control, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(decode(std::string("\x02\x06\x00\x00", 4)).error().message,
            "a control record of format 2, this program knows 1");
  EXPECT_EQ(decode(std::string("\x01\x63\x00\x00", 4)).error().message,
            "a control record of kind 99, this program knows 1 to 7");
}

TEST(Control, SurvivesDamage) {
  EXPECT_TRUE(rc::check("flipped bits and arbitrary bytes", [] {
    const auto all = examples();
    std::string bytes = encode(all[*rc::gen::inRange<std::size_t>(0, all.size())]);
    const auto flips = *rc::gen::inRange(1, 8);
    for (int i = 0; i < flips; ++i)
      bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = static_cast<char>(*rc::gen::arbitrary<std::uint8_t>());
    const auto record = decode(bytes);
    if (record) RC_ASSERT(decode(encode(*record)).has_value());
  }));
}

TEST(Packing, NumbersRoundTripAndACountIsBoundByTheBytes) {
  EXPECT_TRUE(rc::check("numbers", [](std::uint64_t number, std::int64_t integer, double real) {
    Packer out;
    out.number(number);
    out.integer(integer);
    out.real(real);
    Unpacker in(out.bytes());
    RC_ASSERT(in.number() == number);
    RC_ASSERT(in.integer() == integer);
    RC_ASSERT(std::bit_cast<std::uint64_t>(in.real()) == std::bit_cast<std::uint64_t>(real));
    RC_ASSERT(in.ok() && in.left() == 0);
  }));
  Packer out;
  out.number(UINT64_MAX);
  Unpacker in(out.bytes());
  EXPECT_EQ(in.count(), 0U);
  EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace flux::wire::control
