#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

// One token at a time.
std::string decoded(const std::vector<Token>& ids) {
  TextDecoder decoder(v4_tokenizer());
  std::string out;
  for (const Token id : ids) {
    const std::string text = decoder.push(id);
    EXPECT_TRUE(is_valid_utf8(text));
    out += text;
  }
  return out + decoder.finish();
}

std::vector<Token> byte_tokens(std::string_view bytes) {
  std::vector<Token> ids;
  for (const char c : bytes) {
    Token id = 3;
    while (v4_tokenizer().bytes(id) != std::string_view(&c, 1)) ++id;
    ids.push_back(id);
  }
  return ids;
}

TEST(TextDecoder, HoldsBackHalfCharacters) {
  TextDecoder decoder(v4_tokenizer());
  const std::vector<Token> ids = byte_tokens("中!");
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.push(ids[1]), "");
  EXPECT_EQ(decoder.push(ids[2]), "中");
  EXPECT_EQ(decoder.push(ids[3]), "!");
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(TextDecoder, WhatCannotBecomeACharacterIsReplacedAtOnce) {
  TextDecoder decoder(v4_tokenizer());
  EXPECT_EQ(decoder.push(byte_tokens("\xFF")[0]), "\uFFFD");
  EXPECT_EQ(decoder.push(byte_tokens("\xE4")[0]), "");
  EXPECT_EQ(decoder.push(byte_tokens("a")[0]), "\uFFFDa");
}

TEST(TextDecoder, ControlTokensAreTheirNames) {
  TextDecoder decoder(v4_tokenizer());
  EXPECT_EQ(decoder.push(*v4_tokenizer().control("<｜User｜>")), "<｜User｜>");
  EXPECT_EQ(decoder.push(-1), "");
  EXPECT_EQ(decoder.push(1 << 30), "");
}

// However a text is cut into tokens: byte by byte, by merging, or at random.
TEST(TextDecoder, TokenByTokenIsTheWhole) {
  std::mt19937 random(7);
  const std::string_view some[] = {"a",    " the", "\xE4", "\xB8", "\xAD", "中",
                                   "\xF0", "\x9F", "\x98", "\x80", "😀",    "é",
                                   "\xED", "\xA0", "\xFF", "\xC0", "\n"};
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 30; ++i) bytes += some[random() % std::size(some)];
    const std::string whole = replace_invalid_utf8(bytes);
    std::vector<Token> merged, cut;
    v4_tokenizer().encode(bytes, merged);
    EXPECT_EQ(decoded(merged), whole);
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 7, rest.size());
      v4_tokenizer().encode(rest.substr(0, size), cut);
      rest.remove_prefix(size);
    }
    EXPECT_EQ(decoded(cut), whole);
    if (round % 100 == 0) {
      EXPECT_EQ(decoded(byte_tokens(bytes)), whole);
    }
  }
}

TEST(TextDecoder, AnyTokensGiveValidText) {
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    std::vector<Token> ids;
    std::string bytes;
    for (int i = 0; i < 50; ++i) {
      ids.push_back(static_cast<Token>(random() % 129300));
      bytes += v4_tokenizer().bytes(ids.back());
    }
    EXPECT_EQ(decoded(ids), replace_invalid_utf8(bytes));
  }
}

}  // namespace
}  // namespace plumb
