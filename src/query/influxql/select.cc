#include "query/influxql/select.h"

#include <algorithm>

#include "query/influxql/group.h"

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

/// Series that are read at a time, and groups with them: what they give is held together.
constexpr std::size_t kSeriesAtOnce = 512;

/// A function of the plan with what it reads, or all plain variables of a plan without functions.
struct CallPlan {
  ExprPtr call;
  std::int64_t extra = 0;  ///< how far before the range it reads, ns
};

/// The row at hand: what each function and variable of the plan has there. Expressions refer to them by number.
class Symbols {
 public:
  explicit Symbols(const Plan& plan) {
    for (const Field& field : plan.fields) {
      fields.push_back(replace(field.expr));
      const bool top = field.expr->is_call("top") || field.expr->is_call("bottom");
      if (!top || plan.has_target) continue;
      for (std::size_t i = 1; i + 1 < field.expr->args.size(); ++i) fields.push_back(replace(field.expr->args[i]));
    }
  }

  std::vector<ExprPtr> fields;  ///< one for each column
  std::vector<ExprPtr> calls;
  std::vector<ExprPtr> variables;
  std::vector<std::size_t> call_numbers;
  std::vector<std::size_t> variable_numbers;
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  ExprPtr replace(const ExprPtr& expr) {
    const bool call = expr->is(Kind::call) && !is_math_function(expr->text);
    if (call || expr->is(Kind::variable)) {
      const std::string key = to_string(*expr);
      auto at = std::ranges::find(keys_, key);
      if (at == keys_.end()) {
        (call ? calls : variables).push_back(expr);
        (call ? call_numbers : variable_numbers).push_back(keys_.size());
        keys_.push_back(key);
        at = keys_.end() - 1;
      }
      auto symbol = std::make_shared<Expr>();
      symbol->kind = Kind::variable;
      symbol->integer = at - keys_.begin();
      return symbol;
    }
    if (expr->args.empty()) return expr;
    auto copy = std::make_shared<Expr>(*expr);
    for (ExprPtr& arg : copy->args) arg = replace(arg);
    return copy;
  }

  std::vector<std::string> keys_;
};

/// A source of rows of one column kind each: a function's points, or the plain rows.
struct Scanner {
  Points points;
  std::optional<std::size_t> driver;  ///< number of the function's value
  std::size_t next = 0;
};

void apply_limit(Points& points, std::int64_t limit, std::int64_t offset) {
  if (limit == 0 && offset == 0) return;
  const auto skip = static_cast<std::size_t>(std::min<std::int64_t>(offset, static_cast<std::int64_t>(points.size())));
  std::size_t keep = points.size() - skip;
  if (limit > 0) keep = std::min(keep, static_cast<std::size_t>(limit));
  const auto cut = [&](auto& values) {
    if (values.empty()) return;
    values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(skip));
    values.resize(keep);
  };
  cut(points.times);
  cut(points.value.cells);
  cut(points.value.missing);
  for (Column& column : points.aux) {
    cut(column.cells);
    cut(column.missing);
  }
}

/// How far before its range a function of windows looks.
std::int64_t extra_of(const Expr& call, const Interval& interval) {
  if (interval.none() || call.args.empty()) return 0;
  const std::string& name = call.text;
  const bool looks_back =
      name.ends_with("derivative") || name.ends_with("difference") || name == "moving_average" || name == "elapsed";
  const std::int64_t inner = call.args[0]->is(Kind::call) ? extra_of(*call.args[0], interval) : 0;
  return inner + (looks_back ? interval.width : 0);
}

ExprPtr innermost_variable(const Expr& call) {
  const Expr* at = &call;
  while (!at->args.empty() && at->args[0]->is(Kind::call)) at = at->args[0].get();
  return at->args.empty() || !at->args[0]->is(Kind::variable) ? nullptr : at->args[0];
}

