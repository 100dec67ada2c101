#include "process/pipeline.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "core/batch_builder.h"

namespace flux::process {
namespace {

constexpr TenantId kTenant{1};
constexpr Time kNow{1'767'225'600'000'000'000};

ShapePtr shape(std::string device, std::vector<FieldDef> fields) {
  return std::make_shared<const Shape>(
      ShapeKey{.tenant = kTenant, .device = std::move(device), .fields = std::move(fields)});
}

/// A partition that has all buckets.
class Lane {
 public:
  Outputs give(const wire::control::ControlRecord& change) {
    bus::Record record;
    record.kind = bus::RecordKind::control;
    record.payload = std::make_shared<const std::string>(wire::control::encode(change));
    return give(std::move(record));
  }
  Outputs give(BatchPtr batch) {
    bus::Record record;
    record.batch = std::move(batch);
    return give(std::move(record));
  }
  Outputs give(bus::Record record) {
    record.offset = next_;
    next_ = next_.next();
    Outputs outputs;
    pipeline.apply(record, outputs);
    return outputs;
  }

  PartitionState state{{0}, 1};
  Pipeline pipeline{state};

 private:
  Offset next_;
};

BatchPtr one_row(const ShapePtr& shape, std::vector<Cell> cells, Time time = kNow, Time received_at = kNow) {
  BatchBuilder builder;
  const auto row = builder.add_row(shape, time);
  std::ranges::copy(cells, row.begin());
  return builder.seal(received_at);
}

std::vector<std::string> words(const Outputs& outputs, std::string_view key) {
  std::vector<std::string> found;
  for (const Signal& signal : outputs.signals) {
    const std::string needle = "\"" + std::string(key) + "\":\"";
    const std::size_t at = signal.json->find(needle);
    if (at == std::string::npos) continue;
    const std::size_t from = at + needle.size();
    found.push_back(signal.json->substr(from, signal.json->find('"', from) - from));
  }
  return found;
}

wire::control::ProfileChanged pump_profile() {
  return {.tenant = kTenant,
          .version = 1,
          .profile = "pump",
          .metrics = {{.name = "temperature", .unit = "°C", .min = -40.0, .max = 150.0},
                      {.name = "spin", .type = ValueType::int64, .min = 0.5, .max = 9.5},
                      {.name = "count", .type = ValueType::uint64, .min = 3.0},
                      {.name = "free", .allow_non_finite = true}},
          .silent_after = 5_s,
          .labels = {{"kind", "wet"}, {"site", "none"}}};
}

wire::control::DeviceChanged pump_device() {
  return {.tenant = kTenant,
          .version = 2,
          .device = "pump-1",
          .name = "North pump",
          .profile = "pump",
          .labels = {{"site", "north"}},
          .location = wire::control::Location{52.5, 13.4, "Hall 3"},
          .units = {{"spin", "rpm"}}};
}

TEST(Pipeline, PassesAFaultlessBatchAsTheVeryObject) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  const BatchPtr batch = one_row(pump, {to_cell(21.5)});
  const Outputs outputs = lane.give(batch);
  EXPECT_EQ(outputs.readings.batch, batch);
  ASSERT_EQ(outputs.readings.contexts.size(), 1U);
  EXPECT_EQ(outputs.readings.contexts[0]->device, "pump-1");
  EXPECT_EQ(words(outputs, "type"), (std::vector<std::string>{"device_discovered", "metric_discovered"}));
  EXPECT_EQ(*outputs.signals[1].json,
            "{\"tenant\":1,\"id\":\"0-0-1\",\"time\":\"2026-01-01T00:00:00Z\",\"device\":\"pump-1\",\"type\":"
            "\"metric_discovered\",\"message\":\"pump-1 has a new metric: temperature\",\"details\":{\"measurement\":"
            "\"telemetry\",\"metrics\":[{\"name\":\"temperature\",\"type\":\"double\"}]}}");
  EXPECT_TRUE(lane.give(one_row(pump, {to_cell(21.6)})).signals.empty()) << "known by now";
}

TEST(Pipeline, AttachesWhatIsKnownOfTheDeviceAsOfEachRecord) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  const auto before = lane.give(one_row(pump, {to_cell(1.0)})).readings.contexts[0];
  lane.give(pump_profile());
  lane.give(pump_device());
  const auto after = lane.give(one_row(pump, {to_cell(1.0)})).readings.contexts[0];
  EXPECT_TRUE(before->profile.empty());
  EXPECT_EQ(after->name, "North pump");
  EXPECT_EQ(after->unit_of("temperature"), "°C");
  EXPECT_EQ(after->unit_of("spin"), "rpm");
  EXPECT_EQ(after->unit_of("nothing"), "");
  EXPECT_EQ(*after->label("site"), "north") << "the device's own wins";
  EXPECT_EQ(*after->label("kind"), "wet");
  EXPECT_EQ(after->location->place, "Hall 3");
  lane.give(wire::control::ProfileRemoved{kTenant, 3, "pump"});
  const auto without = lane.give(one_row(pump, {to_cell(1.0)})).readings.contexts[0];
  EXPECT_EQ(without->unit_of("temperature"), "");
  EXPECT_EQ(without->label("kind"), nullptr);
}

