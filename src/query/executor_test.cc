#include "query/executor.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "core/batch_builder.h"
#include "query/cursor.h"
#include "store/series/memory/memory_store.h"

namespace flux::query {
namespace {

constexpr TenantId kTenant{1};
constexpr std::int64_t kMinute = 60'000'000'000;

class FakeCatalog final : public Catalog {
 public:
  std::vector<std::string> devices_with(TenantId,
                                        const std::vector<std::pair<std::string, std::string>>& labels) const override {
    std::vector<std::string> found;
    for (const auto& [device, own] : labels_) {
      bool all = true;
      for (const auto& [key, value] : labels) all = all && own.contains(key) && own.at(key) == value;
      if (all) found.push_back(device);
    }
    return found;
  }
  std::string label(TenantId, std::string_view device, std::string_view label) const override {
    const auto at = labels_.find(std::string(device));
    if (at == labels_.end()) return {};
    const auto value = at->second.find(std::string(label));
    return value == at->second.end() ? std::string() : value->second;
  }
  std::string unit(TenantId, std::string_view, std::string_view metric) const override {
    return metric == "temperature" ? "°C" : "";
  }
  std::map<std::string, std::map<std::string, std::string>> labels_;
};

struct Row {
  std::string device;
  std::string metric;
  std::int64_t time;
  std::vector<std::optional<double>> values;
  friend bool operator==(const Row&, const Row&) = default;
};

class ExecutorTest : public testing::Test {
 protected:
  void add(const std::string& device, std::vector<FieldDef> fields, std::int64_t time, std::vector<double> values) {
    BatchBuilder builder;
    const auto shape = std::make_shared<const Shape>(
        ShapeKey{.tenant = kTenant, .device = device, .tags = {}, .fields = std::move(fields)});
    auto cells = builder.add_row(shape, Time{time});
    for (std::size_t i = 0; i < values.size(); ++i) cells[i] = to_cell(values[i]);
    ASSERT_TRUE(store_->append({0}, offset_, *builder.seal(Time{time})));
    offset_ = offset_.next();
  }

  Result<std::vector<Row>> page(const Query& query, std::string& next) {
    std::vector<Row> rows;
    const Executor executor(*store_, catalog_, limits_);
    auto outcome = executor.run(query, {}, [&](Chunk&& chunk) {
      for (std::size_t r = 0; r < chunk.times.size(); ++r) {
        std::string name = chunk.header->device;
        for (const auto& [key, value] : chunk.header->group) name += "[" + key + "=" + value + "]";
        Row row{name, chunk.header->metric, chunk.times[r], {}};
        for (const auto& column : chunk.columns) {
          if (!column.missing.empty() && column.missing[r]) row.values.emplace_back();
          else
            row.values.emplace_back(column.type == ValueType::uint64 ? static_cast<double>(column.cells[r])
                                                                     : as_float64(column.cells[r]));
        }
        rows.push_back(std::move(row));
      }
      return true;
    });
    if (!outcome) return std::unexpected(outcome.error());
    EXPECT_EQ(outcome->points, rows.size());
    next = outcome->next;
    return rows;
  }

