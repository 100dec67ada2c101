#include "store/database/sqlite/sqlite_database.h"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/shard.h"
#include "runtime/spawn.h"
#include "store/database/database_conformance.h"

namespace flux::store {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "flux-sqlite-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::permissions(path_, fs::perms::owner_all, ignored);
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class SqliteFixture final : public DatabaseFixture {
 public:
  explicit SqliteFixture(sqlite::Config config = {}) : config_(std::move(config)) {
    config_.path = folder_ / "registry.db";
    reopen();
  }
  Database& database() override { return *database_; }
  void reopen() override {
    database_.reset();
    auto opened = sqlite::open(config_, registry_);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }
  const fs::path& path() const { return config_.path; }
  void close() { database_.reset(); }
  metrics::Registry& metrics() { return registry_; }

 private:
  Folder folder_;
  metrics::Registry registry_;
  sqlite::Config config_;
  std::unique_ptr<Database> database_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, DatabaseConformance,
                         ::testing::Values(DatabaseMaker([] { return std::make_unique<SqliteFixture>(); })));

constexpr Migration kBlobs[] = {{1, "blobs", "CREATE TABLE blobs (id BIGINT NOT NULL PRIMARY KEY, data TEXT);"}};

Result<> put(Database& database, int id, std::size_t size) {
  return database.write([=](Session& session) -> Result<> {
    DO(session.run("INSERT INTO blobs (id, data) VALUES (?, ?)", {id, std::string(size, 'x')}));
    return {};
  });
}

std::int64_t count(Database& database) {
  std::int64_t found = -1;
  EXPECT_TRUE(database.read([&](Session& session) -> Result<> {
    TRY(const auto row, session.first("SELECT count(*) FROM blobs", {}, [](const Row& r) { return r.integer(0); }));
    found = row.value();
    return {};
  }));
  return found;
}

TEST(SqliteDatabase, a_full_disk_is_said_and_what_was_written_stays) {
  SqliteFixture fixture({.max_size = 256_KiB});
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  int written = 0;
  Result<> last;
  while (written < 1000) {
    last = put(fixture.database(), written, 8000);
    if (!last) break;
    ++written;
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, ErrorCode::unavailable) << last.error().message;
  EXPECT_NE(last.error().message.find("full"), std::string::npos) << last.error().message;
  EXPECT_GT(written, 10);
  EXPECT_EQ(count(fixture.database()), written);
  EXPECT_TRUE(fixture.database().write([](Session& session) -> Result<> {  // making room is still possible
    DO(session.run("DELETE FROM blobs WHERE id < 5"));
    return {};
  }));
  EXPECT_TRUE(put(fixture.database(), 5000, 8000));
  fixture.reopen();
  EXPECT_EQ(count(fixture.database()), written - 4);
}

TEST(SqliteDatabase, neighbours_of_the_write_that_filled_the_disk_hear_of_it) {
  SqliteFixture fixture({.max_size = 256_KiB});
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  std::atomic<int> good{0};
  std::atomic<int> settled{0};
  std::promise<void> all;
  constexpr int kWrites = 200;
  for (int i = 0; i < kWrites; ++i) {
    fixture.database().submit_write(
        [i](Session& session) -> Result<> {
          DO(session.run("INSERT INTO blobs (id, data) VALUES (?, ?)", {i, std::string(8000, 'x')}));
          return {};
        },
        [&](Result<> result) {
          if (result) good.fetch_add(1);
          else EXPECT_EQ(result.error().code, ErrorCode::unavailable) << result.error().message;
          if (settled.fetch_add(1) + 1 == kWrites) all.set_value();
        });
  }
  all.get_future().wait();
  EXPECT_LT(good, kWrites);
  EXPECT_EQ(count(fixture.database()), good);  // exactly what was confirmed is there
}

TEST(SqliteDatabase, garbage_is_not_a_database) {
  Folder folder;
  std::ofstream(folder / "registry.db") << std::string(10000, 'g');
  metrics::Registry registry;
  const auto opened = sqlite::open({.path = folder / "registry.db"}, registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt) << opened.error().message;
  EXPECT_NE(opened.error().message.find("registry.db"), std::string::npos) << opened.error().message;
}

TEST(SqliteDatabase, another_programs_database_is_refused) {
  Folder folder;
  {
    SqliteFixture ours;
    ASSERT_TRUE(ours.database().migrate("test", kBlobs));
    ours.close();
    fs::copy_file(ours.path(), folder / "registry.db");
  }
  {  // bytes 68 to 71 of the header are the application id
    std::fstream file(folder / "registry.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(68);
    file.write("\0\0\0\1", 4);
  }
  metrics::Registry registry;
  const auto opened = sqlite::open({.path = folder / "registry.db"}, registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
  EXPECT_NE(opened.error().message.find("another program"), std::string::npos) << opened.error().message;
}

TEST(SqliteDatabase, damage_is_found_when_asked_to_check) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(put(fixture.database(), i, 500));
  fixture.close();
  {
    std::fstream file(fixture.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5 * 4096);
    file.write(std::string(4096, '\x5a').data(), 4096);
  }
  metrics::Registry registry;
  const auto opened = sqlite::open({.path = fixture.path(), .check_at_start = true}, registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt) << opened.error().message;
}

TEST(SqliteDatabase, damage_of_a_small_file_is_always_found) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(put(fixture.database(), i, 500));
  ASSERT_TRUE(fixture.database().fold());
  EXPECT_EQ(fs::file_size(fixture.path().string() + "-wal"), 0u);
  EXPECT_GT(fs::file_size(fixture.path()), 100'000u);
  fixture.close();
  {
    std::fstream file(fixture.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5 * 4096);
    file.write(std::string(4096, '\x5a').data(), 4096);
  }
  metrics::Registry registry;
  const auto opened = sqlite::open({.path = fixture.path()}, registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
  EXPECT_NE(opened.error().message.find("registry.db"), std::string::npos) << opened.error().message;
}

TEST(SqliteDatabase, a_missing_or_unwritable_folder_is_said) {
  metrics::Registry registry;
  Folder folder;
  const auto missing = sqlite::open({.path = folder / "nowhere" / "registry.db"}, registry);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::unavailable);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos) << missing.error().message;
  fs::permissions(folder.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const bool root = ::geteuid() == 0;
  if (root) ::setfsuid(65534);  // root may write everywhere: ask as nobody, on this thread alone
  const auto locked = sqlite::open({.path = folder / "registry.db"}, registry);
  if (root) ::setfsuid(0);
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, ErrorCode::unavailable);
}

TEST(SqliteDatabase, the_file_is_the_owners_alone) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  for (const char* suffix : {"", "-wal"}) {
    const auto mode = fs::status(fixture.path().string() + suffix).permissions();
    EXPECT_EQ(mode & (fs::perms::group_all | fs::perms::others_all), fs::perms::none) << suffix;
  }
}

