#include "auth/accounts.h"

#include <array>
#include <map>
#include <mutex>
#include <vector>

#include "auth/access_token.h"
#include "auth/throttle.h"
#include "observe/log.h"

namespace flux::auth {
namespace {

constexpr TenantId kFirstTenant{1};
constexpr std::string_view kFirstUser = "admin";
constexpr std::size_t kShortestPassword = 8;
constexpr std::size_t kLongestPassword = 1024;
constexpr Duration kLinkLife = 24_h;
constexpr Duration kTouchEvery = 5_min;  // how often the use of a session is written down

// Times are nanoseconds since 1970, roles their words.
constexpr std::array kMigrations = {
    store::Migration{1, "accounts", R"sql(
      CREATE TABLE users (
        id            INTEGER NOT NULL PRIMARY KEY,
        tenant        INTEGER NOT NULL,
        name          TEXT    NOT NULL UNIQUE,
        role          TEXT    NOT NULL,
        password_hash TEXT,
        generation    INTEGER NOT NULL DEFAULT 1,  -- goes up with each password: older tokens are void
        created_at    INTEGER NOT NULL
      );
      CREATE TABLE sessions (
        hash         TEXT    NOT NULL PRIMARY KEY,
        user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        peer         TEXT    NOT NULL,
        created_at   INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL
      );
      CREATE TABLE refresh_tokens (
        hash       TEXT    NOT NULL PRIMARY KEY,
        family     TEXT    NOT NULL,               -- all that came from one log-in
        user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        expires_at INTEGER NOT NULL,
        used       INTEGER NOT NULL DEFAULT 0
      );
      CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
    )sql"},
};

struct UserRecord {
  User user;
  std::string password_hash;
  std::uint64_t generation = 1;
};

struct SessionRecord {
  std::int64_t user = 0;
  Time created_at;
  Time last_used_at;
  Time written_at;  ///< the last_used_at that the database has
};

/// What refresh and access tokens came from.
struct LogInRecord {
  std::int64_t user = 0;
  Time until;  ///< none of its tokens is good for longer
};

constexpr Duration kLongestAccess = 24_h;  // of an access token, by the limit of its setting

std::string name_key(std::string_view name, std::string_view peer) {
  return "name " + std::string(name) + " from " + std::string(peer);
}
std::string peer_key(std::string_view peer) { return "peer " + std::string(peer); }
std::string link_key(std::string_view peer) { return "link " + std::string(peer); }

std::unexpected<Error> wrong_credentials() {
  return fail(ErrorCode::unauthenticated, "user name or password is wrong");
}

}  // namespace

struct Accounts::Impl {
  store::Database& database;
  runtime::Workers& hashing;
  Config config;
  AccessTokens tokens;
  LoginThrottle throttle;
  std::string decoy_hash;  // verified for unknown names, so that they take as long as known ones
  std::string local_hash;

  std::mutex mutex;
  std::map<std::int64_t, UserRecord> users;
  std::map<std::string, SessionRecord, std::less<>> sessions;  // by hash
  std::map<std::string, LogInRecord, std::less<>> log_ins;     // by family: an access token of no other is good
  std::optional<std::string> link_hash;
  Time link_expires;

  Impl(store::Database& db, runtime::Workers& workers, Config settings, AccessTokens access)
      : database(db), hashing(workers), config(settings), tokens(std::move(access)) {}

  [[nodiscard]] PasswordCost cost() const { return {config.password_memory.count, config.password_passes}; }

  Listeners<> on_ended;  // told without `mutex` held

  [[nodiscard]] bool is_logged_in(const std::string& family) {
    const std::lock_guard lock(mutex);
    return log_ins.contains(family);
  }

  /// Ends what came from one log-in, here at once and in the database.
  Async<void> end_log_in(std::string family) {
    {
      const std::lock_guard lock(mutex);
      log_ins.erase(family);
    }
    auto work = [family](store::Session& session) -> Result<> {
      DO(session.run("DELETE FROM refresh_tokens WHERE family = ?", {family}));
      return {};
    };
    auto written = co_await database.write_async<void>(std::move(work));
    on_ended.tell();
    co_return written;
  }

  std::optional<UserRecord> find(std::string_view name) {
    const std::lock_guard lock(mutex);
    for (const auto& [id, record] : users)
      if (record.user.name == name) return record;
    return std::nullopt;
  }
  std::optional<UserRecord> find(std::int64_t id) {
    const std::lock_guard lock(mutex);
    const auto at = users.find(id);
    if (at == users.end()) return std::nullopt;
    return at->second;
  }

