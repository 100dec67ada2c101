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
  WebApp() {
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
  std::unordered_map<std::string_view, net::StaticAsset> assets_;
};

}  // namespace

void mount_web_app(net::Router::Group open) {
  auto app = std::make_shared<const WebApp>();
  open.get("/{path...}", {.name = "web_app", .yields = true},
           [app](HttpRequest& request, net::Responder responder) { app->answer(request, std::move(responder)); });
  // A wrong API path must not answer 200 with a page, nor tell of methods that it does not have.
  for (const char* pattern : {"/api/{path...}", "/.well-known/{path...}"}) {
    for (const auto method : {net::Method::get, net::Method::post, net::Method::put, net::Method::patch,
                              net::Method::del, net::Method::options}) {
      open.add(method, pattern, {.name = "no_such_path", .yields = true},
               net::CallbackHandler([](HttpRequest& request, net::Responder responder) {
                 responder.send_error({ErrorCode::not_found, "there is nothing at " + request.path(), {}});
               }));
    }
  }
}

}  // namespace flux::gateway
