#include "gateway/rest/query_stream.h"

#include <utility>

#include "gateway/text_stream.h"

namespace flux::gateway {

Async<net::HttpResponse> answer_query(std::shared_ptr<const query::Executor> executor, runtime::Workers& workers,
                                      QueryRequest request, QueryRunOptions options, runtime::CancelToken cancelled) {
  auto produce = [executor = std::move(executor), request = std::move(request), options](
                     const PushText& push, std::stop_token stop) -> Result<> {
    QueryWriter writer(request);
    TRY(const auto outcome, executor->run(request.query, std::move(stop), [&](query::Chunk&& chunk) {
      writer.chunk(chunk);
      if (writer.text().size() < options.piece_bytes) return true;
      return push(std::exchange(writer.text(), {}));
    }));
    writer.end(outcome);
    push(std::move(writer.text()));
    return {};
  };
  TextStreamOptions how{.time_limit = options.time_limit, .buffered_bytes = options.buffered_bytes};
  return stream_text(workers, std::move(produce), std::move(how), std::move(cancelled));
}

}  // namespace flux::gateway
