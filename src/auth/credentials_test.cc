#include "auth/credentials.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <thread>

#include "auth/device_secret.h"
#include "registry/test_registry.h"

namespace flux::auth {
namespace {

constexpr TenantId kTenant = registry::kDefaultTenant;

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() { open(); }
  void open() {
    auto opened = Credentials::open(registry_.database(), *registry_, registry_.directory(), registry_.metrics());
    ASSERT_TRUE(opened) << opened.error().message;
    credentials_ = std::move(*opened);
  }
  void restart() {
    credentials_.reset();
    registry_.restart();
    open();
  }
  template <class T>
  Result<T> wait(Async<T> task) {
    return registry_.wait(std::move(task));
  }
  std::string token_of(const std::string& device, std::optional<Time> expires_at = std::nullopt) {
    auto made = wait(credentials_->create(kTenant, device, expires_at));
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->token : std::string();
  }
  Result<IdentityPtr> check(std::string_view password, std::string_view user_name = {}) {
    return credentials_->authenticate({.user_name = user_name, .password = password}, wall_now());
  }
  static ErrorCode code(const auto& result) { return result ? ErrorCode::internal : result.error().code; }

  registry::TestFolder folder_;
  registry::TestRegistry registry_{folder_.path() / "registry.db"};
  std::unique_ptr<Credentials> credentials_;
};

TEST_F(CredentialsTest, a_token_names_its_device_also_after_a_restart) {
  registry_.directory().ensure(kTenant, "pump-1");  // not saved yet: the token waits for that
  const std::string token = token_of("pump-1");
  for (int round = 0; round < 2; ++round) {
    const auto identity = check(token);
    ASSERT_TRUE(identity) << identity.error().message;
    EXPECT_EQ((*identity)->kind(), Identity::Kind::device);
    EXPECT_EQ((*identity)->tenant(), kTenant);
    EXPECT_EQ((*identity)->device(), "pump-1");
    EXPECT_TRUE((*identity)->may_speak_for("pump-1"));
    EXPECT_EQ(code((*identity)->may_speak_for("pump-2")), ErrorCode::permission_denied);
    EXPECT_TRUE(check({}, token)) << "MQTT: as the user name";
    EXPECT_TRUE(check(token, "anything"));
    restart();
  }
}

TEST_F(CredentialsTest, refusals_say_why) {
  registry_.directory().ensure(kTenant, "d");
  const std::string token = token_of("d");
  const auto says = [&](const Result<IdentityPtr>& result, std::string_view words) {
    return !result && result.error().code == ErrorCode::unauthenticated &&
           result.error().message.find(words) != std::string::npos;
  };
  EXPECT_TRUE(says(check(""), "no credential was given"));
  EXPECT_TRUE(says(check("hunter2", "admin"), "neither password nor user name"));
  EXPECT_TRUE(says(check("hunter2"), "this is no device token"));  // a bearer token
  EXPECT_TRUE(says(check(token.substr(0, token.size() - 1)), "mistyped or cut"));
  for (std::size_t i = 4; i < token.size(); ++i) {
    std::string typo = token;
    typo[i] = typo[i] == 'x' ? 'y' : 'x';
    EXPECT_TRUE(says(check(typo), "mistyped or cut")) << i;
  }
  std::string swapped = token;
  swapped[2] = 'k';  // fgk_: of the other kind
  EXPECT_TRUE(says(check(swapped), "mistyped or cut"));
  EXPECT_TRUE(says(check(make_secret(SecretKind::device_token)), "not known"));
  const auto expiring = token_of("d", wall_now() + 1_h);
  EXPECT_TRUE(check(expiring));
  EXPECT_TRUE(says(credentials_->authenticate({.password = expiring}, wall_now() + 2_h), "expired at"));
  for (const auto& refused : {check(token.substr(1)), check("fgd_" + token)}) {
    EXPECT_EQ(refused.error().message.find(token.substr(4, 10)), std::string::npos) << "a secret was told";
  }
}

TEST_F(CredentialsTest, revoking_reaches_live_connections) {
  registry_.directory().ensure(kTenant, "d");
  const std::string first = token_of("d");
  const std::string second = token_of("d");
  const IdentityPtr connected = check(first).value();
  std::vector<std::string> told;
  {
    const auto subscription =
        credentials_->on_revoked([&](const IdentityPtr& identity) { told.push_back(identity->credential_id()); });
    ASSERT_TRUE(wait(credentials_->revoke(kTenant, "d", connected->credential_id())));
    EXPECT_EQ(told, std::vector{connected->credential_id()});
  }
  EXPECT_FALSE(connected->live(wall_now()));
  EXPECT_EQ(code(check(first)), ErrorCode::unauthenticated);
  EXPECT_TRUE(check(second)) << "the other one goes on: credentials change without a pause";
  EXPECT_EQ(code(wait(credentials_->revoke(kTenant, "d", connected->credential_id()))), ErrorCode::not_found);
  for (int round = 0; round < 2; ++round) {
    const auto refused = check(first);
    EXPECT_EQ(code(refused), ErrorCode::unauthenticated);
    EXPECT_NE(refused.error().message.find("the device token was revoked at 20"), std::string::npos)
        << refused.error().message;
    const auto owner = credentials_->former_owner({.user_name = "d", .password = first});
    ASSERT_TRUE(owner) << "whose it was is known, so that the refusal shows where it belongs";
    EXPECT_EQ(owner->tenant, kTenant);
    EXPECT_EQ(owner->device, "d");
    restart();
  }
  EXPECT_FALSE(credentials_->former_owner({.password = make_secret(SecretKind::device_token)}));
  EXPECT_TRUE(check(second));
  ASSERT_TRUE(wait(credentials_->revoke(kTenant, "d", check(second).value()->credential_id())));
  EXPECT_EQ(told.size(), 1u) << "nobody listens any more";
}

TEST_F(CredentialsTest, a_deleted_device_takes_its_tokens_along) {
  registry_.directory().ensure(kTenant, "d");
  const std::string token = token_of("d");
  const IdentityPtr connected = check(token).value();
  int told = 0;
  const auto subscription = credentials_->on_revoked([&](const IdentityPtr&) { ++told; });
  ASSERT_TRUE(wait(registry_->delete_device(kTenant, "d")));
  EXPECT_FALSE(connected->live(wall_now()));
  EXPECT_EQ(told, 1);
  EXPECT_NE(check(token).error().message.find("device was deleted"), std::string::npos);
  registry_.directory().ensure(kTenant, "d");  // one of the same name is another device
  EXPECT_EQ(code(check(token)), ErrorCode::unauthenticated);
  EXPECT_TRUE(wait(credentials_->list(kTenant, "d"))->empty());
  restart();
  EXPECT_EQ(code(check(token)), ErrorCode::unauthenticated);
}

TEST_F(CredentialsTest, tokens_are_listed_without_their_secrets_and_few) {
  EXPECT_EQ(code(wait(credentials_->list(kTenant, "nobody"))), ErrorCode::not_found);
  EXPECT_EQ(code(wait(credentials_->create(kTenant, "nobody", std::nullopt))), ErrorCode::not_found);
  registry_.directory().ensure(kTenant, "d");
  EXPECT_EQ(code(wait(credentials_->create(kTenant, "d", wall_now() - 1_s))), ErrorCode::invalid_argument);
  const Time until = wall_now() + 1_h;
  token_of("d", until);
  for (int i = 1; i < 10; ++i) token_of("d");
  EXPECT_EQ(code(wait(credentials_->create(kTenant, "d", std::nullopt))), ErrorCode::exhausted);
  const auto all = wait(credentials_->list(kTenant, "d"));
  ASSERT_EQ(all->size(), 10u);
  EXPECT_EQ(all->front().expires_at, until);
  EXPECT_FALSE(all->front().last_used_at);
}

TEST_F(CredentialsTest, ingest_keys_speak_for_all_devices_of_their_tenant) {
  const auto made = wait(credentials_->create_ingest_key(kTenant, "fleet", true));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(code(wait(credentials_->create_ingest_key(kTenant, "fleet", false))), ErrorCode::already_exists);
  EXPECT_EQ(code(wait(credentials_->create_ingest_key(kTenant, "", false))), ErrorCode::invalid_argument);
  for (int round = 0; round < 2; ++round) {
    const auto identity = check(made->secret);
    ASSERT_TRUE(identity);
    EXPECT_EQ((*identity)->kind(), Identity::Kind::ingest_key);
    EXPECT_TRUE((*identity)->create_devices());
    EXPECT_TRUE((*identity)->may_speak_for("anything"));
    restart();
  }
  const auto keys = wait(credentials_->ingest_keys(kTenant));
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().name, "fleet");
  const IdentityPtr connected = check(made->secret).value();
  ASSERT_TRUE(wait(credentials_->revoke_ingest_key(kTenant, keys->front().id)));
  EXPECT_FALSE(connected->live(wall_now()));
  EXPECT_EQ(code(wait(credentials_->revoke_ingest_key(kTenant, keys->front().id))), ErrorCode::not_found);
  EXPECT_TRUE(wait(credentials_->create_ingest_key(kTenant, "fleet", false))) << "the name is free again";
}

