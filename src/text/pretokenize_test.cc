#include "text/pretokenize.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/unicode.h"

namespace plumb {
namespace {

std::string pieces(std::string_view text) {
  std::string out;
  PieceSplitter splitter(text);
  for (auto piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
    out += out.empty() ? "" : "|";
    out += piece;
  }
  return out;
}

TEST(PieceSplitter, WordsTakeTheSpaceBeforeThem) {
  EXPECT_EQ(pieces(""), "");
  EXPECT_EQ(pieces("Hello world"), "Hello| world");
  EXPECT_EQ(pieces("a\tb"), "a|\tb");
  EXPECT_EQ(pieces("e\u0301te\u0301 \u0301x"), "e\u0301te\u0301| \u0301x");
  EXPECT_EQ(pieces("été là"), "été| là");
}

TEST(PieceSplitter, NumbersAreAloneInThrees) {
  EXPECT_EQ(pieces("the 2048"), "the| |204|8");
  EXPECT_EQ(pieces("1234567x"), "123|456|7|x");
  EXPECT_EQ(pieces("1½٣४"), "1½٣|४");
}

TEST(PieceSplitter, PunctuationTakesLettersOrASpaceAndLineEnds) {
  EXPECT_EQ(pieces("it's (x) foo_bar"), "it|'s| (|x|)| foo|_bar");
  EXPECT_EQ(pieces("a();\r\n\n  b"), "a|();\r\n\n| | b");
  EXPECT_EQ(pieces("'été"), "'|été");
  EXPECT_EQ(pieces("(café)"), "(caf|é|)");
  EXPECT_EQ(pieces("a €5"), "a| €|5");
  EXPECT_EQ(pieces("\t!"), "\t|!");
}

TEST(PieceSplitter, WhiteSpace) {
  EXPECT_EQ(pieces("a  b"), "a| | b");
  EXPECT_EQ(pieces("a  "), "a|  ");
  EXPECT_EQ(pieces("a \n \n  b"), "a| \n \n| | b");
  EXPECT_EQ(pieces("a  1"), "a|  |1");            // a number ends what the third pattern sees
  EXPECT_EQ(pieces("a  \u4e2d"), "a|  |\u4e2d");  // and so does Chinese
  EXPECT_EQ(pieces("a\u3000\u3000b"), "a|\u3000|\u3000b");
  EXPECT_EQ(pieces("\x0b\x0c\u0085 x"), "\x0b\x0c\u0085| x");
}

TEST(PieceSplitter, ChineseAndJapaneseRuns) {
  EXPECT_EQ(pieces("中文，English混排。"), "中文|，|English|混排|。");
  EXPECT_EQ(pieces("ア・イ゛ー"), "ア|・|イ|゛|ー");
  EXPECT_EQ(pieces("ア・\n"), "ア|・|\n");  // the line end is in another segment
  EXPECT_EQ(pieces(" 中"), " |中");
  EXPECT_EQ(pieces("\u3097あ"), "\u3097あ");  // unassigned, but within the run
  EXPECT_EQ(pieces("한국어 中"), "한국어| |中");
  EXPECT_EQ(pieces("龥龦"), "龥|龦");  // the pattern ends at U+9FA5
}

TEST(PieceSplitter, CharactersOfNoCategoryStayTogether) {
  EXPECT_EQ(pieces("\x01\x02"), "\x01\x02");
  EXPECT_EQ(pieces("\x01\x02x"), "\x01|\x02x");
  EXPECT_EQ(pieces("\u200b\u200b."), "\u200b\u200b|.");
}

TEST(PieceSplitter, InvalidBytesCountAsCharactersOfNoCategory) {
  EXPECT_EQ(pieces("\xff\xff"), "\xff\xff");
  EXPECT_EQ(pieces("\xe4\xb8"), "\xe4\xb8");
  EXPECT_EQ(pieces("\xe4\xb8x"), "\xe4|\xb8x");
  EXPECT_EQ(pieces("a\xc0\x80z"), "a|\xc0|\x80z");
  EXPECT_EQ(pieces("\xed\xa0\x80"), "\xed\xa0\x80");  // a surrogate is not a character
}

TEST(PieceSplitter, PiecesJoinUpToAnyBytes) {
  std::uint32_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525 + 1013904223;
      const char* some[] = {"a", " ",        "\n",   "中",   "・",      "1",
                            ".", "\xCC\x81", "\xE4", "\x80", "\xF0\x9F"};
      text += (state >> 16) % 4 == 0 ? std::string(1, static_cast<char>(state >> 24))
                                     : some[(state >> 20) % std::size(some)];
    }
    std::string joined;
    PieceSplitter splitter(text);
    for (auto piece = splitter.next(); !piece.empty(); piece = splitter.next()) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

TEST(CharClass, FollowsTheReferenceLibrary) {
  EXPECT_EQ(char_class('a'), CharClass::kLetterOrMark);
  EXPECT_EQ(char_class('_'), CharClass::kPunctOrSymbol);
  EXPECT_EQ(char_class('$'), CharClass::kPunctOrSymbol);
  EXPECT_EQ(char_class('7'), CharClass::kNumber);
  EXPECT_EQ(char_class(0x00B2), CharClass::kNumber);  // superscript two
  EXPECT_EQ(char_class(0x0085), CharClass::kSpace);
  EXPECT_EQ(char_class(0x200B), CharClass::kOther);  // zero-width space is a format character
  EXPECT_EQ(char_class(0x1C89), CharClass::kLetterOrMark);  // new in Unicode 16
  EXPECT_EQ(char_class(0xA7CE), CharClass::kOther);         // new in Unicode 17
  EXPECT_EQ(char_class(0xE000), CharClass::kOther);
  EXPECT_EQ(char_class(0x10FFFF), CharClass::kOther);
  EXPECT_EQ(char_class(0x110000), CharClass::kOther);
}

}  // namespace
}  // namespace plumb
