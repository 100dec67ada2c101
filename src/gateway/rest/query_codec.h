#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "gateway/json_text.h"
#include "query/executor.h"
#include "query/model.h"

namespace flux::gateway {

/// A query as REST spells it, with how its answer is to be written.
struct QueryRequest {
  query::Query query;
  Epoch epoch = Epoch::rfc3339;
};

/// `GET /api/v1/query`: device, metric, label (`key:value`), tag (`key:value`), measurement, from, to, window, offset,
/// aggregate, fill, group_by, order, limit, cursor, epoch. Lists by repetition or commas. Unknown parameters are
/// refused by name. `now` resolves relative times.
Result<QueryRequest> parse_query_parameters(const std::vector<std::pair<std::string, std::string>>& parameters,
                                            TenantId tenant, Time now);

/// `POST /api/v1/query`: the same model as JSON (contracts/openapi.json, schema Query).
Result<QueryRequest> parse_query_body(std::string_view json, TenantId tenant, Time now);

/// A time of a request: RFC 3339, Unix s/ms/µs/ns by magnitude, `now`, or relative to now (`-1h`, `now-15m`).
Result<Time> parse_query_time(std::string_view text, Time now, std::string_view field);

/// Writes the answer of a query as it comes: `begin`, any number of `chunk`s, `end`; `text()` may be taken in between.
class QueryWriter {
 public:
  explicit QueryWriter(const QueryRequest& request);
  void chunk(const query::Chunk& chunk);
  void end(const query::Outcome& outcome);
  [[nodiscard]] std::string& text() { return text_; }

 private:
  void begin_series(const query::Chunk& chunk);

  std::string text_;
  Epoch epoch_;
  std::vector<store::Aggregate> aggregates_;
  bool open_ = false;  // a series' points are open
  bool first_point_ = true;
};

}  // namespace flux::gateway
