#include "gateway/rest/registry_routes.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "gateway/access.h"
#include "gateway/rest/parameters.h"
#include "gateway/rest/registry_codec.h"
#include "observe/json.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr const char* kRead = "read";
constexpr const char* kManage = "manage_devices";
constexpr const char* kBoards = "manage_dashboards";
constexpr std::size_t kBody = 1 << 20;

TenantId tenant_of(const HttpRequest& request) { return caller(request).tenant(); }

void append_next(std::string& out, const std::string& next) {
  out += R"(,"next":)";
  if (next.empty()) out += "null";
  else observe::append_json_string(out, next);
}

Result<registry::DeviceSort> sort_of(const HttpRequest& request) {
  const std::string text = request.query("sort").value_or("name");
  if (text == "name") return registry::DeviceSort::name;
  if (text == "last_seen") return registry::DeviceSort::last_seen;
  if (text == "state") return registry::DeviceSort::state;
  return fail(ErrorCode::invalid_argument, "expected name, last_seen or state", "sort");
}

Result<registry::DeviceFilter> filter_of(const HttpRequest& request) {
  registry::DeviceFilter filter;
  filter.text = request.query("q").value_or("");
  for (const std::string& label : request.query_all("label")) {
    const std::size_t colon = label.find(':');
    if (colon == 0 || colon == std::string::npos)
      return fail(ErrorCode::invalid_argument, "'" + label + "': expected key:value", "label");
    filter.labels.emplace_back(label.substr(0, colon), label.substr(colon + 1));
  }
  for (const std::string& state : list_of(request, "state")) {
    using enum registry::DeviceState;
    bool known = false;
    for (const auto one : {never, online, silent}) {
      if (state != registry::to_string(one)) continue;
      filter.states.push_back(one);
      known = true;
    }
    if (!known) return fail(ErrorCode::invalid_argument, "expected online, silent or never", "state");
  }
  filter.profile = request.query("profile");
  return filter;
}

HttpResponse device_answer(int status, const registry::Device& device, Epoch epoch) {
  std::string body;
  append_device(body, device, epoch);
  return HttpResponse::json(status, std::move(body));
}

HttpResponse profile_answer(int status, const registry::ProfilePtr& profile) {
  std::string body;
  append_profile(body, *profile);
  return HttpResponse::json(status, std::move(body));
}

HttpResponse dashboard_answer(int status, const registry::Dashboard& dashboard) {
  std::string body;
  append_dashboard(body, dashboard, true);
  return HttpResponse::json(status, std::move(body)).header("ETag", "\"" + std::to_string(dashboard.version) + "\"");
}

/// The version in If-Match: `3` or `"3"`.
Result<std::uint64_t> expected_version(const HttpRequest& request) {
  std::string_view text = request.header("If-Match");
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  std::uint64_t version = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), version);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size())
    return fail(ErrorCode::invalid_argument, "expected the header If-Match with the version that was read", "If-Match");
  return version;
}

}  // namespace

void RegistryRoutes::mount(net::Router::Group api) {
  mount_devices(api);
  mount_profiles(api);
  mount_dashboards(api);
}

void RegistryRoutes::mount_devices(net::Router::Group& api) {
  api.get("/devices", {.name = "devices_list", .access = kRead}, [this](HttpRequest& r) { return list_devices(r); });
  api.post("/devices", {.name = "devices_create", .access = kManage, .body_limit = kBody},
           [this](HttpRequest& r) { return create_device(r); });
  api.get("/devices/{device}", {.name = "device_get", .access = kRead},
          [this](HttpRequest& r) { return get_device(r); });
  api.patch("/devices/{device}", {.name = "device_patch", .access = kManage, .body_limit = kBody},
            [this](HttpRequest& r) { return patch_device(r); });
  api.del("/devices/{device}", {.name = "device_delete", .access = kManage},
          [this](HttpRequest& r) { return delete_device(r); });
  api.get("/devices/{device}/latest", {.name = "device_latest", .access = kRead},
          [this](HttpRequest& r) { return latest(r); });
}

void RegistryRoutes::mount_profiles(net::Router::Group& api) {
  api.get("/profiles", {.name = "profiles_list", .access = kRead}, [this](HttpRequest& r) { return list_profiles(r); });
  api.post("/profiles", {.name = "profiles_create", .access = kManage, .body_limit = kBody},
           [this](HttpRequest& r) { return create_profile(r); });
  api.get("/profiles/{profile}", {.name = "profile_get", .access = kRead},
          [this](HttpRequest& r) { return get_profile(r); });
  api.put("/profiles/{profile}", {.name = "profile_put", .access = kManage, .body_limit = kBody},
          [this](HttpRequest& r) { return put_profile(r); });
  api.del("/profiles/{profile}", {.name = "profile_delete", .access = kManage},
          [this](HttpRequest& r) { return delete_profile(r); });
}

