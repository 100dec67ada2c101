#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/result.h"
#include "gateway/rest/query_codec.h"
#include "net/http.h"
#include "query/executor.h"
#include "runtime/async.h"
#include "runtime/cancel.h"
#include "runtime/workers.h"

namespace flux::gateway {

struct QueryRunOptions {
  Duration time_limit = 30_s;          ///< then `timed_out`
  std::size_t piece_bytes = 256_KiB;   ///< of answer text handed over at once
  std::size_t buffered_bytes = 2_MiB;  ///< made ahead of a slow reader before the query waits for it
};

/// Runs a query on a worker and gives its answer while it is still being made: small answers whole, large ones
/// streamed. What goes wrong before the first piece becomes an HTTP error; what goes wrong behind it cuts the
/// connection, so that nobody takes a part for the whole. A caller that goes away ends the query.
Async<net::HttpResponse> answer_query(std::shared_ptr<const query::Executor> executor, runtime::Workers& workers,
                                      QueryRequest request, QueryRunOptions options, runtime::CancelToken cancelled);

}  // namespace flux::gateway
