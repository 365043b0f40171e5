#include "base/progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace plumb {
namespace {

constexpr ProgressUnit kTokens{.name = "tokens"};
constexpr ProgressUnit kBytes{.bytes = true};

TEST(Progress, TellsShareSpeedAndTimeLeft) {
  EXPECT_EQ(progress_text("Reading the prompt", 2000, 8000, 4, kTokens, 0),
            "Reading the prompt 25% 2,000 of 8,000 tokens, 500/s, 12 s left");
  EXPECT_EQ(progress_text("Loading", 1 << 20, 4 << 20, 2, kBytes, 0),
            "Loading 25% 1.00 MiB of 4.00 MiB, 512 KiB/s, 6.0 s left");
  EXPECT_EQ(progress_text("Loading", 4 << 20, 4 << 20, 2, kBytes, 0),
            "Loading 100% 4.00 MiB of 4.00 MiB, 2.00 MiB/s");
  EXPECT_EQ(progress_text("Reading", 10, 0, 1, kTokens, 0), "Reading 10 tokens, 10/s");
  EXPECT_EQ(progress_text("Reading", 0, 10, 0, kTokens, 0), "Reading 0% 0 of 10 tokens");
}

TEST(Progress, ABarKeepsToItsWidth) {
  EXPECT_EQ(progress_text("Go", 1, 2, 0, kTokens, 100),
            "Go [############............] 50% 1 of 2 tokens");
  EXPECT_EQ(progress_text("Go", 1, 2, 0, kTokens, 20).size(), 20u);
  EXPECT_EQ(progress_text("Go", 3, 2, 0, kTokens, 100).find("########################]"), 4u);
}

std::string written_by(ProgressStyle style, int steps, int pause_ms) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress("Work", static_cast<std::uint64_t>(steps), kTokens, style, file);
    for (int i = 0; i < steps; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
      progress.add(1);
    }
  }
  std::rewind(file);
  std::string out(4096, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return out;
}

TEST(Progress, ShortWorkIsSilentAndLongWorkReportsToTheEnd) {
  EXPECT_EQ(written_by(ProgressStyle::kLines, 5, 0), "");
  EXPECT_EQ(written_by(ProgressStyle::kBar, 5, 0), "");
  EXPECT_EQ(written_by(ProgressStyle::kQuiet, 2, 300), "");
  const std::string lines = written_by(ProgressStyle::kLines, 2, 300);
  EXPECT_NE(lines.find("Work 100% 2 of 2 tokens"), std::string::npos) << lines;
  EXPECT_EQ(lines.find('\r'), std::string::npos);
  EXPECT_EQ(lines.back(), '\n');
  const std::string bar = written_by(ProgressStyle::kBar, 2, 300);
  EXPECT_NE(bar.find("\rWork ["), std::string::npos) << bar;
  EXPECT_TRUE(bar.ends_with("\r\033[K")) << bar;
}

}  // namespace
}  // namespace plumb
