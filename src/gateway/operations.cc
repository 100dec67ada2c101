#include "gateway/operations.h"

#include "gateway/access.h"
#include "gateway/documented.h"
#include "gateway/rest/parameters.h"

namespace flux::gateway {

using net::HttpRequest;
using net::HttpResponse;

void Operations::mount(net::Router& router) {
  const net::Middleware documented = documented_parameters();
  net::Router::Group open = router.group().use(documented);
  net::Router::Group scraped =
      router.group()
          .use(token_or(services_.metrics_token, require_access(services_.accounts, services_.mode)))
          .use(documented);
  // Details name files, so callers without a credential learn what is wrong and since when, and no more.
  const auto answer = [this](const HttpRequest& request, net::Responder& responder, bool good, std::string_view word) {
    const auto epoch = epoch_of(request);
    if (!epoch) return responder.send_error(epoch.error());
    responder.send(HttpResponse::json(good ? 200 : 503, services_.health.summary_json(word, *epoch))
                       .header("Cache-Control", "no-store"));
  };
  open.get("/healthz", {.name = "healthz"}, [this, answer](HttpRequest& request, net::Responder responder) {
    answer(request, responder, services_.health.live(), observe::to_string(services_.health.worst()));
  });
  open.get("/readyz", {.name = "readyz"}, [this, answer](HttpRequest& request, net::Responder responder) {
    const observe::Health& health = services_.health;
    const bool ready = health.ready();
    const bool failed = !ready && health.phase() == observe::Phase::serving;
    answer(request, responder, ready, ready ? "ready" : failed ? "failed" : observe::to_string(health.phase()));
  });
  // For whoever may read, and the scraper's own token.
  scraped.get("/metrics", {.name = "metrics", .access = "read"}, [this](HttpRequest&, net::Responder responder) {
    HttpResponse response = HttpResponse::text(200, services_.metrics.render());
    response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
    responder.send(std::move(response));
  });
}

void Operations::mount_absence(net::Router& router) {
  net::Router::Group open = router.group();
  for (const auto method : {net::Method::get, net::Method::post, net::Method::put, net::Method::patch, net::Method::del,
                            net::Method::options}) {
    open.add(method, "/{path...}", {.name = "no_gateway", .yields = true},
             net::CallbackHandler([](HttpRequest& request, net::Responder responder) {
               responder.send_error({ErrorCode::not_found,
                                     "there is nothing at " + request.path() +
                                         ": this process runs without the role gateway, which serves the API and the "
                                         "web app",
                                     {}});
             }));
  }
}

}  // namespace flux::gateway
