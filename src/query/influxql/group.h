#pragma once

#include <map>
#include <string>
#include <vector>

#include "query/influxql/functions.h"
#include "query/influxql/select.h"

namespace flux::query::influxql {

/// What a plan is asked for at its level: sub-queries inherit from the query around them.
struct Level {
  std::int64_t from = kMinTime;
  std::int64_t to = kMaxTime;
  Interval interval;
  std::vector<std::string> tags;  ///< by which its rows are told apart, sorted
};

/// One variable to read beside (or as) the values of a function.
struct Wish {
  std::string name;
  DataType type = DataType::unknown;
};

/// A series that belongs to a group, and the rows of it that count.
struct Member {
  const Series* series = nullptr;
  const StoredSource* source = nullptr;
  const Source* from = nullptr;
  ExprPtr filter;  ///< over fields; null: all rows
};

/// Rows of a sub-query that belong to a group.
struct InnerRows {
  const Table* table = nullptr;
  const Plan* plan = nullptr;
};

struct Group {
  std::string name;
  std::vector<std::string> values;  ///< of the level's tags
  std::vector<Member> members;      ///< in InfluxDB's order of series
  std::vector<InnerRows> inner;
};

/// What has been read for the members of some groups.
struct Batch {
  std::map<const Series*, std::map<std::string, Stored::Values, std::less<>>> loaded;
};

/// The rows of a group: by time, then in the order of its series; downwards where the query goes downwards. Without a
/// driver a row is there wherever one of the wishes has a value.
Points collect(const Group& group, const Batch& batch, const Wish* driver, const std::vector<Wish>& wishes,
               std::int64_t from, std::int64_t to, bool ascending, Strings& strings);

/// The column of a sub-query that a name means: its index, or nothing.
std::optional<std::size_t> column_of(const Plan& plan, std::string_view name);

}  // namespace flux::query::influxql