class Select {
 public:
  Select(Run& run, const Plan& plan, Level level) : run_(run), plan_(plan), level_(std::move(level)), symbols_(plan) {
    for (const ExprPtr& variable : symbols_.variables) wishes_.push_back({variable->text, variable->type});
    selector_ = symbols_.calls.size() == 1 && is_selector(*symbols_.calls[0]);
  }

  Result<> execute(const TableSink& sink) {
    if (!has_types()) return {};
    DO(gather());
    std::vector<Group*> order;
    for (auto& [key, group] : groups_) order.push_back(&group);
    if (!plan_.ascending) std::ranges::reverse(order);
    for (std::size_t at = 0; at < order.size();) {
      std::vector<Group*> some;
      std::size_t series = 0;
      for (; at < order.size() && (some.empty() || series + order[at]->members.size() <= kSeriesAtOnce); ++at) {
        series += order[at]->members.size();
        some.push_back(order[at]);
      }
      bool more = true;
      DO(answer(some, sink, more));
      if (!more) return {};
    }
    return {};
  }

 private:
  /// InfluxDB gives nothing where nothing that was asked for is known.
  [[nodiscard]] bool has_types() const {
    if (symbols_.calls.empty())
      return std::ranges::any_of(wishes_, [](const Wish& wish) { return wish.type != DataType::unknown; });
    return true;
  }

  Result<> gather() {
    for (const PlanSource& source : plan_.sources) {
      if (source.plan) DO(gather_inner(*source.plan));
      else DO(gather_stored(source.from));
    }
    return {};
  }

  Group& group_of(std::string name, std::vector<std::string> values) {
    auto key = std::make_pair(name, values);
    const auto [at, fresh] = groups_.try_emplace(std::move(key));
    if (fresh) {
      at->second.name = std::move(name);
      at->second.values = std::move(values);
    }
    return at->second;
  }

  Result<> gather_stored(const Source& from) {
    const std::vector<std::string> measurements = run_.measurements(from);
    TRY(const StoredSource* source, run_.stored.source(from, measurements, run_.names));
    std::map<std::string, std::set<std::vector<std::string>>> sets;  // of each measurement, for SLIMIT
    std::vector<std::pair<const Series*, std::pair<std::vector<std::string>, ExprPtr>>> kept;
    for (const Series& series : source->series) {
      const Filter filter = filter_for(plan_.condition, series, source->schema);
      if (filter.never) continue;
      std::vector<std::string> values;
      for (const std::string& tag : level_.tags) values.emplace_back(series.tag(tag));
      if (limits_series()) sets[series.measurement].insert(values);
      kept.emplace_back(&series, std::make_pair(std::move(values), filter.expr));
    }
    for (auto& [series, rest] : kept) {
      if (limits_series() && !within_limit(sets[series->measurement], rest.first)) continue;
      group_of(series->measurement, std::move(rest.first))
          .members.push_back({series, source, &from, std::move(rest.second)});
    }
    return {};
  }

  [[nodiscard]] bool limits_series() const { return plan_.series_limit != 0 || plan_.series_offset != 0; }
  [[nodiscard]] bool within_limit(const std::set<std::vector<std::string>>& sets,
                                  const std::vector<std::string>& values) const {
    const auto place = static_cast<std::int64_t>(std::distance(sets.begin(), sets.find(values)));
    return place >= plan_.series_offset && place < plan_.series_offset + plan_.series_limit;
  }

