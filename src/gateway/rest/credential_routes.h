#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "auth/credentials.h"
#include "net/router.h"
#include "registry/registry.h"

namespace flux::gateway {

/// `/api/v1/devices/{device}/credentials`, `/ingest-keys`, `/connect`.
class CredentialRoutes {
 public:
  /// `mqtt_port` is asked once the endpoint listens.
  CredentialRoutes(auth::Credentials& credentials, registry::Registry& registry,
                   std::function<std::uint16_t()> mqtt_port)
      : credentials_(credentials), registry_(registry), mqtt_port_(std::move(mqtt_port)) {}
  void mount(net::Router::Group api);

 private:
  Async<net::HttpResponse> list(net::HttpRequest& request);
  Async<net::HttpResponse> create(net::HttpRequest& request);
  Async<net::HttpResponse> revoke(net::HttpRequest& request);
  Async<net::HttpResponse> list_keys(net::HttpRequest& request);
  Async<net::HttpResponse> create_key(net::HttpRequest& request);
  Async<net::HttpResponse> revoke_key(net::HttpRequest& request);
  Async<net::HttpResponse> connect(net::HttpRequest& request);

  auth::Credentials& credentials_;
  registry::Registry& registry_;
  std::function<std::uint16_t()> mqtt_port_;
};

/// `text` as one word of a POSIX shell: in single quotes unless it is harmless.
std::string shell_word(std::string_view text);

}  // namespace flux::gateway
