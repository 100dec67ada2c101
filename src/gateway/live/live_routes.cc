#include "gateway/live/live_routes.h"

#include "gateway/access.h"
#include "gateway/live/live_session.h"
#include "gateway/rest/parameters.h"
#include "runtime/spawn.h"

namespace flux::gateway {
namespace {

using net::BodyWriter;
using net::HttpRequest;
using net::HttpResponse;

constexpr std::size_t kSseBuffer = 256 << 10;
constexpr Duration kKeepAlive = 15_s;  // under the idle limits that proxies have

/// Frames as server-sent events. Lives in the coroutine of its answer.
class SseSubscriber final : public stream::Subscriber {
 public:
  explicit SseSubscriber(BodyWriter& out) : out_(out) {}
  [[nodiscard]] bool writable() const override { return out_.buffered_bytes() < kSseBuffer; }
  void send(std::uint64_t, const stream::FramePtr& frame) override {
    if (frame->kind == stream::Frame::Kind::data) out_.try_write(net::sse_event("data", frame->payload()));
  }

 private:
  BodyWriter& out_;
};

struct SseSelection {
  stream::Selector selector;
  stream::Options options;
};

Async<void> stream_events(stream::Hub& hub, auth::Accounts& accounts, auth::PrincipalPtr principal,
                          SseSelection selection, BodyWriter& out) {
  // Goes out at once, so that the reader knows that it is connected before the first reading comes.
  CO_DO(co_await out.write(std::string(": connected\n\n")));
  SseSubscriber subscriber(out);
  const stream::Subscription subscription =
      hub.subscribe(std::move(selection.selector), selection.options, subscriber, 1);
  const runtime::CancelSource woken;
  const auto gone = out.closed().on_cancel([woken] { woken.cancel(); });
  const auto signed_out = accounts.on_ended([&accounts, principal, woken] {
    if (!accounts.still_good(*principal, wall_now())) woken.cancel();
  });
  for (;;) {
    const auto slept = co_await runtime::sleep(kKeepAlive, woken.token());
    if (out.closed().cancelled()) co_return {};
    if (!accounts.still_good(*principal, wall_now())) {
      out.try_write(net::sse_event("end", net::error_json("unauthenticated", "the session has ended: sign in again")));
      co_return {};
    }
    if (!slept) co_return {};
    if (!out.try_write(": keep-alive\n\n")) co_return {};
  }
}

Result<SseSelection> selection_of(const HttpRequest& request) {
  SseSelection selection;
  selection.selector.tenant = caller(request).tenant();
  selection.selector.devices = list_of(request, "device");
  selection.selector.metrics = list_of(request, "metric");
  selection.selector.measurements = list_of(request, "measurement");
  for (const std::string& label : request.query_all("label")) {
    const std::size_t colon = label.find(':');
    if (colon == 0 || colon == std::string::npos)
      return fail(ErrorCode::invalid_argument, "'" + label + "': expected key:value", "label");
    selection.selector.labels.push_back({label.substr(0, colon), label.substr(colon + 1)});
  }
  if (const auto interval = request.query("interval")) {
    auto parsed = parse_duration(*interval);
    if (!parsed) return fail(ErrorCode::invalid_argument, parsed.error().message, "interval");
    if (*parsed < Duration{})
      return fail(ErrorCode::invalid_argument, "expected a duration that is not negative", "interval");
    selection.options.interval = *parsed;
  }
  if (const auto epoch = request.query("epoch")) {
    TRY(selection.options.times, parse_epoch(*epoch));
  }
  return selection;
}

}  // namespace

void LiveRoutes::mount(net::Router::Group api) {
  api.websocket("/live", {.name = "live", .access = "read"},
                [this](HttpRequest& request, net::WebSocket&) -> Result<std::shared_ptr<net::WebSocketHandler>> {
                  // A browser sends its cookies with any page's WebSocket; ours only come from our pages.
                  if (!net::same_origin(request))
                    return fail(ErrorCode::permission_denied, "the page that asks is of another server");
                  return std::make_shared<LiveSession>(hub_, accounts_, shared_caller(request));
                });
  api.get("/live/sse", {.name = "live_sse", .access = "read"},
          [this](HttpRequest& request, net::Responder responder) { sse(request, std::move(responder)); });
}

void LiveRoutes::sse(HttpRequest& request, net::Responder responder) {
  auto selection = selection_of(request);
  if (!selection) return responder.send_error(selection.error());
  auto producer = [this, principal = shared_caller(request),
                   selection = *std::move(selection)](BodyWriter& out) mutable {
    return stream_events(hub_, accounts_, std::move(principal), std::move(selection), out);
  };
  HttpResponse response = HttpResponse::stream(200, "text/event-stream", std::move(producer));
  response.header("Cache-Control", "no-store").header("X-Accel-Buffering", "no");
  responder.send(std::move(response));
}

}  // namespace flux::gateway
