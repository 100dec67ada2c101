#include "auth/accounts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "auth/access_token.h"
#include "auth/throttle.h"
#include "observe/metrics.h"
#include "runtime/shard.h"
#include "runtime/spawn.h"
#include "store/database/sqlite/sqlite_database.h"

namespace flux::auth {
namespace {

namespace fs = std::filesystem;

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() : folder_(fs::path(testing::TempDir()) / ("accounts-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_.password_memory = 8_MiB;
    config_.password_passes = 1;
    shards_.start();
    open();
  }
  ~AccountsTest() override {
    accounts_.reset();
    database_.reset();
    shards_.stop();
    shards_.join();
    fs::remove_all(folder_);
  }
  void open() {
    accounts_.reset();
    database_.reset();
    auto database = store::sqlite::open({.path = folder_ / "registry.db"}, metrics_);
    ASSERT_TRUE(database) << database.error().message;
    database_ = *std::move(database);
    auto accounts = Accounts::open(*database_, workers_, folder_, config_);
    ASSERT_TRUE(accounts) << accounts.error().message;
    accounts_ = *std::move(accounts);
  }
  template <class T>
  Result<T> wait(Async<T> task) {
    return runtime::block_on(shards_[0], std::move(task));
  }
  PrincipalPtr by_link() {
    auto in = wait(accounts_->exchange_link(accounts_->issue_link().value(), "peer"));
    EXPECT_TRUE(in) << in.error().message;
    return accounts_->by_session(in->session, wall_now()).value();
  }

  fs::path folder_;
  Config config_;
  metrics::Registry metrics_;
  runtime::Shards shards_{1};
  runtime::Workers workers_{2, 16};
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Accounts> accounts_;
};

TEST_F(AccountsTest, TheLinkWorksOnceAndUntilAPasswordIsSet) {
  const std::string link = accounts_->issue_link().value();
  EXPECT_FALSE(wait(accounts_->exchange_link(link + "x", "peer")));
  const auto in = wait(accounts_->exchange_link(link, "peer"));
  ASSERT_TRUE(in);
  EXPECT_FALSE(in->user.has_password);
  EXPECT_EQ(wait(accounts_->exchange_link(link, "peer")).error().code, ErrorCode::unauthenticated);
  const std::string older = accounts_->issue_link().value();
  const std::string newer = accounts_->issue_link().value();
  EXPECT_FALSE(wait(accounts_->exchange_link(older, "peer")));
  const auto principal = accounts_->by_session(in->session, wall_now()).value();
  EXPECT_TRUE(principal->allows(Permission::manage_system));
  EXPECT_EQ(wait(accounts_->set_password(principal, {}, "short", "peer")).error().field, "new");
  ASSERT_TRUE(wait(accounts_->set_password(principal, {}, "long enough", "peer")));
  EXPECT_FALSE(accounts_->issue_link());
  EXPECT_FALSE(wait(accounts_->exchange_link(newer, "peer")));
}

TEST_F(AccountsTest, SessionsSurviveARestartAndEndWhenTheyShould) {
  const auto in = wait(accounts_->exchange_link(accounts_->issue_link().value(), "peer"));
  open();
  ASSERT_TRUE(accounts_->by_session(in->session, wall_now()));
  EXPECT_FALSE(accounts_->by_session(in->session + "x", wall_now()));
  EXPECT_FALSE(accounts_->by_session("", wall_now()));
  EXPECT_FALSE(accounts_->by_session(in->session, wall_now() + config_.session_idle + 1_min));

  const auto again = wait(accounts_->exchange_link(accounts_->issue_link().value(), "peer"));
  const auto principal = accounts_->by_session(again->session, wall_now()).value();
  ASSERT_TRUE(wait(accounts_->sign_out(principal)));
  EXPECT_FALSE(accounts_->by_session(again->session, wall_now()));
  open();
  EXPECT_FALSE(accounts_->by_session(again->session, wall_now()));
}

TEST_F(AccountsTest, ASessionInUseLivesOnButNotForever) {
  const auto in = wait(accounts_->exchange_link(accounts_->issue_link().value(), "peer"));
  Time now = wall_now();
  const Time start = now;
  for (; now < start + config_.session_life - 12_h; now = now + 11_h)
    ASSERT_TRUE(accounts_->by_session(in->session, now));
  EXPECT_FALSE(accounts_->by_session(in->session, start + config_.session_life + 1_min));
}

TEST_F(AccountsTest, PasswordsAndTokens) {
  const auto principal = by_link();
  ASSERT_TRUE(wait(accounts_->set_password(principal, {}, "correct horse", "peer")));
  EXPECT_EQ(wait(accounts_->sign_in("admin", "wrong", "peer")).error().code, ErrorCode::unauthenticated);
  EXPECT_EQ(wait(accounts_->sign_in("nobody", "correct horse", "peer")).error().code, ErrorCode::unauthenticated);
  EXPECT_EQ(wait(accounts_->sign_in("admin", "wrong", "peer")).error(),
            wait(accounts_->sign_in("nobody", "x", "peer")).error());
  const auto tokens = wait(accounts_->sign_in_for_tokens("admin", "correct horse", "peer"));
  ASSERT_TRUE(tokens) << tokens.error().message;
  const auto bearer = accounts_->by_bearer(tokens->access_token, wall_now());
  ASSERT_TRUE(bearer) << bearer.error().message;
  EXPECT_EQ((*bearer)->user.name, "admin");
  EXPECT_FALSE(accounts_->by_bearer(tokens->access_token, wall_now() + config_.access_token_life + 1_min));

  const auto rotated = wait(accounts_->refresh(tokens->refresh_token));
  ASSERT_TRUE(rotated);
  EXPECT_FALSE(wait(accounts_->refresh(tokens->refresh_token))) << "a refresh token is good once";
  EXPECT_FALSE(wait(accounts_->refresh(rotated->refresh_token))) << "and using it again ends its family";
  EXPECT_FALSE(accounts_->by_bearer(rotated->access_token, wall_now())) << "access tokens too";
  EXPECT_FALSE(accounts_->by_bearer(tokens->access_token, wall_now()));
  EXPECT_TRUE(accounts_->by_session("", wall_now()).error().code == ErrorCode::unauthenticated);

  EXPECT_EQ(wait(accounts_->set_password(principal, "not it", "new password", "peer")).error().field, "current");
  const auto more = wait(accounts_->sign_in_for_tokens("admin", "correct horse", "peer")).value();
  const auto elsewhere = wait(accounts_->sign_in("admin", "correct horse", "peer")).value();
  ASSERT_TRUE(accounts_->by_bearer(more.access_token, wall_now()));
  ASSERT_TRUE(wait(accounts_->set_password(principal, "correct horse", "new password", "peer")));
  EXPECT_FALSE(accounts_->by_bearer(more.access_token, wall_now())) << "a new password voids what went before";
  EXPECT_FALSE(wait(accounts_->refresh(more.refresh_token)));
  EXPECT_FALSE(accounts_->by_session(elsewhere.session, wall_now()));
  EXPECT_TRUE(accounts_->still_good(*principal, wall_now())) << "but not the session that set it";
  open();
  EXPECT_TRUE(wait(accounts_->sign_in("admin", "new password", "peer")));
}

TEST_F(AccountsTest, ALongConnectionEndsWithWhatItWasOpenedWith) {
  const auto session = by_link();
  EXPECT_TRUE(accounts_->still_good(*session, wall_now()));
  EXPECT_FALSE(accounts_->still_good(*session, wall_now() + config_.session_life + 1_min));
  ASSERT_TRUE(wait(accounts_->set_password(session, {}, "correct horse", "peer")));
  const auto tokens = wait(accounts_->sign_in_for_tokens("admin", "correct horse", "peer")).value();
  const auto bearer = accounts_->by_bearer(tokens.access_token, wall_now()).value();
  EXPECT_TRUE(accounts_->still_good(*bearer, wall_now()));
  EXPECT_FALSE(accounts_->still_good(*bearer, wall_now() + config_.access_token_life + 1_min));
  ASSERT_TRUE(wait(accounts_->set_password(session, "correct horse", "battery staple", "peer")));
  EXPECT_FALSE(accounts_->still_good(*bearer, wall_now()));
  ASSERT_TRUE(wait(accounts_->sign_out(session)));
  EXPECT_FALSE(accounts_->still_good(*session, wall_now()));
}

TEST_F(AccountsTest, SigningOutWithATokenEndsItsLogInAndNoOther) {
  ASSERT_TRUE(wait(accounts_->set_password(by_link(), {}, "correct horse", "peer")));
  const auto one = wait(accounts_->sign_in_for_tokens("admin", "correct horse", "peer")).value();
  const auto later = wait(accounts_->refresh(one.refresh_token)).value();
  const auto other = wait(accounts_->sign_in_for_tokens("admin", "correct horse", "peer")).value();
  const auto principal = accounts_->by_bearer(later.access_token, wall_now()).value();
  int told = 0;
  {
    const auto subscription =
        accounts_->on_ended([&] { told += accounts_->still_good(*principal, wall_now()) ? 0 : 1; });
    ASSERT_TRUE(wait(accounts_->sign_out(principal)));
  }
  EXPECT_EQ(told, 1) << "who holds a connection open learns of it";
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(accounts_->by_bearer(one.access_token, wall_now()).error().code, ErrorCode::unauthenticated);
    EXPECT_EQ(accounts_->by_bearer(later.access_token, wall_now()).error().code, ErrorCode::unauthenticated);
    EXPECT_TRUE(accounts_->by_bearer(other.access_token, wall_now()));
    open();  // and it stays so
  }
  EXPECT_EQ(wait(accounts_->refresh(later.refresh_token)).error().code, ErrorCode::unauthenticated);
  EXPECT_TRUE(wait(accounts_->refresh(other.refresh_token)));
  EXPECT_EQ(told, 1) << "nobody listens any more";
}

TEST_F(AccountsTest, GuessingIsSlowedDownPerNameAndAddress) {
  ASSERT_TRUE(wait(accounts_->set_password(by_link(), {}, "correct horse", "peer")));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(wait(accounts_->sign_in("admin", "wrong", "a")).error().code, ErrorCode::unauthenticated);
  EXPECT_EQ(wait(accounts_->sign_in("admin", "correct horse", "a")).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(wait(accounts_->sign_in("admin", "correct horse", "b"))) << "nobody is locked out from elsewhere";
  EXPECT_EQ(wait(accounts_->sign_in("other", "x", "a")).error().code, ErrorCode::exhausted);
  EXPECT_EQ(wait(accounts_->sign_in("other", "x", "c")).error().code, ErrorCode::unauthenticated);
}

TEST_F(AccountsTest, TheLocalTokenIsForThisProcessOnly) {
  EXPECT_FALSE(accounts_->by_bearer("", wall_now()));
  const std::string token = accounts_->local_token();
  EXPECT_EQ(accounts_->by_bearer(token, wall_now()).value()->kind, Principal::Kind::local);
  open();
  EXPECT_FALSE(accounts_->by_bearer(token, wall_now()));
}

TEST_F(AccountsTest, TokensAreRefusedForEveryReason) {
  const auto ours = AccessTokens::open(folder_ / "ours.key").value();
  const auto theirs = AccessTokens::open(folder_ / "theirs.key").value();
  const Time now = wall_now();
  const Claims claims{.user = 1,
                      .tenant = {1},
                      .role = Role::viewer,
                      .generation = 1,
                      .log_in = "l",
                      .issued_at = now,
                      .expires_at = now + 1_min};
  const std::string good = ours.issue(claims).value();
  EXPECT_TRUE(ours.verify(good, now));
  EXPECT_TRUE(AccessTokens::open(folder_ / "ours.key").value().verify(good, now)) << "the key is kept";
  EXPECT_EQ(theirs.verify(good, now).error().message, "the access token is signed with another key");
  EXPECT_FALSE(ours.verify(good, now + 2_min));
  EXPECT_FALSE(ours.verify(good, now - 2_min));
  EXPECT_FALSE(ours.verify("", now));
  EXPECT_FALSE(ours.verify("a.b.c", now));
  EXPECT_FALSE(ours.verify(std::string(5000, 'a'), now));
  // {"alg":"none"} and {"alg":"HS256"} with the same payload
  const std::string rest = good.substr(good.find('.'));
  for (const char* header : {"eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"}) {
    EXPECT_FALSE(ours.verify(header + rest, now));
    EXPECT_FALSE(ours.verify(header + rest.substr(0, rest.rfind('.') + 1), now));
  }
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    // The last character of the signature carries bits that base64url leaves unused.
    if (changed != good) EXPECT_FALSE(ours.verify(changed, now)) << i;
  }
  EXPECT_EQ(fs::status(folder_ / "ours.key").permissions() & fs::perms::mask,
            fs::perms::owner_read | fs::perms::owner_write);
  std::ofstream(folder_ / "bad.key") << "{}";
  EXPECT_EQ(AccessTokens::open(folder_ / "bad.key").error().code, ErrorCode::corrupt);
}

TEST(LoginThrottle, WaitsLongerEachTimeAndForgets) {
  LoginThrottle throttle;
  Duration now = 10_h;
  for (int i = 0; i < 4; ++i) throttle.failed("k", now);
  EXPECT_TRUE(throttle.admit("k", now));
  throttle.failed("k", now);
  EXPECT_FALSE(throttle.admit("k", now));
  EXPECT_TRUE(throttle.admit("other", now));
  now = now + 2_s;
  EXPECT_TRUE(throttle.admit("k", now));
  throttle.failed("k", now);
  EXPECT_FALSE(throttle.admit("k", now + 1_s));
  for (int i = 0; i < 30; ++i) throttle.failed("k", now);
  EXPECT_FALSE(throttle.admit("k", now + 4_min));
  EXPECT_TRUE(throttle.admit("k", now + 6_min));
  throttle.succeeded("k");
  EXPECT_TRUE(throttle.admit("k", now));
}

TEST(LoginThrottle, KeepsTheNewestOfVeryManyKeys) {
  LoginThrottle throttle(1, 100);
  for (int i = 0; i < 1000; ++i) {
    throttle.failed("k" + std::to_string(i), 10_h + 10_ms * i);
    ASSERT_LE(throttle.keys(), 100u);
  }
  EXPECT_GE(throttle.keys(), 75u);
  EXPECT_FALSE(throttle.admit("k999", 10_h + 10_s)) << "who failed last is still slowed down";
}

TEST(Policy, EveryRoleHasWhatALesserOneHas) {
  for (const auto& row : kPermissions) {
    EXPECT_EQ(permission_from(row.name), row.permission);
    EXPECT_TRUE(allows(Role::administrator, row.permission));
    if (allows(Role::viewer, row.permission)) EXPECT_TRUE(allows(Role::operator_, row.permission));
  }
  EXPECT_FALSE(allows(Role::viewer, Permission::send));
  EXPECT_FALSE(permission_from("nonsense"));
}

}  // namespace
}  // namespace flux::auth
