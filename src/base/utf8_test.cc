#include "base/utf8.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

TEST(Utf8, EveryScalarValueRoundTrips) {
  std::string all;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string one;
    append_utf8(one, code);
    const Utf8Step step = decode_utf8(one, 0);
    ASSERT_TRUE(step.valid && step.code == code && step.length == one.size()) << std::size_t{code};
    ASSERT_EQ(complete_utf8_prefix(one), one.size());
    for (std::size_t cut = 1; cut < one.size(); ++cut) {
      ASSERT_EQ(complete_utf8_prefix("a" + one.substr(0, cut)), 1u) << std::size_t{code};
    }
    if (code % 97 == 0) all += one;
  }
  EXPECT_TRUE(is_valid_utf8(all));
  EXPECT_EQ(replace_invalid_utf8(all), all);
}

// Expected values: what CPython 3.11 gives for bytes.decode("utf-8", "replace").
TEST(Utf8, InvalidBytesAreReplacedByMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  const std::pair<std::string, std::string> cases[] = {
      {"a\xFFz", "a" + r + "z"},
      {"\xC0\x80", r + r},
      {"\xE2\x82", r},
      {"\xE2\x82z", r + "z"},
      {"\xED\xA0\x80", r + r + r},
      {"\xF4\x90\x80\x80", r + r + r + r},
      {"\xF0\x9F\x98", r},
      {"\xF0\x9F\x98\xF0\x9F\x98\x80", r + "\xF0\x9F\x98\x80"},
      {"\xF8\x88\x80\x80\x80", r + r + r + r + r},
      {"\xE0\x80\x80", r + r + r},
      {"\x80", r},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(replace_invalid_utf8(bytes), text);
    EXPECT_FALSE(is_valid_utf8(bytes));
  }
}

TEST(Utf8, OnlyACharacterThatCanStillBecomeValidIsHeldBack) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  EXPECT_EQ(complete_utf8_prefix("ab\xFF"), 3u);
  EXPECT_EQ(complete_utf8_prefix("\xED\xA0"), 2u);  // a surrogate: hopeless already
  EXPECT_EQ(complete_utf8_prefix("\xF0\x9F\x98"), 0u);
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4u);
  EXPECT_EQ(complete_utf8_prefix("x\xE2\x82\xAC\xE2"), 4u);
}

}  // namespace
}  // namespace plumb
