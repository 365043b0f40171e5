// The published DeepSeek-V4 tokenizer: that the committed form is that file, and known ids.
#include <gtest/gtest.h>

#include "base/digest.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

std::vector<Token> encoded(std::string_view text) {
  std::vector<Token> ids;
  v4_tokenizer().encode(text, ids);
  return ids;
}

std::vector<Token> trusted(std::string_view text) {
  std::vector<Token> ids;
  v4_tokenizer().encode_trusted(text, ids);
  return ids;
}

std::vector<Token> numbers(std::string_view text) {
  std::vector<Token> ids;
  for (const std::string_view word : split_at(text, ' ')) {
    ids.push_back(static_cast<Token>(std::stol(std::string(word))));
  }
  return ids;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += (&line == &lines[0] ? "" : "\n") + line;
  return out;
}

TEST(V4Tokenizer, CommittedFormIsThePublishedFile) {
  EXPECT_EQ(sha256_hex(v4_tokenizer_json()),
            "8f9f37ca37fdc4f5fd36d5cf4d3b0e8392edb4e894fd10cc0d70b4957c8633cf");
  const V4Vocabulary vocabulary = v4_vocabulary();
  EXPECT_EQ(vocabulary.entries.size(), 128000U);
  EXPECT_EQ(vocabulary.merges.size(), 127741U);
  EXPECT_EQ(sha256_hex(joined(vocabulary.entries)),
            "9396a08380c6c99b28a0221034efbbf26554e778aac3f26419229323b19828cc");
  EXPECT_EQ(sha256_hex(joined(vocabulary.merges)),
            "547bace837acea98652eef5669c9b01cee1c73ad1d2a44d6fdce9e6a81c22147");
}

TEST(V4Tokenizer, VectorsOfOtherImplementations) {
  auto vectors = parse_json(test_data("tokenizer/golden.json"), "golden.json");
  ASSERT_TRUE(vectors);
  ASSERT_EQ(vectors->items().size(), 5U);
  for (const Json& vector : vectors->items()) {
    std::vector<Token> expected;
    for (const Json& id : vector.find("ids")->items()) {
      expected.push_back(static_cast<Token>(*id.as_int()));
    }
    EXPECT_EQ(trusted(vector.find("text")->text()), expected) << vector.find("text")->text();
  }
}

// Their lengths are the prompt-token counts that the vendor's service reported.
TEST(V4Tokenizer, WholePrompts) {
  const auto prompt = [](std::string_view text) {
    return trusted(str("<｜begin▁of▁sentence｜><｜User｜>", text, "<｜Assistant｜></think>"));
  };
  EXPECT_EQ(prompt("Answer with only the number: 2048 divided by 128 is"),
            numbers("0 128803 7805 418 1353 270 1167 28 223 11154 26 7203 513 223 7833 344 128804 "
                    "128822"));
  EXPECT_EQ(prompt("Rispondi in italiano con una frase: chi era Ada Lovelace?"),
            numbers("0 128803 52 278 4908 75 295 89034 399 3919 123003 28 23442 9861 63030 47121 "
                    "317 805 33 128804 128822"));
  EXPECT_EQ(prompt("Complete the C statement with the next exact token only:\n"
                   "return snprintf(buf, sizeof(buf), \"%d\", value"),
            numbers("0 128803 41174 270 345 6809 418 270 2894 6319 17840 1353 1137 3916 6400 15626 "
                    "97201 14 36220 97201 754 51663 70 1760 1990 128804 128822"));
}

TEST(V4Tokenizer, SplittingEdgeCases) {
  EXPECT_EQ(encoded("if(x){\n    return foo_bar;\n}"),
            numbers("394 4042 5223 361 1354 52735 100869 510 95"));
  EXPECT_EQ(encoded("a  b   \n   c"), numbers("67 223 291 14320 262 274"));
  EXPECT_EQ(encoded("it's  a\ttest\n\n  ok 12345"),
            numbers("279 734 223 260 102365 271 223 9109 223 6895 1883"));
  EXPECT_EQ(encoded("中文，English混排。2026年4月24日"),
            numbers("21134 303 17530 5764 2774 320 939 24 695 22 1266 1173 1080"));
  EXPECT_EQ(encoded("    if (a<=b) { return -1; } // TODO: fix\n\n\n"),
            numbers("361 855 343 67 17394 68 11 680 1354 565 19 29 837 1915 37481 28 11284 6328"));
}

TEST(V4Tokenizer, ControlTokensHaveTheirOwnDoor) {
  const Tokenizer& tokenizer = v4_tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 129280);
  const std::pair<std::string_view, Token> known[] = {
      {"<｜begin▁of▁sentence｜>", 0},
      {"<｜end▁of▁sentence｜>", 1},
      {"<｜▁pad▁｜>", 2},
      {"<｜User｜>", 128803},
      {"<｜Assistant｜>", 128804},
      {"<think>", 128821},
      {"</think>", 128822},
      {"｜DSML｜", 128825},
      {"<｜latest_reminder｜>", 128828},
      {"<｜action｜>", 128829},
      {"<｜title｜>", 128836},
      {"</dsml:", 128841},
      {"<｜read_url｜>", 128845},
      {"<｜image｜>", 129279},
  };
  for (const auto& [name, id] : known) {
    const auto found = tokenizer.control(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(*found, id);
    EXPECT_EQ(tokenizer.bytes(id), name);
    EXPECT_TRUE(tokenizer.is_control(id));
  }
  int controls = 0;
  std::string all;
  for (Token id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_control(id)) continue;
    ++controls;
    all += tokenizer.bytes(id);
    for (const Token part : encoded(tokenizer.bytes(id))) EXPECT_FALSE(tokenizer.is_control(part));
  }
  EXPECT_EQ(controls, 1283);
  for (const Token part : encoded(all)) EXPECT_FALSE(tokenizer.is_control(part));
  EXPECT_EQ(trusted(all).size(), 1283U);
}

TEST(V4Tokenizer, BytesOfEveryToken) {
  const Tokenizer& tokenizer = v4_tokenizer();
  for (Token id = 3; id < 128000; ++id) ASSERT_FALSE(tokenizer.bytes(id).empty()) << id;
  EXPECT_EQ(tokenizer.bytes(223), " ");
  EXPECT_EQ(tokenizer.bytes(201), "\n");
  EXPECT_EQ(tokenizer.bytes(258), "\xAD");
  EXPECT_EQ(tokenizer.bytes(-1), "");
  EXPECT_EQ(tokenizer.bytes(129280), "");
  EXPECT_FALSE(tokenizer.is_control(-1));
  EXPECT_FALSE(tokenizer.is_control(129280));
}

}  // namespace
}  // namespace plumb
