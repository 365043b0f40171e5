#include "gateway/stop_scanner.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

TEST(StopScanner, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopScanner scanner({"END", "\n\n"});
  EXPECT_EQ(scanner.push("one\n"), "one");
  EXPECT_EQ(scanner.push("two E"), "\ntwo ");
  EXPECT_EQ(scanner.push("N"), "");
  EXPECT_EQ(scanner.push("C"), "ENC");
  EXPECT_FALSE(scanner.matched());
  EXPECT_EQ(scanner.push("EEN"), "E");
  EXPECT_EQ(scanner.push("D and more"), "");
  EXPECT_EQ(scanner.matched(), "END");
  EXPECT_EQ(scanner.push("nothing comes after"), "");
  EXPECT_EQ(scanner.flush(), "");
}

TEST(StopScanner, TheEarliestMatchWins) {
  StopScanner scanner({"later", "now"});
  EXPECT_EQ(scanner.push("a now b later"), "a ");
  EXPECT_EQ(scanner.matched(), "now");
}

TEST(StopScanner, GivesBackWhatWasHeldWhenNothingCameOfIt) {
  StopScanner scanner({"abc"});
  EXPECT_EQ(scanner.push("xab"), "x");
  EXPECT_EQ(scanner.flush(), "ab");
}

TEST(StopScanner, IgnoresEmptyStops) {
  StopScanner scanner({"", ""});
  EXPECT_EQ(scanner.push("text"), "text");
  EXPECT_FALSE(scanner.matched());
}

// However a text is cut into pieces, what comes out is the text up to the first stop.
TEST(StopScanner, AnyCutGivesTheSameText) {
  const std::string text = "aabaabaaabbaab";
  for (const std::string stop : {"aaab", "abb", "bb", "aaaa", "ba", "b"}) {
    const std::string expected = text.substr(0, text.find(stop));
    for (std::size_t first = 0; first <= text.size(); ++first) {
      for (std::size_t second = first; second <= text.size(); ++second) {
        StopScanner scanner({stop});
        std::string out = scanner.push(text.substr(0, first));
        out += scanner.push(text.substr(first, second - first));
        out += scanner.push(text.substr(second));
        out += scanner.flush();
        EXPECT_EQ(out, expected) << stop << " cut at " << first << ", " << second;
      }
    }
  }
}

}  // namespace
}  // namespace plumb
