#include "query/influxql/stored.h"

#include <algorithm>
#include <unordered_map>

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

/// Devices named in one look-up; above that every one is asked, and what was not wanted is left out.
constexpr std::size_t kNamedDevices = 2'000;

std::string key_of(const Series& series) {
  std::string key = series.measurement;
  for (const Tag& tag : series.tags) key += "," + tag.key + "=" + tag.value;
  key += '\0';
  return key + series.device;
}

}  // namespace

std::string_view Series::tag(std::string_view key) const {
  const auto at = std::ranges::lower_bound(tags, key, {}, [](const Tag& tag) -> std::string_view { return tag.key; });
  return at != tags.end() && at->key == key ? std::string_view(at->value) : std::string_view();
}

DataType data_type(ValueType type) {
  switch (type) {
    case ValueType::float64: return DataType::float64;
    case ValueType::int64: return DataType::int64;
    case ValueType::uint64: return DataType::uint64;
    case ValueType::boolean: return DataType::boolean;
    case ValueType::string: return DataType::string;
  }
  return DataType::unknown;
}

Result<> Stored::check() const {
  if (access_.stop.stop_requested()) return fail(ErrorCode::cancelled, "query interrupted");
  return {};
}

Result<> Stored::hold(std::size_t values) {
  held_ += values;
  if (held_ <= access_.limits.max_points) return {};
  return fail(ErrorCode::exhausted, "max-select-point limit exceeed: (" + std::to_string(held_) + "/" +
                                        std::to_string(access_.limits.max_points) + ")");
}

Result<const StoredSource*> Stored::source(const Source& source, const std::vector<std::string>& measurements,
                                           const std::optional<std::set<std::string>>& names) {
  std::string key = source.database + '\0' + source.policy;
  for (const std::string& name : measurements) key += '\0' + name;
  if (names)
    for (const std::string& name : *names) key += '\1' + name;
  for (const auto& [name, value] : source.only) key += '\2' + name + '\2' + value;
  auto& kept = sources_[key];
  if (kept) return kept.get();
  auto made = std::make_unique<StoredSource>();
  if (!measurements.empty() && (!names || !names->empty())) {
    store::SeriesSelector selector{.tenant = access_.tenant,
                                   .database = source.database,
                                   .retention_policy = source.policy,
                                   .measurements = measurements,
                                   .devices = {},
                                   .fields = {},
                                   .tags = {}};
    if (names) selector.fields.assign(names->begin(), names->end());
    for (const auto& [name, value] : source.only) selector.tags.push_back({name, value});
    const std::size_t most = access_.limits.max_series;
    TRY(const auto infos, access_.store.list(selector, most + 1));
    if (infos.size() > most)
      return fail(ErrorCode::exhausted, "max-select-series limit exceeded: (" + std::to_string(infos.size()) + "/" +
                                            std::to_string(most) + ")");
    std::map<std::string, Series> sorted;
    for (const store::SeriesInfoPtr& info : infos) {
      Series one{info->measurement, info->device, info->tags, {}};
      std::ranges::sort(one.tags, {}, &Tag::key);
      std::string place = key_of(one);
      Series& into = sorted.try_emplace(std::move(place), std::move(one)).first->second;
      into.fields.emplace(info->field, info);
      DataType& type = made->schema.fields.try_emplace(info->field, DataType::unknown).first->second;
      if (less(type, data_type(info->type))) type = data_type(info->type);
    }
    made->series.reserve(sorted.size());
    for (auto& [place, one] : sorted) {
      for (const Tag& tag : one.tags) made->schema.tags.insert(tag.key);
      made->series.push_back(std::move(one));
    }
  }
  kept = std::move(made);
  return kept.get();
}

store::SeriesSelector Stored::selector(const Wanted& wanted) const {
  store::SeriesSelector selector{.tenant = access_.tenant,
                                 .database = wanted.source.database,
                                 .retention_policy = wanted.source.policy,
                                 .measurements = {},
                                 .devices = {},
                                 .fields = {wanted.fields.begin(), wanted.fields.end()},
                                 .tags = {}};
  std::set<std::string> devices;
  for (const Series* series : wanted.series) {
    if (std::ranges::find(selector.measurements, series->measurement) == selector.measurements.end())
      selector.measurements.push_back(series->measurement);
    if (devices.size() <= kNamedDevices) devices.insert(series->device);
  }
  if (devices.size() <= kNamedDevices) selector.devices.assign(devices.begin(), devices.end());
  if (wanted.series.size() == 1) {
    selector.tags = wanted.series[0]->tags;
  }
  return selector;
}

namespace {

store::TimeRange range_of(const Stored::Wanted& wanted) {
  // The store's ends are exclusive, and its last moment is one that InfluxQL does not name.
  return {Time{wanted.from}, wanted.to == INT64_MAX ? Time::max() : Time{wanted.to + 1}};
}

}  // namespace

