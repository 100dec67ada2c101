#include "ingest/http/presented.h"

#include <algorithm>

#include "net/base64.h"

namespace flux::ingest::http {
PresentedCredential::PresentedCredential(const net::HttpRequest& request) {
  const auto [scheme, credential] = request.authorization();
  if (net::equals_ignoring_case(scheme, "Bearer") || net::equals_ignoring_case(scheme, "Token")) {
    presented_.password = credential;
  } else if (net::equals_ignoring_case(scheme, "Basic")) {
    if (auto decoded = net::from_base64(credential)) {
      basic_ = *std::move(decoded);
      const std::size_t colon = std::min(basic_.find(':'), basic_.size());
      presented_.user_name = std::string_view(basic_).substr(0, colon);
      if (colon < basic_.size()) presented_.password = std::string_view(basic_).substr(colon + 1);
    }
  }
}

}  // namespace flux::ingest::http