  /// The user, once the password has been found right.
  Async<UserRecord> check(std::string name, std::string password, std::string peer) {
    const Duration now = monotonic_now();
    // By name alone, anybody could lock a user out from anywhere.
    const std::string by_name = name_key(name, peer);
    const std::string by_peer = peer_key(peer);
    CO_DO(throttle.admit(by_name, now));
    CO_DO(throttle.admit(by_peer, now));
    // Counted before the answer is known, so that many attempts at once are no way around it.
    throttle.failed(by_name, now);
    throttle.failed(by_peer, now);
    const auto record = find(name);
    const bool can = record && !record->password_hash.empty();
    auto verify = [hash = can ? record->password_hash : decoy_hash, password = std::move(password)] {
      return password.size() <= kLongestPassword && verify_password(hash, password);
    };
    CO_TRY(const bool right, co_await hashing.run(std::move(verify)));
    if (!right || !can) {
      log::warn("sign-in failed", {{"user", name}, {"peer", peer}});
      co_return wrong_credentials();
    }
    throttle.succeeded(by_name);
    throttle.succeeded(by_peer);
    co_return *record;
  }

  Async<SignedIn> start_session(User user, std::string peer) {
    const Time now = wall_now();
    SignedIn signed_in{user, random_token()};
    const std::string hash = hash_token(signed_in.session);
    auto work = [hash, user, peer, now, oldest = now - config.session_life](store::Session& session) -> Result<> {
      DO(session.run("DELETE FROM sessions WHERE created_at < ?", {oldest}));
      DO(session.run("INSERT INTO sessions (hash, user_id, peer, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)",
                     {hash, user.id, peer, now, now}));
      return {};
    };
    CO_DO(co_await database.write_async<void>(std::move(work)));
    const std::lock_guard lock(mutex);
    std::erase_if(sessions, [&](const auto& one) { return one.second.created_at < now - config.session_life; });
    sessions[hash] = {user.id, now, now, now};
    co_return signed_in;
  }

  enum class Family : std::uint8_t { begins, goes_on };
  Async<Tokens> make_tokens(UserRecord record, std::string family, Family which) {
    const Time now = wall_now();
    const Claims claims{.user = record.user.id,
                        .tenant = record.user.tenant,
                        .role = record.user.role,
                        .generation = record.generation,
                        .log_in = family,
                        .issued_at = now,
                        .expires_at = now + config.access_token_life};
    Tokens made{.user = record.user,
                .access_token = {},
                .expires_in = config.access_token_life,
                .refresh_token = random_token()};
    CO_TRY(made.access_token, tokens.issue(claims));
    auto work = [which, hash = hash_token(made.refresh_token), family, user = record.user.id, now,
                 until = now + config.refresh_token_life](store::Session& session) -> Result<> {
      // A family lives on as long as an access token of it may.
      DO(session.run("DELETE FROM refresh_tokens WHERE expires_at < ?", {now - kLongestAccess}));
      if (which == Family::begins) {
        DO(session.run("INSERT INTO refresh_tokens (hash, family, user_id, expires_at) VALUES (?, ?, ?, ?)",
                       {hash, family, user, until}));
        return {};
      }
      // Not after it was signed out meanwhile.
      DO(
          session.run("INSERT INTO refresh_tokens (hash, family, user_id, expires_at) SELECT ?, ?, ?, ? "
                      "WHERE EXISTS (SELECT 1 FROM refresh_tokens WHERE family = ?)",
                      {hash, family, user, until, family}));
      return {};
    };
    CO_DO(co_await database.write_async<void>(std::move(work)));
    const LogInRecord kept{record.user.id, now + std::max(config.refresh_token_life, config.access_token_life)};
    const std::lock_guard lock(mutex);
    std::erase_if(log_ins, [&](const auto& one) { return one.second.until + kLongestAccess < now; });
    if (which == Family::begins) log_ins[family] = kept;
    else if (const auto at = log_ins.find(family); at != log_ins.end()) at->second = kept;
    else co_return fail(ErrorCode::unauthenticated, "the log-in was signed out: sign in again");
    co_return made;
  }

