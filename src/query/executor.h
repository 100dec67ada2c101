#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/result.h"
#include "query/model.h"

namespace flux::query {

/// What the executor asks about devices: their labels as they are now, and units. Implemented over the registry.
class Catalog {
 public:
  virtual ~Catalog() = default;
  /// Ids of the devices with all these labels, sorted.
  virtual std::vector<std::string> devices_with(
      TenantId tenant, const std::vector<std::pair<std::string, std::string>>& labels) const = 0;
  virtual std::string label(TenantId tenant, std::string_view device, std::string_view label) const = 0;
  virtual std::string unit(TenantId tenant, std::string_view device, std::string_view metric) const = 0;
};

/// Checks what the types cannot: limits, order of the range, windows without aggregates and the like. Errors name
/// the field as the REST API spells it.
Result<> validate(const Query& query);

/// Runs queries against the store. Thread-safe; a call blocks, so it belongs on a worker.
class Executor {
 public:
  Executor(const store::TimeSeriesStore& store, const Catalog& catalog, store::QueryLimits limits);

  /// Gives the answer chunk by chunk; `sink` returning false ends it (`cancelled`), as does `stop`.
  /// Errors: `invalid_argument` (also a cursor of another query), `exhausted` (a limit), `corrupt`.
  Result<Outcome> run(const Query& query, std::stop_token stop, store::ChunkSink<Chunk> sink) const;

 private:
  const store::TimeSeriesStore& store_;
  const Catalog& catalog_;
  store::QueryLimits limits_;
};

}  // namespace flux::query
