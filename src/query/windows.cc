#include "query/windows.h"

#include <algorithm>
#include <cmath>

namespace flux::query {
namespace {

using store::Aggregate;
using store::WindowRow;

double as_number(Cell cell, ValueType type) {
  switch (type) {
    case ValueType::float64: return as_float64(cell);
    case ValueType::int64: return static_cast<double>(as_int64(cell));
    case ValueType::uint64:
    case ValueType::boolean: return static_cast<double>(cell);
    case ValueType::string: break;
  }
  return std::nan("");
}

bool less(Cell a, Cell b, ValueType type) {
  if (type == ValueType::int64) return as_int64(a) < as_int64(b);
  if (type == ValueType::float64) return as_float64(a) < as_float64(b);
  return a < b;
}

Cell moved(Cell cell, std::size_t by) {
  StringRef ref = as_string_ref(cell);
  ref.offset += static_cast<std::uint32_t>(by);
  return to_cell(ref);
}

void to_doubles(WindowSeries& series) {
  for (WindowRow& row : series.rows)
    for (Cell* cell : {&row.min, &row.max, &row.first, &row.last}) *cell = to_cell(as_number(*cell, series.type));
  series.type = ValueType::float64;
}

ValueType column_type(Aggregate aggregate, ValueType type) {
  switch (aggregate) {
    case Aggregate::count: return ValueType::uint64;
    case Aggregate::sum:
    case Aggregate::mean: return ValueType::float64;
    default: return type;
  }
}

Cell cell_of(const WindowRow& row, Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::count: return row.count;
    case Aggregate::sum: return to_cell(row.sum);
    case Aggregate::mean: return to_cell(row.sum / static_cast<double>(row.count));
    case Aggregate::min: return row.min;
    case Aggregate::max: return row.max;
    case Aggregate::first: return row.first;
    case Aggregate::last: return row.last;
  }
  return 0;
}

bool needs_numbers(Aggregate aggregate) {
  return aggregate != Aggregate::count && aggregate != Aggregate::first && aggregate != Aggregate::last;
}

/// The numeric value that linear filling or a fill value gives, in the column's type.
Cell from_number(double number, ValueType type) {
  if (type == ValueType::float64) return to_cell(number);
  if (type == ValueType::int64) return to_cell(static_cast<std::int64_t>(std::llround(number)));
  return number <= 0 ? 0 : to_cell(static_cast<std::uint64_t>(std::llround(number)));
}

void fill_missing(Chunk::Column& column, const std::vector<std::int64_t>& times, const Query& query) {
  if (column.missing.empty() || query.fill == Fill::null) return;
  const std::size_t rows = column.cells.size();
  if (query.fill == Fill::value || query.fill == Fill::linear) {
    if (column.type == ValueType::string) return;  // a number cannot stand for text: the gap stays
  }
  std::size_t before = rows;  // the nearest row with a value of its own
  for (std::size_t row = 0; row < rows; ++row) {
    if (!column.missing[row]) {
      before = row;
      continue;
    }
    if (query.fill == Fill::value) {
      column.cells[row] = from_number(query.fill_value, column.type);
      column.missing[row] = false;
    } else if (before == rows) {
      continue;
    } else if (query.fill == Fill::previous) {
      column.cells[row] = column.cells[before];
      column.missing[row] = false;
    } else {
      std::size_t after = row;
      while (after < rows && column.missing[after]) ++after;
      if (after == rows) return;
      const double left = as_number(column.cells[before], column.type);
      const double right = as_number(column.cells[after], column.type);
      const auto span = static_cast<double>(times[after] - times[before]);
      for (; row < after; ++row) {
        const double share = static_cast<double>(times[row] - times[before]) / span;
        column.cells[row] = from_number(left + (right - left) * share, column.type);
        column.missing[row] = false;
      }
      before = after;
    }
  }
}

}  // namespace

void WindowSeries::append(const store::WindowedPoints& points) {
  const std::size_t shift = heap.size();
  heap += points.heap;
  rows.reserve(rows.size() + points.rows.size());
  for (WindowRow row : points.rows) {
    if (type == ValueType::string) {
      row.first = moved(row.first, shift);
      row.last = moved(row.last, shift);
    }
    rows.push_back(row);
  }
}