  Result<> load() {
    return database.read([this](store::Session& session) -> Result<> {
      DO(session.each("SELECT id, tenant, name, role, password_hash, generation FROM users", {},
                      [this](const store::Row& row) -> Result<> {
                        UserRecord record;
                        record.user.id = row.integer(0);
                        record.user.tenant = {static_cast<std::uint32_t>(row.integer(1))};
                        record.user.name = row.text(2);
                        const auto role = role_from(row.text(3));
                        if (!role)
                          return fail(ErrorCode::corrupt,
                                      "user '" + record.user.name + "' has a role that is not known");
                        record.user.role = *role;
                        record.password_hash = row.optional_text(4).value_or("");
                        record.user.has_password = !record.password_hash.empty();
                        record.generation = static_cast<std::uint64_t>(row.integer(5));
                        users[record.user.id] = std::move(record);
                        return {};
                      }));
      DO(session.each("SELECT family, user_id, MAX(expires_at) FROM refresh_tokens GROUP BY family, user_id", {},
                      [this](const store::Row& row) -> Result<> {
                        log_ins[std::string(row.text(0))] = {row.integer(1), row.time(2)};
                        return {};
                      }));
      return session.each("SELECT hash, user_id, created_at, last_used_at FROM sessions", {},
                          [this](const store::Row& row) -> Result<> {
                            sessions[std::string(row.text(0))] = {row.integer(1), row.time(2), row.time(3),
                                                                  row.time(3)};
                            return {};
                          });
    });
  }
};

Accounts::Accounts(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Accounts::~Accounts() = default;

Result<std::unique_ptr<Accounts>> Accounts::open(store::Database& database, runtime::Workers& hashing,
                                                 const std::filesystem::path& folder, Config config) {
  DO(database.migrate("accounts", kMigrations));
  DO(database.write([](store::Session& session) -> Result<> {
    TRY(const auto count,
        session.first("SELECT COUNT(*) FROM users", {}, [](const store::Row& row) { return row.integer(0); }));
    if (count.value_or(0) > 0) return {};
    DO(session.run("INSERT INTO users (id, tenant, name, role, created_at) VALUES (1, ?, ?, ?, ?)",
                   {kFirstTenant.value, kFirstUser, to_string(Role::administrator), wall_now()}));
    return {};
  }));
  TRY(auto tokens, AccessTokens::open(folder / "access-token.key"));
  auto impl = std::make_unique<Impl>(database, hashing, config, std::move(tokens));
  // A fixed hash with our usual cost; nobody knows a password for it.
  impl->decoy_hash =
      "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$"
      "wHvW1lWqLVxZ1nxbnUkrxSBLgOXdL5EkDSMi3GAnPXM";
  DO(impl->load());
  return std::unique_ptr<Accounts>(new Accounts(std::move(impl)));
}

Result<PrincipalPtr> Accounts::by_session(std::string_view cookie, Time now) {
  const std::string hash = hash_token(cookie);
  auto principal = std::make_shared<Principal>();
  bool touch = false;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto at = impl_->sessions.find(hash);
    if (at == impl_->sessions.end()) return fail(ErrorCode::unauthenticated, "the session has ended: sign in again");
    SessionRecord& session = at->second;
    const auto user = impl_->users.find(session.user);
    const bool over = now > session.created_at + impl_->config.session_life ||
                      now > session.last_used_at + impl_->config.session_idle || user == impl_->users.end();
    if (over) {
      impl_->sessions.erase(at);
      return fail(ErrorCode::unauthenticated, "the session has expired: sign in again");
    }
    session.last_used_at = std::max(session.last_used_at, now);
    touch = now > session.written_at + kTouchEvery;
    if (touch) session.written_at = now;
    principal->user = user->second.user;
  }
  if (touch) {
    auto work = [hash, now](store::Session& session) -> Result<> {
      DO(session.run("UPDATE sessions SET last_used_at = ? WHERE hash = ?", {now, hash}));
      return {};
    };
    // Only the idle time suffers if it is lost.
    impl_->database.submit_write(std::move(work), [](Result<>) {});
  }
  principal->kind = Principal::Kind::session;
  principal->session = hash;
  return principal;
}

Result<PrincipalPtr> Accounts::by_bearer(std::string_view token, Time now) const {
  auto principal = std::make_shared<Principal>();
  if (!impl_->local_hash.empty() && equal_in_constant_time(hash_token(token), impl_->local_hash)) {
    principal->kind = Principal::Kind::local;
    principal->user = {
        .id = 0, .tenant = kFirstTenant, .name = "local", .role = Role::administrator, .has_password = true};
    return principal;
  }
  TRY(const Claims claims, impl_->tokens.verify(token, now));
  const auto record = impl_->find(claims.user);
  if (!record || record->generation != claims.generation || !impl_->is_logged_in(claims.log_in))
    return fail(ErrorCode::unauthenticated, "the access token was revoked: sign in again");
  principal->kind = Principal::Kind::access_token;
  principal->generation = claims.generation;
  principal->log_in = claims.log_in;
  principal->expires_at = claims.expires_at;
  principal->user = record->user;  // the role as it is now, which may be less than when it was issued
  return principal;
}

bool Accounts::still_good(const Principal& principal, Time now) const {
  const std::lock_guard lock(impl_->mutex);
  if (principal.kind == Principal::Kind::session) {
    const auto at = impl_->sessions.find(principal.session);
    // The connection itself is use of the session, so only its whole life counts.
    return at != impl_->sessions.end() && now <= at->second.created_at + impl_->config.session_life;
  }
  if (principal.kind != Principal::Kind::access_token) return true;
  const auto user = impl_->users.find(principal.user.id);
  return user != impl_->users.end() && user->second.generation == principal.generation &&
         impl_->log_ins.contains(principal.log_in) && now < principal.expires_at;
}

Subscription Accounts::on_ended(std::function<void()> callback) { return impl_->on_ended.add(std::move(callback)); }

PrincipalPtr Accounts::anyone() const {
  static const PrincipalPtr principal = [] {
    auto made = std::make_shared<Principal>();
    made->kind = Principal::Kind::open;
    made->user = {.id = 0, .tenant = kFirstTenant, .name = "anyone", .role = Role::administrator, .has_password = true};
    return made;
  }();
  return principal;
}

Duration Accounts::must_wait(std::string_view name, std::string_view peer) {
  const Duration now = monotonic_now();
  if (name.empty()) return impl_->throttle.wait(link_key(peer), now);
  return std::max(impl_->throttle.wait(name_key(name, peer), now), impl_->throttle.wait(peer_key(peer), now));
}

Async<SignedIn> Accounts::sign_in(std::string name, std::string password, std::string peer) {
  CO_TRY(auto record, co_await impl_->check(std::move(name), std::move(password), peer));
  co_return co_await impl_->start_session(record.user, std::move(peer));
}

Async<Tokens> Accounts::sign_in_for_tokens(std::string name, std::string password, std::string peer) {
  CO_TRY(auto record, co_await impl_->check(std::move(name), std::move(password), std::move(peer)));
  co_return co_await impl_->make_tokens(std::move(record), random_token(12), Impl::Family::begins);
}

Async<SignedIn> Accounts::exchange_link(std::string token, std::string peer) {
  const std::string key = link_key(peer);
  CO_DO(impl_->throttle.admit(key, monotonic_now()));
  std::optional<User> user;
  {
    const std::lock_guard lock(impl_->mutex);
    const bool good = impl_->link_hash && wall_now() < impl_->link_expires &&
                      equal_in_constant_time(hash_token(token), *impl_->link_hash);
    if (good) {
      impl_->link_hash.reset();
      user = impl_->users.begin()->second.user;
    }
  }
  if (!user) {
    impl_->throttle.failed(key, monotonic_now());
    co_return fail(ErrorCode::unauthenticated,
                   "the link is not valid: it works once, for a day, and the newest one only; a restart prints another "
                   "until a password is set");
  }
  impl_->throttle.succeeded(key);
  co_return co_await impl_->start_session(*user, std::move(peer));
}

Async<Tokens> Accounts::refresh(std::string refresh_token) {
  struct Found {
    std::string family;
    std::int64_t user = 0;
    bool good = false;
    bool reused = false;
  };
  auto work = [hash = hash_token(refresh_token), now = wall_now()](store::Session& session) -> Result<Found> {
    Found found;
    DO(session.each("SELECT family, user_id, expires_at, used FROM refresh_tokens WHERE hash = ?", {hash},
                    [&](const store::Row& row) -> Result<> {
                      found = {std::string(row.text(0)), row.integer(1), row.time(2) > now && !row.boolean(3),
                               row.boolean(3)};
                      return {};
                    }));
    if (found.good) DO(session.run("UPDATE refresh_tokens SET used = 1 WHERE hash = ?", {hash}));
    return found;
  };
  CO_TRY(const auto found, co_await impl_->database.write_async<Found>(std::move(work)));
  const auto record = impl_->find(found.user);
  if (found.reused) {
    // Somebody has it who should not: nobody of this family goes on, with access tokens neither.
    log::warn("a refresh token was used twice; its log-in is revoked", {{"user", found.user}});
    CO_DO(co_await impl_->end_log_in(found.family));
  }
  if (!found.good || !record)
    co_return fail(ErrorCode::unauthenticated, "the refresh token is not valid: sign in again");
  co_return co_await impl_->make_tokens(*record, found.family, Impl::Family::goes_on);
}

Async<void> Accounts::sign_out(PrincipalPtr principal) {
  if (principal->kind == Principal::Kind::access_token) co_return co_await impl_->end_log_in(principal->log_in);
  if (principal->session.empty()) co_return {};
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto at = impl_->sessions.find(principal->session); at != impl_->sessions.end())
      impl_->sessions.erase(at);
  }
  auto work = [hash = principal->session](store::Session& session) -> Result<> {
    DO(session.run("DELETE FROM sessions WHERE hash = ?", {hash}));
    return {};
  };
  auto written = co_await impl_->database.write_async<void>(std::move(work));
  impl_->on_ended.tell();
  co_return written;
}

