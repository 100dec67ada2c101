#include "auth/credentials.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "auth/credentials_index.h"
#include "auth/device_secret.h"
#include "core/utf8.h"

namespace flux::auth {

namespace {

constexpr std::size_t kTokensPerDevice = 10;
constexpr std::size_t kKeysPerTenant = 1'000;
constexpr std::size_t kNameBytes = 128;
constexpr Duration kKeptExpired = 24_h * 30;  // expired and revoked ones: so that a refusal can say which

constexpr std::array kMigrations = {
    store::Migration{1, "credentials", R"sql(
      -- Secrets are kept as BLAKE2b-256.
      CREATE TABLE device_credentials (
        id           TEXT    NOT NULL PRIMARY KEY,
        hash         BYTEA   NOT NULL UNIQUE,
        tenant       INTEGER NOT NULL,
        device       TEXT    NOT NULL,
        created_at   INTEGER NOT NULL,
        expires_at   INTEGER,
        last_used_at INTEGER,
        FOREIGN KEY (tenant, device) REFERENCES devices (tenant, device) ON DELETE CASCADE
      );
      CREATE INDEX device_credentials_of_device ON device_credentials (tenant, device);
      CREATE TABLE ingest_keys (
        id             TEXT    NOT NULL PRIMARY KEY,
        hash           BYTEA   NOT NULL UNIQUE,
        tenant         INTEGER NOT NULL,
        name           TEXT    NOT NULL,
        create_devices INTEGER NOT NULL,
        created_at     INTEGER NOT NULL,
        last_used_at   INTEGER,
        UNIQUE (tenant, name)
      );
    )sql"},
    store::Migration{2, "revoked credentials", R"sql(
      -- For a month, so that whoever still shows one is told what has become of it.
      CREATE TABLE revoked_credentials (
        hash       BYTEA   NOT NULL PRIMARY KEY,
        tenant     INTEGER NOT NULL,
        device     TEXT    NOT NULL,  -- empty: an ingest key
        revoked_at INTEGER NOT NULL
      );
    )sql"},
};

store::Bind::Blob blob(const SecretHash& hash) { return {hash.bytes}; }

Result<SecretHash> read_hash(const store::Row& row, int column) {
  const auto bytes = row.blob(column);
  SecretHash hash;
  if (bytes.size() != hash.bytes.size()) return fail(ErrorCode::corrupt, "a credential's hash has a wrong length");
  std::ranges::copy(bytes, hash.bytes.begin());
  return hash;
}

std::optional<Time> last_use(std::int64_t ns) { return ns != 0 ? std::optional(Time{ns}) : std::nullopt; }

std::unexpected<Error> no_device(const std::string& device) {
  return fail(ErrorCode::not_found, "there is no device `" + device + "`", "device");
}

using Index = CredentialsIndex;
using store::Session;

class EmbeddedCredentials final : public Credentials {
 public:
  EmbeddedCredentials(store::Database& database, registry::EmbeddedRegistry& registry,
                      const registry::Directory& directory, metrics::Registry& metrics)
      : database_(database),
        registry_(registry),
        directory_(directory),
        accepted_(metrics.counter("fluxgate_auth_device_checks_total", "Device credentials checked.",
                                  {{"result", "accepted"}})),
        refused_(metrics.counter("fluxgate_auth_device_checks_total", "Device credentials checked.",
                                 {{"result", "refused"}})) {}

  ~EmbeddedCredentials() override {
    // What stands in the database's queue may refer to this.
    static_cast<void>(database_.write([](Session&) -> Result<> { return {}; }));
  }

