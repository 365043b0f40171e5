#include "base/strings.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

TEST(Strings, JoinsMixedParts) {
  const std::string name = "wq_a";
  EXPECT_EQ(str("Tensor ", name, ' ', -3, "x", std::uint64_t{1} << 40, " ", 0.5, true),
            "Tensor wq_a -3x1099511627776 0.5true");
  EXPECT_EQ(str(), "");
}

TEST(Strings, BytesForPeople) {
  EXPECT_EQ(bytes_text(0), "0 bytes");
  EXPECT_EQ(bytes_text(1), "1 byte");
  EXPECT_EQ(bytes_text(1023), "1023 bytes");
  EXPECT_EQ(bytes_text(1536), "1.50 KiB");
  EXPECT_EQ(bytes_text(std::uint64_t{22} << 30), "22.0 GiB");
  EXPECT_EQ(bytes_text((std::uint64_t{1} << 30) - 1), "1.00 GiB");
  EXPECT_EQ(bytes_text(864704792696), "805 GiB");
  EXPECT_EQ(bytes_text(~std::uint64_t{0}), "16.0 EiB");
}

TEST(Strings, DurationsForPeople) {
  EXPECT_EQ(duration_text(-1), "0.0 s");
  EXPECT_EQ(duration_text(0.44), "0.4 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 0 s");
  EXPECT_EQ(duration_text(7500), "2 h 5 min");
}

TEST(Strings, LowersAsciiAlone) {
  EXPECT_EQ(ascii_lower("Content-TYPE: @[`{ É"), "content-type: @[`{ É");
}

TEST(Strings, NamesHoldWhatTheyMay) {
  EXPECT_TRUE(is_name("aZ09", "", 4));
  EXPECT_TRUE(is_name("a-b_c", "_-", 9));
  EXPECT_FALSE(is_name("a-b", "_", 9));
  EXPECT_FALSE(is_name("", "_", 9));
  EXPECT_FALSE(is_name("aZ090", "", 4));
  for (const char* text : {"a b", "é", "a/", "a@", "a[", "a`", "a{", "a:"}) {
    EXPECT_FALSE(is_name(text, "", 9)) << text;
  }
}

TEST(Strings, GroupsDigits) {
  EXPECT_EQ(grouped(7), "7");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(145116), "145,116");
  EXPECT_EQ(grouped(1000000), "1,000,000");
}

}  // namespace
}  // namespace plumb
