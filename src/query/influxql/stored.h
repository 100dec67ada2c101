#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "query/influxql/plan.h"
#include "query/influxql/points.h"
#include "store/series/series_store.h"

namespace flux::query::influxql {

/// What InfluxDB calls a series: a measurement and its tags, with a stored series for each field.
struct Series {
  std::string measurement;
  std::string device;
  std::vector<Tag> tags;                               ///< by key
  std::map<std::string, store::SeriesInfoPtr> fields;  ///< by name

  /// Empty where it is not there.
  [[nodiscard]] std::string_view tag(std::string_view key) const;
};

/// All series of one source, in InfluxDB's order, and what they have in common.
struct StoredSource {
  std::vector<Series> series;
  Schema schema;
};

DataType data_type(ValueType type);

/// What one query reads from the store. One thread.
class Stored {
 public:
  struct Access {
    const store::TimeSeriesStore& store;
    TenantId tenant;
    store::QueryLimits limits;
    std::stop_token stop;
  };
  explicit Stored(Access access) : access_(std::move(access)) {}

  /// Series of these measurements that have one of the fields `names` (nothing: any). Kept until the query ends.
  Result<const StoredSource*> source(const Source& source, const std::vector<std::string>& measurements,
                                     const std::optional<std::set<std::string>>& names);

  /// One field of one series: values by time, oldest first.
  struct Values {
    std::vector<std::int64_t> times;
    std::vector<Cell> cells;
    ValueType type = ValueType::float64;
  };
  /// Of each series asked for, by field.
  using Loaded = std::vector<std::map<std::string, Values, std::less<>>>;

  struct Wanted {
    const Source& source;
    std::vector<const Series*> series;
    std::set<std::string> fields;
    std::int64_t from = kMinTime;
    std::int64_t to = kMaxTime;  ///< inclusive
    bool newest_first = false;   ///< which `limit` points of each
    std::size_t limit = SIZE_MAX;
  };
  Result<Loaded> load(const Wanted& wanted, Strings& strings);

  /// Windows of one field of each series asked for, from what the store has summed up.
  using Summed = std::vector<std::vector<store::WindowRow>>;
  Result<Summed> summed(const Wanted& wanted, const std::string& field, store::Window window);

  [[nodiscard]] const store::QueryLimits& limits() const { return access_.limits; }
  [[nodiscard]] Result<> check() const;
  /// Counts values that the query holds at the same time.
  Result<> hold(std::size_t values);
  void release(std::size_t values) { held_ -= std::min(values, held_); }

 private:
  [[nodiscard]] store::SeriesSelector selector(const Wanted& wanted) const;

  Access access_;
  std::map<std::string, std::unique_ptr<StoredSource>> sources_;
  std::size_t held_ = 0;
};

/// What is left of a condition for one series once its tags are known: null for always, false for never.
struct Filter {
  bool never = false;
  ExprPtr expr;
};
Filter filter_for(const ExprPtr& condition, const Series& series, const Schema& schema);

}  // namespace flux::query::influxql
