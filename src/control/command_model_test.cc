#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "control/command_table.h"
#include "control/schema.h"
#include "registry/test_registry.h"

namespace flux::control {
namespace {

constexpr TenantId kTenant{1};

/// What is known of one command, kept in the plainest way.
struct Known {
  std::string id;
  std::string device;
  bool response = true;
  Time expires;
  State state = State::queued;
  bool finished = false;
  bool delivered = false;
  unsigned deliveries = 0;
};

/// Random lives of commands, step by step beside a model; the database is closed in between as a crash would.
class Lives {
 public:
  explicit Lives(std::uint64_t seed) : random_(seed) { open(); }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      now_ = now_ + Duration{static_cast<std::int64_t>(pick(2'000)) * 1'000'000};
      switch (pick(12)) {
        case 0:
        case 1: create(); break;
        case 2:
        case 3:
        case 4: connect(); break;
        case 5:
        case 6: acknowledge(); break;
        case 7: answer(); break;
        case 8: refuse(); break;
        case 9: cancel(); break;
        case 10: expire(); break;
        default: open(); break;
      }
      compare();
    }
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }
  std::string device() { return std::string(1, static_cast<char>('a' + pick(3))); }
  Known* any() { return known_.empty() ? nullptr : &known_[pick(known_.size())]; }

  void open() {
    database_.reset();
    auto opened = store::sqlite::open({.path = folder_.path() / "commands.db"}, metrics_);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
    ASSERT_TRUE(database_->migrate("control", migrations()));
  }
  Result<> write(const std::function<Result<>(store::Session&, Changes&)>& step) {
    Changes changes;
    return database_->write([&](store::Session& session) { return step(session, changes); });
  }

  void create() {
    table::NewCommands wanted{.tenant = kTenant,
                              .devices = {device()},
                              .name = "go",
                              .payload = "null",
                              .response = pick(3) != 0,
                              .sender = "me",
                              .key = {},
                              .digest = {},
                              .expires_at = now_ + Duration{static_cast<std::int64_t>(1 + pick(20)) * 1'000'000'000}};
    ASSERT_TRUE(write([&](store::Session& session, Changes& changes) -> Result<> {
      TRY(const auto made, table::create(session, wanted, 1'000, now_, changes));
      known_.push_back(
          {.id = made[0].id, .device = made[0].device, .response = wanted.response, .expires = wanted.expires_at});
      return {};
    }));
  }

  /// The oldest that the device has not said it has goes out, unless its time is over.
  void connect() {
    const std::string to = device();
    std::string expected;
    for (Known& one : known_) {
      if (one.device != to || one.finished || one.state > State::sent) continue;
      if (one.expires <= now_) {
        end(one, State::expired);
        continue;
      }
      one.state = State::sent;
      ++one.deliveries;
      expected = one.id;
      break;
    }
    ASSERT_TRUE(write([&](store::Session& session, Changes& changes) -> Result<> {
      TRY(const auto next, table::take(session, kTenant, to, now_, changes));
      EXPECT_EQ(next ? next->id : std::string(), expected);
      return {};
    }));
  }

  void acknowledge() {
    Known* const one = any();
    // A device acknowledges what it was given, sometimes twice, sometimes after the end; and once what it never got.
    if (one == nullptr) return;
    if (!one->delivered && one->deliveries > 0) {
      one->delivered = true;
      if (!one->finished) {
        one->state = State::delivered;
        one->finished = !one->response;
      }
    }
    ASSERT_TRUE(write([&](store::Session& session, Changes& changes) {
      return table::received(session, kTenant, one->device, one->id, now_, changes);
    }));
  }

  void answer() {
    Known* const one = any();
    if (one == nullptr) return;
    const bool stranger = pick(5) == 0;
    const bool succeeded = pick(2) == 0;
    const State said = succeeded ? State::succeeded : State::failed;
    std::optional<ErrorCode> refused;
    if (stranger || one->deliveries == 0) {
      refused = ErrorCode::not_found;
    } else if (one->state == State::succeeded || one->state == State::failed) {
      if (one->state != said) refused = ErrorCode::already_exists;
    } else if (one->state == State::expired) {
      one->delivered = true;
    } else {
      one->delivered = true;
      end(*one, said);
    }
    const auto result = write([&](store::Session& session, Changes& changes) {
      return table::answered(session, kTenant, stranger ? "z" : one->device, one->id,
                             {.succeeded = succeeded, .result = "1", .reason = {}}, now_, changes);
    });
    if (refused) ASSERT_FALSE(result) << to_string(one->state);
    if (refused) EXPECT_EQ(result.error().code, *refused);
    else ASSERT_TRUE(result) << result.error().message;
  }

  void refuse() {
    Known* const one = any();
    if (one == nullptr || one->deliveries == 0) return;
    if (!one->finished) {
      one->delivered = true;
      end(*one, State::failed);
    }
    ASSERT_TRUE(write([&](store::Session& session, Changes& changes) {
      return table::refused(session, kTenant, one->device, one->id, true, "no", now_, changes);
    }));
  }

  void cancel() {
    Known* const one = any();
    if (one == nullptr) return;
    const bool possible = one->state == State::queued;
    const auto result = write([&](store::Session& session, Changes& changes) -> Result<> {
      TRY(const auto gone, table::cancel(session, kTenant, one->id, "me", now_, changes));
      EXPECT_EQ(gone.state, State::cancelled);
      return {};
    });
    EXPECT_EQ(result.has_value(), possible);
    if (possible) end(*one, State::cancelled);
  }

  void expire() {
    std::optional<Time> next;
    for (Known& one : known_) {
      if (one.finished) continue;
      if (one.expires <= now_) end(one, State::expired);
      else if (!next || one.expires < *next) next = one.expires;
    }
    ASSERT_TRUE(write([&](store::Session& session, Changes& changes) -> Result<> {
      TRY(const auto due, table::expire(session, now_, 1'000, changes));
      EXPECT_EQ(due, next);
      return {};
    }));
  }

  static void end(Known& one, State state) {
    one.state = state;
    one.finished = true;
  }

  void compare() {
    ASSERT_TRUE(database_->read([&](store::Session& session) -> Result<> {
      TRY(const auto all, table::list(session, {.tenant = kTenant, .device = {}, .state = {}, .limit = 100'000}));
      EXPECT_EQ(all.size(), known_.size());
      for (std::size_t i = 0; i < all.size() && i < known_.size(); ++i) {
        const Command& command = all[all.size() - 1 - i];
        const Known& one = known_[i];
        EXPECT_EQ(command.id, one.id);
        EXPECT_EQ(to_string(command.state), to_string(one.state)) << one.id;
        EXPECT_EQ(command.finished(), one.finished) << one.id;
        EXPECT_EQ(command.delivered_at.has_value(), one.delivered) << one.id;
        EXPECT_EQ(command.deliveries, one.deliveries) << one.id;
        EXPECT_EQ(command.sent_at.has_value(), one.deliveries > 0) << one.id;
      }
      TRY(const auto waiting, table::count_waiting(session));
      EXPECT_EQ(waiting.queued + waiting.sent + waiting.delivered,
                static_cast<std::size_t>(std::ranges::count_if(known_, [](const Known& k) { return !k.finished; })));
      return {};
    }));
  }

  registry::TestFolder folder_;
  metrics::Registry metrics_;
  std::unique_ptr<store::Database> database_;
  std::mt19937_64 random_;
  Time now_{1'767'225'600'000'000'000};
  std::vector<Known> known_;
};

TEST(CommandModel, every_step_is_what_the_model_says) {
  const char* const given = std::getenv("FLUX_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  for (std::uint64_t seed = first; seed < first + (given != nullptr ? 1 : 20); ++seed) {
    std::printf("FLUX_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    Lives lives(seed);
    lives.run(300);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace flux::control
