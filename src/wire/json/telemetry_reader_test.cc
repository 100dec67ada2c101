#include "wire/json/telemetry_reader.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <simdjson.h>

#include <map>
#include <optional>

#include "wire/json/json_check.h"
#include "wire/json/testing.h"

namespace flux::wire::json {
namespace {

using testing::FakeSink;

class Reading : public ::testing::Test {
 protected:
  Result<> read(std::string_view text, TelemetryForm form = TelemetryForm::any) {
    return reader.read(text, form, sink, outcome);
  }
  /// Rows as "device@time field=value …", one a line, after sealing.
  std::string rows() { return sink.dump(); }
  std::string refusals() {
    std::string all;
    for (const Refusal& refusal : outcome.refusals)
      all += std::to_string(refusal.index) + " " + refusal.error.field + ": " + refusal.error.message + "\n";
    return all;
  }

  FakeSink sink{"self"};
  TelemetryReader reader;
  TelemetryOutcome outcome;
};

TEST_F(Reading, takes_a_single_reading) {
  ASSERT_TRUE(read(
      R"({"device":"pump-1","time":"2026-01-01T00:00:00Z","metrics":{"temperature":21.5,"on":true,"mode":"auto"}})"));
  EXPECT_EQ(rows(), "pump-1@2026-01-01T00:00:00Z temperature=21.5 on=true mode='auto'\n");
  EXPECT_EQ(outcome.rows, 1u);
  EXPECT_EQ(outcome.readings, 3u);
  EXPECT_EQ(outcome.refused, 0u);
}

TEST_F(Reading, takes_device_and_time_after_the_metrics) {
  ASSERT_TRUE(read(R"({"metrics":{"a":1},"time":1767225600,"device":"x"})"));
  EXPECT_EQ(rows(), "x@2026-01-01T00:00:00Z a=1\n");
}

TEST_F(Reading, takes_an_array_of_several_devices) {
  ASSERT_TRUE(read(
      R"([{"device":"a","time":1767225600000,"metrics":{"x":1}},{"device":"b","time":1767225600000,"metrics":{"x":2}}])"));
  EXPECT_EQ(rows(), "a@2026-01-01T00:00:00Z x=1\nb@2026-01-01T00:00:00Z x=2\n");
}

TEST_F(Reading, takes_readings_of_one_device) {
  ASSERT_TRUE(read(
      R"({"device":"a","readings":[{"time":1767225600,"metrics":{"x":1}},{"time":1767225601,"metrics":{"x":2}}]})"));
  EXPECT_EQ(rows(), "a@2026-01-01T00:00:00Z x=1\na@2026-01-01T00:00:01Z x=2\n");
}

TEST_F(Reading, takes_flat_objects_only_where_they_are_allowed) {
  ASSERT_TRUE(read(R"({"temperature":21.5,"time":1767225600.25})"));
  EXPECT_EQ(rows(), "self@2026-01-01T00:00:00.250Z temperature=21.5\n");
  ASSERT_TRUE(read(R"([{"t":1,"time":1767225600},{"time":1767225601,"metrics":{"t":2}}])"));
  EXPECT_EQ(rows(), "self@2026-01-01T00:00:00Z t=1\nself@2026-01-01T00:00:01Z t=2\n");
  ASSERT_TRUE(read(R"({"temperature":21.5})", TelemetryForm::enveloped));
  EXPECT_EQ(refusals(), "0 metrics: is missing: expected an object of names and values\n");
}

TEST_F(Reading, assigns_growing_times_where_none_is_given) {
  ASSERT_TRUE(read(R"([{"a":1},{"a":2,"time":null}])"));
  EXPECT_EQ(rows(), "self@1970-01-01T00:00:00.000000001Z a=1\nself@1970-01-01T00:00:00.000000002Z a=2\n");
}

TEST_F(Reading, refuses_one_value_and_takes_its_neighbours) {
  ASSERT_TRUE(read(R"({"device":"a","readings":[
      {"time":1767225600,"metrics":{"x":1,"y":{"deep":1},"z":3}},
      {"time":"yesterday","metrics":{"x":2}},
      {"time":1767225602,"metrics":{"x":"hot","z":4}},
      7,
      {"time":1767225604,"metrics":{"x":5,"z":6}}]})"));
  EXPECT_EQ(rows(), "a@2026-01-01T00:00:00Z x=1 z=3\na@2026-01-01T00:00:02Z z=4\na@2026-01-01T00:00:04Z x=5 z=6\n");
  EXPECT_EQ(refusals(),
            "0 readings[0].metrics.y: expected a number, a boolean or a string, got an object\n"
            "1 readings[1].time: 'yesterday' is not a time: expected RFC 3339, such as 2026-01-01T00:00:00Z\n"
            "2 readings[2].metrics.x: this metric is double, got a string (\"hot\")\n"
            "3 readings[3]: expected an object, got a number\n");
  EXPECT_EQ(outcome.readings, 5u);
  EXPECT_EQ(outcome.refused, 4u);
}

TEST_F(Reading, names_paths_in_arrays_and_single_objects) {
  ASSERT_TRUE(read(R"([{"metrics":{"x":1}},{"metrics":{"x":[]}}])"));
  EXPECT_EQ(refusals(), "1 [1].metrics.x: expected a number, a boolean or a string, got an array\n");
  ASSERT_TRUE(read(R"({"x":{}})"));
  EXPECT_EQ(refusals(), "0 x: expected a number, a boolean or a string, got an object\n");
  ASSERT_TRUE(read(R"({"tme":5,"metrics":{"x":1}})"));
  EXPECT_EQ(refusals(), "0 tme: is not known here: expected device, time and metrics\n");
  ASSERT_TRUE(read(R"([{"time":1,"time":2,"metrics":{"x":1}}])"));
  EXPECT_EQ(refusals(), "0 [0].time: stands twice\n");
}

TEST_F(Reading, treats_null_as_no_value) {
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"a":null,"b":1}})"));
  ASSERT_TRUE(read(R"({"time":2,"metrics":{"a":null,"b":2}})"));
  ASSERT_TRUE(read(R"({"time":3,"metrics":{"a":3,"b":3}})"));
  ASSERT_TRUE(read(R"({"time":4,"metrics":{"a":null,"b":4}})"));
  ASSERT_TRUE(read(R"({"time":5,"metrics":{"a":5,"b":null}})"));
  EXPECT_EQ(rows(),
            "self@1970-01-01T00:00:01Z b=1\nself@1970-01-01T00:00:02Z b=2\n"
            "self@1970-01-01T00:00:03Z a=3 b=3\nself@1970-01-01T00:00:04Z b=4\nself@1970-01-01T00:00:05Z a=5\n");
  EXPECT_EQ(outcome.refused, 0u);
  ASSERT_TRUE(read(R"({"metrics":{"a":null,"b":null}})"));
  EXPECT_EQ(refusals(), "0 metrics: every value is null: expected at least one\n");
  ASSERT_TRUE(read(R"({"metrics":{}})"));
  EXPECT_EQ(refusals(), "0 metrics: has no values: expected at least one\n");
  ASSERT_TRUE(read(R"({})"));
  EXPECT_EQ(refusals(), "0 : has no values: expected at least one\n");
}

