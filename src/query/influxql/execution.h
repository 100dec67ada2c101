#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "query/influxql/service.h"

namespace flux::query::influxql {

/// One statement on its way: what it may use, and where its answer goes.
class Execution {
 public:
  struct Needs {
    const store::TimeSeriesStore& store;
    const registry::Databases& databases;
    const store::QueryLimits& limits;
    const Request& request;
    Administration& administration;
    std::int64_t now;
    std::stop_token stop;
    Answer& answer;
  };
  explicit Execution(Needs needs)
      : needs_(needs), stored_({needs.store, needs.request.tenant, needs.limits, needs.stop}) {}

  Result<> run(const Statement& statement);

 private:
  Result<> select(const SelectStatement& statement);
  Result<> show(const Statement& statement);
  Result<> show_databases();
  Result<> show_retention_policies(const Statement& statement);
  Result<> show_measurements(const Statement& statement);
  Result<> show_field_keys(const Statement& statement);
  Result<> show_tag_keys(const Statement& statement);
  Result<> show_tag_values(const Statement& statement);
  Result<> show_series(const Statement& statement);
  Result<> show_cardinality(const Statement& statement);
  Result<> change(const Statement& statement);
  Result<> erase(const Statement& statement);
  Result<> erase_where(const Statement& statement, const std::vector<Source>& sources);

  /// Fills in the database and the policy. Fails in InfluxDB's words.
  Result<> place(Source& source) const;
  Result<SelectStatement> placed(const SelectStatement& select) const;
  [[nodiscard]] std::string database_of(const Statement& statement) const {
    return statement.database.empty() ? needs_.request.database : statement.database;
  }
  Result<std::string> needed_database(const Statement& statement) const;
  [[nodiscard]] std::vector<std::string> measurements(const Source& source) const;
  /// Series of the database that a SHOW statement means, by measurement.
  Result<std::map<std::string, std::vector<const Series*>>> meant(const Statement& statement,
                                                                  const std::string& database);
  bool give(AnswerSeries&& series) { return needs_.answer.series(std::move(series), strings_); }
  /// A table of texts.
  AnswerSeries texts(std::string name, std::vector<std::string> columns,
                     const std::vector<std::vector<std::string>>& rows);

  Needs needs_;
  Stored stored_;
  Strings strings_;
};

}  // namespace flux::query::influxql
