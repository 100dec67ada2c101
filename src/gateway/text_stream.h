#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>

#include "core/result.h"
#include "net/http.h"
#include "runtime/async.h"
#include "runtime/cancel.h"
#include "runtime/workers.h"

namespace flux::gateway {

/// Hands over a piece of the answer; waits while the reader is behind. False: nobody wants more.
using PushText = std::function<bool(std::string piece)>;
/// Makes an answer on a worker, piece by piece; ends early when told to stop.
using TextProducer = std::move_only_function<Result<>(const PushText& push, std::stop_token stop)>;

struct TextStreamOptions {
  Duration time_limit;             ///< then `timed_out`
  std::size_t buffered_bytes = 0;  ///< made ahead of a slow reader before the producer waits for it
  std::string content_type = "application/json";
};

/// Runs a producer on a worker and gives its answer while it is still being made: small answers whole, large ones
/// streamed. What goes wrong before the first piece becomes an error; what goes wrong behind it cuts the connection, so
/// that nobody takes a part for the whole. A caller that goes away ends the producer.
Async<net::HttpResponse> stream_text(runtime::Workers& workers, TextProducer produce, TextStreamOptions options,
                                     runtime::CancelToken cancelled);

}  // namespace flux::gateway
