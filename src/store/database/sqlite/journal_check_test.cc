#include "store/database/sqlite/journal_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "store/database/sqlite/sqlite_database.h"

namespace flux::store {
namespace {

namespace fs = std::filesystem;

constexpr Migration kNotes[] = {{1, "notes", "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, text TEXT);"}};
constexpr std::size_t kFrame = 24 + 4096;

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What a process that was killed left: the files of a database that is still open, with a few commits in its journal.
class JournalCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "flux-journal-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    metrics::Registry metrics;
    auto database = sqlite::open({.path = folder_ / "live.db"}, metrics);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->migrate("test", kNotes));
    for (int id = 0; id < 5; ++id) {
      ASSERT_TRUE((*database)->write([&](Session& session) -> Result<> {
        DO(session.run("INSERT INTO notes (id, text) VALUES (?, ?)", {id, std::string(9'000, 'x')}));
        return {};
      }));
    }
    for (const char* suffix : {"", "-wal", "-shm"}) fs::copy_file(path("live.db", suffix), path("left.db", suffix));
    journal_ = content(path("left.db", "-wal"));
    ASSERT_GT(journal_.size(), 32 + 10 * kFrame);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path path(const char* name, const char* suffix = "") const {
    return folder_ / (std::string(name) + suffix);
  }
  Result<> with(const std::string& journal) {
    std::ofstream(path("left.db", "-wal"), std::ios::binary | std::ios::trunc) << journal;
    return sqlite::check_journal(path("left.db"));
  }
  void without_index() { fs::remove(path("left.db", "-shm")); }

  fs::path folder_;
  std::string journal_;
};

TEST_F(JournalCheck, takes_what_a_crash_leaves) {
  EXPECT_TRUE(with(journal_));
  EXPECT_TRUE(with(journal_ + std::string(kFrame, '\0')));  // written, and lost before it was synced
  EXPECT_TRUE(with(journal_ + journal_.substr(32, kFrame / 2)));
  without_index();  // after a power cut it may be older, or gone
  EXPECT_TRUE(with(journal_));
  EXPECT_TRUE(with(journal_.substr(0, journal_.size() - 100)));  // the last commit, torn
  std::string torn = journal_;
  torn[torn.size() - kFrame - 100] ^= 1;  // not its last frame: disks do not write in order
  EXPECT_TRUE(with(torn));
  EXPECT_TRUE(with(journal_.substr(0, 32)));
  EXPECT_TRUE(with(journal_.substr(0, 20)));
  EXPECT_TRUE(with(""));
  fs::remove(path("left.db", "-wal"));
  EXPECT_TRUE(sqlite::check_journal(path("left.db")));
}

TEST_F(JournalCheck, refuses_what_lost_commits) {
  const auto refused = [&](const std::string& journal) {
    const auto result = with(journal);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::corrupt);
    EXPECT_NE(result.error().message.find("left.db-wal"), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find("backup"), std::string::npos) << result.error().message;
  };
  // The index knows how much there was.
  refused(journal_.substr(0, journal_.size() / 2));
  refused(journal_.substr(0, journal_.size() - 100));
  without_index();
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, std::size_t{17}, std::size_t{30},  // of the header
                               32 + 2 * kFrame + 9, 32 + 3 * kFrame + 1'000}) {
    std::string flipped = journal_;
    flipped[at] ^= 0x10;
    refused(flipped);
  }
  refused(std::string(journal_.size(), '\0'));
}

TEST_F(JournalCheck, is_asked_at_every_open) {
  std::string flipped = journal_;
  flipped[32 + 1'000] ^= 1;
  ASSERT_FALSE(with(flipped));
  metrics::Registry metrics;
  const auto opened = sqlite::open({.path = path("left.db")}, metrics);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
  EXPECT_EQ(content(path("left.db", "-wal")), flipped);  // nothing was touched
  ASSERT_FALSE(with(flipped));
  ASSERT_TRUE(with(journal_));
  EXPECT_TRUE(sqlite::open({.path = path("left.db")}, metrics));
}

}  // namespace
}  // namespace flux::store
