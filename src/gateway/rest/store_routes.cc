#include "gateway/rest/store_routes.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

}  // namespace

void StoreRoutes::mount(net::Router::Group api) {
  if (maintenance_ == nullptr) return;
  api.get("/store", {.name = "store_storage", .access = "manage_system"},
          [this](HttpRequest& r) { return storage(r); });
  api.post("/store/check", {.name = "store_check", .access = "manage_system"},
           [this](HttpRequest& r) { return check(r); });
  api.get("/store/merge", {.name = "store_merge_status", .access = "manage_system"},
          [this](HttpRequest&, net::Responder responder) {
            responder.send(HttpResponse::json(200, to_json(maintenance_->merge_status())));
          });
  api.post("/store/merge", {.name = "store_merge", .access = "manage_system"},
           [this](HttpRequest&, net::Responder responder) {
             maintenance_->start_merge_to_end();
             responder.send(HttpResponse::json(202, to_json(maintenance_->merge_status())));
           });
}

Async<HttpResponse> StoreRoutes::storage(HttpRequest&) {
  auto look = [this] { return maintenance_->storage({}); };
  CO_TRY(const auto report, co_await workers_.run(std::move(look)));
  co_return HttpResponse::json(200, to_json(report));
}

Async<HttpResponse> StoreRoutes::check(HttpRequest&) {
  auto look = [this] { return maintenance_->check({}); };
  CO_TRY(const auto report, co_await workers_.run(std::move(look)));
  co_return HttpResponse::json(200, to_json(report));
}

}  // namespace flux::gateway