TEST_F(Reading, keeps_the_first_of_two_values_with_one_name) {
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"a":1,"a":2,"b":3}})"));
  EXPECT_EQ(rows(), "self@1970-01-01T00:00:01Z a=1 b=3\n");
  EXPECT_EQ(refusals(), "0 metrics.a: stands twice: the first value counts\n");
}

TEST_F(Reading, holds_integers_exactly_where_the_metric_is_an_integer) {
  sink.types = {{"i", ValueType::int64}, {"u", ValueType::uint64}};
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"i":-9007199254740993,"u":18446744073709551615,"d":9007199254740993}})"));
  ASSERT_TRUE(read(R"({"time":2,"metrics":{"i":5.0,"u":5e0,"d":12345678901234567890123}})"));
  EXPECT_EQ(rows(),
            "self@1970-01-01T00:00:01Z i=-9007199254740993 u=18446744073709551615u d=9007199254740992\n"
            "self@1970-01-01T00:00:02Z i=5 u=5u d=1.2345678901234568e+22\n");
  ASSERT_TRUE(read(R"({"time":3,"metrics":{"i":9223372036854775808,"u":-1,"d":1}})"));
  EXPECT_EQ(refusals(),
            "0 metrics.i: this metric is int64: 9223372036854775808 is no integer in its range\n"
            "0 metrics.u: this metric is uint64: -1 is no integer in its range\n");
  ASSERT_TRUE(read(R"({"i":1.5,"u":1e30})"));
  EXPECT_EQ(refusals(),
            "0 i: this metric is int64: 1.5 is no integer in its range\n"
            "0 u: this metric is uint64: 1e+30 is no integer in its range\n");
}

TEST_F(Reading, refuses_numbers_beyond_double_by_value) {
  ASSERT_TRUE(read(
      R"([{"time":1,"metrics":{"a":1e400,"b":2}},{"time":-1e999,"metrics":{"b":3}},{"time":3,"metrics":{"b":4}}])"));
  EXPECT_EQ(rows(), "self@1970-01-01T00:00:01Z b=2\nself@1970-01-01T00:00:03Z b=4\n");
  EXPECT_EQ(refusals(),
            "0 [0].metrics.a: the number is beyond the range of a double\n"
            "1 [1].time: expected a time between 1677-09-22 and 2262-04-11\n");
}