TEST_F(CredentialsTest, last_use_is_written_now_and_then_and_what_expired_long_ago_goes) {
  registry_.directory().ensure(kTenant, "d");
  const std::string token = token_of("d");
  const Time until = wall_now() + 1_min;
  token_of("d", until);
  const Time used = wall_now();
  ASSERT_TRUE(credentials_->authenticate({.password = token}, used));
  credentials_->tidy(used);
  restart();  // waits for what was submitted
  auto all = wait(credentials_->list(kTenant, "d"));
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(all->front().last_used_at, used);
  credentials_->tidy(until + 24_h * 31);
  restart();
  all = wait(credentials_->list(kTenant, "d"));
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->front().last_used_at, used);
}

TEST_F(CredentialsTest, the_database_holds_no_secret) {
  registry_.directory().ensure(kTenant, "d");
  const std::string token = token_of("d");
  const auto key = wait(credentials_->create_ingest_key(kTenant, "k", false));
  credentials_.reset();
  registry_.close();
  std::string bytes;
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    std::FILE* const stream = std::fopen(file.path().c_str(), "rb");
    std::array<char, 65536> part{};
    while (const std::size_t n = std::fread(part.data(), 1, part.size(), stream)) bytes.append(part.data(), n);
    std::fclose(stream);
  }
  EXPECT_NE(bytes.find("device_credentials"), std::string::npos);
  for (const std::string& secret : {token, key->secret}) {
    EXPECT_EQ(bytes.find(secret.substr(4, 20)), std::string::npos);
  }
}

