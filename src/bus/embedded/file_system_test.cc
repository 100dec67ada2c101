// The operating system's files, where their promises are more than a system call.

#include "bus/embedded/file_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bus/embedded/testing/temporary_folder.h"

namespace flux::bus::embedded {
namespace {

/// Makes a file take no more writes, not even through descriptors that are open: as a file system does that has
/// stopped.
class Immutable {
 public:
  explicit Immutable(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    int flags = 0;
    if (::ioctl(fd_, FS_IOC_GETFLAGS, &flags) != 0) return;
    flags |= FS_IMMUTABLE_FL;
    set_ = ::ioctl(fd_, FS_IOC_SETFLAGS, &flags) == 0;
  }
  ~Immutable() {
    int flags = 0;
    if (set_ && ::ioctl(fd_, FS_IOC_GETFLAGS, &flags) == 0) {
      flags &= ~FS_IMMUTABLE_FL;
      ::ioctl(fd_, FS_IOC_SETFLAGS, &flags);
    }
    ::close(fd_);
  }
  Immutable(const Immutable&) = delete;
  Immutable& operator=(const Immutable&) = delete;
  [[nodiscard]] bool set() const { return set_; }

 private:
  int fd_;
  bool set_ = false;
};

// fdatasync succeeds here, as it does on an ext4 whose journal was aborted under it.
TEST(RealFiles, ASyncFailsWhenTheFileSystemHasStoppedTakingWrites) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  auto file = real_files().open(path, OpenMode::create_new);
  ASSERT_TRUE(file);
  const Piece piece{"readings", 8};
  ASSERT_TRUE((*file)->write(0, {&piece, 1}));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ((*file)->size(), 8U);  // asking changed nothing
  {
    const Immutable stopped(path);
    if (!stopped.set()) GTEST_SKIP() << "needs root and a file system with attributes";
    const auto synced = (*file)->sync();
    ASSERT_FALSE(synced);
    EXPECT_NE(synced.error().message.find("stopped while " + path.string() + " was synced"), std::string::npos)
        << synced.error().message;
  }
  EXPECT_TRUE((*file)->sync());
}

}  // namespace
}  // namespace flux::bus::embedded