TEST_F(Reading, refuses_what_is_not_json_before_anything_of_it_counts) {
  const std::map<std::string, std::string> faults = {
      {R"([{"a":1},{"a":2])", "not JSON at byte offset 15: expected ',' or '}' after a value"},
      {R"({"a":1)", "not JSON at byte offset 6: expected ',' or '}' after a value, but the text ends"},
      {R"({"a":1} x)", "not JSON at byte offset 8: expected nothing after the first value"},
      {R"({"a":NaN})", "not JSON at byte offset 5: expected a value"},
      {R"({"a":01})", "not JSON at byte offset 6: a number must not start with 0"},
      {R"({"a":1.})", "not JSON at byte offset 7: expected a digit after the point"},
      {R"({a:1})", "not JSON at byte offset 1: expected a name in double quotes"},
      {R"({'a':1})", "not JSON at byte offset 1: expected a name in double quotes"},
      {R"({"a":1,})", "not JSON at byte offset 7: expected a name in double quotes"},
      {R"({"a":"\q"})",
       "not JSON at byte offset 7: expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u after a backslash"},
      {R"({"a":"\udc00"})", "not JSON at byte offset 12: a low surrogate without its high one"},
      {R"({"a":"\ud800"})", "not JSON at byte offset 12: expected the low surrogate \\uDC00 to \\uDFFF"},
      {"{\"a\":\"\xff\"}", "not JSON at byte offset 6: not valid UTF-8"},
      {"", "the payload is empty: expected JSON"},
      {"   ", "not JSON at byte offset 3: expected a value, but the text ends"},
  };
  for (const auto& [text, message] : faults) {
    const auto result = read(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().message, message) << text;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_EQ(rows(), "");
  EXPECT_TRUE(sink.devices.empty());
  EXPECT_EQ(read("21.5").error().message, "expected an object or an array of objects, got a number");
  EXPECT_EQ(read(R"({"readings":[]})").error().message, "readings is empty");
  EXPECT_EQ(read(R"({"readings":{}})").error().message, "expected an array, got an object");
  EXPECT_EQ(read(R"({"readings":[{"a":1}],"time":1})").error().field, "time");
}

TEST_F(Reading, keeps_escaped_text_and_names) {
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"\u0061\"b":"x\n\ud83d\ude00"}})"));
  ASSERT_TRUE(read(R"({"time":2,"metrics":{"a\"b":"y"}})"));
  EXPECT_EQ(rows(), "self@1970-01-01T00:00:01Z a\"b='x\n\xF0\x9F\x98\x80'\nself@1970-01-01T00:00:02Z a\"b='y'\n");
}

TEST_F(Reading, holds_its_limits) {
  TelemetryReader tight(
      {.max_rows = 2, .max_metrics = 2, .max_name_bytes = 4, .max_string_bytes = 3, .max_depth = 4, .max_refusals = 2});
  const auto refused = [&](std::string_view text) {
    auto result = tight.read(text, TelemetryForm::any, sink, outcome);
    return result ? refusals() : result.error().message;
  };
  EXPECT_EQ(refused(R"([{"a":1},{"a":1},{"a":1}])"), "the array has 3 items, at most 2 are taken in one message");
  EXPECT_EQ(refused(R"({"a":1,"b":2,"c":3})"), "0 : has more than 2 values: the limit for one reading\n");
  EXPECT_EQ(refused(R"({"abcde":1,"a":"wxyz"})"),
            "0 abcd…: the name is longer than 4 bytes\n"
            "0 a: the text is longer than 3 bytes\n");
  EXPECT_EQ(refused(R"({"":1,"\u0007":1})"), "0 : a metric needs a name\n0 \a: the name has a control character\n");
  EXPECT_EQ(refused(R"([[[[[[[[1]]]]]]]])"), "not JSON at byte offset 4: nested more than 4 levels deep");
  EXPECT_EQ(refused(R"([1,2])"), "0 [0]: expected an object, got a number\n1 [1]: expected an object, got a number\n");
  EXPECT_EQ(refused(R"([{"a":[],"b":{}},{"a":[]}])").size(),
            std::string("0 [0].a: expected a number, a boolean or a string, got an array\n").size() * 2 + 1);
  EXPECT_EQ(outcome.refused, 3u);
  EXPECT_EQ(outcome.refusals.size(), 2u);
}