TEST(SqliteDatabase, waiting_writes_share_a_commit) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  const auto commits = [&] { return fixture.metrics().value("fluxgate_database_commits_total"); };
  std::promise<void> go;
  auto may_go = go.get_future().share();
  fixture.database().submit_write([may_go](Session&) -> Result<> { return may_go.wait(), Result<>{}; },
                                  [](Result<>) {});
  std::promise<void> all;
  for (int i = 0; i < 100; ++i) {
    fixture.database().submit_write(
        [i](Session& session) -> Result<> {
          DO(session.run("INSERT INTO blobs (id) VALUES (?)", {i}));
          return {};
        },
        [&, i](Result<> result) {
          EXPECT_TRUE(result);
          if (i == 99) all.set_value();
        });
  }
  const double before = commits();
  go.set_value();
  all.get_future().wait();
  EXPECT_LE(commits() - before, 2);
  EXPECT_EQ(count(fixture.database()), 100);
}

TEST(SqliteDatabase, a_full_queue_refuses) {
  SqliteFixture fixture({.queue = 16});
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  std::promise<void> go;
  auto may_go = go.get_future().share();
  std::promise<void> running;
  fixture.database().submit_write(
      [&running, may_go](Session&) -> Result<> {
        running.set_value();
        may_go.wait();
        return {};
      },
      [](Result<>) {});
  running.get_future().wait();
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    fixture.database().submit_write([](Session&) -> Result<> { return {}; },
                                    [&refused](Result<> result) {
                                      if (!result && result.error().code == ErrorCode::exhausted) ++refused;
                                    });
  }
  EXPECT_EQ(refused, 4);
  go.set_value();
  fixture.close();  // runs what was taken
}

Async<std::int64_t> write_then_read(Database& database) {
  auto write = [](Session& session) -> Result<> {
    DO(session.run("INSERT INTO blobs (id) VALUES (7)"));
    return {};
  };
  CO_DO(co_await database.write_async<void>(std::move(write)));
  auto read = [](Session& session) -> Result<std::int64_t> {
    TRY(const auto id, session.first("SELECT id FROM blobs", {}, [](const Row& row) { return row.integer(0); }));
    return id.value();
  };
  CO_TRY(const auto id, co_await database.read_async<std::int64_t>(std::move(read)));
  CHECK(runtime::Shard::current() != nullptr);
  co_return id;
}

TEST(SqliteDatabase, coroutines_wait_on_their_shard) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.database().migrate("test", kBlobs));
  runtime::Shards shards(1);
  shards.start();
  const auto id = runtime::block_on(shards[0], write_then_read(fixture.database()));
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_EQ(*id, 7);
}

}  // namespace
}  // namespace flux::store
