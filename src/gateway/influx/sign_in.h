#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "auth/accounts.h"
#include "auth/device_auth.h"
#include "net/router.h"

namespace flux::gateway::influx {

/// Who asks in InfluxQL, and what they may.
struct Asker {
  TenantId tenant;
  bool may_read = false;
  bool may_create = false;  ///< databases
  bool may_manage = false;  ///< drop and delete
};

/// Lets in whom `/write` lets in, by the same ways (`u` and `p`, Basic, Bearer, Token, `Token user:key`), and people by
/// name and password, access token or session.
///
/// An ingest key reads what its tenant has (`keys_read`), and makes databases where it may create devices. A device's
/// own token does neither: it speaks for one device. People do what their role allows.
class SignIn {
 public:
  struct Needs {
    auth::Accounts& accounts;
    const auth::DeviceAuthenticator& devices;
    auth::Mode mode;
    bool keys_read;
  };
  explicit SignIn(Needs needs) : needs_(needs) {}

  /// Sets the request's principal to an `Asker`.
  net::Verdict operator()(net::HttpRequest& request);

 private:
  struct Shown {
    std::string user;
    std::string password;
    bool bearer = false;
  };
  static Shown shown_by(const net::HttpRequest& request);
  [[nodiscard]] Result<Asker> known(const net::HttpRequest& request, const Shown& shown);
  Async<std::optional<net::HttpResponse>> by_password(net::HttpRequest& request, Shown shown);
  static Asker asker_for(const auth::Principal& principal);

  const Needs needs_;
  std::mutex mutex_;
  /// Access tokens of passwords that were right, by a hash of both: hashing a password takes a tenth of a second.
  std::map<std::string, std::string> tokens_;  // guarded by mutex_
};

/// An error as InfluxDB answers it.
net::HttpResponse failure(int status, std::string_view message);

}  // namespace flux::gateway::influx
