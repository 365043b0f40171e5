#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MappedFile, BytesAreTheFile) {
  const TempDir dir;
  const std::string contents(100000, 'q');
  ASSERT_TRUE(write_file_atomically(dir / "f", contents));
  auto file = MappedFile::open(dir / "f");
  ASSERT_TRUE(file);
  MappedFile moved = std::move(*file);
  EXPECT_EQ(text_of(moved.bytes()), contents);
  EXPECT_EQ(file->size(), 0u);
  moved.sequential();
  moved.will_need(1, 5);
  moved.release(5000, 90000);
  moved.release(0, ~std::uint64_t{0});
  EXPECT_EQ(text_of(moved.bytes()), contents);
}

std::size_t resident_pages(std::span<const std::byte> bytes) {
  std::ifstream smaps("/proc/self/smaps");
  char head[32];
  std::snprintf(head, sizeof head, "%zx-", reinterpret_cast<std::size_t>(bytes.data()));
  std::string line;
  while (std::getline(smaps, line) && !line.starts_with(head)) {
  }
  while (std::getline(smaps, line) && !line.starts_with("Rss:")) {
  }
  return std::stoul(line.substr(4)) / 4;
}

TEST(MappedFile, ReleasedPagesLeaveTheProcessAndReadTheSame) {
  const TempDir dir;
  const std::string contents(64 * 4096, 'q');
  ASSERT_TRUE(write_file_atomically(dir / "f", contents));
  const auto file = MappedFile::open(dir / "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(text_of(file->bytes()), contents);
  ASSERT_EQ(resident_pages(file->bytes()), 64u);
  file->release(4096 * 2 + 1, 4096 * 30);
  EXPECT_EQ(resident_pages(file->bytes()), 64u - 31);
  EXPECT_EQ(text_of(file->bytes()), contents);
}

TEST(MappedFile, SlicesAreBounded) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "f", "0123456789"));
  const auto file = MappedFile::open(dir / "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(text_of(*file->slice(3, 4)), "3456");
  EXPECT_EQ(file->slice(10, 0)->size(), 0u);
  for (const auto& [offset, size] : {std::pair<std::uint64_t, std::uint64_t>{0, 11},
                                     {11, 0},
                                     {5, 6},
                                     {~std::uint64_t{0}, 2},
                                     {2, ~std::uint64_t{0}}}) {
    const auto refused = file->slice(offset, size);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kCorrupt);
    EXPECT_NE(refused.error().message.find("10 bytes"), std::string::npos);
  }
}

TEST(MappedFile, OnlyRegularFilesOpen) {
  const TempDir dir;
  EXPECT_EQ(MappedFile::open(dir / "missing").error().code, Code::kNotFound);
  EXPECT_FALSE(MappedFile::open(dir.path()));
  EXPECT_FALSE(MappedFile::open("/dev/null"));
  ASSERT_TRUE(write_file_atomically(dir / "empty", ""));
  const auto empty = MappedFile::open(dir / "empty");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->bytes().empty());
}

TEST(MappedFile, GuardedReadReportsATruncatedFile) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "f", std::string(20000, 'z')));
  const auto file = MappedFile::open(dir / "f");
  ASSERT_TRUE(file);
  std::string out(100, ' ');
  EXPECT_TRUE(file->read_guarded(19900, std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(out, std::string(100, 'z'));
  std::filesystem::resize_file(dir / "f", 19950);
  const auto failed = file->read_guarded(19900, std::as_writable_bytes(std::span(out)));
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("now ends at 19950"), std::string::npos);
}

void touch_beyond_a_truncation(const std::filesystem::path& path) {
  install_mapping_guard();
  auto file = MappedFile::open(path);
  const auto other = MappedFile::open("/proc/self/exe");
  std::filesystem::resize_file(path, 100);
  MappedFile moved = std::move(*file);  // the guard follows a move
  const volatile std::byte* bytes = moved.bytes().data();
  (void)bytes[40000];
}

TEST(MappedFileDeathTest, ATruncatedMappingEndsWithASentence) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "weights.bin", std::string(100000, 'z')));
  EXPECT_EXIT(touch_beyond_a_truncation(dir / "weights.bin"),
              ::testing::ExitedWithCode(kExitFileFailed),
              "the file .*weights.bin was truncated or its disk failed while it was being read "
              "\\(at byte 40000\\)\\.");
}

// A fault in someone else's mapping keeps its meaning: death by SIGBUS (or, under a sanitizer, by
// its own report), not our sentence and not our exit status.
TEST(MappedFileDeathTest, OtherFaultsAreNotOurs) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "f", std::string(100000, 'z')));
  const auto fault = [&] {
    install_mapping_guard();
    auto file = MappedFile::open(dir / "f");
    const std::byte* stale = file->bytes().data();
    *file = MappedFile();  // no longer registered
    void* again = ::mmap(const_cast<std::byte*>(stale), 4096, PROT_READ,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (again == MAP_FAILED) ::_exit(3);
    ::raise(SIGBUS);
    ::raise(SIGBUS);
    ::_exit(0);
  };
  EXPECT_EXIT(
      fault(),
      [](int status) {
        return WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
                                       WEXITSTATUS(status) != kExitFileFailed);
      },
      "");
}

}  // namespace
}  // namespace plumb