TEST(Pipeline, IgnoresChangesThatItHasHad) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  const Fingerprint before = lane.state.hash();
  lane.give(pump_profile());
  auto renamed = pump_device();
  renamed.name = "older";
  lane.give(renamed);
  EXPECT_EQ(lane.state.hash(), before);
  renamed.version = 3;
  lane.give(renamed);
  EXPECT_NE(lane.state.hash(), before);
}

TEST(Validation, RefusesWhatLiesBeyondTheProfile) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  const auto pump =
      shape("pump-1", {{"temperature", ValueType::float64}, {"spin", ValueType::int64}, {"count", ValueType::uint64}});
  const auto verdict = [&](double temperature, std::int64_t spin, std::uint64_t count) {
    const Outputs outputs = lane.give(one_row(pump, {to_cell(temperature), to_cell(spin), to_cell(count)}));
    return words(outputs, "metric");
  };
  using Names = std::vector<std::string>;
  verdict(0, 5, 5);
  EXPECT_EQ(verdict(-40, 1, 3), Names{});
  EXPECT_EQ(verdict(150, 9, UINT64_MAX), Names{});
  EXPECT_EQ(verdict(std::nextafter(150.0, 151.0), 5, 5), Names{"temperature"});
  EXPECT_EQ(verdict(-40.001, 0, 2), (Names{"temperature", "spin", "count"}));
  EXPECT_EQ(verdict(0, 10, 5), Names{"spin"});
  EXPECT_EQ(verdict(std::nan(""), 5, 5), Names{"temperature"});
}

TEST(Validation, SaysWhyInTheDeadLetter) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}, {"spin", ValueType::int64}});
  lane.give(one_row(pump, {to_cell(1.0), to_cell(std::int64_t{5})}));
  const Outputs outputs = lane.give(one_row(pump, {to_cell(190.0), to_cell(std::int64_t{5})}, kNow - 1_s));
  ASSERT_EQ(outputs.signals.size(), 1U);
  EXPECT_EQ(*outputs.signals[0].json,
            "{\"tenant\":1,\"id\":\"0-3-0\",\"time\":\"2025-12-31T23:59:59Z\",\"received_at\":\"2026-01-01T00:00:00Z\","
            "\"device\":\"pump-1\",\"metric\":\"temperature\",\"value\":190,\"reason\":\"out_of_range\",\"message\":"
            "\"temperature 190 is above the maximum 150 of profile pump\",\"source\":{\"partition\":0,\"offset\":3}}");
  ASSERT_TRUE(outputs.readings.batch);
  const auto& group = outputs.readings.batch->groups()[0];
  EXPECT_FALSE(outputs.readings.batch->has(group, 0, 0));
  EXPECT_EQ(outputs.readings.batch->value(group, 1, 0), Value(std::int64_t{5}));
  EXPECT_EQ(outputs.readings.batch->reading_count(), 1U);
  EXPECT_EQ(outputs.refused[static_cast<std::size_t>(Reason::out_of_range)], 1U);
}

TEST(Validation, RefusesNonFiniteNumbersUnlessTheProfileAllowsThem) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  const auto pump = shape("pump-1", {{"free", ValueType::float64}, {"other", ValueType::float64}});
  const double infinity = std::numeric_limits<double>::infinity();
  const Outputs outputs = lane.give(one_row(pump, {to_cell(infinity), to_cell(-infinity)}));
  EXPECT_EQ(words(outputs, "metric"), std::vector<std::string>{"other"});
  EXPECT_EQ(words(outputs, "reason"), std::vector<std::string>{"non_finite"});
}