TEST_F(CredentialsTest, a_connection_remembers_its_last_credential) {
  registry_.directory().ensure(kTenant, "d");
  registry_.directory().ensure(kTenant, "e");
  const std::string d = token_of("d");
  const std::string e = token_of("e");
  DeviceAuthCache cache(*credentials_);
  const auto ask = [&](std::string_view password) { return cache.authenticate({.password = password}, wall_now()); };
  const IdentityPtr first = ask(d).value();
  EXPECT_EQ(ask(d).value(), first);
  EXPECT_EQ(ask(e).value()->device(), "e");
  EXPECT_FALSE(ask(d + "x"));
  EXPECT_EQ(ask(d).value()->device(), "d");
  ASSERT_TRUE(wait(credentials_->revoke(kTenant, "d", first->credential_id())));
  EXPECT_FALSE(ask(d)) << "revoked, whatever is remembered";
  const std::string short_lived = token_of("e", wall_now() + 1_h);
  ASSERT_TRUE(ask(short_lived));
  EXPECT_FALSE(cache.authenticate({.password = short_lived}, wall_now() + 2_h));
}

TEST_F(CredentialsTest, checks_and_revocations_from_many_threads) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 8; ++i) {
    const std::string device = "d" + std::to_string(i);
    registry_.directory().ensure(kTenant, device);
    tokens.push_back(token_of(device));
  }
  std::atomic<bool> stop{false};
  std::atomic<int> told{0};
  const auto subscription = credentials_->on_revoked([&](const IdentityPtr&) { ++told; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        for (const auto& token : tokens) {
          if (const auto identity = check(token)) static_cast<void>((*identity)->live(wall_now()));
        }
        const auto passing = credentials_->on_revoked([](const IdentityPtr&) {});
        credentials_->tidy(wall_now());
      }
    });
  }
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(wait(registry_->delete_device(kTenant, "d" + std::to_string(i))));
    EXPECT_FALSE(check(tokens[static_cast<std::size_t>(i)]));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(told, 8);
}