Async<void> Accounts::set_password(PrincipalPtr principal, std::optional<std::string> current, std::string password,
                                   std::string peer) {
  const auto record = impl_->find(principal->user.id);
  if (!record) co_return fail(ErrorCode::permission_denied, "only a user of its own has a password");
  if (password.size() < kShortestPassword)
    co_return fail(ErrorCode::invalid_argument,
                   "expected at least " + std::to_string(kShortestPassword) + " characters", "new");
  if (password.size() > kLongestPassword)
    co_return fail(ErrorCode::invalid_argument, "expected at most " + std::to_string(kLongestPassword) + " bytes",
                   "new");
  if (!record->password_hash.empty()) {
    if (!current)
      co_return fail(ErrorCode::invalid_argument, "expected the password in force: it is missing", "current");
    auto checked = co_await impl_->check(record->user.name, *std::move(current), std::move(peer));
    if (!checked && checked.error().code == ErrorCode::unauthenticated)
      co_return fail(ErrorCode::permission_denied, "the password in force is another", "current");
    if (!checked) co_return std::unexpected(std::move(checked).error());
  }
  auto hash_it = [password = std::move(password), cost = impl_->cost()] { return hash_password(password, cost); };
  CO_TRY(const auto hash, co_await impl_->hashing.run(std::move(hash_it)));
  auto work = [hash, user = record->user.id, keep = principal->session](store::Session& session) -> Result<> {
    DO(session.run("UPDATE users SET password_hash = ?, generation = generation + 1 WHERE id = ?", {hash, user}));
    DO(session.run("DELETE FROM sessions WHERE user_id = ? AND hash <> ?", {user, keep}));
    DO(session.run("DELETE FROM refresh_tokens WHERE user_id = ?", {user}));
    return {};
  };
  CO_DO(co_await impl_->database.write_async<void>(std::move(work)));
  {
    const std::lock_guard lock(impl_->mutex);
    UserRecord& kept = impl_->users[record->user.id];
    kept.password_hash = hash;
    kept.user.has_password = true;
    ++kept.generation;
    impl_->link_hash.reset();
    std::erase_if(impl_->sessions, [&](const auto& one) {
      return one.second.user == record->user.id && one.first != principal->session;
    });
    std::erase_if(impl_->log_ins, [&](const auto& one) { return one.second.user == record->user.id; });
  }
  impl_->on_ended.tell();
  co_return {};
}

std::optional<std::string> Accounts::issue_link() {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [id, record] : impl_->users)
    if (record.user.has_password) return std::nullopt;
  std::string token = random_token();
  impl_->link_hash = hash_token(token);
  impl_->link_expires = wall_now() + kLinkLife;
  return token;
}

std::string Accounts::local_token() {
  std::string token = "fgl_" + random_token();
  impl_->local_hash = hash_token(token);
  return token;
}

const std::string& Accounts::jwks() const { return impl_->tokens.jwks(); }

}  // namespace flux::auth
