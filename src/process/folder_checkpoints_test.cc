#include "process/folder_checkpoints.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace flux::process {
namespace {

namespace fs = std::filesystem;
constexpr PartitionId kPartition{3};

class FolderCheckpointsTest : public testing::Test {
 protected:
  FolderCheckpointsTest() {
    std::string name = (fs::temp_directory_path() / "fluxgate-checkpoints-XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~FolderCheckpointsTest() override { fs::remove_all(folder_); }
  [[nodiscard]] std::unique_ptr<Checkpoints> open() const {
    return open_folder_checkpoints(folder_ / "checkpoints").value();
  }
  [[nodiscard]] fs::path file(const char* name) const { return folder_ / "checkpoints" / "0003" / name; }

  fs::path folder_;
};

TEST_F(FolderCheckpointsTest, KeepsTheTwoNewest) {
  const auto checkpoints = open();
  const Generation mine = checkpoints->take_over(kPartition).value();
  EXPECT_TRUE(checkpoints->list(kPartition)->empty());
  for (std::uint64_t next : {5U, 70U, 800U}) {
    ASSERT_TRUE(checkpoints->write(kPartition, mine, {{next}, "state at " + std::to_string(next)}));
  }
  EXPECT_EQ(checkpoints->list(kPartition).value(), (std::vector<Offset>{{800}, {70}}));
  const auto again = open();
  EXPECT_EQ(again->read(kPartition, {70})->data, "state at 70");
  EXPECT_EQ(again->read(kPartition, {800})->data, "state at 800");
  EXPECT_EQ(again->read(kPartition, {5}).error().code, ErrorCode::io);
}

TEST_F(FolderCheckpointsTest, WritesTheExampleOfItsPage) {
  const auto checkpoints = open();
  const Generation mine = checkpoints->take_over(kPartition).value();
  ASSERT_TRUE(checkpoints->write(kPartition, mine, {{5}, "ab"}));
  std::ifstream stream(file("00000000000000000005.checkpoint"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  // docs/formats/checkpoints.md
  const unsigned char expected[] = {'F', 'L', 'U', 'X', 'C', 'K', 'P', 'T', 1,   0,  0, 0, 3, 0, 0, 0,  //
                                    1,   0,   0,   0,   0,   0,   0,   0,   5,   0,  0, 0, 0, 0, 0, 0,  //
                                    2,   0,   0,   0,   0,   0,   0,   0,   'a', 'b'};
  ASSERT_EQ(bytes.size(), sizeof expected + 4);
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
}

TEST_F(FolderCheckpointsTest, FencesTheOneThatLostThePartition) {
  const auto old_owner = open();
  const Generation first = old_owner->take_over(kPartition).value();
  ASSERT_TRUE(old_owner->write(kPartition, first, {{5}, "mine"}));
  const auto new_owner = open();
  const Generation second = new_owner->take_over(kPartition).value();
  EXPECT_GT(second, first);
  EXPECT_EQ(old_owner->write(kPartition, first, {{6}, "too late"}).error().code, ErrorCode::permission_denied);
  EXPECT_EQ(new_owner->list(kPartition).value(), std::vector<Offset>{{5}});
  EXPECT_TRUE(new_owner->write(kPartition, second, {{7}, "mine now"}));
}

TEST_F(FolderCheckpointsTest, TellsEveryTruncationAndEveryFlippedByte) {
  const auto checkpoints = open();
  const Generation mine = checkpoints->take_over(kPartition).value();
  ASSERT_TRUE(checkpoints->write(kPartition, mine, {{5}, "some state"}));
  const fs::path path = file("00000000000000000005.checkpoint");
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto put = [&](const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    return checkpoints->read(kPartition, {5});
  };
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_EQ(put(bytes.substr(0, size)).error().code, ErrorCode::corrupt) << size;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    ASSERT_EQ(put(damaged).error().code, ErrorCode::corrupt) << at;
  }
  EXPECT_EQ(put(bytes)->data, "some state");
  fs::rename(path, file("00000000000000000009.checkpoint"));
  EXPECT_EQ(checkpoints->read(kPartition, {9}).error().code, ErrorCode::corrupt) << "the name lies";
}

TEST_F(FolderCheckpointsTest, TellsEveryTruncationAndEveryFlippedBitOfTheGeneration) {
  const auto checkpoints = open();
  for (std::uint64_t i = 1; i <= 12; ++i) ASSERT_EQ(checkpoints->take_over(kPartition)->value, i);
  const fs::path path = file("generation");
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto put = [&](const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    return checkpoints->take_over(kPartition);
  };
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto refused = put(bytes.substr(0, size));
    ASSERT_FALSE(refused) << size;
    ASSERT_EQ(refused.error().code, ErrorCode::corrupt);
    ASSERT_NE(refused.error().message.find("0003/generation is damaged"), std::string::npos) << refused.error().message;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_FALSE(put(damaged)) << bit;
  }
  EXPECT_EQ(put(bytes)->value, 13U);
  EXPECT_EQ(put("20\n")->value, 21U) << "as the first versions wrote it";
}

TEST_F(FolderCheckpointsTest, SaysWhenTheFolderCannotBeMade) {
  std::ofstream(folder_ / "file") << "in the way";
  const auto refused = open_folder_checkpoints(folder_ / "file" / "checkpoints");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("cannot make"), std::string::npos);
}

}  // namespace
}  // namespace flux::process
