#include "query/influxql/group.h"

#include <algorithm>
#include <numeric>

namespace flux::query::influxql {
namespace {

using Kind = Expr::Kind;

/// A cell of one type in another; nothing where the two do not go together.
std::optional<Cell> cast(Cell cell, DataType from, DataType to) {
  if (from == to || (from == DataType::string && to == DataType::tag) ||
      (from == DataType::tag && to == DataType::string))
    return cell;
  double number = 0;
  std::int64_t whole = 0;
  switch (from) {
    case DataType::float64: number = as_float64(cell), whole = cut_to_int64(number); break;
    case DataType::int64: whole = as_int64(cell), number = static_cast<double>(whole); break;
    case DataType::uint64: whole = as_int64(cell), number = static_cast<double>(cell); break;
    default: return std::nullopt;
  }
  switch (to) {
    case DataType::float64: return to_cell(number);
    case DataType::int64:
    case DataType::uint64: return to_cell(whole);
    default: return std::nullopt;
  }
}

DataType column_type(const Wish& wish) {
  switch (wish.type) {
    case DataType::tag: return DataType::string;
    case DataType::unknown:
    case DataType::any_field: return DataType::float64;
    default: return wish.type;
  }
}

/// One variable of one series: its values by time, or its tag, or nothing at all.
class Reader {
 public:
  Reader(const Member& member, const std::map<std::string, Stored::Values, std::less<>>& loaded, const Wish& wish,
         Strings& strings)
      : to_(column_type(wish)) {
    if (wish.type != DataType::tag) {
      if (const auto at = loaded.find(wish.name); at != loaded.end()) {
        from_ = data_type(at->second.type);
        const bool open = wish.type == DataType::unknown || wish.type == DataType::any_field;
        if (open) to_ = from_;
        if (from_ == to_ || cast(0, from_, to_)) values_ = &at->second;
        return;
      }
      if (wish.type != DataType::unknown) return;
    }
    if (const std::string_view text = member.series->tag(wish.name); !text.empty()) {
      constant_ = strings.add(text);
      to_ = DataType::string;
    }
  }

  [[nodiscard]] const Stored::Values* values() const { return values_; }
  [[nodiscard]] DataType type() const { return to_; }
  /// At a time no earlier than the one before; nothing where there is none.
  std::optional<Cell> at(std::int64_t time) {
    if (constant_) return constant_;
    if (values_ == nullptr) return std::nullopt;
    const auto& times = values_->times;
    while (next_ < times.size() && times[next_] < time) ++next_;
    if (next_ == times.size() || times[next_] != time) return std::nullopt;
    return cell(next_);
  }
  [[nodiscard]] Cell cell(std::size_t row) const { return *cast(values_->cells[row], from_, to_); }

