#include "core/whole_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace flux {
namespace {

class WholeFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "flux-whole-file-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(WholeFile, IsReplacedWithItsMode) {
  const auto path = folder_ / "key";
  ASSERT_TRUE(write_file(path, "one", 0644));
  ASSERT_TRUE(write_file(path, std::string("t\0o", 3), 0600));
  EXPECT_EQ(read_file(path), std::string("t\0o", 3));
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);  // nothing else is left behind
}

TEST_F(WholeFile, ThatCannotBeWrittenIsNamed) {
  const auto path = folder_ / "missing" / "key";
  const auto written = write_file(path, "x", 0600);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "cannot write " + path.string() + ": No such file or directory");
  std::filesystem::create_directory(folder_ / "a folder");
  EXPECT_FALSE(write_file(folder_ / "a folder", "x", 0600));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a folder.new"));
  EXPECT_EQ(read_file(path), "");
}

}  // namespace
}  // namespace flux
