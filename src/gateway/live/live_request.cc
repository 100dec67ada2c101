#include "gateway/live/live_request.h"

#include "gateway/json_input.h"

namespace flux::gateway {
namespace {

Result<LiveRequest> parse_subscribe(const JsonObject& message, LiveRequest request) {
  if (message.has("trace")) {
    DO(message.only({"op", "id", "trace"}));
    request.kind = LiveRequest::Kind::subscribe_trace;
    TRY(request.device, message.required_text("trace"));
    return request;
  }
  if (message.has("events")) {
    DO(message.only({"op", "id", "events"}));
    request.kind = LiveRequest::Kind::subscribe_events;
    TRY(const auto wanted, message.boolean("events"));
    if (!wanted.value_or(false)) return fail(ErrorCode::invalid_argument, "expected true", "events");
    return request;
  }
  DO(message.only({"op", "id", "devices", "labels", "metrics", "measurements", "interval", "epoch", "snapshot"}));
  request.kind = LiveRequest::Kind::subscribe;
  TRY(request.selector.devices, message.texts("devices"));
  TRY(request.selector.metrics, message.texts("metrics"));
  TRY(request.selector.measurements, message.texts("measurements"));
  TRY(const auto labels, message.object("labels"));
  if (labels) {
    for (const std::string& name : labels->names()) {
      TRY(auto value, labels->required_text(name));
      request.selector.labels.push_back({name, std::move(value)});
    }
  }
  TRY(const auto interval, message.duration("interval"));
  if (interval) {
    if (*interval < Duration{})
      return fail(ErrorCode::invalid_argument, "expected a duration that is not negative", "interval");
    request.options.interval = *interval;
  }
  TRY(const auto epoch, message.text("epoch"));
  if (epoch) {
    TRY(request.options.times, parse_epoch(*epoch));
  }
  TRY(const auto snapshot, message.boolean("snapshot"));
  request.options.snapshot = snapshot.value_or(false);
  return request;
}

Result<LiveRequest> parse(const JsonObject& message, std::optional<std::uint64_t>& id) {
  TRY(const auto op, message.required_text("op"));
  LiveRequest request;
  if (op == "ping") {
    DO(message.only({"op"}));
    return request;
  }
  if (op != "subscribe" && op != "unsubscribe")
    return fail(ErrorCode::invalid_argument, "expected subscribe, unsubscribe or ping", "op");
  TRY(id, message.whole("id"));
  if (!id || *id == 0) return fail(ErrorCode::invalid_argument, "expected a number, 1 or more", "id");
  request.id = *id;
  if (op == "subscribe") return parse_subscribe(message, std::move(request));
  DO(message.only({"op", "id"}));
  request.kind = LiveRequest::Kind::unsubscribe;
  return request;
}

}  // namespace

std::expected<LiveRequest, LiveFault> parse_live_request(std::string_view text) {
  std::optional<std::uint64_t> id;
  auto message = JsonObject::parse(text);
  if (!message) return std::unexpected(LiveFault{std::move(message).error(), id});
  auto request = parse(*message, id);
  if (!request) return std::unexpected(LiveFault{std::move(request).error(), id});
  return *std::move(request);
}

}  // namespace flux::gateway