  std::vector<Row> all(Query query) {
    std::vector<Row> rows;
    std::string next;
    do {
      auto some = page(query, next);
      EXPECT_TRUE(some) << some.error().message;
      if (!some) return rows;
      EXPECT_LE(some->size(), query.limit);
      rows.insert(rows.end(), some->begin(), some->end());
      query.cursor = next;
      EXPECT_LT(rows.size(), 10'000U) << "the pages do not end";
    } while (!next.empty() && rows.size() < 10'000);
    return rows;
  }

  std::unique_ptr<store::TimeSeriesStore> store_ = store::memory::make_store();
  FakeCatalog catalog_;
  store::QueryLimits limits_;
  Offset offset_;
};

Query raw(std::size_t limit) {
  Query query;
  query.select.tenant = kTenant;
  query.limit = limit;
  return query;
}

TEST_F(ExecutorTest, PagesOfEverySizeAddUpToTheWhole) {
  const auto seeded = [&] {
    for (int device = 0; device < 4; ++device)
      for (int i = 0; i < 5 + device; ++i)
        add("d" + std::to_string(device), {{"a"}, {"b"}}, i * kMinute / 2, {double(i), double(device)});
  };
  seeded();
  for (const auto order : {store::Order::oldest_first, store::Order::newest_first}) {
    for (const bool windowed : {false, true}) {
      for (const bool grouped : {false, true}) {
        if (grouped && !windowed) continue;
        Query query = raw(1000);
        query.order = order;
        if (windowed) {
          query.window = store::Window{{kMinute}, {}};
          query.aggregates = {store::Aggregate::mean, store::Aggregate::count};
        }
        if (grouped) query.group_by = {"site"};
        catalog_.labels_ = {{"d0", {{"site", "n"}}}, {"d1", {{"site", "n"}}}, {"d2", {{"site", "s"}}}};
        const auto whole = all(query);
        EXPECT_FALSE(whole.empty());
        for (std::size_t limit = 1; limit <= whole.size() + 1; ++limit) {
          query.limit = limit;
          EXPECT_EQ(all(query), whole) << "limit " << limit;
        }
      }
    }
  }
}

TEST_F(ExecutorTest, PagesOfFilledWindowsAddUpToTheWhole) {
  for (const int device : {0, 1, 2})
    for (const int minute : {1, 2, 5 + device, 9})
      add("d" + std::to_string(device), {{"a"}, {"b"}}, minute * kMinute, {double(minute), double(device)});
  catalog_.labels_ = {{"d0", {{"site", "n"}}}, {"d1", {{"site", "n"}}}, {"d2", {{"site", "s"}}}};
  for (const auto order : {store::Order::oldest_first, store::Order::newest_first}) {
    for (const Fill fill : {Fill::null, Fill::previous, Fill::linear, Fill::value}) {
      for (const bool grouped : {false, true}) {
        Query query = raw(1000);
        query.order = order;
        query.window = store::Window{{kMinute}, {}};
        query.aggregates = {store::Aggregate::mean, store::Aggregate::count};
        query.range = {Time{0}, Time{12 * kMinute}};
        query.fill = fill;
        if (grouped) query.group_by = {"site"};
        const auto whole = all(query);
        EXPECT_EQ(whole.size(), (grouped ? 4 : 6) * 12);
        for (std::size_t limit = 1; limit <= whole.size() + 1; ++limit) {
          query.limit = limit;
          ASSERT_EQ(all(query), whole) << "limit " << limit;
        }
      }
    }
  }
}

TEST_F(ExecutorTest, LabelsChooseDevicesAsTheyAreNow) {
  add("d1", {{"temperature"}}, 1, {1});
  add("d2", {{"temperature"}}, 1, {2});
  catalog_.labels_["d2"]["site"] = "north";
  Query query = raw(10);
  query.select.labels = {{"site", "north"}};
  EXPECT_EQ(all(query), (std::vector<Row>{{"d2", "temperature", 1, {2.0}}}));
  query.select.devices = {"d1"};
  EXPECT_TRUE(all(query).empty());
  query.select.labels = {{"site", "south"}};
  query.select.devices = {};
  EXPECT_TRUE(all(query).empty());
}

TEST_F(ExecutorTest, GroupsAddUpAndOrderFirstAndLastByTime) {
  add("d1", {{"p"}}, 10, {5});
  add("d2", {{"p"}}, 20, {1});
  add("d2", {{"p"}}, kMinute + 1, {9});
  catalog_.labels_ = {{"d1", {{"site", "n"}}}, {"d2", {{"site", "n"}}}};
  Query query = raw(10);
  query.window = store::Window{{kMinute}, {}};
  query.aggregates = {store::Aggregate::count, store::Aggregate::sum,   store::Aggregate::min,
                      store::Aggregate::max,   store::Aggregate::first, store::Aggregate::last};
  query.group_by = {"site"};
  EXPECT_EQ(all(query), (std::vector<Row>{{"[site=n]", "p", 0, {2.0, 6.0, 1.0, 5.0, 5.0, 1.0}},
                                          {"[site=n]", "p", kMinute, {1.0, 9.0, 9.0, 9.0, 9.0, 9.0}}}));
}

TEST_F(ExecutorTest, FillsGaps) {
  add("d", {{"p"}}, 1 * kMinute, {10});
  add("d", {{"p"}}, 4 * kMinute, {40});
  Query query = raw(100);
  query.window = store::Window{{kMinute}, {}};
  query.aggregates = {store::Aggregate::mean};
  query.range = {Time{0}, Time{6 * kMinute}};
  const auto values = [&](Fill fill) {
    query.fill = fill;
    query.fill_value = -1;
    std::vector<std::optional<double>> out;
    for (const auto& row : all(query)) out.push_back(row.values[0]);
    return out;
  };
  using V = std::vector<std::optional<double>>;
  EXPECT_EQ(values(Fill::none), (V{10.0, 40.0}));
  EXPECT_EQ(values(Fill::null), (V{{}, 10.0, {}, {}, 40.0, {}}));
  EXPECT_EQ(values(Fill::previous), (V{{}, 10.0, 10.0, 10.0, 40.0, 40.0}));
  EXPECT_EQ(values(Fill::linear), (V{{}, 10.0, 20.0, 30.0, 40.0, {}}));
  EXPECT_EQ(values(Fill::value), (V{-1.0, 10.0, -1.0, -1.0, 40.0, -1.0}));
  query.order = store::Order::newest_first;
  EXPECT_EQ(values(Fill::linear), (V{{}, 40.0, 30.0, 20.0, 10.0, {}}));
}

TEST_F(ExecutorTest, SaysWhatIsWrongWithAQuestion) {
  std::string next;
  Query query = raw(0);
  EXPECT_EQ(page(query, next).error().field, "limit");
  query = raw(10);
  query.range = {Time{5}, Time{5}};
  EXPECT_EQ(page(query, next).error().field, "from");
  query = raw(10);
  query.group_by = {"device"};
  EXPECT_EQ(page(query, next).error().field, "group_by");
  query = raw(10);
  query.cursor = "nonsense";
  EXPECT_EQ(page(query, next).error().field, "cursor");

  add("d", {{"p"}}, 1, {1});
  add("d", {{"p"}}, 2, {1});
  query = raw(1);
  ASSERT_TRUE(page(query, next));
  ASSERT_FALSE(next.empty());
  query.cursor = next;
  query.select.metrics = {"p"};  // no longer the question that the cursor belongs to
  EXPECT_EQ(page(query, next).error().field, "cursor");
}

TEST_F(ExecutorTest, AWindowOfTextHasNoMean) {
  BatchBuilder builder;
  const auto shape = std::make_shared<const Shape>(
      ShapeKey{.tenant = kTenant, .device = "d", .tags = {}, .fields = {{"state", ValueType::string}}});
  const Cell cell = builder.add_string("open");
  builder.add_row(shape, Time{1})[0] = cell;
  ASSERT_TRUE(store_->append({0}, offset_, *builder.seal(Time{1})));
  Query query = raw(10);
  query.window = store::Window{{kMinute}, {}};
  query.aggregates = {store::Aggregate::mean};
  std::string next;
  query.select.metrics = {"state"};
  EXPECT_EQ(page(query, next).error().code, ErrorCode::invalid_argument);
}

TEST_F(ExecutorTest, TextThatNobodyNamedIsLeftOutAndTold) {
  BatchBuilder builder;
  const auto shape =
      std::make_shared<const Shape>(ShapeKey{.tenant = kTenant,
                                             .device = "d",
                                             .tags = {},
                                             .fields = {{"mode", ValueType::string}, {"v", ValueType::float64}}});
  const Cell text = builder.add_string("auto");
  const auto row = builder.add_row(shape, Time{1});
  row[0] = text;
  row[1] = to_cell(4.0);
  ASSERT_TRUE(store_->append({0}, offset_, *builder.seal(Time{1})));
  const Executor executor(*store_, catalog_, limits_);
  const auto metrics_of = [&](const Query& query) {
    std::vector<std::string> metrics;
    auto outcome = executor.run(query, {}, [&](Chunk&& chunk) {
      metrics.push_back(chunk.header->metric);
      return true;
    });
    EXPECT_TRUE(outcome) << outcome.error().message;
    return std::pair{metrics, outcome ? outcome->skipped : std::vector<std::string>()};
  };
  using Names = std::vector<std::string>;
  Query query = raw(10);
  query.window = store::Window{{kMinute}, {}};
  query.aggregates = {store::Aggregate::mean, store::Aggregate::count};
  EXPECT_EQ(metrics_of(query), std::pair(Names{"v"}, Names{"mode"}));
  query.group_by = {"device"};
  EXPECT_EQ(metrics_of(query), std::pair(Names{"v"}, Names{"mode"}));
  query.aggregates = {store::Aggregate::last};
  EXPECT_EQ(metrics_of(query), std::pair(Names{"mode", "v"}, Names{}));
}

TEST(Cursor, OnlyReadsItsOwn) {
  EXPECT_TRUE(rc::check("round trip; any other character breaks it", [](std::uint64_t query, std::uint64_t high,
                                                                        std::uint64_t low, std::int64_t time) {
    const std::string text = encode({query, {high, low}, time});
    const auto back = decode_cursor(text);
    RC_ASSERT(back.has_value());
    RC_ASSERT(back->query == query);
    RC_ASSERT(back->series == (Fingerprint{high, low}));
    RC_ASSERT(back->time == time);
    std::string other = text;
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size() - 1);  // the last character has unused bits
    other[at] = other[at] == 'A' ? 'B' : 'A';
    RC_ASSERT(!decode_cursor(other));
  }));
}

}  // namespace
}  // namespace flux::query