  Result<> load() {
    DO(database_.read([this](Session& session) -> Result<> {
      DO(session.each("SELECT hash, id, tenant, device, created_at, expires_at, last_used_at FROM device_credentials",
                      {}, [this](const store::Row& row) -> Result<> {
                        TRY(const auto hash, read_hash(row, 0));
                        add(hash,
                            std::make_shared<Identity>(Identity::Kind::device, tenant_of(row, 2),
                                                       std::string(row.text(3)), false, std::string(row.text(1)),
                                                       row.optional_time(5)),
                            row.time(4), {}, row.optional_time(6));
                        return {};
                      }));
      DO(session.each(
          "SELECT hash, tenant, device, revoked_at FROM revoked_credentials ORDER BY revoked_at DESC LIMIT ?",
          {static_cast<std::int64_t>(Index::kKeptRevoked)}, [this](const store::Row& row) -> Result<> {
            TRY(const auto hash, read_hash(row, 0));
            index_->revoked.insert_or_assign(
                hash, Index::Revoked{tenant_of(row, 1), std::string(row.text(2)), row.time(3), false});
            return {};
          }));
      return session.each("SELECT hash, id, tenant, name, create_devices, created_at, last_used_at FROM ingest_keys",
                          {}, [this](const store::Row& row) -> Result<> {
                            TRY(const auto hash, read_hash(row, 0));
                            add(hash,
                                std::make_shared<Identity>(Identity::Kind::ingest_key, tenant_of(row, 2), "",
                                                           row.boolean(4), std::string(row.text(1)), std::nullopt),
                                row.time(5), std::string(row.text(3)), row.optional_time(6));
                            return {};
                          });
    }));
    registry_.on_device_removed([weak = std::weak_ptr(index_)](TenantId tenant, const std::string& device) {
      if (const auto index = weak.lock()) index->revoke_device(tenant, device);
    });
    return {};
  }

  Result<IdentityPtr> authenticate(const Presented& presented, Time now) const override {
    auto result = look_up(presented, now);
    (result ? accepted_ : refused_).add();
    return result;
  }

  std::optional<Owner> former_owner(const Presented& presented) const override {
    for (const std::string_view text : {presented.password, presented.user_name}) {
      if (!holds_secret(text)) continue;
      const SecretHash hash = hash_secret(text);
      const std::shared_lock lock(index_->mutex);
      if (const auto found = index_->entries.find(hash); found != index_->entries.end())
        return Owner{found->second.identity->tenant(), found->second.identity->device()};
      if (const auto found = index_->revoked.find(hash); found != index_->revoked.end())
        return Owner{found->second.tenant, found->second.device};
    }
    return std::nullopt;
  }

  Subscription on_revoked(std::function<void(const IdentityPtr&)> callback) override {
    return index_->on_revoked.add(std::move(callback));
  }

  Async<std::vector<Credential>> list(TenantId tenant, std::string device) override {
    if (directory_.find(tenant, device) == nullptr) co_return no_device(device);
    std::vector<Credential> all;
    for (const auto& [hash, entry] : index_->of(tenant, device)) all.push_back(credential_of(entry));
    std::ranges::sort(all, {}, [](const Credential& c) { return std::pair(c.created_at, c.id); });
    co_return all;
  }

  Async<IssuedCredential> create(TenantId tenant, std::string device, std::optional<Time> expires_at) override;
  Async<void> revoke(TenantId tenant, std::string device, std::string id) override;

  Async<std::vector<IngestKey>> ingest_keys(TenantId tenant) override {
    std::vector<IngestKey> all;
    {
      const std::shared_lock lock(index_->mutex);
      for (const auto& [hash, entry] : index_->entries) {
        if (entry.identity->kind() != Identity::Kind::ingest_key || entry.identity->tenant() != tenant) continue;
        all.push_back(key_of(entry));
      }
    }
    std::ranges::sort(all, {}, [](const IngestKey& k) { return std::pair(k.created_at, k.id); });
    co_return all;
  }

  Async<IssuedIngestKey> create_ingest_key(TenantId tenant, std::string name, bool create_devices) override;
  Async<void> revoke_ingest_key(TenantId tenant, std::string id) override;
  void tidy(Time now) override;

 private:
  static TenantId tenant_of(const store::Row& row, int column) {
    return {static_cast<std::uint32_t>(row.integer(column))};
  }

  void add(const SecretHash& hash, std::shared_ptr<Identity> identity, Time created_at, std::string name,
           std::optional<Time> last_used) {
    if (last_used) identity->used(*last_used);
    index_->add(hash, {.identity = std::move(identity),
                       .created_at = created_at,
                       .name = std::move(name),
                       .saved_last_used_ns = last_used ? last_used->ns : 0});
  }

