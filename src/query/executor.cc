#include "query/executor.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "core/hash.h"
#include "query/cursor.h"
#include "query/windows.h"

namespace flux::query {
namespace {

using store::Order;
using store::SeriesInfo;
using store::SeriesInfoPtr;

class Hasher {
 public:
  void add(std::string_view text) {
    add(text.size());
    bytes_.append(text);
  }
  void add(std::uint64_t number) { bytes_.append(reinterpret_cast<const char*>(&number), sizeof number); }
  [[nodiscard]] std::uint64_t value() const { return hash64(bytes_); }
  [[nodiscard]] Fingerprint wide() const { return hash128(std::as_bytes(std::span(bytes_))); }

 private:
  std::string bytes_;
};

/// Ties a cursor to its query. The range's end stays out: "until now" moves between pages.
std::uint64_t hash_of(const Query& query) {
  Hasher hash;
  hash.add(query.select.tenant.value);
  for (const auto& device : query.select.devices) hash.add(device);
  hash.add(1);
  for (const auto& [key, value] : query.select.labels) hash.add(key), hash.add(value);
  hash.add(2);
  for (const auto& metric : query.select.metrics) hash.add(metric);
  hash.add(query.select.database);
  hash.add(query.select.retention_policy);
  hash.add(query.select.measurement);
  for (const auto& tag : query.select.tags) hash.add(tag.key), hash.add(tag.value);
  hash.add(query.window ? static_cast<std::uint64_t>(query.window->width.ns) : 0);
  hash.add(query.window ? static_cast<std::uint64_t>(query.window->offset.ns) : 0);
  hash.add(static_cast<std::uint64_t>(query.fill));
  hash.add(std::bit_cast<std::uint64_t>(query.fill_value));
  for (const auto aggregate : query.aggregates) hash.add(static_cast<std::uint64_t>(aggregate));
  hash.add(3);
  for (const auto& key : query.group_by) hash.add(key);
  hash.add(static_cast<std::uint64_t>(query.order));
  return hash.value();
}

auto order_key(const SeriesInfo& info) { return std::tie(info.device, info.measurement, info.field, info.tags); }

/// Counts rows against the query's limit and remembers where the answer stops.
class Page {
 public:
  Page(const Query& query, store::ChunkSink<Chunk>& sink) : left_(query.limit), query_(hash_of(query)), sink_(sink) {}

  [[nodiscard]] std::size_t left() const { return left_; }
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] bool cancelled() const { return cancelled_; }

  /// Gives out what fits. False: the page is full, or the caller wants no more.
  bool give(const Header& header, Fingerprint series, Chunk&& chunk) {
    if (chunk.times.empty()) return true;
    if (left_ == 0) return stop();
    const bool cut = chunk.times.size() > left_;
    if (cut) {
      chunk.times.resize(left_);
      for (Chunk::Column& column : chunk.columns) {
        column.cells.resize(left_);
        if (!column.missing.empty()) column.missing.resize(left_);
      }
    }
    chunk.header = &header;
    chunk.first = last_.series != series || outcome_.series == 0;
    if (chunk.first) ++outcome_.series;
    last_ = {query_, series, chunk.times.back()};
    left_ -= chunk.times.size();
    outcome_.points += chunk.times.size();
    if (!sink_(std::move(chunk))) {
      cancelled_ = true;
      return false;
    }
    return cut ? stop() : true;
  }

  /// A metric that is left out because it has none of what was asked for.
  void skip(const std::string& metric) {
    if (outcome_.skipped.size() == kMaxSkipped) return;
    const auto at = std::ranges::lower_bound(outcome_.skipped, metric);
    if (at == outcome_.skipped.end() || *at != metric) outcome_.skipped.insert(at, metric);
  }

  Outcome finish() {
    if (full_) outcome_.next = encode(last_);
    return outcome_;
  }

 private:
  bool stop() {
    full_ = true;
    return false;
  }

  std::size_t left_;
  std::uint64_t query_;
  store::ChunkSink<Chunk>& sink_;
  Cursor last_;
  Outcome outcome_;
  bool full_ = false;
  bool cancelled_ = false;
};

store::SeriesSelector selector_for(const Selection& select) {
  store::SeriesSelector selector{.tenant = select.tenant,
                                 .database = select.database,
                                 .retention_policy = select.retention_policy,
                                 .measurements = {},
                                 .devices = select.devices,
                                 .fields = select.metrics,
                                 .tags = select.tags};
  if (!select.measurement.empty()) selector.measurements.push_back(select.measurement);
  return selector;
}

store::SeriesSelector selector_for(const SeriesInfo& info) {
  return {.tenant = info.tenant,
          .database = info.database,
          .retention_policy = info.retention_policy,
          .measurements = {info.measurement},
          .devices = {info.device},
          .fields = {info.field},
          .tags = info.tags};
}

/// Takes out the rows up to `reached`, which earlier pages have given.
void pass_over(Chunk& chunk, std::int64_t reached, Order order) {
  std::ptrdiff_t gone = 0;
  for (const std::int64_t time : chunk.times) {
    if (order == Order::oldest_first ? time > reached : time < reached) break;
    ++gone;
  }
  chunk.times.erase(chunk.times.begin(), chunk.times.begin() + gone);
  for (Chunk::Column& column : chunk.columns) {
    column.cells.erase(column.cells.begin(), column.cells.begin() + gone);
    if (!column.missing.empty()) column.missing.erase(column.missing.begin(), column.missing.begin() + gone);
  }
}

/// What one run needs in one place.
struct Run {
  const store::TimeSeriesStore& store;
  const Catalog& catalog;
  const store::QueryLimits& limits;
  const Query& query;
  std::stop_token stop;
  Page& page;
  Header header;
  SeriesId header_of;