TEST(Validation, RefusesRowsFarFromTheirArrival) {
  Lane lane;
  auto rules = wire::control::RulesChanged{};
  rules.max_age = 24_h;
  lane.give(rules);
  const auto pump = shape("pump-1", {{"a", ValueType::float64}});
  const auto reason = [&](Time time) { return words(lane.give(one_row(pump, {to_cell(1.0)}, time)), "reason"); };
  using Names = std::vector<std::string>;
  EXPECT_EQ(reason(kNow + 1_h), Names{});
  EXPECT_EQ(reason(kNow + 1_h + 1_ns), Names{"clock_skew"});
  EXPECT_EQ(reason(kNow - 24_h), Names{});
  EXPECT_EQ(reason(kNow - 24_h - 1_ns), Names{"too_old"});
  EXPECT_EQ(reason(Time::max()), Names{"clock_skew"});
  EXPECT_EQ(reason(Time::min()), Names{"too_old"});
  const Outputs refused = lane.give(one_row(pump, {to_cell(1.0)}, kNow + 2_h));
  EXPECT_FALSE(refused.readings.batch);
  EXPECT_EQ(lane.state.find(kTenant, "pump-1")->last_event, kNow + 1_h) << "a refused time is no event";
}

TEST(Validation, RefusesEndlessStrings) {
  Lane lane;
  auto rules = wire::control::RulesChanged{};
  rules.max_string_bytes = 4;
  lane.give(rules);
  const auto pump = shape("pump-1", {{"a", ValueType::string}});
  BatchBuilder builder;
  for (const char* text : {"four", "fives"}) {
    const auto row = builder.add_row(pump, kNow);
    row[0] = builder.add_string(text);
  }
  const Outputs outputs = lane.give(builder.seal(kNow));
  EXPECT_EQ(words(outputs, "reason"), std::vector<std::string>{"too_large"});
  ASSERT_EQ(outputs.readings.batch->row_count(), 1U);
  EXPECT_EQ(outputs.readings.batch->value(outputs.readings.batch->groups()[0], 0, 0), Value(std::string("four")));
}

TEST(Validation, CountsWhatIsBeyondTheLimitOfDeadLetters) {
  Lane lane;
  auto rules = wire::control::RulesChanged{};
  rules.dead_letters_per_record = 2;
  lane.give(rules);
  const auto pump = shape("pump-1", {{"a", ValueType::float64}});
  lane.give(one_row(pump, {to_cell(1.0)}));
  BatchBuilder builder;
  for (int i = 0; i < 10; ++i) builder.add_row(pump, kNow)[0] = to_cell(std::nan(""));
  const Outputs outputs = lane.give(builder.seal(kNow));
  EXPECT_EQ(words(outputs, "reason"), (std::vector<std::string>{"non_finite", "non_finite", "too_many"}));
  EXPECT_EQ(words(outputs, "message").back(), "8 more of this record were refused and are only counted");
  EXPECT_EQ(outputs.refused[static_cast<std::size_t>(Reason::non_finite)], 10U);
}