  static Credential credential_of(const Index::Entry& entry) {
    return {.id = entry.identity->credential_id(),
            .created_at = entry.created_at,
            .last_used_at = last_use(Index::last_used(*entry.identity)),
            .expires_at = entry.identity->expires_at()};
  }
  static IngestKey key_of(const Index::Entry& entry) {
    return {.id = entry.identity->credential_id(),
            .name = entry.name,
            .create_devices = entry.identity->create_devices(),
            .created_at = entry.created_at,
            .last_used_at = last_use(Index::last_used(*entry.identity))};
  }

  static std::string what_became_of(const Index::Revoked& revoked) {
    const std::string when = " at " + to_rfc3339(Time{revoked.at.ns / 1'000'000'000 * 1'000'000'000});
    if (revoked.with_device) return "the token's device was deleted" + when;
    if (revoked.device.empty()) return "the ingest key was revoked" + when;
    return "the device token was revoked" + when;
  }
  /// In the transaction that takes the credential out of its table.
  static Result<> keep_revoked(Session& session, const SecretHash& hash, TenantId tenant, const std::string& device,
                               Time now) {
    DO(
        session.run("INSERT INTO revoked_credentials (hash, tenant, device, revoked_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (hash) DO NOTHING",
                    {blob(hash), tenant.value, device, now}));
    return {};
  }

  Result<IdentityPtr> look_up(const Presented& presented, Time now) const {
    bool damaged = false;
    for (const std::string_view text : {presented.password, presented.user_name}) {
      SecretCheck check = check_secret(SecretKind::device_token, text);
      if (check == SecretCheck::other) check = check_secret(SecretKind::ingest_key, text);
      if (check == SecretCheck::other) continue;
      if (check == SecretCheck::damaged) {
        damaged = true;
        continue;
      }
      const SecretHash hash = hash_secret(text);
      std::shared_ptr<const Identity> identity;
      {
        const std::shared_lock lock(index_->mutex);
        if (const auto found = index_->entries.find(hash); found != index_->entries.end()) {
          identity = found->second.identity;
        } else if (const auto gone = index_->revoked.find(hash); gone != index_->revoked.end()) {
          return fail(ErrorCode::unauthenticated, what_became_of(gone->second));
        }
      }
      if (identity == nullptr) {
        return fail(ErrorCode::unauthenticated, "the credential is well-formed, but not known here");
      }
      if (!identity->live(now)) {
        return fail(ErrorCode::unauthenticated, identity->expires_at() && now >= *identity->expires_at()
                                                    ? "the credential expired at " + to_rfc3339(*identity->expires_at())
                                                    : "the credential was revoked");
      }
      identity->used(now);
      return identity;
    }
    if (damaged) {
      return fail(ErrorCode::unauthenticated,
                  "the credential was mistyped or cut: its last letters do not fit the others");
    }
    if (presented.password.empty() && presented.user_name.empty()) {
      return fail(ErrorCode::unauthenticated,
                  "no credential was given; use a device token (fgd_…) or an ingest key (fgk_…)");
    }
    if (presented.user_name.empty())
      return fail(ErrorCode::unauthenticated, "this is no device token (fgd_…) and no ingest key (fgk_…)");
    return fail(ErrorCode::unauthenticated,
                "neither password nor user name is a device token (fgd_…) or an ingest key (fgk_…)");
  }

