#include "gateway/rest/query_routes.h"

#include <algorithm>
#include <array>

#include "gateway/access.h"
#include "gateway/rest/parameters.h"
#include "gateway/rest/topic_pages.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr const char* kRead = "read";
constexpr std::array<std::string_view, 4> kEventTypes{"device_silent", "device_online", "device_discovered",
                                                      "metric_discovered"};

HttpResponse page_answer(std::string_view name, const TopicPage& page) {
  std::string body = "{\"";
  body += name;
  body += "\":[";
  for (std::size_t i = 0; i < page.items.size(); ++i) {
    if (i != 0) body += ',';
    body += page.items[i];
  }
  body += R"(],"next":)";
  if (page.next.empty()) body += "null";
  else observe::append_json_string(body, page.next);
  body += '}';
  return HttpResponse::json(200, std::move(body));
}

}  // namespace

void QueryRoutes::mount(net::Router::Group api) {
  api.get("/query", {.name = "query", .access = kRead}, [this](HttpRequest& r) { return query(r); });
  api.post("/query", {.name = "query_model", .access = kRead, .body_limit = 1 << 20},
           [this](HttpRequest& r) { return query_model(r); });
  api.get("/dead-letters", {.name = "dead_letters", .access = kRead},
          [this](HttpRequest& r) { return dead_letters(r); });
  api.get("/events", {.name = "events", .access = kRead}, [this](HttpRequest& r) { return events(r); });
}

Async<HttpResponse> QueryRoutes::query(HttpRequest& request) {
  CO_TRY(auto parsed, parse_query_parameters(request.query_params(), caller(request).tenant(), wall_now()));
  auto answer = answer_query(executor_, workers_, std::move(parsed), options_, request.cancelled());
  co_return co_await std::move(answer);
}

Async<HttpResponse> QueryRoutes::query_model(HttpRequest& request) {
  CO_TRY(auto parsed, parse_query_body(request.body(), caller(request).tenant(), wall_now()));
  auto answer = answer_query(executor_, workers_, std::move(parsed), options_, request.cancelled());
  co_return co_await std::move(answer);
}

Async<HttpResponse> QueryRoutes::dead_letters(HttpRequest& request) {
  CO_TRY(auto page, page_of(request));
  TopicFilter filter{.tenant = caller(request).tenant(), .device = request.query("device").value_or(""), .types = {}};
  CO_TRY(filter.epoch, epoch_of(request));
  const Time now = wall_now();
  if (const auto from = request.query("from")) {
    CO_TRY(filter.from, parse_query_time(*from, now, "from"));
  }
  if (const auto to = request.query("to")) {
    CO_TRY(filter.to, parse_query_time(*to, now, "to"));
  }
  auto read = [this, filter = std::move(filter), page = std::move(page)] {
    return read_topic(bus_, bus::Topic::dead_letters, filter, page.limit, page.cursor);
  };
  CO_TRY(const auto found, co_await workers_.run(std::move(read)));
  co_return page_answer("dead_letters", found);
}

Async<HttpResponse> QueryRoutes::events(HttpRequest& request) {
  CO_TRY(auto page, page_of(request));
  TopicFilter filter{.tenant = caller(request).tenant(),
                     .device = request.query("device").value_or(""),
                     .types = list_of(request, "type")};
  CO_TRY(filter.epoch, epoch_of(request));
  for (const std::string& type : filter.types)
    if (std::ranges::find(kEventTypes, type) == kEventTypes.end())
      co_return fail(ErrorCode::invalid_argument,
                     "expected device_silent, device_online, device_discovered or metric_discovered", "type");
  auto read = [this, filter = std::move(filter), page = std::move(page)] {
    return read_topic(bus_, bus::Topic::device_events, filter, page.limit, page.cursor);
  };
  CO_TRY(const auto found, co_await workers_.run(std::move(read)));
  co_return page_answer("events", found);
}

}  // namespace flux::gateway