  /// Whoever names a metric gets an error when it is text and has no mean; whoever takes what there is gets the rest.
  bool leaves_out(const SeriesInfo& info) {
    if (!query.select.metrics.empty() || !lacks_aggregate(info.type, query)) return false;
    page.skip(info.field);
    return true;
  }

  const Header& header_for(const SeriesInfo& info) {
    if (header_of != info.id || header.metric.empty()) {
      header = {.device = info.device,
                .metric = info.field,
                .measurement = info.measurement,
                .tags = info.tags,
                .group = {},
                .unit = catalog.unit(info.tenant, info.device, info.field)};
      header_of = info.id;
    }
    return header;
  }

  /// Every series of the selector for which `wanted` holds, within `range`. `reached`: up to where earlier pages gave
  /// it.
  Result<> series(const store::SeriesSelector& selector, store::TimeRange range,
                  const std::function<bool(const SeriesInfo&)>& wanted,
                  std::optional<std::int64_t> reached = std::nullopt) {
    if (!query.window) {
      return store.scan(selector, range, query.order, page.left() + 1, limits, stop, [&](store::Points&& points) {
        if (!wanted(*points.series)) return true;
        Chunk chunk;
        chunk.times = std::move(points.times);
        chunk.columns.push_back({points.series->type, std::move(points.cells), {}});
        chunk.heap = std::move(points.heap);
        return page.give(header_for(*points.series), points.series->id.value, std::move(chunk));
      });
    }
    SeriesInfoPtr current;
    WindowSeries gathered;
    Result<> status;
    const auto finish = [&]() -> bool {
      if (!current) return true;
      auto chunk = to_columns(gathered, query, current->field, limits.max_points);
      if (!chunk) {
        status = std::unexpected(std::move(chunk).error());
        return false;
      }
      if (reached) pass_over(*chunk, *reached, query.order);
      return page.give(header_for(*current), current->id.value, *std::move(chunk));
    };
    DO(store.aggregate(selector, range, *query.window, limits, stop, [&](store::WindowedPoints&& points) {
      if (!wanted(*points.series) || leaves_out(*points.series)) return true;
      if (!current || current->id != points.series->id) {
        if (!finish()) {
          current = nullptr;
          return false;
        }
        current = points.series;
        gathered = {.type = current->type, .rows = {}, .heap = {}};
      }
      gathered.append(points);
      return true;
    }));
    if (status && !page.full() && !page.cancelled()) finish();
    return status;
  }

  /// The rest of the series at the cursor, then the series behind it.
  Result<> resume(const store::SeriesSelector& selector, const Cursor& cursor) {
    const SeriesId id{cursor.series};
    TRY(const auto all, store.list(selector, limits.max_series + 1));
    const auto at = std::ranges::find(all, id, [](const SeriesInfoPtr& info) { return info->id; });
    if (at == all.end())
      return fail(ErrorCode::invalid_argument, "the cursor's series is no longer there: start again", "cursor");
    store::TimeRange rest = query.range;
    if (query.order == Order::oldest_first) {
      rest.from = {cursor.time + (query.window ? query.window->width.ns : 1)};
    } else {
      rest.to = {cursor.time};
    }
    const auto is_it = [&](const SeriesInfo& info) { return info.id == id; };
    // What windows without readings are filled with comes from those around them, on earlier pages too.
    if (query.fill != Fill::none) DO(series(selector_for(**at), query.range, is_it, cursor.time));
    else if (rest.from < rest.to) DO(series(selector_for(**at), rest, is_it));
    const SeriesInfo& reached = **at;
    constexpr std::size_t kDevicesAtOnce = 500;
    for (auto next = at + 1; next != all.end() && !page.full() && !page.cancelled();) {
      store::SeriesSelector some = selector;
      some.devices.clear();
      for (; next != all.end(); ++next) {
        if (!some.devices.empty() && some.devices.back() == (*next)->device) continue;
        if (some.devices.size() == kDevicesAtOnce) break;
        some.devices.push_back((*next)->device);
      }
      DO(series(some, query.range, [&](const SeriesInfo& info) { return order_key(info) > order_key(reached); }));
    }
    return {};
  }

