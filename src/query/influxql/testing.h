#pragma once

#include <string>
#include <vector>

#include "query/influxql/service.h"

namespace flux::query::influxql::testing {

/// An answer as lines of text: `name{tags} columns`, then a line for each row; errors as they are.
class TextAnswer final : public Answer {
 public:
  void begin(std::size_t /*statement*/) override {}
  bool series(AnswerSeries&& series, const Strings& strings) override {
    std::string head = series.name + "{";
    for (const Tag& tag : series.tags) head += tag.key + "=" + tag.value + ";";
    head += "}";
    for (const std::string& column : series.columns) head += " " + column;
    lines.push_back(std::move(head));
    for (std::size_t row = 0; row < series.table.times.size(); ++row) {
      std::string line = series.timed ? std::to_string(series.table.times[row]) : "";
      for (const Column& column : series.table.columns) {
        const Datum value = column.datum(row, strings);
        line += " ";
        switch (value.type) {
          case Datum::Type::null: line += "null"; break;
          case Datum::Type::number: line += std::to_string(value.number); break;
          case Datum::Type::integer: line += std::to_string(value.integer); break;
          case Datum::Type::unsigned_integer: line += std::to_string(value.unsigned_integer); break;
          case Datum::Type::boolean: line += value.boolean ? "true" : "false"; break;
          case Datum::Type::text: line += value.text; break;
        }
      }
      lines.push_back(std::move(line));
    }
    return --patience != 0;
  }
  void message(std::string_view text) override { lines.emplace_back(text); }
  void error(std::string_view text) override { lines.push_back("error: " + std::string(text)); }
  void end() override {}

  std::vector<std::string> lines;
  int patience = 1'000'000;  ///< series until no more is wanted
};

/// Refuses every change.
class NoAdministration final : public Administration {
 public:
  Result<> create_database(TenantId, std::string) override { return refused(); }
  Result<> drop_database(TenantId, std::string) override { return refused(); }
  Result<> erase(store::SeriesSelector, store::TimeRange) override { return refused(); }

 private:
  static Result<> refused() { return fail(ErrorCode::permission_denied, "no changes here"); }
};

}  // namespace flux::query::influxql::testing
