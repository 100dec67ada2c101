#include "query/influxql/functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

namespace flux::query::influxql {
namespace {

std::unexpected<Error> trouble(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

bool is_number(DataType type) {
  return type == DataType::float64 || type == DataType::int64 || type == DataType::uint64;
}

/// Rows of one window (and, for top and bottom, of one set of tags): numbers into the points.
using Rows = std::vector<std::size_t>;

/// Compares cells of one type as InfluxDB's functions do.
struct Order {
  DataType type;
  const Strings* strings;
  [[nodiscard]] bool less(Cell a, Cell b) const {
    switch (type) {
      case DataType::float64: return as_float64(a) < as_float64(b);
      case DataType::int64: return as_int64(a) < as_int64(b);
      case DataType::string:
      case DataType::tag: return strings->text(a) < strings->text(b);
      default: return a < b;
    }
  }
  /// The same for sorting, where what is no number (a stddev of one) comes last.
  [[nodiscard]] bool before(Cell a, Cell b) const {
    if (type != DataType::float64) return less(a, b);
    if (std::isnan(as_float64(a)) || std::isnan(as_float64(b)))
      return !std::isnan(as_float64(a)) && std::isnan(as_float64(b));
    return as_float64(a) < as_float64(b);
  }
  [[nodiscard]] bool equal(Cell a, Cell b) const {
    return type == DataType::float64 ? as_float64(a) == as_float64(b) : a == b;
  }
};

class Reducer {
 public:
  Reducer(const Expr& call, const Points& points, const Strings& strings, Points& out)
      : name_(call.text), call_(call), in_(points), order_{points.value.type, &strings}, out_(out) {}

  Result<> window(Rows& rows, std::int64_t start) {
    if (rows.empty()) return {};
    if (name_ == "count") return plain(start, to_cell(static_cast<std::int64_t>(rows.size())));
    if (name_ == "sum") return plain(start, sum(rows));
    if (name_ == "mean") return plain(start, to_cell(mean(rows)));
    if (name_ == "min" || name_ == "max" || name_ == "first" || name_ == "last") return pick(best(rows));
    if (name_ == "spread") return plain(start, spread(rows));
    if (name_ == "stddev") return plain(start, to_cell(stddev(rows)));
    if (name_ == "median") return plain(start, to_cell(median(rows)));
    if (name_ == "mode") return plain(start, mode(rows));
    if (name_ == "percentile") return percentile(rows);
    if (name_ == "distinct") return distinct(rows);
    if (name_ == "sample") return sample(rows);
    return top(rows);
  }

 private:
  [[nodiscard]] Cell cell(std::size_t row) const { return in_.value.cells[row]; }
  [[nodiscard]] double number(std::size_t row) const { return in_.value.number(row); }

  Result<> plain(std::int64_t time, Cell value) {
    out_.times.push_back(time);
    out_.value.add(value);
    for (Column& aux : out_.aux) aux.add_missing();
    return {};
  }
  Result<> pick(std::size_t row) {
    out_.times.push_back(in_.times[row]);
    out_.value.add(cell(row));
    for (std::size_t i = 0; i < out_.aux.size(); ++i) out_.aux[i].add_from(in_.aux[i], row);
    return {};
  }

  [[nodiscard]] Cell sum(const Rows& rows) const {
    if (in_.value.type == DataType::float64) {
      double total = 0;
      for (const std::size_t row : rows) total += as_float64(cell(row));
      return to_cell(total);
    }
    std::uint64_t total = 0;
    for (const std::size_t row : rows) total += cell(row);
    return total;
  }
  [[nodiscard]] double mean(const Rows& rows) const {
    const Cell total = sum(rows);
    const auto count = static_cast<double>(rows.size());
    if (in_.value.type == DataType::float64) return as_float64(total) / count;
    if (in_.value.type == DataType::int64) return static_cast<double>(as_int64(total)) / count;
    return static_cast<double>(total) / count;
  }

  [[nodiscard]] std::size_t best(const Rows& rows) const {
    std::size_t best = rows[0];
    const bool max = name_ == "max";
    const bool first = name_ == "first";
    const bool last = name_ == "last";
    for (const std::size_t row : rows) {
      const Cell a = cell(row);
      const Cell b = cell(best);
      bool better = false;
      if (first || last) {
        const bool sooner = first ? in_.times[row] < in_.times[best] : in_.times[row] > in_.times[best];
        // Of booleans at the first moment the false one counts; of all else the larger.
        const bool larger = first && order_.type == DataType::boolean ? order_.less(a, b) : order_.less(b, a);
        better = sooner || (in_.times[row] == in_.times[best] && larger);
      } else {
        better =
            (max ? order_.less(b, a) : order_.less(a, b)) || (order_.equal(a, b) && in_.times[row] < in_.times[best]);
      }
      if (better) best = row;
    }
    return best;
  }

  [[nodiscard]] Cell spread(const Rows& rows) const {
    Cell low = cell(rows[0]);
    Cell high = low;
    for (const std::size_t row : rows) {
      if (order_.type == DataType::float64 && std::isnan(number(row))) return cell(row);
      if (order_.less(cell(row), low)) low = cell(row);
      if (order_.less(high, cell(row))) high = cell(row);
    }
    if (order_.type == DataType::float64) return to_cell(as_float64(high) - as_float64(low));
    return high - low;
  }
  [[nodiscard]] double stddev(const Rows& rows) const {
    if (rows.size() < 2) return std::nan("");
    double mean = 0;
    double count = 0;
    for (const std::size_t row : rows) {
      if (std::isnan(number(row))) continue;
      ++count;
      mean += (number(row) - mean) / count;
    }
    double variance = 0;
    for (const std::size_t row : rows)
      if (!std::isnan(number(row))) variance += (number(row) - mean) * (number(row) - mean);
    return std::sqrt(variance / (count - 1));
  }
  void by_value(Rows& rows) const {
    std::ranges::stable_sort(rows, [&](std::size_t a, std::size_t b) { return order_.before(cell(a), cell(b)); });
  }
  [[nodiscard]] double median(Rows& rows) const {
    by_value(rows);
    const std::size_t half = rows.size() / 2;
    if (rows.size() % 2 == 1) return number(rows[half]);
    const std::size_t low = rows[half - 1];
    const std::size_t high = rows[half];
    if (order_.type == DataType::float64) return number(low) + (number(high) - number(low)) / 2;
    const std::uint64_t gap = cell(high) - cell(low);
    const double wide =
        order_.type == DataType::int64 ? static_cast<double>(static_cast<std::int64_t>(gap)) : static_cast<double>(gap);
    return number(low) + wide / 2;
  }
  [[nodiscard]] Cell mode(Rows& rows) const {
    if (order_.type == DataType::boolean) {
      if (rows.size() == 1) return cell(rows[0]);
      const auto yes =
          static_cast<std::size_t>(std::ranges::count_if(rows, [&](std::size_t row) { return cell(row) != 0; }));
      return to_cell(yes * 2 >= rows.size());
    }
    by_value(rows);
    std::size_t most = 0;
    std::size_t run = 0;
    std::size_t winner = rows[0];
    std::int64_t winner_time = in_.times[rows[0]];
    std::size_t since = rows[0];
    for (const std::size_t row : rows) {
      if (!order_.equal(cell(row), cell(since))) {
        // A value's first reading is not counted when it follows another value: so InfluxDB tells ties apart.
        run = 1;
        since = row;
        continue;
      }
      ++run;
      if (most > run || (most == run && in_.times[since] > winner_time)) continue;
      most = run;
      winner = since;
      winner_time = in_.times[row];
    }
    return cell(winner);
  }
  Result<> percentile(Rows& rows) {
    const Expr& arg = *call_.args[1];
    const double wanted = arg.is(Expr::Kind::number) ? arg.number : static_cast<double>(arg.integer);
    const double rank = std::floor(static_cast<double>(rows.size()) * wanted / 100.0 + 0.5) - 1;
    if (!(rank >= 0) || rank >= static_cast<double>(rows.size())) return {};
    by_value(rows);
    return pick(rows[static_cast<std::size_t>(rank)]);
  }
  Result<> distinct(const Rows& rows) {
    std::unordered_map<Cell, std::size_t> firsts;
    Rows kept;
    for (const std::size_t row : rows) {
      Cell key = cell(row);
      if (order_.type == DataType::float64 && as_float64(key) == 0) key = to_cell(0.0);
      if (firsts.emplace(key, row).second) kept.push_back(row);
    }
    std::ranges::stable_sort(kept, [&](std::size_t a, std::size_t b) {
      if (in_.times[a] != in_.times[b]) return in_.times[a] < in_.times[b];
      return order_.before(cell(a), cell(b));
    });
    for (const std::size_t row : kept) DO(pick(row));
    return {};
  }
  Result<> sample(const Rows& rows) {
    const auto wanted = static_cast<std::size_t>(call_.args[1]->integer);
    Rows kept;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (kept.size() < wanted) {
        kept.push_back(rows[i]);
        continue;
      }
      const std::size_t at = std::uniform_int_distribution<std::size_t>(0, i)(random());
      if (at < wanted) kept[at] = rows[i];
    }
    by_time(kept);
    for (const std::size_t row : kept) DO(pick(row));
    return {};
  }
  static std::mt19937_64& random() {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return generator;
  }
  void by_time(Rows& rows) const {
    std::ranges::stable_sort(rows, [&](std::size_t a, std::size_t b) { return in_.times[a] < in_.times[b]; });
  }

  /// `top(value, tag, …, n)`: the n largest, with tags the largest of each set of them first.
  Result<> top(Rows& rows) {
    const bool largest = name_ == "top";
    const auto wanted = static_cast<std::size_t>(call_.args.back()->integer);
    const auto better = [&](std::size_t a, std::size_t b) {
      if (order_.before(cell(a), cell(b))) return !largest;
      if (order_.before(cell(b), cell(a))) return largest;
      return in_.times[a] < in_.times[b];
    };
    if (call_.args.size() > 2) {
      std::map<std::vector<std::uint64_t>, std::size_t> best;
      for (const std::size_t row : rows) {
        std::vector<std::uint64_t> key;
        for (const std::size_t column : tag_columns_) {
          const Column& tags = in_.aux[column];
          key.push_back(tags.has(row) ? tags.cells[row] + 1 : 0);
        }
        const auto [at, fresh] = best.emplace(std::move(key), row);
        if (!fresh && better(row, at->second)) at->second = row;
      }
      rows.clear();
      for (const auto& [key, row] : best) rows.push_back(row);
    }
    std::ranges::stable_sort(rows, better);
    if (rows.size() > wanted) rows.resize(wanted);
    by_time(rows);
    for (const std::size_t row : rows) DO(pick(row));
    return {};
  }

 public:
  /// Which columns beside the values are the tags that top() or bottom() names.
  void tag_columns(std::vector<std::size_t> columns) { tag_columns_ = std::move(columns); }

 private:
  const std::string& name_;
  const Expr& call_;
  const Points& in_;
  Order order_;
  Points& out_;
  std::vector<std::size_t> tag_columns_;
};

}  // namespace

Result<> takes_type(std::string_view function, DataType type) {
  if (is_number(type) && !(function.starts_with("holt_winters") && type == DataType::uint64)) return {};
  const auto go_name = [&]() -> std::string {
    switch (type) {
      case DataType::string:
      case DataType::tag: return "string";
      case DataType::boolean: return "boolean";
      case DataType::uint64: return "unsigned";
      default: return "float";
    }
  };
  const bool any = function == "count" || function == "first" || function == "last" || function == "distinct" ||
                   function == "mode" || function == "sample" || function == "elapsed";
  if (any || (type == DataType::boolean && (function == "min" || function == "max"))) return {};
  std::string named(function);
  if (named == "non_negative_derivative") named = "derivative";
  else if (named == "non_negative_difference") named = "difference";
  else if (named == "moving_average") named = "moving average";
  else if (named == "cumulative_sum") named = "cumulative sum";
  else if (named.starts_with("holt_winters")) named = "elapsed";
  return trouble("unsupported " + named + " iterator type: *query." + go_name() + "Iterator");
}

Result<Points> reduce(const Expr& call, const Points& points, const Manner& manner, const Strings& strings) {
  DO(takes_type(call.text, points.value.type));
  Points out;
  out.value.type = points.value.type;
  if (call.text == "count") out.value.type = DataType::int64;
  else if (call.text == "mean" || call.text == "median" || call.text == "stddev") out.value.type = DataType::float64;
  out.aux.resize(points.aux.size());
  for (std::size_t i = 0; i < out.aux.size(); ++i) out.aux[i].type = points.aux[i].type;
  Reducer reducer(call, points, strings, out);
  if ((call.text == "top" || call.text == "bottom") && call.args.size() > 2) {
    // `aux` ends with the arguments between the field and the number, as the caller has put them.
    std::vector<std::size_t> columns;
    const std::size_t first = points.aux.size() - (call.args.size() - 2);
    for (std::size_t i = 0; i + 2 < call.args.size(); ++i)
      if (call.args[i + 1]->type == DataType::tag) columns.push_back(first + i);
    reducer.tag_columns(std::move(columns));
  }
  Rows rows;
  Windows::Window window;
  for (std::size_t row = 0; row < points.size(); ++row) {
    if (!points.value.has(row)) continue;
    const std::int64_t time = points.times[row];
    if (!rows.empty() && (time < window.start || time >= window.end)) {
      DO(reducer.window(rows, window.start));
      rows.clear();
    }
    if (rows.empty()) window = manner.windows.at(time);
    rows.push_back(row);
  }
  DO(reducer.window(rows, window.start));
  return out;
}

void to_windows(Points& points, const Windows& windows) {
  for (std::int64_t& time : points.times) {
    time = windows.at(time).start;
    if (time == kMinTime) time = 0;
  }
}

}  // namespace flux::query::influxql
