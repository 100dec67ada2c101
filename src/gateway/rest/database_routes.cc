#include "gateway/rest/database_routes.h"

#include "gateway/access.h"
#include "gateway/json_input.h"
#include "gateway/json_text.h"
#include "gateway/rest/parameters.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;
using observe::append_json_string;

constexpr std::size_t kBody = 64 << 10;

TenantId tenant_of(const HttpRequest& request) { return caller(request).tenant(); }

void append_database(std::string& out, const registry::DatabaseSettings& database, Epoch epoch) {
  out += R"({"name":)";
  append_json_string(out, database.name);
  out += R"(,"retention_policies":[)";
  for (const auto& policy : database.retention_policies) {
    if (out.back() != '[') out += ',';
    append_json_string(out, policy.name);
  }
  out += R"(],"device_tags":[)";
  for (const std::string& tag : database.device_tags) {
    if (out.back() != '[') out += ',';
    append_json_string(out, tag);
  }
  out += R"(],"created_at":)";
  append_time(out, database.created_at, epoch);
  out += '}';
}

}  // namespace

void DatabaseRoutes::mount(net::Router::Group api) {
  api.get("/databases", {.name = "databases_list", .access = "read"}, [this](HttpRequest& r) { return list(r); });
  api.post("/databases", {.name = "databases_create", .access = "manage_devices", .body_limit = kBody},
           [this](HttpRequest& r) { return create(r); });
  api.del("/databases/{database}", {.name = "database_drop", .access = "manage_devices"},
          [this](HttpRequest& r) { return drop(r); });
}

Async<HttpResponse> DatabaseRoutes::list(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  std::string body = R"({"databases":[)";
  for (const auto& database : databases_.list(tenant_of(request))) {
    if (body.back() != '[') body += ',';
    append_database(body, database->settings(), epoch);
  }
  body += "]}";
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> DatabaseRoutes::create(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(const auto input, JsonObject::parse(request.body()));
  CO_DO(input.only({"name", "device_tags"}));
  registry::NewDatabase wanted;
  CO_TRY(wanted.name, input.required_text("name"));
  if (input.has("device_tags") && !input.is_null("device_tags")) {
    CO_TRY(wanted.device_tags, input.texts("device_tags"));
  }
  CO_TRY(const auto made, co_await databases_.create(tenant_of(request), std::move(wanted)));
  std::string body;
  append_database(body, made->settings(), epoch);
  co_return HttpResponse::json(201, std::move(body));
}

Async<HttpResponse> DatabaseRoutes::drop(HttpRequest& request) {
  std::string name(request.param("database"));
  const TenantId tenant = tenant_of(request);
  // First the name, so that nothing is written under it any more, then what was.
  CO_DO(co_await databases_.drop(tenant, name));
  CO_DO(co_await erase_(tenant, name));
  co_return HttpResponse::empty(204);
}

}  // namespace flux::gateway
