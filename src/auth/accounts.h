#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/listeners.h"
#include "auth/policy.h"
#include "auth/secrets.h"
#include "config/bytes.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/time.h"
#include "runtime/async.h"
#include "runtime/workers.h"
#include "store/database/database.h"

namespace flux::auth {

enum class Mode : std::uint8_t {
  closed,  ///< nothing answers without a credential
  open,    ///< whoever reaches the port is the administrator: for trials and benchmarks, on loopback only
};

struct Config {
  Mode mode = Mode::closed;
  Duration session_idle = 12_h;
  Duration session_life = 720_h;
  Duration access_token_life = 15_min;
  Duration refresh_token_life = 720_h;
  config::Bytes password_memory = 64_MiB;
  std::uint64_t password_passes = 3;

  template <class Fields>
  void describe(Fields& fields) {
    fields("mode", mode, "`open` asks nobody for a credential; it serves this machine only, for trials and benchmarks.",
           {{"closed", Mode::closed}, {"open", Mode::open}});
    fields("session_idle", session_idle, "A browser session ends when it was not used for so long.", {.min = 1_min});
    fields("session_life", session_life, "A browser session ends so long after the log-in.", {.min = 1_min});
    fields("access_token_life", access_token_life, "How long an access token is good for.", {.min = 10_s, .max = 24_h});
    fields("refresh_token_life", refresh_token_life, "How long a refresh token is good for.", {.min = 1_min});
    fields("password_memory", password_memory, "Memory that hashing a password takes (Argon2id).", {.min = 8_MiB});
    fields("password_passes", password_passes, "Passes over that memory.", {.min = 1, .max = 20});
  }
};

struct User {
  std::int64_t id = 0;
  TenantId tenant;
  std::string name;
  Role role = Role::administrator;
  bool has_password = false;
};

/// A person or program that called the API, and how it proved who it is.
struct Principal {
  enum class Kind : std::uint8_t { session, access_token, local, open };
  Kind kind = Kind::session;
  User user;
  std::string session;           ///< the session's hash, of Kind::session
  std::uint64_t generation = 0;  ///< of Kind::access_token, as are the next two
  std::string log_in;
  Time expires_at;
  [[nodiscard]] TenantId tenant() const { return user.tenant; }
  [[nodiscard]] bool allows(Permission permission) const { return auth::allows(user.role, permission); }
};
using PrincipalPtr = std::shared_ptr<const Principal>;

struct SignedIn {
  User user;
  std::string session;  ///< the cookie's value
};

struct Tokens {
  User user;
  std::string access_token;
  Duration expires_in;
  std::string refresh_token;
};

/// Users, their sessions and tokens. Look-ups are in memory, for any thread; what changes something is asynchronous and
/// called on a shard. Secrets are kept as hashes only.
class Accounts {
 public:
  /// Brings the schema up to date, loads users and sessions, reads or makes the signing key in `folder`. Blocking.
  /// `hashing` runs the password hashes: its threads times `password_memory` is what log-ins can take at most.
  static Result<std::unique_ptr<Accounts>> open(store::Database& database, runtime::Workers& hashing,
                                                const std::filesystem::path& folder, Config config);
  ~Accounts();

  // Who is it? `unauthenticated` says why not.

  [[nodiscard]] Result<PrincipalPtr> by_session(std::string_view cookie, Time now);
  /// An access token, or the local token of this process.
  [[nodiscard]] Result<PrincipalPtr> by_bearer(std::string_view token, Time now) const;
  /// Whether what `principal` proved itself with is still good: for connections that outlive a request.
  [[nodiscard]] bool still_good(const Principal& principal, Time now) const;
  using Subscription = auth::Subscription;
  /// `callback` is told when somebody was signed out or lost what they proved themselves with, on the thread that did
  /// it; must not block: ask `still_good`, and post to the shard that closes the connection. (What ends with time is
  /// not told.)
  [[nodiscard]] Subscription on_ended(std::function<void()> callback);
  /// The administrator that `auth.mode=open` makes of everybody.
  [[nodiscard]] PrincipalPtr anyone() const;

  // Signing in. `peer` is the caller's address, for throttling: `exhausted` says how long to wait.

  /// How long `peer` must wait still before it may try again as `name` (empty: with a link).
  [[nodiscard]] Duration must_wait(std::string_view name, std::string_view peer);
  Async<SignedIn> sign_in(std::string name, std::string password, std::string peer);
  Async<Tokens> sign_in_for_tokens(std::string name, std::string password, std::string peer);
  /// The one-time administrator link.
  Async<SignedIn> exchange_link(std::string token, std::string peer);
  /// A refresh token is good once; using one again ends all that came from the same log-in.
  Async<Tokens> refresh(std::string refresh_token);
  /// Ends the session, or the log-in that an access token came from: its refresh tokens and all its access tokens.
  Async<void> sign_out(PrincipalPtr principal);
  /// At least 8 characters. Ends the user's other sessions and all its tokens. `current` may be absent while the user
  /// has none. `permission_denied` when it is wrong.
  Async<void> set_password(PrincipalPtr principal, std::optional<std::string> current, std::string password,
                           std::string peer);

  /// Nothing once somebody has set a password. Good once, for a day, and until the next call.
  std::optional<std::string> issue_link();
  /// A token that makes commands on this machine the administrator, for the life of this process.
  std::string local_token();
  [[nodiscard]] const std::string& jwks() const;

 private:
  struct Impl;
  explicit Accounts(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::auth
