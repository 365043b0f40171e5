#include "base/version.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

TEST(Version, SaysWhatItWasBuiltFrom) {
  const std::string commit = build_info().commit;
  EXPECT_TRUE(commit == "unknown" || commit.size() >= 12) << commit;
  const std::string text = version_text();
  EXPECT_TRUE(text.starts_with("plumb ")) << text;
  EXPECT_NE(text.find(commit), std::string::npos) << text;
  EXPECT_NE(text.find(build_info().compiler), std::string::npos) << text;
}

}  // namespace
}  // namespace plumb