TEST(Validation, KeepsExactlyTheOthers) {
  const bool held = rc::check("what is left is what a plain loop over the rows leaves", [] {
    Lane lane;
    lane.give(pump_profile());
    auto device = pump_device();
    lane.give(device);
    device.device = "pump-2";
    device.version = 0;
    lane.give(device);
    const std::vector<ShapePtr> shapes{
        shape("pump-1", {{"temperature", ValueType::float64}, {"spin", ValueType::int64}, {"note", ValueType::string}}),
        shape("pump-2", {{"temperature", ValueType::float64}}), shape("other", {{"temperature", ValueType::float64}})};
    struct Expected {
      std::string device, field;
      std::int64_t time;
      Value value;
      bool operator==(const Expected&) const = default;
    };
    std::map<std::size_t, std::vector<Expected>> expected;
    std::size_t refused_readings = 0;
    BatchBuilder builder;
    const auto rows = *rc::gen::inRange(1, 200);
    for (int i = 0; i < rows; ++i) {
      const auto which = *rc::gen::inRange<std::size_t>(0, shapes.size());
      const Time time = kNow + Duration{*rc::gen::inRange<std::int64_t>(-5, 5) * 900'000'000'000};
      const bool bad_time = time > kNow + 1_h;
      const auto row = builder.add_row(shapes[which], time);
      std::size_t missing = SIZE_MAX;
      if (shapes[which]->field_count() > 1 && *rc::gen::inRange(0, 3) == 0)
        missing = *rc::gen::inRange<std::size_t>(0, 3);
      std::vector<Cell> cells;
      for (std::size_t field = 0; field < shapes[which]->field_count(); ++field) {
        const FieldDef& def = shapes[which]->fields()[field];
        bool bad = bad_time;
        Value value;
        if (def.type == ValueType::float64) {
          const double number = *rc::gen::inRange(-60, 200);
          bad |= which != 2 && (number < -40 || number > 150);
          value = number;
          cells.push_back(to_cell(number));
        } else if (def.type == ValueType::int64) {
          const std::int64_t number = *rc::gen::inRange(-3, 13);
          bad |= number < 1 || number > 9;
          value = number;
          cells.push_back(to_cell(number));
        } else {
          value = std::string("text");
          cells.push_back(builder.add_string("text"));
        }
        if (field == missing) continue;
        if (bad) ++refused_readings;
        else expected[which].push_back({shapes[which]->device(), def.name, time.ns, value});
      }
      std::ranges::copy(cells, row.begin());
      if (missing != SIZE_MAX) builder.set_missing(missing);
    }
    const BatchPtr batch = builder.seal(kNow);
    const Outputs outputs = lane.give(batch);
    std::uint64_t refused = 0;
    for (const auto count : outputs.refused) refused += count;
    RC_ASSERT(refused == refused_readings);
    RC_ASSERT((refused == 0) == (outputs.readings.batch == batch));
    std::map<std::size_t, std::vector<Expected>> got;
    std::size_t readings = 0;
    if (outputs.readings.batch) {
      const TelemetryBatch& rest = *outputs.readings.batch;
      RC_ASSERT(outputs.readings.contexts.size() == rest.groups().size());
      for (std::size_t g = 0; g < rest.groups().size(); ++g) {
        const auto& group = rest.groups()[g];
        RC_ASSERT(outputs.readings.contexts[g]->device == group.shape().device());
        const std::size_t which =
            static_cast<std::size_t>(std::ranges::find(shapes, group.shape_ptr()) - shapes.begin());
        for (std::size_t row = 0; row < group.rows(); ++row)
          for (std::size_t field = 0; field < group.shape().field_count(); ++field)
            if (rest.has(group, field, row)) {
              ++readings;
              got[which].push_back({group.shape().device(), group.shape().fields()[field].name, rest.times(group)[row],
                                    rest.value(group, field, row)});
            }
      }
      RC_ASSERT(rest.reading_count() == readings);
    }
    RC_ASSERT(got == expected);
  });
  EXPECT_TRUE(held);
}

TEST(Presence, SaysOnceThatADeviceIsSilentAndOnceThatItIsBack) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  EXPECT_EQ(words(lane.give(one_row(pump, {to_cell(1.0)})), "type"),
            (std::vector<std::string>{"device_online", "metric_discovered"}))
      << "it was registered before it reported";
  EXPECT_EQ(lane.state.next_due(Time::min()), kNow + 5_s);
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 4_s, Time::min()}).signals.empty());
  const Outputs silent = lane.give(wire::control::Tick{kNow + 5_s, Time::min()});
  EXPECT_EQ(words(silent, "type"), std::vector<std::string>{"device_silent"});
  EXPECT_EQ(words(silent, "since"), std::vector<std::string>{"2026-01-01T00:00:00Z"});
  EXPECT_EQ(words(silent, "time"), std::vector<std::string>{"2026-01-01T00:00:05Z"});
  EXPECT_EQ(lane.state.next_due(Time::min()), Time::max());
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 6_s, Time::min()}).signals.empty());
  const Outputs back = lane.give(one_row(pump, {to_cell(1.0)}, kNow, kNow + 65_s));
  EXPECT_EQ(words(back, "message"), std::vector<std::string>{"pump-1 reports again after 1m5s"});
  EXPECT_EQ(lane.state.next_due(Time::min()), kNow + 70_s);
}

TEST(Presence, OurOwnSilenceDoesNotCount) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  lane.give(one_row(pump, {to_cell(1.0)}));
  EXPECT_EQ(lane.state.next_due(kNow + 1_h), kNow + 1_h + 10_min);
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 1_h, kNow + 1_h}).signals.empty());
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 1_h + 9_min, Time::min()}).signals.empty());
  EXPECT_EQ(lane.give(wire::control::Tick{kNow + 1_h + 10_min, Time::min()}).signals.size(), 1U);
}

TEST(Presence, AShorterPatienceCountsAtOnceAndNoneMeansNever) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  lane.give(one_row(pump, {to_cell(1.0)}));
  EXPECT_EQ(lane.state.next_due(Time::min()), kNow + 10_min);
  lane.give(pump_profile());
  lane.give(pump_device());
  EXPECT_EQ(lane.state.next_due(Time::min()), kNow + 5_s);
  auto profile = pump_profile();
  profile.version = 9;
  profile.silent_after = 0_s;
  lane.give(profile);
  EXPECT_EQ(lane.state.next_due(Time::min()), Time::max());
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 9_h, Time::min()}).signals.empty());
}

