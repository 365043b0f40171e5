#include "measure/numbers.h"

#include <gtest/gtest.h>

namespace plumb::measure {
namespace {

TEST(Numbers, MedianIsTheMiddle) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 4}), 4);
  EXPECT_EQ(median({8, 1, 2, 4}), 3);
}

TEST(Numbers, ProbesAgreeWithinATenth) {
  EXPECT_TRUE(agree(100, 110));
  EXPECT_TRUE(agree(110, 100));
  EXPECT_FALSE(agree(100, 110.1));
  EXPECT_FALSE(agree(111, 100));
  EXPECT_TRUE(agree(0, 0));
  EXPECT_FALSE(agree(0, 1));
}

TEST(Numbers, TheBoundIsTheSlowerOfBytesAndOperations) {
  EXPECT_DOUBLE_EQ(bound_seconds(50e9, 25e9, 10e9, 100e9), 2);
  EXPECT_DOUBLE_EQ(bound_seconds(50e9, 25e9, 900e9, 100e9), 9);
  EXPECT_DOUBLE_EQ(bound_seconds(50e9, 25e9, 900e9, 0), 2);
  EXPECT_DOUBLE_EQ(bound_seconds(1, 0, 1, 0), 0);
}

TEST(Numbers, ListsOfCounts) {
  const auto list = parse_counts("0,4k,16K,1M,7", "--depth", 0, 1 << 20);
  ASSERT_TRUE(list);
  EXPECT_EQ(*list, (std::vector<std::int64_t>{0, 4096, 16384, 1048576, 7}));
  EXPECT_TRUE(parse_counts("none", "--depth", 0, 9)->empty());
  for (const char* bad :
       {"", ",", "1,", "-1", "1.5", "4kk", "k", "x", "1, 2", "10", "99999999999999"}) {
    const auto refused = parse_counts(bad, "--depth", 0, 9);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::kInvalid);
    EXPECT_NE(refused.error().message.find("--depth has the part \""), std::string::npos);
  }
}

TEST(Numbers, TheLastNumberOfARivalsOutput) {
  EXPECT_DOUBLE_EQ(*last_number("45.9"), 45.9);
  EXPECT_DOUBLE_EQ(*last_number("model q8_0 tg64 | 31.25 t/s\n"), 31.25);
  EXPECT_DOUBLE_EQ(*last_number("eval: 12 tokens, 1.5e1 tokens/s (v4, b2048)"), 15);
  EXPECT_FALSE(last_number(""));
  EXPECT_FALSE(last_number("no tg64 here"));
  EXPECT_FALSE(last_number("speed -3"));
  EXPECT_FALSE(last_number("speed 0"));
}

}  // namespace
}  // namespace plumb::measure
