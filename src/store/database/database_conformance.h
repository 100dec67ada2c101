#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/database/database.h"

/// What every adapter of `Database` must do. An adapter's test instantiates it:
///
///     INSTANTIATE_TEST_SUITE_P(Sqlite, DatabaseConformance, ::testing::Values(DatabaseMaker{…}));
namespace flux::store {

/// An empty database of its own; `reopen` closes it and opens what it left.
class DatabaseFixture {
 public:
  virtual ~DatabaseFixture() = default;
  virtual Database& database() = 0;
  virtual void reopen() = 0;
};
using DatabaseMaker = std::function<std::unique_ptr<DatabaseFixture>()>;

class DatabaseConformance : public ::testing::TestWithParam<DatabaseMaker> {
 protected:
  static constexpr Migration kItems{1, "items", R"(
    CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT UNIQUE, score DOUBLE PRECISION, data BYTEA);
    CREATE TABLE parts (item BIGINT NOT NULL REFERENCES items (id) ON DELETE CASCADE, part TEXT NOT NULL);
  )"};

  void SetUp() override {
    fixture_ = GetParam()();
    const auto migrated = db().migrate("test", std::span(&kItems, 1));
    ASSERT_TRUE(migrated) << migrated.error().message;
  }
  Database& db() { return fixture_->database(); }

  Result<> add(std::int64_t id, std::string name) {
    return db().write([=](Session& session) -> Result<> {
      DO(session.run("INSERT INTO items (id, name) VALUES (?, ?)", {id, name}));
      return {};
    });
  }
  std::int64_t count() {
    std::int64_t found = -1;
    const auto read = db().read([&](Session& session) -> Result<> {
      TRY(const auto row, session.first("SELECT count(*) FROM items", {}, [](const Row& r) { return r.integer(0); }));
      found = row.value();
      return {};
    });
    EXPECT_TRUE(read) << read.error().message;
    return found;
  }

  std::unique_ptr<DatabaseFixture> fixture_;
};

TEST_P(DatabaseConformance, keeps_values_of_every_type) {
  const std::string text("a\0b\xC3\xA4", 5);
  const std::string bytes("\0\xff\x01", 3);
  const Bind::Blob blob{std::as_bytes(std::span(bytes))};
  ASSERT_TRUE(db().write([&](Session& session) -> Result<> {
    const char* const insert = "INSERT INTO items (id, name, score, data) VALUES (?, ?, ?, ?)";
    DO(session.run(insert, {INT64_MIN, text, 0.1, blob}));
    DO(session.run(insert, {INT64_MAX, std::optional<std::string>(), -0.0, nullptr}));
    DO(session.run(insert, {0, std::string_view(), std::optional<double>(1e308), Bind::Blob{}}));
    return {};
  }));
  fixture_->reopen();
  std::vector<std::int64_t> ids;
  ASSERT_TRUE(db().read([&](Session& session) -> Result<> {
    return session.each("SELECT id, name, score, data FROM items ORDER BY id", {}, [&](const Row& row) -> Result<> {
      ids.push_back(row.integer(0));
      if (row.integer(0) == INT64_MIN) {
        EXPECT_EQ(row.text(1), text);
        EXPECT_EQ(row.real(2), 0.1);
        EXPECT_TRUE(std::ranges::equal(row.blob(3), blob.bytes));
      } else if (row.integer(0) == 0) {
        EXPECT_FALSE(row.is_null(1));
        EXPECT_EQ(row.text(1), "");
        EXPECT_EQ(row.real(2), 1e308);
        EXPECT_FALSE(row.is_null(3));
      } else {
        EXPECT_TRUE(row.is_null(1));
        EXPECT_EQ(row.optional_text(1), std::nullopt);
        EXPECT_TRUE(row.is_null(3));
      }
      return {};
    });
  }));
  EXPECT_EQ(ids, (std::vector<std::int64_t>{INT64_MIN, 0, INT64_MAX}));
}

TEST_P(DatabaseConformance, failed_work_leaves_nothing) {
  const auto result = db().write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO items (id, name) VALUES (1, 'a')"));
    return fail(ErrorCode::not_found, "changed my mind");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "changed my mind");
  EXPECT_EQ(count(), 0);
  EXPECT_FALSE(db().write([](Session&) -> Result<> { throw std::runtime_error("thrown"); }));
  EXPECT_TRUE(add(2, "b"));
}

TEST_P(DatabaseConformance, constraints_have_codes) {
  ASSERT_TRUE(add(1, "a"));
  EXPECT_EQ(add(1, "b").error().code, ErrorCode::already_exists);
  EXPECT_EQ(add(2, "a").error().code, ErrorCode::already_exists);
  const auto orphan = db().write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO parts (item, part) VALUES (77, 'x')"));
    return {};
  });
  EXPECT_EQ(orphan.error().code, ErrorCode::invalid_argument);
  const auto missing = db().write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO parts (item, part) VALUES (1, ?)", {nullptr}));
    return {};
  });
  EXPECT_EQ(missing.error().code, ErrorCode::invalid_argument);
}