Result<Stored::Loaded> Stored::load(const Wanted& wanted, Strings& strings) {
  Loaded loaded(wanted.series.size());
  if (wanted.fields.empty() || wanted.series.empty() || wanted.from > wanted.to) return loaded;
  std::unordered_map<SeriesId, Values*> places;
  for (std::size_t i = 0; i < wanted.series.size(); ++i)
    for (const std::string& field : wanted.fields)
      if (const auto at = wanted.series[i]->fields.find(field); at != wanted.series[i]->fields.end()) {
        Values& values = loaded[i][field];
        values.type = at->second->type;
        places.emplace(at->second->id, &values);
      }
  Result<> status;
  const auto order = wanted.newest_first ? store::Order::newest_first : store::Order::oldest_first;
  DO(access_.store.scan(selector(wanted), range_of(wanted), order, wanted.limit, access_.limits, access_.stop,
                        [&](store::Points&& points) {
                          const auto at = places.find(points.series->id);
                          if (at == places.end()) return true;
                          Values& into = *at->second;
                          status = hold(points.times.size());
                          if (!status) return false;
                          into.times.insert(into.times.end(), points.times.begin(), points.times.end());
                          if (points.series->type == ValueType::string) {
                            for (const Cell cell : points.cells) {
                              const StringRef ref = as_string_ref(cell);
                              into.cells.push_back(
                                  strings.add(std::string_view(points.heap).substr(ref.offset, ref.length)));
                            }
                          } else {
                            into.cells.insert(into.cells.end(), points.cells.begin(), points.cells.end());
                          }
                          return true;
                        }));
  DO(status);
  if (wanted.newest_first)
    for (auto& fields : loaded)
      for (auto& [name, values] : fields) {
        std::ranges::reverse(values.times);
        std::ranges::reverse(values.cells);
      }
  DO(check());
  return loaded;
}

Result<Stored::Summed> Stored::summed(const Wanted& wanted, const std::string& field, store::Window window) {
  Summed summed(wanted.series.size());
  if (wanted.series.empty() || wanted.from > wanted.to) return summed;
  std::unordered_map<SeriesId, std::size_t> places;
  for (std::size_t i = 0; i < wanted.series.size(); ++i)
    if (const auto at = wanted.series[i]->fields.find(field); at != wanted.series[i]->fields.end())
      places.emplace(at->second->id, i);
  store::SeriesSelector one_field = selector(wanted);
  one_field.fields = {field};
  Result<> status;
  DO(access_.store.aggregate(one_field, range_of(wanted), window, access_.limits, access_.stop,
                             [&](store::WindowedPoints&& points) {
                               const auto at = places.find(points.series->id);
                               if (at == places.end()) return true;
                               status = hold(points.rows.size());
                               if (!status) return false;
                               auto& into = summed[at->second];
                               into.insert(into.end(), points.rows.begin(), points.rows.end());
                               return true;
                             }));
  DO(status);
  DO(check());
  return summed;
}

namespace {

const Filter kNever{true, nullptr};
const Filter kAlways{false, nullptr};

Filter of_bool(bool holds) { return holds ? kAlways : kNever; }

bool is_field(const Expr& name, const Schema& schema) {
  if (name.text == "_name" || name.text == "_tagKey" || name.type == DataType::tag) return false;
  if (name.type == DataType::unknown) return schema.fields.contains(name.text);
  return true;
}

/// A comparison of a tag with something that does not change from row to row, as InfluxDB's index decides it.
Filter of_tag(const ExprPtr& expr, const Expr& tag, const Expr& with, const Series& series) {
  const std::string_view value = tag.text == "_name" ? std::string_view(series.measurement) : series.tag(tag.text);
  if (with.is(Kind::string)) {
    if (expr->op == Token::eq) return of_bool(value == with.text);
    // InfluxDB's index knows "is" and, for whatever else is asked, "is not".
    return of_bool(value != with.text);
  }
  if (with.is(Kind::regex)) return of_bool(with.pattern->matches(value) == (expr->op == Token::eq_regex));
  if (with.is(Kind::variable)) {
    const std::string_view other = series.tag(with.text);
    const bool both = !value.empty() && !other.empty();
    return of_bool(expr->op == Token::eq ? both : !value.empty() && other.empty());
  }
  return {false, expr};
}

}  // namespace

Filter filter_for(const ExprPtr& condition, const Series& series, const Schema& schema) {
  if (!condition) return kAlways;
  switch (condition->kind) {
    case Kind::paren: return filter_for(condition->args[0], series, schema);
    case Kind::boolean: return of_bool(condition->integer != 0);
    case Kind::binary: break;
    default: return kNever;
  }
  const ExprPtr& a = condition->args[0];
  const ExprPtr& b = condition->args[1];
  if (condition->op == Token::and_ || condition->op == Token::or_) {
    const Filter left = filter_for(a, series, schema);
    const Filter right = filter_for(b, series, schema);
    if (condition->op == Token::and_) {
      if (left.never || right.never) return kNever;
      if (!left.expr) return right;
      if (!right.expr) return left;
    } else {
      if (left.never) return right;
      if (right.never) return left;
      if (!left.expr || !right.expr) return kAlways;
    }
    return {false, binary(condition->op, left.expr, right.expr)};
  }
  if (a->is(Kind::binary) || b->is(Kind::binary)) return {false, condition};
  const bool left_name = a->is(Kind::variable);
  if (!left_name && !b->is(Kind::variable)) return {false, condition};
  const Expr& name = left_name ? *a : *b;
  const Expr& with = left_name ? *b : *a;
  if (is_field(name, schema)) return {false, condition};
  if (with.is(Kind::variable) && is_field(with, schema)) return {false, condition};
  return of_tag(condition, name, with, series);
}

}  // namespace flux::query::influxql
