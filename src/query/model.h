#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "store/series/series_store.h"

/// The one logical query model that REST, GraphQL, gRPC, InfluxQL and the web app compile to.
namespace flux::query {

/// What a window without readings gives.
enum class Fill : std::uint8_t {
  none,      ///< no row
  null,      ///< a row whose values are missing
  previous,  ///< the row before; missing where there is none
  linear,    ///< between its neighbours; missing outside them
  value,     ///< `Query::fill_value`
};

/// Readings to take, as the caller names them. Within one list any may match, the lists must all match.
struct Selection {
  TenantId tenant;
  std::vector<std::string> devices;
  std::vector<std::pair<std::string, std::string>> labels;  ///< of the device, as they are now
  std::vector<std::string> metrics;
  std::string database = "default";
  std::string retention_policy;  ///< empty: any
  std::string measurement;       ///< empty: any
  std::vector<Tag> tags;
};

struct Query {
  Selection select;
  store::TimeRange range;
  std::optional<store::Window> window;       ///< none: raw points
  std::vector<store::Aggregate> aggregates;  ///< one column each; only with a window, then at least one
  Fill fill = Fill::none;
  double fill_value = 0;
  /// Empty: one result series per stored series. Else series with the same values of these labels become one (only
  /// with a window); the metric always stays apart. `device` is a key too.
  std::vector<std::string> group_by;
  store::Order order = store::Order::oldest_first;
  std::size_t limit = 10'000;  ///< points in all, 1 to `kMaxLimit`
  std::string cursor;          ///< from `Outcome::next` of the same query; empty: from the start
};

inline constexpr std::size_t kMaxLimit = 1'000'000;
inline constexpr std::size_t kDefaultLimit = 10'000;

/// What a result series is about.
struct Header {
  std::string device;  ///< empty where devices were grouped together
  std::string metric;
  std::string measurement;                                 ///< as stored; empty where grouped
  std::vector<Tag> tags;                                   ///< of the series; empty where grouped
  std::vector<std::pair<std::string, std::string>> group;  ///< the group_by keys and their values
  std::string unit;                                        ///< empty: none known
};

/// Some rows of one result series: times and one column per aggregate (or the raw value).
struct Chunk {
  const Header* header = nullptr;  ///< valid during the call
  bool first = false;              ///< the first chunk of its series in this answer
  struct Column {
    ValueType type = ValueType::float64;
    std::vector<Cell> cells;
    std::vector<bool> missing;  ///< empty: none is
  };
  std::vector<std::int64_t> times;  ///< ns
  std::vector<Column> columns;
  std::string heap;  ///< what StringRefs point into
};

struct Outcome {
  std::string next;  ///< cursor to go on with; empty: that was all
  std::size_t points = 0;
  std::size_t series = 0;
  /// Text metrics that the selection met without naming them, and that have none of the aggregates asked for: left out
  /// and told. Sorted, each once, at most `kMaxSkipped`.
  std::vector<std::string> skipped;
};

inline constexpr std::size_t kMaxSkipped = 100;

}  // namespace flux::query