Result<WindowSeries> merge(std::vector<WindowSeries> parts, std::string_view metric) {
  WindowSeries merged;
  if (parts.empty()) return merged;
  const bool text = std::ranges::any_of(parts, [](const auto& p) { return p.type == ValueType::string; });
  const bool same = std::ranges::all_of(parts, [&](const auto& p) { return p.type == parts.front().type; });
  if (text && !same)
    return fail(ErrorCode::invalid_argument,
                "metric '" + std::string(metric) + "' is text on some devices and a number on others: group by device",
                "group_by");
  if (!same)
    for (WindowSeries& part : parts) to_doubles(part);
  merged.type = parts.front().type;

  std::size_t total = 0;
  for (const WindowSeries& part : parts) total += part.rows.size();
  merged.rows.reserve(total);
  for (const WindowSeries& part : parts) {
    const std::size_t shift = merged.heap.size();
    merged.heap += part.heap;
    for (WindowRow row : part.rows) {
      if (text) {
        row.first = moved(row.first, shift);
        row.last = moved(row.last, shift);
      }
      merged.rows.push_back(row);
    }
  }
  std::ranges::sort(merged.rows, [](const WindowRow& a, const WindowRow& b) {
    return a.start != b.start ? a.start < b.start : a.last_time < b.last_time;
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < merged.rows.size(); ++i) {
    const WindowRow& row = merged.rows[i];
    if (kept == 0 || merged.rows[kept - 1].start != row.start) {
      merged.rows[kept++] = row;
      continue;
    }
    WindowRow& into = merged.rows[kept - 1];
    into.count += row.count;
    into.sum += row.sum;
    if (less(row.min, into.min, merged.type)) into.min = row.min;
    if (less(into.max, row.max, merged.type)) into.max = row.max;
    if (row.first_time < into.first_time) {
      into.first_time = row.first_time;
      into.first = row.first;
    }
    if (row.last_time >= into.last_time) {
      into.last_time = row.last_time;
      into.last = row.last;
    }
  }
  merged.rows.resize(kept);
  return merged;
}

bool lacks_aggregate(ValueType type, const Query& query) {
  return type == ValueType::string && std::ranges::any_of(query.aggregates, needs_numbers);
}

std::int64_t window_start(const store::Window& window, std::int64_t time) {
  const std::int64_t shifted = time - window.offset.ns;
  std::int64_t rest = shifted % window.width.ns;
  if (rest < 0) rest += window.width.ns;
  return time - rest;
}

Result<Chunk> to_columns(const WindowSeries& series, const Query& query, std::string_view metric,
                         std::size_t max_rows) {
  if (series.type == ValueType::string) {
    for (const Aggregate aggregate : query.aggregates)
      if (needs_numbers(aggregate))
        return fail(ErrorCode::invalid_argument,
                    "metric '" + std::string(metric) + "' is text: it has no " +
                        std::string(store::to_string(aggregate)) + ", only count, first and last",
                    "aggregates");
  }
  Chunk chunk;
  chunk.heap = series.heap;
  if (series.rows.empty()) return chunk;

  const std::int64_t width = query.window->width.ns;
  std::int64_t from = series.rows.front().start;
  std::int64_t to = series.rows.back().start;
  if (query.fill != Fill::none) {
    // An open end of the range has no windows to fill: filling then stays between the readings.
    if (query.range.from != Time::min()) from = window_start(*query.window, query.range.from.ns);
    if (query.range.to != Time::max()) to = window_start(*query.window, query.range.to.ns - 1);
    const auto rows = static_cast<std::uint64_t>(to - from) / static_cast<std::uint64_t>(width) + 1;
    if (rows > max_rows)
      return fail(ErrorCode::exhausted, "filling gives " + std::to_string(rows) + " windows per series, more than " +
                                            std::to_string(max_rows) + ": take a shorter range or wider windows");
  }
  chunk.columns.resize(query.aggregates.size());
  for (std::size_t i = 0; i < query.aggregates.size(); ++i)
    chunk.columns[i].type = column_type(query.aggregates[i], series.type);

  bool gaps = false;
  const auto add = [&](std::int64_t start, const WindowRow* row) {
    chunk.times.push_back(start);
    for (std::size_t i = 0; i < query.aggregates.size(); ++i) {
      Chunk::Column& column = chunk.columns[i];
      column.cells.push_back(row == nullptr ? 0 : cell_of(*row, query.aggregates[i]));
      column.missing.push_back(row == nullptr);
    }
    gaps = gaps || row == nullptr;
  };
  if (query.fill == Fill::none) {
    for (const WindowRow& row : series.rows) add(row.start, &row);
  } else {
    auto row = series.rows.begin();
    for (std::int64_t start = from; start <= to; start += width) {
      const bool here = row != series.rows.end() && row->start == start;
      add(start, here ? &*row : nullptr);
      if (here) ++row;
    }
  }
  for (Chunk::Column& column : chunk.columns) {
    if (!gaps) column.missing.clear();
    fill_missing(column, chunk.times, query);
  }
  if (query.order == store::Order::newest_first) {
    std::ranges::reverse(chunk.times);
    for (Chunk::Column& column : chunk.columns) {
      std::ranges::reverse(column.cells);
      std::reverse(column.missing.begin(), column.missing.end());
    }
  }
  return chunk;
}

}  // namespace flux::query