  Result<> gather_inner(const Plan& inner) {
    Level level;
    level.from = std::max(inner.own_time.min.value_or(kMinTime), level_.from - extra());
    level.to = std::min(inner.own_time.max.value_or(kMaxTime), level_.to);
    if (!plan_.ascending) {
      level.from = std::max(inner.own_time.min.value_or(kMinTime), level_.from);
      level.to = std::min(inner.own_time.max.value_or(kMaxTime), level_.to + (level_.to >= kMaxTime ? 0 : extra()));
    }
    level.interval = inner.own_interval ? inner.interval : level_.interval;
    if (!level.interval.none() && level.to >= kMaxTime) level.to = run_.now;
    std::set<std::string> tags(level_.tags.begin(), level_.tags.end());
    for (const std::string& tag : inner.tags()) tags.insert(tag);
    level.tags.assign(tags.begin(), tags.end());
    Select select(run_, inner, std::move(level));
    Result<> status;
    DO(select.execute([&](Table&& table) {
      status = run_.stored.hold(table.times.size() * (table.columns.size() + 1));
      if (!status) return false;
      filter(table, inner);
      if (!table.times.empty()) tables_.push_back(std::make_unique<Table>(std::move(table)));
      return true;
    }));
    DO(status);
    for (const auto& table : tables_) {
      if (taken_.contains(table.get())) continue;
      taken_.insert(table.get());
      std::vector<std::string> values;
      for (const std::string& tag : level_.tags) values.emplace_back(table->tag(tag));
      group_of(table->name, std::move(values)).inner.push_back({table.get(), &inner});
    }
    return {};
  }

  /// Drops the rows that this query's condition does not let through.
  void filter(Table& table, const Plan& inner) const {
    if (!plan_.condition) return;
    std::vector<std::size_t> rows;
    for (std::size_t row = 0; row < table.times.size(); ++row) {
      const Lookup lookup = [&](const Expr& name) -> Datum {
        if (const auto index = column_of(inner, name.text)) return table.columns[*index].datum(row, run_.strings);
        return Datum::of(table.tag(name.text));
      };
      if (evaluate(*plan_.condition, lookup, false).is_true()) rows.push_back(row);
    }
    if (rows.size() == table.times.size()) return;
    Table kept{std::move(table.name), std::move(table.tags), {}, {}};
    kept.columns.resize(table.columns.size());
    for (std::size_t i = 0; i < kept.columns.size(); ++i) kept.columns[i].type = table.columns[i].type;
    for (const std::size_t row : rows) {
      kept.times.push_back(table.times[row]);
      for (std::size_t i = 0; i < kept.columns.size(); ++i) kept.columns[i].add_from(table.columns[i], row);
    }
    table = std::move(kept);
  }

