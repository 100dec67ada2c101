#include "gateway/web_app.h"

#include <memory>
#include <string>
#include <unordered_map>

#include "embedded/web.h"
#include "net/http.h"

namespace flux::gateway {
namespace {

using net::HttpRequest;
using net::HttpResponse;

// The app loads nothing from elsewhere and runs no script but its own files; styles may be set by the UI kit.
constexpr const char* kPolicy =
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'";

class WebApp {
 public:
  explicit WebApp(const net::Router& router) : router_(router) {
    const auto shared = [](std::string_view bytes) {
      return bytes.empty() ? nullptr : std::make_shared<const std::string>(bytes);
    };
    for (const EmbeddedFile& file : embedded::web()) {
      net::StaticAsset asset;
      asset.content_type = file.content_type;
      asset.cache_control = file.immutable ? "public, max-age=31536000, immutable" : "no-cache";
      asset.etag = "\"" + std::string(file.etag) + "\"";
      asset.identity = std::make_shared<const std::string>(file.identity);
      asset.gzip = shared(file.gzip);
      asset.brotli = shared(file.brotli);
      assets_.emplace(file.path, std::move(asset));
    }
  }

  void answer(HttpRequest& request, net::Responder responder) const {
    const std::string path = request.path();
    // A wrong API path must not answer 200 with a page.
    if (path.starts_with("/api/") || path.starts_with("/.well-known/"))
      return responder.send(no_such_api(request.raw_path()));
    auto at = assets_.find(path);
    // A missing file of the app is missing; any other path is one of the app's own pages.
    if (at == assets_.end() && path.starts_with("/assets/"))
      return responder.send_error({ErrorCode::not_found, "there is no file " + path, {}});
    if (at == assets_.end()) at = assets_.find("/index.html");
    HttpResponse response = at->second.respond(request);
    response.header("Content-Security-Policy", kPolicy);
    responder.send(std::move(response));
  }

 private:
  /// GET reaches us for every path; an API path may well have other methods.
  [[nodiscard]] HttpResponse no_such_api(std::string_view path) const {
    std::string allowed;
    for (const auto method : {net::Method::post, net::Method::put, net::Method::patch, net::Method::del}) {
      net::Router::Match match;
      router_.match(method, path, match);
      if (match.route != nullptr) allowed.append(allowed.empty() ? "" : ", ").append(net::to_string(method));
    }
    if (allowed.empty())
      return HttpResponse::error({ErrorCode::not_found, "there is nothing at " + std::string(path), {}});
    return HttpResponse::error(405, "invalid_argument", "this path takes " + allowed).header("Allow", allowed);
  }

  const net::Router& router_;
  std::unordered_map<std::string_view, net::StaticAsset> assets_;
};

}  // namespace

void mount_web_app(net::Router& router, net::Router::Group open) {
  auto app = std::make_shared<const WebApp>(router);
  open.get("/{path...}", {.name = "web_app"},
           [app](HttpRequest& request, net::Responder responder) { app->answer(request, std::move(responder)); });
}

}  // namespace flux::gateway