/// Version 1 as it was released: a copy that never changes, whatever becomes of credentials.cc.
constexpr std::string_view kVersion1 = R"sql(
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
    )sql";

TEST(CredentialsSchema, version_1_opens) {
  const std::string token = "fgd_0123456789ABCDEFGHIJKLMNOPQRST2QpGFO";  // its hash is what the row holds
  registry::TestFolder folder;
  registry::TestRegistry registry(folder.path() / "registry.db");
  ASSERT_TRUE(registry.wait(registry->create_device(kTenant, {.device = "d"})));
  const store::Migration released{1, "credentials", kVersion1};
  ASSERT_TRUE(registry.database().migrate("credentials", std::span(&released, 1)));
  const auto written = registry.database().write([&](store::Session& session) -> Result<> {
    DO(
        session.run("INSERT INTO device_credentials VALUES ('abc', x'0ea1d94b541eaf5ffe96b5ccd1ededfa"
                    "f75273ea658e78370e3b6fa44267df88', 1, 'd', 5, NULL, 7)"));
    DO(
        session.run("INSERT INTO ingest_keys VALUES ('def', x'00112233445566778899aabbccddeeff"
                    "00112233445566778899aabbccddeeff', 1, 'fleet', 1, 6, NULL)"));
    return {};
  });
  ASSERT_TRUE(written) << written.error().message;
  const auto credentials = Credentials::open(registry.database(), *registry, registry.directory(), registry.metrics());
  ASSERT_TRUE(credentials) << credentials.error().message;
  const auto listed = registry.wait((*credentials)->list(kTenant, "d"));
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().last_used_at, Time{7});
  EXPECT_EQ(registry.wait((*credentials)->ingest_keys(kTenant))->front().name, "fleet");
  const auto identity = (*credentials)->authenticate({.password = token}, wall_now());
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ((*identity)->device(), "d");
}

TEST(OpenDeviceAuthenticator, lets_everybody_in) {
  OpenDeviceAuthenticator open;
  const auto identity = open.authenticate({}, wall_now());
  ASSERT_TRUE(identity);
  EXPECT_EQ((*identity)->kind(), Identity::Kind::open);
  EXPECT_TRUE((*identity)->create_devices());
  EXPECT_TRUE((*identity)->may_speak_for("d"));
  EXPECT_TRUE((*identity)->live(Time::max()));
}

TEST(DeviceSecret, has_its_form) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string secret = make_secret(SecretKind::ingest_key);
    EXPECT_EQ(secret.size(), 40u);
    EXPECT_EQ(check_secret(SecretKind::ingest_key, secret), SecretCheck::good);
    EXPECT_EQ(check_secret(SecretKind::device_token, secret), SecretCheck::other);
    EXPECT_TRUE(seen.insert(secret).second);
  }
}

}  // namespace
}  // namespace flux::auth
