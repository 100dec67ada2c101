#pragma once

#include <string>

#include "auth/device_auth.h"
#include "net/http.h"

namespace flux::ingest::http {

/// What a request shows to be let in: `Authorization: Bearer`, `Token` or `Basic`. A view of the request.
class PresentedCredential {
 public:
  explicit PresentedCredential(const net::HttpRequest& request);
  PresentedCredential(const PresentedCredential&) = delete;
  PresentedCredential& operator=(const PresentedCredential&) = delete;
  [[nodiscard]] const auth::Presented& get() const { return presented_; }

 private:
  std::string basic_;
  auth::Presented presented_;
};

}  // namespace flux::ingest::http
