#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "query/influxql/parser.h"
#include "query/influxql/select.h"
#include "registry/databases.h"
#include "store/series/series_store.h"

namespace flux::query::influxql {

/// One series of an answer, as InfluxDB shows it: some rows of it, in columns.
struct AnswerSeries {
  std::string name;                  ///< empty: none is shown
  std::vector<Tag> tags;             ///< empty: none are shown
  std::vector<std::string> columns;  ///< the time's first where `timed`
  bool timed = false;
  TimeZonePtr zone;  ///< times are told by its clocks; null: UTC
  Table table;
  /// Chunks are marked where more follow, as InfluxDB does for what it streams.
  bool streamed = true;
};

/// Takes an answer piece by piece, statement by statement, on the thread that runs it. False: no more is wanted.
class Answer {
 public:
  virtual ~Answer() = default;
  virtual void begin(std::size_t statement) = 0;
  virtual bool series(AnswerSeries&& series, const Strings& strings) = 0;
  /// A warning beside the answer.
  virtual void message(std::string_view text) = 0;
  /// Instead of (or behind) what the statement gave.
  virtual void error(std::string_view text) = 0;
  virtual void end() = 0;
};

/// Changes that statements ask for. Called on the thread that runs them, which waits.
class Administration {
 public:
  virtual ~Administration() = default;
  virtual Result<> create_database(TenantId tenant, std::string name) = 0;
  virtual Result<> drop_database(TenantId tenant, std::string name) = 0;
  /// Removes readings; returns when that is durable (they go from answers a moment later).
  virtual Result<> erase(store::SeriesSelector selector, store::TimeRange range) = 0;
};

/// Who asks, and what for.
struct Request {
  std::vector<Statement> statements;
  TenantId tenant;
  std::string database;  ///< where a statement names none
  std::string policy;
  bool may_read = false;
  bool may_create = false;  ///< databases
  bool may_manage = false;  ///< drop, delete
  bool read_only = false;   ///< asked with GET, where changes are answered with a warning
};

/// Runs InfluxQL. Thread-safe; a call blocks, so it belongs on a worker.
class Service {
 public:
  Service(const store::TimeSeriesStore& store, const registry::Databases& databases, store::QueryLimits limits)
      : store_(store), databases_(databases), limits_(limits) {}

  /// `cancelled` when `stop` or the answer ended it; what goes wrong in a statement is part of the answer.
  Result<> run(const Request& request, Administration& administration, std::int64_t now, std::stop_token stop,
               Answer& answer) const;

 private:
  const store::TimeSeriesStore& store_;
  const registry::Databases& databases_;
  store::QueryLimits limits_;
};

}  // namespace flux::query::influxql