TEST(Presence, ADeviceThatWasRemovedIsNeitherSilentNorKnown) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  lane.give(one_row(pump, {to_cell(1.0)}));
  lane.give(wire::control::DeviceRemoved{kTenant, 4, "pump-1"});
  EXPECT_EQ(lane.state.device_count(), 0U);
  EXPECT_TRUE(lane.give(wire::control::Tick{kNow + 9_h, Time::min()}).signals.empty());
  EXPECT_EQ(words(lane.give(one_row(pump, {to_cell(1.0)})), "type"),
            (std::vector<std::string>{"device_discovered", "metric_discovered"}));
}

TEST(Presence, WhatIsUnderWayDoesNotBringARemovedDeviceBack) {
  Lane lane;
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  const auto other = shape("pump-2", {{"temperature", ValueType::float64}});
  lane.give(one_row(pump, {to_cell(1.0)}));
  lane.give(wire::control::DeviceRemoved{kTenant, 4, "pump-1", kNow + 1_s});

  BatchBuilder builder;
  builder.add_row(pump, kNow)[0] = to_cell(2.0);
  builder.add_row(other, kNow)[0] = to_cell(3.0);
  const Outputs late = lane.give(builder.seal(kNow + 1_s));
  ASSERT_NE(late.readings.batch, nullptr);
  ASSERT_EQ(late.readings.batch->groups().size(), 1U);
  EXPECT_EQ(late.readings.batch->groups()[0].shape().key().device, "pump-2");
  EXPECT_EQ(late.readings.batch->column(late.readings.batch->groups()[0], 0)[0], to_cell(3.0));
  EXPECT_EQ(words(late, "reason"), std::vector<std::string>{"device_removed"});
  EXPECT_EQ(late.refused[static_cast<std::size_t>(Reason::device_removed)], 1U);
  EXPECT_EQ(lane.state.find(kTenant, "pump-1"), nullptr);

  // A restart remembers it too.
  PartitionState again({0}, 1);
  ASSERT_TRUE(again.load(lane.state.save()));
  EXPECT_EQ(again.save(), lane.state.save());
  EXPECT_TRUE(again.removed_around(kTenant, "pump-1", kNow));

  EXPECT_EQ(lane.give(one_row(pump, {to_cell(4.0)}, kNow, kNow + 1_min)).refused[6], 0U) << "sent anew: it is back";
  EXPECT_NE(lane.state.find(kTenant, "pump-1"), nullptr);
}

TEST(Presence, ADeviceThatIsSetUpAnewIsHeardAtOnce) {
  Lane lane;
  lane.give(wire::control::DeviceRemoved{kTenant, 1, "pump-1", kNow});
  lane.give(pump_device());
  const auto pump = shape("pump-1", {{"temperature", ValueType::float64}});
  EXPECT_NE(lane.give(one_row(pump, {to_cell(1.0)}, kNow, kNow)).readings.batch, nullptr);
}

TEST(State, SurvivesSavingAndRefusesDamage) {
  Lane lane;
  lane.give(pump_profile());
  lane.give(pump_device());
  for (int i = 0; i < 20; ++i)
    lane.give(one_row(shape("device-" + std::to_string(i), {{"a", ValueType::float64}}), {to_cell(1.0)}));
  lane.give(wire::control::Tick{kNow + 11_min, Time::min()});
  const std::string bytes = lane.state.save();
  PartitionState back({0}, 1);
  ASSERT_TRUE(back.load(bytes));
  EXPECT_EQ(back.save(), bytes);
  EXPECT_EQ(back.device_count(), lane.state.device_count());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(back.load(std::string_view(bytes).substr(0, size)));
  EXPECT_TRUE(rc::check("flipped bytes are refused or read, never fatal", [&] {
    std::string damaged = bytes;
    damaged[*rc::gen::inRange<std::size_t>(0, damaged.size())] = static_cast<char>(*rc::gen::arbitrary<std::uint8_t>());
    PartitionState state({0}, 1);
    if (!state.load(damaged)) RC_ASSERT(state.device_count() == 0U);
  }));
}

TEST(Pipeline, SurvivesAControlRecordThatNobodyCanRead) {
  Lane lane;
  bus::Record record;
  record.kind = bus::RecordKind::control;
  record.payload = std::make_shared<const std::string>("\x07garbage");
  const Outputs outputs = lane.give(std::move(record));
  EXPECT_EQ(words(outputs, "reason"), std::vector<std::string>{"corrupt_record"});
}

}  // namespace
}  // namespace flux::process