void RegistryRoutes::mount_dashboards(net::Router::Group& api) {
  api.get("/dashboards", {.name = "dashboards_list", .access = kRead},
          [this](HttpRequest& r) { return list_dashboards(r); });
  api.post("/dashboards", {.name = "dashboards_create", .access = kBoards, .body_limit = kBody},
           [this](HttpRequest& r) { return create_dashboard(r); });
  api.get("/dashboards/{id}", {.name = "dashboard_get", .access = kRead},
          [this](HttpRequest& r) { return get_dashboard(r); });
  api.put("/dashboards/{id}", {.name = "dashboard_put", .access = kBoards, .body_limit = kBody},
          [this](HttpRequest& r) { return put_dashboard(r); });
  api.del("/dashboards/{id}", {.name = "dashboard_delete", .access = kBoards},
          [this](HttpRequest& r) { return delete_dashboard(r); });
}

Async<std::vector<std::vector<store::LastPoint>>> RegistryRoutes::latest_of(TenantId tenant,
                                                                            std::vector<std::string> devices) {
  auto look = [this, tenant, devices = std::move(devices)]() -> Result<std::vector<std::vector<store::LastPoint>>> {
    std::vector<std::vector<store::LastPoint>> found(devices.size());
    if (devices.empty()) return found;
    store::SeriesSelector selector{.tenant = tenant,
                                   .database = "default",
                                   .retention_policy = {},
                                   .measurements = {"telemetry"},
                                   .devices = devices,
                                   .fields = {},
                                   .tags = {}};
    std::ranges::sort(selector.devices);
    TRY(auto points, store_.latest(selector));
    std::unordered_map<std::string_view, std::size_t> index;
    for (std::size_t i = 0; i < devices.size(); ++i) index.emplace(devices[i], i);
    for (store::LastPoint& point : points)
      if (const auto at = index.find(point.series->device); at != index.end())
        found[at->second].push_back(std::move(point));
    return found;
  };
  co_return co_await workers_.run(std::move(look));
}

