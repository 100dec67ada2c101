#include "gateway/rest/system_routes.h"

#include "gateway/access.h"
#include "gateway/json_text.h"
#include "gateway/openapi.h"
#include "gateway/rest/parameters.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

HttpResponse demo_answer(int status, const DemoControl::Status& demo) {
  std::string body = R"({"installed":)";
  body += demo.installed ? "true" : "false";
  body += R"(,"running":)";
  body += demo.running ? "true" : "false";
  body += R"(,"devices":)";
  append_integer(body, std::uint64_t{demo.devices});
  body += '}';
  return HttpResponse::json(status, std::move(body));
}

void append_or_null(std::string& out, const std::optional<std::string>& text) {
  if (text) observe::append_json_string(out, *text);
  else out += "null";
}

}  // namespace

void SystemRoutes::mount(net::Router::Group open, net::Router::Group api) {
  // The same for everybody, and no secret: whoever writes a client reads it before they have a credential.
  open.get("/api/openapi.json", {.name = "openapi"},
           [](HttpRequest& request, net::Responder responder) { responder.send(openapi_document().respond(request)); });
  api.get("/system", {.name = "system", .access = "read"}, [this](HttpRequest& r) { return system(r); });
  api.get("/demo", {.name = "demo_get", .access = "read"}, [this](HttpRequest& r) { return get_demo(r); });
  api.post("/demo", {.name = "demo_start", .access = "manage_system"},
           [this](HttpRequest& r) { return start_demo(r); });
  api.del("/demo", {.name = "demo_remove", .access = "manage_system"},
          [this](HttpRequest& r) { return remove_demo(r); });
}

Async<HttpResponse> SystemRoutes::system(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  auto look = [this] { return status_(); };
  CO_TRY(const auto now, co_await workers_.run(std::move(look)));
  std::string body = R"({"version":)";
  observe::append_json_string(body, now.version);
  body += R"(,"uptime_s":)";
  observe::append_json_number(body, now.uptime_s);
  body += now.open ? R"(,"mode":"open")" : R"(,"mode":"closed")";
  body += R"(,"roles":[)";
  for (std::size_t i = 0; i < now.roles.size(); ++i) {
    if (i != 0) body += ',';
    observe::append_json_string(body, now.roles[i]);
  }
  body += R"(],"storage":{"log_bytes":)";
  append_integer(body, now.log_bytes);
  body += R"(,"series_bytes":)";
  append_integer(body, now.series_bytes);
  body += R"(,"points":)";
  append_integer(body, now.points);
  body += R"(,"free_bytes":)";
  append_integer(body, now.free_bytes);
  body += R"(},"devices":)";
  append_integer(body, now.devices);
  body += R"(,"readings_per_s":)";
  observe::append_json_number(body, now.readings_per_s);
  body += R"(,"mqtt":)";
  append_or_null(body, now.mqtt);
  body += R"(,"self_device":)";
  append_or_null(body, now.self_device);
  body += R"(,"health":)";
  body += health_.to_json(epoch);
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> SystemRoutes::get_demo(HttpRequest&) {
  if (demo_ == nullptr) co_return demo_answer(200, {});
  CO_TRY(const auto status, co_await demo_->status());
  co_return demo_answer(200, status);
}

Async<HttpResponse> SystemRoutes::start_demo(HttpRequest&) {
  if (demo_ == nullptr)
    co_return fail(ErrorCode::unavailable, "this process does not run the role edge, which plays the demo site");
  CO_TRY(const auto status, co_await demo_->start_site());
  co_return demo_answer(202, status);
}

Async<HttpResponse> SystemRoutes::remove_demo(HttpRequest&) {
  if (demo_ == nullptr)
    co_return fail(ErrorCode::unavailable, "this process does not run the role edge, which plays the demo site");
  CO_DO(co_await demo_->remove());
  co_return HttpResponse::empty(204);
}

}  // namespace flux::gateway