 private:
  const Stored::Values* values_ = nullptr;
  std::optional<Cell> constant_;
  std::size_t next_ = 0;
  DataType from_ = DataType::float64;
  DataType to_;
};

std::vector<std::int64_t> union_of(const std::vector<Reader>& readers) {
  std::vector<std::int64_t> times;
  for (const Reader& reader : readers) {
    if (reader.values() == nullptr) continue;
    const auto& more = reader.values()->times;
    if (times.empty()) {
      times = more;
      continue;
    }
    if (times == more) continue;
    std::vector<std::int64_t> both;
    both.reserve(times.size() + more.size());
    std::ranges::set_union(times, more, std::back_inserter(both));
    times = std::move(both);
  }
  return times;
}

void shape_like(Points& points, const Wish* driver, const std::vector<Wish>& wishes) {
  if (driver != nullptr) points.value.type = column_type(*driver);
  for (const Wish& wish : wishes) {
    points.aux.emplace_back();
    points.aux.back().type = column_type(wish);
  }
}

void add(Column& column, std::optional<Cell> cell) {
  if (cell) column.add(*cell);
  else column.add_missing();
}

void add_member(Points& out, const Member& member, const Batch& batch, const Wish* driver,
                const std::vector<Wish>& wishes, std::int64_t from, std::int64_t to, Strings& strings) {
  static const std::map<std::string, Stored::Values, std::less<>> kNothing;
  const auto found = batch.loaded.find(member.series);
  const auto& loaded = found == batch.loaded.end() ? kNothing : found->second;
  std::vector<Reader> beside;
  for (const Wish& wish : wishes) beside.emplace_back(member, loaded, wish, strings);
  std::optional<Reader> main;
  if (driver != nullptr) {
    main.emplace(member, loaded, *driver, strings);
    if (main->values() == nullptr) return;
  }
  struct Condition {
    std::string name;
    Reader reader;
    Datum now;
  };
  std::vector<Condition> conditions;
  if (member.filter)
    walk(member.filter, [&](const ExprPtr& part) {
      if (part->is(Kind::variable) && std::ranges::find(conditions, part->text, &Condition::name) == conditions.end())
        conditions.push_back({part->text, Reader(member, loaded, {part->text, part->type}, strings), {}});
      return true;
    });
  const Lookup lookup = [&](const Expr& name) {
    const auto at = std::ranges::find(conditions, name.text, &Condition::name);
    return at == conditions.end() ? Datum() : at->now;
  };
  std::vector<std::int64_t> joined;
  if (!main) joined = union_of(beside);
  const std::vector<std::int64_t>& times = main ? main->values()->times : joined;
  auto row = static_cast<std::size_t>(std::ranges::lower_bound(times, from) - times.begin());
  const auto end = static_cast<std::size_t>(std::ranges::upper_bound(times, to) - times.begin());
  const bool simple = beside.empty() && conditions.empty() && !member.filter;
  if (simple && main) {
    out.times.insert(out.times.end(), times.begin() + static_cast<std::ptrdiff_t>(row),
                     times.begin() + static_cast<std::ptrdiff_t>(end));
    for (; row < end; ++row) out.value.add(main->cell(row));
    return;
  }
  for (; row < end; ++row) {
    const std::int64_t time = times[row];
    if (member.filter) {
      for (Condition& condition : conditions) {
        const auto cell = condition.reader.at(time);
        Column one;
        one.type = condition.reader.type();
        if (cell) one.add(*cell);
        condition.now = cell ? one.datum(0, strings) : Datum();
      }
      if (!evaluate(*member.filter, lookup, false).is_true()) continue;
    }
    out.times.push_back(time);
    if (main) out.value.add(main->cell(row));
    for (std::size_t i = 0; i < beside.size(); ++i) add(out.aux[i], beside[i].at(time));
  }
}

/// One variable of a sub-query's rows.
class InnerReader {
 public:
  InnerReader(const InnerRows& rows, const Wish& wish, Strings& strings) : to_(column_type(wish)) {
    if (const auto index = column_of(*rows.plan, wish.name)) {
      column_ = &rows.table->columns[*index];
      if (wish.type == DataType::unknown || wish.type == DataType::any_field) to_ = column_->type;
      return;
    }
    for (const ExprPtr& dimension : rows.plan->dimensions)
      if (dimension->is(Kind::variable) && dimension->text == wish.name) {
        there_ = true;
        constant_ = strings.add(rows.table->tag(wish.name));
      }
  }
  [[nodiscard]] bool there() const { return column_ != nullptr || there_; }
  [[nodiscard]] std::optional<Cell> at(std::size_t row) const {
    if (there_) return constant_;
    if (column_ == nullptr || !column_->has(row)) return std::nullopt;
    return cast(column_->cells[row], column_->type, to_);
  }

 private:
  const Column* column_ = nullptr;
  bool there_ = false;
  Cell constant_ = 0;
  DataType to_;
};

/// All of its rows: a window that begins before the query's range is in it.
void add_inner(Points& out, const InnerRows& rows, const Wish* driver, const std::vector<Wish>& wishes,
               Strings& strings) {
  std::vector<InnerReader> beside;
  for (const Wish& wish : wishes) beside.emplace_back(rows, wish, strings);
  std::optional<InnerReader> main;
  if (driver != nullptr) {
    main.emplace(rows, *driver, strings);
    if (!main->there()) return;
  }
  const auto& times = rows.table->times;
  for (std::size_t row = 0; row < times.size(); ++row) {
    out.times.push_back(times[row]);
    if (main) add(out.value, main->at(row));
    for (std::size_t i = 0; i < beside.size(); ++i) add(out.aux[i], beside[i].at(row));
  }
}

template <class T>
void permute(std::vector<T>& values, const std::vector<std::size_t>& order) {
  if (values.empty()) return;
  std::vector<T> sorted;
  sorted.reserve(values.size());
  for (const std::size_t row : order) sorted.push_back(values[row]);
  values = std::move(sorted);
}

void permute(Column& column, const std::vector<std::size_t>& order) {
  permute(column.cells, order);
  permute(column.missing, order);
}

}  // namespace

std::optional<std::size_t> column_of(const Plan& plan, std::string_view name) {
  std::size_t index = 0;
  for (const Field& field : plan.fields) {
    if (field.name() == name) return index;
    if (field.expr->is_call("top") || field.expr->is_call("bottom")) {
      const auto& args = field.expr->args;
      for (std::size_t i = 1; i + 1 < args.size(); ++i) {
        ++index;
        if (args[i]->is(Kind::variable) && args[i]->text == name) return index;
      }
    }
    ++index;
  }
  return std::nullopt;
}

Points collect(const Group& group, const Batch& batch, const Wish* driver, const std::vector<Wish>& wishes,
               std::int64_t from, std::int64_t to, bool ascending, Strings& strings) {
  Points points;
  shape_like(points, driver, wishes);
  for (const Member& member : group.members) add_member(points, member, batch, driver, wishes, from, to, strings);
  for (const InnerRows& rows : group.inner) add_inner(points, rows, driver, wishes, strings);
  const bool sorted = std::ranges::is_sorted(points.times);
  if (sorted && ascending) return points;
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!sorted)
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return points.times[a] < points.times[b]; });
  if (!ascending) std::ranges::reverse(order);
  permute(points.times, order);
  permute(points.value, order);
  for (Column& column : points.aux) permute(column, order);
  return points;
}

}  // namespace flux::query::influxql
