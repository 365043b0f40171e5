#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

TEST(File, WritesWholeAndReadsBack) {
  const TempDir dir;
  const std::string contents = std::string("a\0b\n", 4) + std::string(300000, 'x');
  ASSERT_TRUE(write_file_atomically(dir / "f", "old"));
  ASSERT_TRUE(write_file_atomically(dir / "f", contents));
  const auto read = read_file(dir / "f");
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, contents);
  // No temporary file is left behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(File, LimitIsExactAndNamed) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "f", "12345"));
  EXPECT_TRUE(read_file(dir / "f", 5));
  const auto refused = read_file(dir / "f", 4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
  EXPECT_NE(refused.error().message.find("4 bytes"), std::string::npos);
  EXPECT_TRUE(read_file("/proc/self/status"));  // no size until it is read
}

TEST(File, FailuresNameTheFile) {
  const TempDir dir;
  const auto missing = read_file(dir / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  EXPECT_FALSE(read_file(dir.path()));
  EXPECT_FALSE(write_file_atomically(dir / "no" / "such", "x"));
  // A directory in the way: the write fails and leaves nothing.
  std::filesystem::create_directory(dir / "d");
  EXPECT_FALSE(write_file_atomically(dir / "d", "x"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

}  // namespace
}  // namespace plumb