  Result<> grouped(const store::SeriesSelector& selector, const std::optional<Cursor>& cursor) {
    using Key = std::vector<std::string>;  // the metric, then the values of group_by
    std::map<Key, std::vector<WindowSeries>> groups;
    SeriesId current;
    std::vector<WindowSeries>* into = nullptr;
    std::size_t held = 0;
    Result<> status;
    DO(store.aggregate(selector, query.range, *query.window, limits, stop, [&](store::WindowedPoints&& points) {
      const SeriesInfo& info = *points.series;
      if (leaves_out(info)) return true;
      if (into == nullptr || current != info.id) {
        Key key{info.field};
        for (const std::string& name : query.group_by)
          key.push_back(name == "device" ? info.device : catalog.label(info.tenant, info.device, name));
        into = &groups[std::move(key)];
        into->push_back({.type = info.type, .rows = {}, .heap = {}});
        current = info.id;
      }
      into->back().append(points);
      held += points.rows.size();
      if (held <= limits.max_points) return true;
      status = fail(ErrorCode::exhausted, "grouping would hold more than " + std::to_string(limits.max_points) +
                                              " windows: take a shorter range or wider windows");
      return false;
    }));
    if (!status) return status;
    bool reached = !cursor;
    for (auto& [key, parts] : groups) {
      Header group{.device = {}, .metric = key[0], .measurement = {}, .tags = {}, .group = {}, .unit = {}};
      Hasher hash;
      for (std::size_t i = 0; i < query.group_by.size(); ++i) {
        if (query.group_by[i] == "device") group.device = key[i + 1];
        group.group.emplace_back(query.group_by[i], key[i + 1]);
      }
      for (const std::string& part : key) hash.add(part);
      const Fingerprint id = hash.wide();
      if (!reached && id != cursor->series) continue;
      TRY(const auto merged, merge(std::move(parts), key[0]));
      TRY(Chunk chunk, to_columns(merged, query, key[0], limits.max_points));
      if (!reached) {
        reached = true;
        pass_over(chunk, cursor->time, query.order);
      }
      if (!page.give(group, id, std::move(chunk))) break;
    }
    if (!reached)
      return fail(ErrorCode::invalid_argument, "the cursor's group is no longer there: start again", "cursor");
    return {};
  }
};

}  // namespace

Result<> validate(const Query& query) {
  const auto bad = [](std::string message, std::string field) {
    return fail(ErrorCode::invalid_argument, std::move(message), std::move(field));
  };
  if (query.range.from >= query.range.to) return bad("'from' must be before 'to'", "from");
  if (query.limit == 0 || query.limit > kMaxLimit)
    return bad("must be between 1 and " + std::to_string(kMaxLimit), "limit");
  if (query.window && query.window->width.ns < 1'000'000) return bad("a window is at least 1ms", "window");
  if (query.window && query.aggregates.empty()) return bad("a window needs at least one aggregate", "aggregates");
  if (!query.window && !query.aggregates.empty()) return bad("aggregates need a window, such as window=1m", "window");
  if (!query.window && query.fill != Fill::none) return bad("filling needs a window", "fill");
  if (!query.window && !query.group_by.empty()) return bad("grouping needs a window", "group_by");
  if (query.aggregates.size() > 7) return bad("at most seven aggregates", "aggregates");
  return {};
}

Executor::Executor(const store::TimeSeriesStore& store, const Catalog& catalog, store::QueryLimits limits)
    : store_(store), catalog_(catalog), limits_(limits) {}

Result<Outcome> Executor::run(const Query& query, std::stop_token stop, store::ChunkSink<Chunk> sink) const {
  DO(validate(query));
  std::optional<Cursor> cursor;
  if (!query.cursor.empty()) {
    TRY(cursor, decode_cursor(query.cursor));
    if (cursor->query != hash_of(query))
      return fail(ErrorCode::invalid_argument, "the cursor belongs to another query", "cursor");
  }
  store::SeriesSelector selector = selector_for(query.select);
  std::ranges::sort(selector.devices);
  if (!query.select.labels.empty()) {
    std::vector<std::string> labelled = catalog_.devices_with(query.select.tenant, query.select.labels);
    if (!selector.devices.empty()) {
      std::vector<std::string> both;
      std::ranges::set_intersection(labelled, selector.devices, std::back_inserter(both));
      labelled = std::move(both);
    }
    if (labelled.empty()) return Outcome{};
    selector.devices = std::move(labelled);
  }
  Page page(query, sink);
  Run run{store_, catalog_, limits_, query, stop, page, {}, {}};
  if (!query.group_by.empty()) {
    DO(run.grouped(selector, cursor));
  } else if (cursor) {
    DO(run.resume(selector, *cursor));
  } else {
    DO(run.series(selector, query.range, [](const SeriesInfo&) { return true; }));
  }
  if (page.cancelled() || stop.stop_requested()) return fail(ErrorCode::cancelled, "the query was cancelled");
  return page.finish();
}

}  // namespace flux::query