  store::Database& database_;
  registry::EmbeddedRegistry& registry_;
  const registry::Directory& directory_;
  metrics::Counter& accepted_;
  metrics::Counter& refused_;
  const std::shared_ptr<Index> index_ = std::make_shared<Index>();
};

Async<IssuedCredential> EmbeddedCredentials::create(TenantId tenant, std::string device,
                                                    std::optional<Time> expires_at) {
  const Time now = wall_now();
  if (directory_.find(tenant, device) == nullptr) co_return no_device(device);
  if (expires_at && *expires_at <= now) {
    co_return fail(ErrorCode::invalid_argument, "expected a time that is still to come", "expires_at");
  }
  CO_DO(co_await registry_.flush());  // the row refers to the device's, which may be new
  IssuedCredential issued{.credential = {.id = random_id(), .created_at = now, .expires_at = expires_at},
                          .token = make_secret(SecretKind::device_token)};
  const SecretHash hash = hash_secret(issued.token);
  runtime::Completion<IssuedCredential> completion;
  store::Database::Work work = [=, id = issued.credential.id](Session& session) -> Result<> {
    TRY(const auto count,
        session.first("SELECT count(*) FROM device_credentials WHERE tenant = ? AND device = ? "
                      "AND (expires_at IS NULL OR expires_at > ?)",
                      {tenant.value, device, now}, [](const store::Row& row) { return row.integer(0); }));
    if (*count >= static_cast<std::int64_t>(kTokensPerDevice)) {
      return fail(ErrorCode::exhausted, "a device has at most " + std::to_string(kTokensPerDevice) +
                                            " tokens: revoke one that is no longer used");
    }
    auto added = session.run(
        "INSERT INTO device_credentials (id, hash, tenant, device, created_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        {id, blob(hash), tenant.value, device, now, expires_at});
    if (!added && added.error().code == ErrorCode::invalid_argument) return no_device(device);  // deleted meanwhile
    DO(added);
    return {};
  };
  store::Database::Done done = [this, completion, hash, tenant, device, issued](Result<> result) {
    if (!result) {
      completion.resolve(std::unexpected(std::move(result).error()));
      return;
    }
    const Credential& made = issued.credential;
    add(hash, std::make_shared<Identity>(Identity::Kind::device, tenant, device, false, made.id, made.expires_at),
        made.created_at, {}, std::nullopt);
    completion.resolve(issued);
  };
  database_.submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

Async<void> EmbeddedCredentials::revoke(TenantId tenant, std::string device, std::string id) {
  if (directory_.find(tenant, device) == nullptr) co_return no_device(device);
  const auto all = index_->of(tenant, device);
  const auto found = std::ranges::find(all, id, [](const auto& item) { return item.second.identity->credential_id(); });
  if (found == all.end()) {
    co_return fail(ErrorCode::not_found, "device `" + device + "` has no credential `" + id + "`", "id");
  }
  runtime::Completion<> completion;
  store::Database::Work work = [id, tenant, device, hash = found->first](Session& session) -> Result<> {
    DO(session.run("DELETE FROM device_credentials WHERE id = ?", {id}));
    return keep_revoked(session, hash, tenant, device, wall_now());
  };
  store::Database::Done done = [index = index_, completion, hash = found->first](Result<> result) {
    if (result) index->revoke({hash});
    completion.resolve(std::move(result));
  };
  database_.submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

Async<IssuedIngestKey> EmbeddedCredentials::create_ingest_key(TenantId tenant, std::string name, bool create_devices) {
  if (name.empty() || name.size() > kNameBytes || !is_utf8(name)) {
    co_return fail(ErrorCode::invalid_argument, "a key has a name of 1 to 128 bytes of UTF-8", "name");
  }
  IssuedIngestKey issued{
      .key = {.id = random_id(), .name = name, .create_devices = create_devices, .created_at = wall_now()},
      .secret = make_secret(SecretKind::ingest_key)};
  const SecretHash hash = hash_secret(issued.secret);
  runtime::Completion<IssuedIngestKey> completion;
  store::Database::Work work = [tenant, hash, key = issued.key](Session& session) -> Result<> {
    TRY(const auto count, session.first("SELECT count(*) FROM ingest_keys WHERE tenant = ?", {tenant.value},
                                        [](const store::Row& row) { return row.integer(0); }));
    if (*count >= static_cast<std::int64_t>(kKeysPerTenant)) {
      return fail(ErrorCode::exhausted, "there are " + std::to_string(kKeysPerTenant) + " ingest keys already");
    }
    auto added = session.run(
        "INSERT INTO ingest_keys (id, hash, tenant, name, create_devices, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        {key.id, blob(hash), tenant.value, key.name, key.create_devices, key.created_at});
    if (!added && added.error().code == ErrorCode::already_exists) {
      return fail(ErrorCode::already_exists, "there is an ingest key `" + key.name + "` already", "name");
    }
    DO(added);
    return {};
  };
  store::Database::Done done = [this, completion, hash, tenant, issued](Result<> result) {
    if (!result) {
      completion.resolve(std::unexpected(std::move(result).error()));
      return;
    }
    const IngestKey& key = issued.key;
    add(hash,
        std::make_shared<Identity>(Identity::Kind::ingest_key, tenant, "", key.create_devices, key.id, std::nullopt),
        key.created_at, key.name, std::nullopt);
    completion.resolve(issued);
  };
  database_.submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

Async<void> EmbeddedCredentials::revoke_ingest_key(TenantId tenant, std::string id) {
  const auto found = index_->find_key(tenant, id);
  if (!found) co_return fail(ErrorCode::not_found, "there is no ingest key `" + id + "`", "id");
  runtime::Completion<> completion;
  store::Database::Work work = [id, tenant, hash = found->first](Session& session) -> Result<> {
    DO(session.run("DELETE FROM ingest_keys WHERE id = ?", {id}));
    return keep_revoked(session, hash, tenant, {}, wall_now());
  };
  store::Database::Done done = [index = index_, completion, hash = found->first](Result<> result) {
    if (result) index->revoke({hash});
    completion.resolve(std::move(result));
  };
  database_.submit_write(std::move(work), std::move(done));
  co_return co_await completion;
}

void EmbeddedCredentials::tidy(Time now) {
  struct Use {
    SecretHash hash;
    bool key = false;
    std::string id;
    std::int64_t at = 0;
  };
  struct Found {
    std::vector<Use> uses;
    std::vector<SecretHash> expired;
  };
  if (index_->tidying.exchange(true)) return;
  const auto found = std::make_shared<Found>();
  // The look through all of them happens on the database's thread too.
  database_.submit_write(
      [index = index_, found, now](Session& session) -> Result<> {
        {
          const std::shared_lock lock(index->mutex);
          for (const auto& [hash, entry] : index->entries) {
            const Identity& identity = *entry.identity;
            if (identity.expires_at() && *identity.expires_at() + kKeptExpired < now) {
              found->expired.push_back(hash);
            } else if (const std::int64_t at = Index::last_used(identity); at != entry.saved_last_used_ns) {
              found->uses.push_back(
                  {hash, identity.kind() == Identity::Kind::ingest_key, identity.credential_id(), at});
            }
          }
        }
        for (const Use& use : found->uses) {
          DO(session.run(use.key ? "UPDATE ingest_keys SET last_used_at = ? WHERE id = ?"
                                 : "UPDATE device_credentials SET last_used_at = ? WHERE id = ?",
                         {use.at, use.id}));
        }
        DO(session.run("DELETE FROM device_credentials WHERE expires_at < ?", {now - kKeptExpired}));
        DO(session.run("DELETE FROM revoked_credentials WHERE revoked_at < ?", {now - kKeptExpired}));
        return {};
      },
      [index = index_, found, now](const Result<>& result) {
        index->tidying = false;
        if (!result) return;  // the next round tries again
        {
          const std::unique_lock lock(index->mutex);
          boost::unordered::erase_if(index->revoked,
                                     [&](const auto& item) { return item.second.at < now - kKeptExpired; });
          for (const Use& use : found->uses) {
            if (const auto entry = index->entries.find(use.hash); entry != index->entries.end()) {
              entry->second.saved_last_used_ns = use.at;
            }
          }
        }
        if (!found->expired.empty()) index->revoke(found->expired, Index::End::expired_long_ago);
      });
}

}  // namespace

Result<std::unique_ptr<Credentials>> Credentials::open(store::Database& database, registry::EmbeddedRegistry& registry,
                                                       const registry::Directory& directory,
                                                       metrics::Registry& metrics) {
  DO(database.migrate("credentials", kMigrations));
  auto credentials = std::make_unique<EmbeddedCredentials>(database, registry, directory, metrics);
  DO(credentials->load());
  return credentials;
}

}  // namespace flux::auth