TEST_P(DatabaseConformance, run_counts_changed_rows) {
  ASSERT_TRUE(add(1, "a"));
  ASSERT_TRUE(add(2, "b"));
  ASSERT_TRUE(db().write([](Session& session) -> Result<> {
    TRY(const auto two, session.run("UPDATE items SET score = 1"));
    EXPECT_EQ(two, 2u);
    TRY(const auto none, session.run("DELETE FROM items WHERE id = ?", {3}));
    EXPECT_EQ(none, 0u);
    return {};
  }));
}

TEST_P(DatabaseConformance, statements_nest) {
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(add(i, "n" + std::to_string(i)));
  int pairs = 0;
  ASSERT_TRUE(db().read([&](Session& session) -> Result<> {
    const char* const all = "SELECT id FROM items";
    return session.each(all, {}, [&](const Row&) {
      return session.each(all, {}, [&](const Row&) -> Result<> {
        ++pairs;
        return {};
      });
    });
  }));
  EXPECT_EQ(pairs, 9);
}

TEST_P(DatabaseConformance, one_bad_write_does_not_spoil_its_neighbours) {
  constexpr int kWrites = 500;
  std::atomic<int> good{0};
  std::atomic<int> bad{0};
  std::promise<void> all;
  for (int i = 0; i < kWrites; ++i) {
    db().submit_write(
        [i](Session& session) -> Result<> {
          DO(session.run("INSERT INTO items (id, name) VALUES (?, ?)", {i, "n" + std::to_string(i)}));
          if (i % 3 == 0) return fail(ErrorCode::cancelled, "no");
          return {};
        },
        [&](Result<> result) {
          (result ? good : bad).fetch_add(1);
          if (good + bad == kWrites) all.set_value();
        });
  }
  all.get_future().wait();
  EXPECT_EQ(bad, (kWrites + 2) / 3);
  EXPECT_EQ(count(), good);
  fixture_->reopen();
  EXPECT_EQ(count(), good);
}

TEST_P(DatabaseConformance, ends_come_in_the_order_of_commits) {
  std::vector<int> order;  // only the writing thread touches it
  std::promise<void> all;
  for (int i = 0; i < 300; ++i) {
    db().submit_write([](Session&) -> Result<> { return {}; },
                      [&, i](Result<>) {
                        order.push_back(i);
                        if (i == 299) all.set_value();
                      });
  }
  all.get_future().wait();
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), 300u);
}

TEST_P(DatabaseConformance, readers_see_one_committed_state) {
  ASSERT_TRUE(db().write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO items (id, score) VALUES (1, 100), (2, 0)"));
    return {};
  }));
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        double sum = 0;
        const auto read = db().read([&](Session& session) -> Result<> {
          for (const int id : {1, 2}) {
            TRY(const auto score, session.first("SELECT score FROM items WHERE id = ?", {id},
                                                [](const Row& row) { return row.real(0); }));
            sum += score.value();
          }
          return {};
        });
        EXPECT_TRUE(read);
        EXPECT_EQ(sum, 100);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(db().write([](Session& session) -> Result<> {
      DO(session.run("UPDATE items SET score = score - 1 WHERE id = 1"));
      DO(session.run("UPDATE items SET score = score + 1 WHERE id = 2"));
      return {};
    }));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

TEST_P(DatabaseConformance, readers_cannot_write) {
  EXPECT_FALSE(db().read([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO items (id) VALUES (1)"));
    return {};
  }));
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseConformance, migrations_run_once_and_in_order) {
  const std::vector<Migration> two{kItems, {2, "colour", "ALTER TABLE items ADD COLUMN colour TEXT;"}};
  ASSERT_TRUE(db().migrate("test", two));
  ASSERT_TRUE(db().migrate("test", two));
  ASSERT_TRUE(db().write([](Session& session) -> Result<> {
    DO(session.run("INSERT INTO items (id, colour) VALUES (1, 'red')"));
    return {};
  }));
  const Migration other[] = {{1, "another room", "CREATE TABLE others (id BIGINT PRIMARY KEY);"}};
  EXPECT_TRUE(db().migrate("other", other));
}

TEST_P(DatabaseConformance, a_newer_schema_is_refused) {
  const std::vector<Migration> two{kItems, {2, "colour", "ALTER TABLE items ADD COLUMN colour TEXT;"}};
  ASSERT_TRUE(db().migrate("test", two));
  fixture_->reopen();
  const auto older = db().migrate("test", std::span(two).first(1));
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, ErrorCode::unavailable);
  EXPECT_NE(older.error().message.find("version 2, newer than this program"), std::string::npos)
      << older.error().message;
}

TEST_P(DatabaseConformance, a_changed_step_is_refused) {
  const Migration changed[] = {{1, "items", "CREATE TABLE items (id BIGINT);"}};
  const auto result = db().migrate("test", changed);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::corrupt);
}

TEST_P(DatabaseConformance, a_failing_migration_leaves_the_old_schema) {
  const std::vector<Migration> steps{kItems,
                                     {2, "good", "CREATE TABLE good (id BIGINT);"},
                                     {3, "bad", "CREATE TABLE bad (id BIGINT); INSERT INTO nowhere VALUES (1);"}};
  ASSERT_FALSE(db().migrate("test", steps));
  fixture_->reopen();
  EXPECT_TRUE(db().migrate("test", std::span(steps).first(2)));  // step 2 was not applied before, or this would fail
}

}  // namespace flux::store
