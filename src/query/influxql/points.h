#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "query/datum.h"
#include "query/influxql/ast.h"

namespace flux::query::influxql {

/// Every text of one query, each once: cells of text hold its number.
class Strings {
 public:
  std::uint64_t add(std::string_view text) {
    if (const auto known = numbers_.find(text); known != numbers_.end()) return known->second;
    bytes_ += text.size() + 64;
    const std::string& kept = texts_.emplace_back(text);
    numbers_.emplace(kept, texts_.size() - 1);
    return texts_.size() - 1;
  }
  [[nodiscard]] std::string_view text(std::uint64_t number) const { return texts_[number]; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::deque<std::string> texts_;
  std::unordered_map<std::string_view, std::uint64_t> numbers_;
  std::size_t bytes_ = 0;
};

/// Values of one type, some of which may be missing. Text lies in the query's `Strings`.
struct Column {
  DataType type = DataType::float64;
  std::vector<Cell> cells;
  std::vector<std::uint8_t> missing;  ///< empty: none is

  [[nodiscard]] std::size_t size() const { return cells.size(); }
  [[nodiscard]] bool has(std::size_t row) const { return missing.empty() || missing[row] == 0; }
  void add(Cell cell) {
    cells.push_back(cell);
    if (!missing.empty()) missing.push_back(0);
  }
  void add_missing() {
    if (missing.empty()) missing.resize(cells.size(), 0);
    cells.push_back(0);
    missing.push_back(1);
  }
  void add_from(const Column& other, std::size_t row) {
    if (other.has(row)) add(other.cells[row]);
    else add_missing();
  }
  [[nodiscard]] double number(std::size_t row) const {
    const Cell cell = cells[row];
    if (type == DataType::float64) return as_float64(cell);
    if (type == DataType::int64) return static_cast<double>(as_int64(cell));
    return static_cast<double>(cell);
  }
  [[nodiscard]] Datum datum(std::size_t row, const Strings& strings) const {
    if (!has(row)) return {};
    const Cell cell = cells[row];
    switch (type) {
      case DataType::float64: return Datum::of(as_float64(cell));
      case DataType::int64: return Datum::of(as_int64(cell));
      case DataType::uint64: return Datum::of(static_cast<std::uint64_t>(cell));
      case DataType::boolean: return Datum::of(cell != 0);
      case DataType::string:
      case DataType::tag: return Datum::of(strings.text(cell));
      default: return {};
    }
  }
};

/// What a function is given and gives: values by time, in the query's direction, with what was asked for beside them.
struct Points {
  std::vector<std::int64_t> times;
  Column value;
  std::vector<Column> aux;

  [[nodiscard]] std::size_t size() const { return times.size(); }
};

}  // namespace flux::query::influxql