Async<HttpResponse> RegistryRoutes::list_devices(HttpRequest& request) {
  CO_TRY(auto page, page_of(request));
  CO_TRY(auto filter, filter_of(request));
  CO_TRY(const auto sort, sort_of(request));
  CO_TRY(const auto epoch, epoch_of(request));
  bool with_latest = false;
  bool with_facets = false;
  for (const std::string& part : list_of(request, "include")) {
    if (part == "latest") with_latest = true;
    else if (part == "facets") with_facets = true;
    else co_return fail(ErrorCode::invalid_argument, "expected latest or facets", "include");
  }
  const TenantId tenant = tenant_of(request);
  CO_TRY(const auto list, co_await registry_.list_devices(tenant, std::move(filter), sort, std::move(page)));
  std::vector<std::vector<store::LastPoint>> latest;
  if (with_latest) {
    std::vector<std::string> ids;
    for (const registry::Device& device : list.devices) ids.push_back(device.device);
    CO_TRY(latest, co_await latest_of(tenant, std::move(ids)));
  }
  std::string body = R"({"devices":[)";
  for (std::size_t i = 0; i < list.devices.size(); ++i) {
    if (i != 0) body += ',';
    if (with_latest) append_device(body, list.devices[i], latest[i], epoch);
    else append_device(body, list.devices[i], epoch);
  }
  body += ']';
  append_next(body, list.next);
  body += R"(,"total":)";
  append_integer(body, std::uint64_t{list.total});
  if (with_facets) {
    CO_TRY(const auto facets, co_await registry_.device_facets(tenant));
    body += R"(,"facets":)";
    append_facets(body, facets);
  }
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> RegistryRoutes::create_device(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(auto device, parse_new_device(request.body()));
  CO_TRY(const auto made, co_await registry_.create_device(tenant_of(request), std::move(device)));
  co_return device_answer(201, made, epoch).header("Location", "/api/v1/devices/" + net::percent_encode(made.device));
}

Async<HttpResponse> RegistryRoutes::get_device(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  std::string id(request.param("device"));
  CO_TRY(const auto device, co_await registry_.get_device(tenant_of(request), std::move(id)));
  co_return device_answer(200, device, epoch);
}

Async<HttpResponse> RegistryRoutes::patch_device(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  CO_TRY(auto patch, parse_device_patch(request.body()));
  std::string id(request.param("device"));
  CO_TRY(const auto device, co_await registry_.update_device(tenant_of(request), std::move(id), std::move(patch)));
  co_return device_answer(200, device, epoch);
}

Async<HttpResponse> RegistryRoutes::delete_device(HttpRequest& request) {
  std::string id(request.param("device"));
  CO_DO(co_await registry_.delete_device(tenant_of(request), std::move(id)));
  co_return HttpResponse::empty(204);
}

Async<HttpResponse> RegistryRoutes::latest(HttpRequest& request) {
  CO_TRY(const auto epoch, epoch_of(request));
  const TenantId tenant = tenant_of(request);
  std::string id(request.param("device"));
  CO_TRY(const auto device, co_await registry_.get_device(tenant, std::move(id)));
  std::vector<std::string> ids{device.device};
  CO_TRY(const auto points, co_await latest_of(tenant, std::move(ids)));
  std::string body = R"({"device":)";
  observe::append_json_string(body, device.device);
  body += R"(,"metrics":)";
  append_latest(body, device, points.front(), epoch, true);
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> RegistryRoutes::list_profiles(HttpRequest& request) {
  CO_TRY(auto page, page_of(request));
  CO_TRY(const auto list, co_await registry_.list_profiles(tenant_of(request), std::move(page)));
  std::string body = R"({"profiles":[)";
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i != 0) body += ',';
    append_profile(body, *list.items[i]);
  }
  body += ']';
  append_next(body, list.next);
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> RegistryRoutes::create_profile(HttpRequest& request) {
  CO_TRY(auto profile, parse_profile(request.body(), {}));
  CO_TRY(const auto made, co_await registry_.create_profile(tenant_of(request), std::move(profile)));
  co_return profile_answer(201, made).header("Location", "/api/v1/profiles/" + net::percent_encode(made->id));
}

Async<HttpResponse> RegistryRoutes::get_profile(HttpRequest& request) {
  std::string id(request.param("profile"));
  CO_TRY(const auto profile, co_await registry_.get_profile(tenant_of(request), std::move(id)));
  co_return profile_answer(200, profile);
}

Async<HttpResponse> RegistryRoutes::put_profile(HttpRequest& request) {
  CO_TRY(auto profile, parse_profile(request.body(), request.param("profile")));
  CO_TRY(const auto kept, co_await registry_.put_profile(tenant_of(request), std::move(profile)));
  co_return profile_answer(200, kept);
}

Async<HttpResponse> RegistryRoutes::delete_profile(HttpRequest& request) {
  std::string id(request.param("profile"));
  CO_DO(co_await registry_.delete_profile(tenant_of(request), std::move(id)));
  co_return HttpResponse::empty(204);
}

Async<HttpResponse> RegistryRoutes::list_dashboards(HttpRequest& request) {
  CO_TRY(auto page, page_of(request));
  CO_TRY(const auto list, co_await registry_.list_dashboards(tenant_of(request), std::move(page)));
  std::string body = R"({"dashboards":[)";
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i != 0) body += ',';
    append_dashboard(body, list.items[i], false);
  }
  body += ']';
  append_next(body, list.next);
  body += '}';
  co_return HttpResponse::json(200, std::move(body));
}

Async<HttpResponse> RegistryRoutes::create_dashboard(HttpRequest& request) {
  CO_TRY(auto input, parse_dashboard(request.body()));
  CO_TRY(const auto made,
         co_await registry_.create_dashboard(tenant_of(request), std::move(input.title), std::move(input.document)));
  co_return dashboard_answer(201, made).header("Location", "/api/v1/dashboards/" + net::percent_encode(made.id));
}

Async<HttpResponse> RegistryRoutes::get_dashboard(HttpRequest& request) {
  std::string id(request.param("id"));
  CO_TRY(const auto dashboard, co_await registry_.get_dashboard(tenant_of(request), std::move(id)));
  co_return dashboard_answer(200, dashboard);
}

Async<HttpResponse> RegistryRoutes::put_dashboard(HttpRequest& request) {
  CO_TRY(const auto version, expected_version(request));
  CO_TRY(auto input, parse_dashboard(request.body()));
  std::string id(request.param("id"));
  auto kept = co_await registry_.put_dashboard(tenant_of(request), std::move(id), version, std::move(input.title),
                                               std::move(input.document));
  // RFC 9110: a precondition that does not hold is 412, where the code alone would say 409.
  if (!kept && kept.error().code == ErrorCode::already_exists)
    co_return HttpResponse::error(412, to_string(kept.error().code), kept.error().message, kept.error().field);
  if (!kept) co_return std::unexpected(std::move(kept).error());
  co_return dashboard_answer(200, *kept);
}

Async<HttpResponse> RegistryRoutes::delete_dashboard(HttpRequest& request) {
  std::string id(request.param("id"));
  CO_DO(co_await registry_.delete_dashboard(tenant_of(request), std::move(id)));
  co_return HttpResponse::empty(204);
}

}  // namespace flux::gateway