  [[nodiscard]] std::int64_t extra() const {
    std::int64_t most = 0;
    for (const ExprPtr& call : symbols_.calls) most = std::max(most, extra_of(*call, level_.interval));
    return level_.from <= kMinTime + most ? 0 : most;
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  Result<> answer(const std::vector<Group*>& some, const TableSink& sink, bool& more) {
    Batch batch;
    std::size_t held = 0;
    bool summed = sums();
    std::map<const Expr*, std::map<const Series*, std::vector<store::WindowRow>>> sums;
    if (summed) {
      TRY(summed, read_sums(some, sums));
    }
    if (!summed) DO(read(some, batch, held));
    for (Group* group : some) {
      DO(run_.stored.check());
      std::vector<Scanner> scanners;
      if (symbols_.calls.empty()) {
        Points rows = collect(*group, batch, nullptr, wishes_, level_.from, level_.to, plan_.ascending, run_.strings);
        apply_limit(rows, plan_.limit, plan_.offset);
        scanners.push_back({std::move(rows), std::nullopt});
      }
      for (std::size_t i = 0; i < symbols_.calls.size(); ++i) {
        const Expr& call = *symbols_.calls[i];
        Points points;
        if (summed) {
          TRY(points, from_sums(call, *group, sums[&call]));
        } else {
          TRY(points, work_out(call, *group, batch, manner()));
        }
        apply_limit(points, plan_.limit, plan_.offset);
        scanners.push_back({std::move(points), symbols_.call_numbers[i]});
      }
      Table table = rows_of(*group, scanners);
      if (table.times.empty()) continue;
      if (!sink(std::move(table))) {
        more = false;
        break;
      }
    }
    run_.stored.release(held);
    return {};
  }

  Result<> read(const std::vector<Group*>& some, Batch& batch, std::size_t& held) {
    // Members of one source are read together.
    std::map<const Source*, std::vector<const Series*>> members;
    std::map<const Source*, std::set<std::string>> fields;
    std::size_t filtered = 0;
    for (const Group* group : some)
      for (const Member& member : group->members) {
        members[member.from].push_back(member.series);
        if (!member.filter) continue;
        ++filtered;
        walk(member.filter, [&](const ExprPtr& part) {
          if (part->is(Kind::variable)) fields[member.from].insert(part->text);
          return true;
        });
      }
    for (auto& [from, series] : members) {
      Stored::Wanted wanted{.source = *from, .series = std::move(series), .fields = std::move(fields[from])};
      for (const Wish& wish : wishes_)
        if (wish.type != DataType::tag) wanted.fields.insert(wish.name);
      for (const ExprPtr& call : symbols_.calls)
        if (const ExprPtr variable = innermost_variable(*call)) wanted.fields.insert(variable->text);
      wanted.from = level_.from;
      wanted.to = level_.to;
      if (plan_.ascending) wanted.from -= extra();
      else if (level_.to < kMaxTime) wanted.to += extra();
      if (filtered == 0) limit_reading(wanted);
      TRY(auto loaded, run_.stored.load(wanted, run_.strings));
      for (std::size_t i = 0; i < loaded.size(); ++i) {
        for (const auto& [name, values] : loaded[i]) held += values.times.size();
        batch.loaded[wanted.series[i]] = std::move(loaded[i]);
      }
    }
    return {};
  }

  /// How many points of each series can matter, where that is known beforehand.
  void limit_reading(Stored::Wanted& wanted) const {
    wanted.newest_first = !plan_.ascending;
    if (symbols_.calls.empty()) {
      if (plan_.limit > 0 && plan_.limit < 1'000'000'000 && plan_.offset < 1'000'000'000)
        wanted.limit = static_cast<std::size_t>(plan_.limit + plan_.offset);
      return;
    }
    if (symbols_.calls.size() != 1 || !wishes_.empty() || !level_.interval.none()) return;
    const std::string& name = symbols_.calls[0]->text;
    if (name != "first" && name != "last") return;
    wanted.limit = 1;
    wanted.newest_first = name == "last";
  }

  [[nodiscard]] Manner manner() const {
    return {.windows = {level_.interval, plan_.zone, level_.from, level_.to},
            .ascending = plan_.ascending,
            .fill = plan_.fill,
            .fill_value = plan_.fill_value,
            .selector = selector_,
            .max_points = run_.stored.limits().max_points};
  }

  Result<Points> work_out(const Expr& call, const Group& group, const Batch& batch, Manner manner) {
    const std::string& name = call.text;
    const auto driver = [&](const Expr& variable, const std::vector<Wish>& wishes) {
      const Wish wish{variable.text, variable.type};
      return collect(group, batch, &wish, wishes, manner.windows.from, manner.windows.to, plan_.ascending,
                     run_.strings);
    };
    const bool nested = call.args[0]->is(Kind::call);
    const bool streams = name.ends_with("derivative") || name.ends_with("difference") || name == "elapsed" ||
                         name == "moving_average" || name == "cumulative_sum";
    if (streams || name.starts_with("holt_winters")) {
      Manner inner = manner;
      if (const std::int64_t width = manner.windows.interval.width; streams && name != "cumulative_sum" && width > 0) {
        if (manner.ascending) inner.windows.from -= manner.windows.from <= kMinTime + width ? 0 : width;
        else inner.windows.to += manner.windows.to >= kMaxTime - width ? 0 : width;
      }
      Points points;
      if (nested) {
        TRY(points, work_out(*call.args[0], group, batch, inner));
      } else {
        const Wish wish{call.args[0]->text, call.args[0]->type};
        points = collect(group, batch, &wish, {}, inner.windows.from, inner.windows.to, plan_.ascending, run_.strings);
      }
      points.aux.clear();
      return streams ? stream(call, points, manner) : holt_winters(call, points, manner);
    }
    if (name == "integral") return integral(call, driver(*call.args[0], {}), manner);
    if (name == "count" && nested) {
      Points points;
      TRY(points, work_out(*call.args[0], group, batch, manner));
      return finish(call, reduce(call, points, manner, run_.strings), manner);
    }
    if (!call.args[0]->is(Kind::variable)) return fail(ErrorCode::invalid_argument, "unsupported call: " + name);
    std::vector<Wish> beside = selector_ ? wishes_ : std::vector<Wish>();
    const bool top = name == "top" || name == "bottom";
    if (top)
      for (std::size_t i = 1; i + 1 < call.args.size(); ++i) beside.push_back({call.args[i]->text, call.args[i]->type});
    TRY(Points points, reduce(call, driver(*call.args[0], beside), manner, run_.strings));
    if (top) {
      points.aux.resize(selector_ ? wishes_.size() : 0);
      return points;
    }
    if (name == "sample") return points;
    if (name == "distinct") {
      to_windows(points, manner.windows);
      return points;
    }
    return finish(call, std::move(points), manner);
  }

  Result<Points> finish(const Expr& call, Result<Points> reduced, const Manner& manner) const {
    if (!reduced) return reduced;
    if (selector_ && manner.windows.interval.none()) return reduced;
    to_windows(*reduced, manner.windows);
    if (manner.windows.interval.none() || manner.fill == FillOption::none) return reduced;
    return fill_windows(*std::move(reduced), call, manner);
  }

  // --- sums that the store keeps ------------------------------------------------------------------------------------

  /// Whether all functions of the plan can be had from what the store sums up by window.
  [[nodiscard]] bool sums() const {
    if (symbols_.calls.empty() || !wishes_.empty() || plan_.zone || level_.from > level_.to) return false;
    for (const ExprPtr& call : symbols_.calls) {
      const std::string& name = call->text;
      const bool timed = name == "first" || name == "last";
      const bool extreme = name == "min" || name == "max";
      if (name != "count" && name != "sum" && name != "mean" && !timed && !extreme) return false;
      // Which of the readings it was is not kept.
      if (extreme && selector_ && level_.interval.none()) return false;
      const ExprPtr& arg = call->args[0];
      if (!arg->is(Kind::variable)) return false;
      if (arg->type != DataType::float64 && arg->type != DataType::int64) return false;
    }
    return true;
  }

  using Sums = std::map<const Expr*, std::map<const Series*, std::vector<store::WindowRow>>>;

  /// False where they would not be exact, or a series is of another type.
  Result<bool> read_sums(const std::vector<Group*>& some, Sums& sums) {
    std::map<const Source*, std::vector<const Series*>> members;
    for (const Group* group : some) {
      if (!group->inner.empty()) return false;
      for (const Member& member : group->members) {
        if (member.filter) return false;
        members[member.from].push_back(member.series);
      }
    }
    constexpr std::int64_t kWide = std::int64_t{1} << 61;
    const store::Window window = level_.interval.none()
                                     ? store::Window{Duration{kWide}, Duration{0}}
                                     : store::Window{Duration{level_.interval.width}, Duration{level_.interval.offset}};
    for (auto& [from, series] : members) {
      const Stored::Wanted wanted{
          .source = *from, .series = std::move(series), .fields = {}, .from = level_.from, .to = level_.to};
      std::map<std::string, Stored::Summed> by_field;
      for (const ExprPtr& call : symbols_.calls) {
        const Expr& variable = *call->args[0];
        for (const Series* one : wanted.series)
          if (const auto at = one->fields.find(variable.text);
              at != one->fields.end() && data_type(at->second->type) != variable.type)
            return false;
        if (!by_field.contains(variable.text)) {
          TRY(by_field[variable.text], run_.stored.summed(wanted, variable.text, window));
        }
        const Stored::Summed& read = by_field[variable.text];
        for (std::size_t i = 0; i < read.size(); ++i) {
          if (variable.type == DataType::int64 && !std::ranges::all_of(read[i], exact)) return false;
          sums[call.get()][wanted.series[i]] = read[i];
        }
      }
    }
    return true;
  }

  /// Whether the sum of whole numbers, which is kept as a double, is exact.
  static bool exact(const store::WindowRow& row) {
    const auto size = [](Cell cell) { return std::abs(static_cast<double>(as_int64(cell))); };
    return std::max(size(row.min), size(row.max)) * static_cast<double>(row.count) < 9e15;
  }

  Result<Points> from_sums(const Expr& call, const Group& group,
                           const std::map<const Series*, std::vector<store::WindowRow>>& sums) const {
    const Manner manner = this->manner();
    const bool whole = call.args[0]->type == DataType::int64;
    const auto number = [&](Cell cell) { return whole ? static_cast<double>(as_int64(cell)) : as_float64(cell); };
    std::map<std::int64_t, store::WindowRow> windows;
    for (const Member& member : group.members) {
      const auto found = sums.find(member.series);
      if (found == sums.end()) continue;
      for (const store::WindowRow& row : found->second) {
        const std::int64_t start = manner.windows.at(row.first_time).start;
        const auto [at, fresh] = windows.emplace(start, row);
        if (fresh) continue;
        store::WindowRow& into = at->second;
        into.count += row.count;
        into.sum += row.sum;
        if (number(row.min) < number(into.min)) into.min = row.min;
        if (number(row.max) > number(into.max)) into.max = row.max;
        if (row.first_time < into.first_time ||
            (row.first_time == into.first_time && number(row.first) > number(into.first)))
          into.first = row.first, into.first_time = row.first_time;
        if (row.last_time > into.last_time || (row.last_time == into.last_time && number(row.last) > number(into.last)))
          into.last = row.last, into.last_time = row.last_time;
      }
    }
    Points points;
    points.value.type = call.text == "count"  ? DataType::int64
                        : call.text == "mean" ? DataType::float64
                                              : call.args[0]->type;
    const auto give = [&](std::int64_t start, const store::WindowRow& row) {
      const std::string& name = call.text;
      points.times.push_back(name == "first" ? row.first_time : name == "last" ? row.last_time : start);
      if (name == "count") points.value.add(to_cell(static_cast<std::int64_t>(row.count)));
      else if (name == "sum") points.value.add(whole ? to_cell(static_cast<std::int64_t>(row.sum)) : to_cell(row.sum));
      else if (name == "mean") points.value.add(to_cell(row.sum / static_cast<double>(row.count)));
      else points.value.add(name == "min" ? row.min : name == "max" ? row.max : name == "first" ? row.first : row.last);
    };
    if (plan_.ascending)
      for (const auto& [start, row] : windows) give(start, row);
    else
      for (auto at = windows.rbegin(); at != windows.rend(); ++at) give(at->first, at->second);
    return finish(call, std::move(points), manner);
  }

  // --- rows ---------------------------------------------------------------------------------------------------------

  /// What stands where there is no value: the fill option's number, in the type of what is missing.
  [[nodiscard]] Datum filler(DataType type) const {
    if (plan_.fill != FillOption::number) return {};
    const Expr& value = *plan_.fill_value;
    const double number = value.is(Kind::number) ? value.number : static_cast<double>(value.integer);
    switch (type) {
      case DataType::float64: return Datum::of(number);
      case DataType::int64: return Datum::of(value.is(Kind::number) ? cut_to_int64(number) : value.integer);
      case DataType::uint64:
        return Datum::of(static_cast<std::uint64_t>(value.is(Kind::number) ? cut_to_int64(number) : value.integer));
      default: return value.is(Kind::number) ? Datum::of(number) : Datum::of(value.integer);
    }
  }

  Table rows_of(const Group& group, std::vector<Scanner>& scanners) const {
    Table table{group.name, {}, {}, {}};
    for (std::size_t i = 0; i < level_.tags.size(); ++i) table.tags.push_back({level_.tags[i], group.values[i]});
    table.columns.resize(symbols_.fields.size());
    std::vector<std::uint8_t> typed(table.columns.size());
    std::vector<Datum> row(symbols_.size());
    const bool keeps = plan_.fill == FillOption::previous;  // what is missing stays as it was
    const auto set = [&](std::size_t number, const Datum& value, DataType type) {
      if (!value.is_null()) row[number] = value;
      else if (!keeps) row[number] = filler(type);
    };
    const Lookup lookup = [&](const Expr& symbol) { return row[static_cast<std::size_t>(symbol.integer)]; };
    for (;;) {
      std::optional<std::int64_t> time;
      for (const Scanner& scanner : scanners) {
        if (scanner.next == scanner.points.size()) continue;
        const std::int64_t at = scanner.points.times[scanner.next];
        if (!time || (plan_.ascending ? at < *time : at > *time)) time = at;
      }
      if (!time) break;
      for (Scanner& scanner : scanners) {
        const Points& points = scanner.points;
        const std::size_t at = scanner.next;
        const bool here = at < points.size() && points.times[at] == *time;
        if (scanner.driver)
          set(*scanner.driver, here ? points.value.datum(at, run_.strings) : Datum(), points.value.type);
        for (std::size_t i = 0; i < points.aux.size(); ++i)
          set(symbols_.variable_numbers[i], here ? points.aux[i].datum(at, run_.strings) : Datum(), points.aux[i].type);
        if (here) ++scanner.next;
      }
      table.times.push_back(*time);
      for (std::size_t i = 0; i < table.columns.size(); ++i)
        append(table.columns[i], typed[i], evaluate(*symbols_.fields[i], lookup, true));
    }
    return table;
  }

  void append(Column& column, std::uint8_t& typed, const Datum& value) const {
    if (value.is_null()) return column.add_missing();
    DataType type = DataType::float64;
    Cell cell = 0;
    switch (value.type) {
      case Datum::Type::number: cell = to_cell(value.number); break;
      case Datum::Type::integer: type = DataType::int64, cell = to_cell(value.integer); break;
      case Datum::Type::unsigned_integer: type = DataType::uint64, cell = value.unsigned_integer; break;
      case Datum::Type::boolean: type = DataType::boolean, cell = to_cell(value.boolean); break;
      case Datum::Type::text: type = DataType::string, cell = run_.strings.add(value.text); break;
      case Datum::Type::null: break;
    }
    if (typed == 0) column.type = type;
    typed = 1;
    if (type == column.type) return column.add(cell);
    // A column has one type; numbers of two kinds meet as doubles.
    const auto number = value.as_number();
    if (!number || column.type == DataType::string || column.type == DataType::boolean) return column.add_missing();
    if (column.type != DataType::float64) {
      for (std::size_t row = 0; row < column.size(); ++row) column.cells[row] = to_cell(column.number(row));
      column.type = DataType::float64;
    }
    column.add(to_cell(*number));
  }

  Run& run_;
  const Plan& plan_;
  const Level level_;
  Symbols symbols_;
  std::vector<Wish> wishes_;
  bool selector_ = false;
  std::map<std::pair<std::string, std::vector<std::string>>, Group> groups_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::set<const Table*> taken_;
};

}  // namespace

std::string_view Table::tag(std::string_view key) const {
  for (const Tag& tag : tags)
    if (tag.key == key) return tag.value;
  return {};
}

Result<> run_select(Run& run, const Plan& plan, const TableSink& sink) {
  Level level{*plan.time.min, *plan.time.max, plan.interval, plan.tags()};
  return Select(run, plan, std::move(level)).execute(sink);
}

}  // namespace flux::query::influxql
