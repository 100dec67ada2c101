#include "query/influxql/service.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/batch_builder.h"
#include "query/influxql/testing.h"
#include "store/series/memory/memory_store.h"

namespace flux::query::influxql {
namespace {

constexpr TenantId kTenant{1};
constexpr std::int64_t kSecond = 1'000'000'000;
using Lines = std::vector<std::string>;

/// Readings of the database that is always there.
class InfluxqlService : public ::testing::Test {
 protected:
  void add(const std::string& measurement, std::vector<Tag> tags, std::int64_t second,
           std::vector<std::pair<FieldDef, Cell>> values) {
    BatchBuilder builder;
    std::vector<FieldDef> fields;
    for (const auto& [field, cell] : values) fields.push_back(field);
    const auto shape = std::make_shared<const Shape>(ShapeKey{.tenant = kTenant,
                                                              .measurement = measurement,
                                                              .device = "d",
                                                              .tags = std::move(tags),
                                                              .fields = std::move(fields)});
    auto cells = builder.add_row(shape, Time{second * kSecond});
    for (std::size_t i = 0; i < values.size(); ++i) cells[i] = values[i].second;
    CHECK(store_->append({0}, offset_, *builder.seal(Time{0})).has_value());
    offset_ = offset_.next();
  }
  void add(const std::string& host, std::int64_t second, double value) {
    add("m", {{"host", host}}, second, {{{"v", ValueType::float64}, to_cell(value)}});
  }

  Lines ask(const std::string& text, store::QueryLimits limits = {}, std::stop_token stop = {},
            int patience = 1'000'000) {
    testing::TextAnswer answer;
    answer.patience = patience;
    testing::NoAdministration administration;
    auto statements = Parser(text).statements();
    if (!statements) return {"error: " + statements.error().message};
    const Request request{
        .statements = *std::move(statements), .tenant = kTenant, .database = "default", .policy = {}, .may_read = true};
    const auto done =
        Service(*store_, databases_, limits).run(request, administration, 1'000'000 * kSecond, stop, answer);
    if (!done) answer.lines.push_back("ended: " + done.error().message);
    return answer.lines;
  }