TEST_F(Reading, refuses_a_device_that_the_sink_refuses_and_goes_on) {
  sink.forbidden = "other";
  ASSERT_TRUE(read(
      R"([{"device":"other","metrics":{"a":1}},{"device":"mine","time":1,"metrics":{"a":1}},{"device":"other","metrics":{"a":1}},{"device":7,"metrics":{"a":1}},{"device":"","metrics":{"a":1}}])"));
  EXPECT_EQ(rows(), "mine@1970-01-01T00:00:01Z a=1\n");
  EXPECT_EQ(refusals(),
            "0 [0].device: not yours\n2 [2].device: not yours\n3 [3].device: expected a string, got a number\n"
            "4 [4].device: must not be empty\n");
  ASSERT_TRUE(read(R"({"device":"other","readings":[{"metrics":{"a":1}}]})"));
  EXPECT_EQ(refusals(), "0 device: not yours\n");
  EXPECT_EQ(outcome.refused, 1u);
}

TEST_F(Reading, goes_on_when_a_type_was_taken_meanwhile) {
  sink.stolen = "b";
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"a":1,"b":2,"c":3}})"));
  EXPECT_EQ(rows(), "self@1970-01-01T00:00:01Z a=1 c=3\n");
  EXPECT_EQ(refusals(), "0 metrics.b: taken\n");
}

TEST_F(Reading, reuses_shapes_between_layouts) {
  ASSERT_TRUE(read(R"({"time":1,"metrics":{"a":1,"b":2}})"));
  ASSERT_TRUE(read(R"({"time":2,"metrics":{"a":1,"n":null,"b":2}})"));
  ASSERT_TRUE(read(R"({"time":3,"metrics":{"a":1,"n":null,"b":2}})"));
  EXPECT_EQ(sink.shapes_made, 1);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(read("{\"k" + std::to_string(i) + "\":1}"));
  EXPECT_EQ(sink.shapes_made, 101);
}

/// Any JSON value as text, biased towards telemetry.
rc::Gen<std::string> json_text(int depth) {
  using rc::gen::just;
  const auto scalar = rc::gen::element<std::string>("1", "-0.5e3", "true", "false", "null", "\"x\"", "\"\\u00e9\"",
                                                    "1e400", "123456789012345678901", "\"2026-01-01T00:00:00Z\"",
                                                    "18446744073709551615", "9223372036854775808", "1767225600");
  if (depth == 0) return scalar;
  const auto name = rc::gen::element<std::string>("a", "b", "time", "device", "metrics", "readings", "");
  const auto object = rc::gen::map(
      rc::gen::container<std::vector<std::pair<std::string, std::string>>>(rc::gen::pair(name, json_text(depth - 1))),
      [](const std::vector<std::pair<std::string, std::string>>& members) {
        std::string text = "{";
        for (const auto& [key, value] : members) text += (text.size() > 1 ? ",\"" : "\"") + key + "\": " + value;
        return text + "}";
      });
  const auto array = rc::gen::map(rc::gen::container<std::vector<std::string>>(json_text(depth - 1)),
                                  [](const std::vector<std::string>& items) {
                                    std::string text = "[";
                                    for (const auto& item : items) text += (text.size() > 1 ? " ," : "") + item;
                                    return text + "]";
                                  });
  return rc::gen::weightedOneOf<std::string>({{2, scalar}, {3, object}, {2, array}});
}

TEST_F(Reading, agrees_with_itself_on_anything) {
  EXPECT_TRUE(rc::check("every value is taken, null, or refused; and the same again gives the same", [] {
    const std::string text = *rc::gen::resize(6, json_text(4));
    FakeSink fresh("self");
    TelemetryOutcome first, second;
    TelemetryReader one;
    const auto before = one.read(text, TelemetryForm::any, fresh, first);
    const std::size_t rows_first = fresh.builder.row_count();
    const auto after = one.read(text, TelemetryForm::any, fresh, second);
    RC_ASSERT(before.has_value() == after.has_value());
    RC_ASSERT(fresh.builder.row_count() == 2 * rows_first);
    RC_ASSERT(first.readings == second.readings);
    RC_ASSERT(first.refused == second.refused);
    RC_ASSERT(rows_first == first.rows);
    RC_ASSERT(fresh.builder.reading_count() == std::size_t{first.readings} * 2);
    if (before) RC_ASSERT(first.readings + first.refused > 0);
  }));
}

TEST(JsonCheck, agrees_with_simdjson_on_broken_text) {
  EXPECT_TRUE(rc::check("a text with one byte changed", [] {
    std::string text = *rc::gen::resize(6, json_text(3));
    if (!text.empty()) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      text[at] = *rc::gen::element('{', '}', '[', ']', ',', ':', '"', '\\', '0', '1', '-', '.', 'e', 'n', ' ', '\n',
                                   'u', '\x01', '\xC3');
    }
    std::vector<WideNumber> wide;
    const auto fault = check_json(text, 1000, &wide);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    const auto error = parser.parse(simdjson::padded_string(text)).get(root);
    if (wide.empty()) RC_ASSERT(!fault == !error);
    else RC_ASSERT(static_cast<bool>(error));
  }));
}

}  // namespace
}  // namespace flux::wire::json