  std::unique_ptr<store::TimeSeriesStore> store_ = store::memory::make_store();
  registry::Databases databases_;
  Offset offset_;
};

TEST_F(InfluxqlService, AnswersWindowsByTag) {
  for (int i = 0; i < 4; ++i) add("a", i * 30, i), add("b", i * 30 + 1, 10 * i);
  EXPECT_EQ(ask("SELECT mean(v), count(v) FROM m WHERE time >= 0s AND time < 120s GROUP BY time(1m), host"),
            (Lines{"m{host=a;} time mean count", "0 0.500000 2", "60000000000 2.500000 2", "m{host=b;} time mean count",
                   "0 5.000000 2", "60000000000 25.000000 2"}));
}

TEST_F(InfluxqlService, SumsOfWholeNumbersAreExactBeyondDoubles) {
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  for (int i = 0; i < 3; ++i) add("n", {}, i, {{{"v", ValueType::int64}, to_cell(large)}});
  EXPECT_EQ(ask("SELECT sum(v) FROM n"), (Lines{"n{} time sum", "0 " + std::to_string(large * 3)}));
}

TEST_F(InfluxqlService, WhatTheStoreSumsUpIsWhatItsReadingsGive) {
  // A condition that all readings meet keeps the store's windows from being used.
  rc::check([this] {
    store_ = store::memory::make_store();
    offset_ = {};
    const auto count = *rc::gen::inRange(1, 60);
    for (int i = 0; i < count; ++i) {
      const std::int64_t second = *rc::gen::inRange(-300, 300);
      const std::string host(1, *rc::gen::element('a', 'b', 'c'));
      // Of two series with one time first() and last() pick by value in both ways; so do these.
      add(host, second, *rc::gen::inRange(-50, 50) * 0.25);
    }
    const std::string function = *rc::gen::element<std::string>("count", "sum", "mean", "min", "max", "first", "last");
    const std::string by =
        *rc::gen::element<std::string>("", " GROUP BY host", " GROUP BY time(1m)", " GROUP BY time(1m, 20s), host",
                                       " GROUP BY time(7s) fill(none)", " GROUP BY time(50s) fill(previous)");
    const int from = *rc::gen::inRange(-320, 320);
    const int to = *rc::gen::inRange(from, 330);
    const std::string order = *rc::gen::element<std::string>("", " ORDER BY time DESC");
    const std::string head = "SELECT " + function + "(v) FROM m WHERE time >= " + std::to_string(from) +
                             "s AND time < " + std::to_string(to) + "s";
    RC_ASSERT(ask(head + by + order) == ask(head + " AND v > -1000" + by + order));
  });
}

TEST_F(InfluxqlService, LimitsAndEndsAreErrorsOfTheirOwn) {
  for (int i = 0; i < 50; ++i) add("h" + std::to_string(i % 5), i, i);
  EXPECT_EQ(ask("SELECT v FROM m; SELECT v FROM m", {.max_series = 4}),
            (Lines{"error: max-select-series limit exceeded: (5/4)", "error: not executed"}));
  EXPECT_NE(ask("SELECT v FROM m", {.max_points = 20})[0].find("max"), std::string::npos);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(ask("SELECT v FROM m", {}, stop.get_token()).back(), "ended: the query was cancelled");
  EXPECT_EQ(ask("SELECT v FROM m GROUP BY host", {}, {}, 2).back(), "ended: the query was cancelled");
}

TEST_F(InfluxqlService, AWindowBeforeTheRangeIsPartOfASubqueriesAnswer) {
  for (int i = 0; i < 6; ++i) add("a", i * 10, i);
  EXPECT_EQ(
      ask("SELECT count(x) FROM (SELECT mean(v) AS x FROM m GROUP BY time(20s)) WHERE time >= 10s AND time < 60s"),
      (Lines{"m{} time count", "10000000000 3"}));
}

TEST_F(InfluxqlService, FieldsOfAnotherTypeElsewhereAreCastOrMissing) {
  add("one", {}, 1, {{{"x", ValueType::float64}, to_cell(1.5)}});
  add("two", {}, 2, {{{"x", ValueType::int64}, to_cell(std::int64_t{7})}});
  EXPECT_EQ(ask("SELECT x FROM one, two"),
            (Lines{"one{} time x", "1000000000 1.500000", "two{} time x", "2000000000 7.000000"}));
}

TEST_F(InfluxqlService, WhatIsNoNumberIsSortedLast) {
  // A stddev of one reading is none; sorting must have an order for it all the same.
  for (int i = 0; i < 90; ++i)
    if (i % 30 < 20 || i % 3 == 0) add("h" + std::to_string(i / 30), i % 30 < 20 ? i : i * 100, i);
  add("x", 1, 1);
  const Lines found = ask("SELECT bottom(x, 2) FROM (SELECT stddev(v) AS x FROM m GROUP BY host)");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1].find("nan"), std::string::npos) << found[1];
  EXPECT_EQ(found[2].find("nan"), std::string::npos) << found[2];
}

TEST_F(InfluxqlService, NobodyReadsWithoutLeave) {
  add("a", 1, 1);
  testing::TextAnswer answer;
  testing::NoAdministration administration;
  Request request{
      .statements = *Parser("SELECT v FROM m").statements(), .tenant = kTenant, .database = "default", .policy = {}};
  ASSERT_TRUE(Service(*store_, databases_, {}).run(request, administration, 0, {}, answer));
  EXPECT_EQ(answer.lines, (Lines{"error: error authorizing query: this credential may not read"}));
}

}  // namespace
}  // namespace flux::query::influxql
