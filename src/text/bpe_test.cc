#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace plumb {
namespace {

// Tokens 0..255 are the bytes; further ones are added by text.
class Vocabulary {
 public:
  Vocabulary() {
    for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  }
  Token add(const std::string& text) {
    const auto [at, is_new] = ids_.emplace(text, static_cast<Token>(texts_.size()));
    if (is_new) texts_.push_back(std::make_unique<std::string>(text));
    return at->second;
  }
  // False if the two have a rule already.
  bool merge(const std::string& left, const std::string& right) {
    const Merge merge{add(left), add(right), add(left + right)};
    for (const Merge& one : merges_) {
      if (one.left == merge.left && one.right == merge.right) return false;
    }
    merges_.push_back(merge);
    return true;
  }
  const std::string& text(Token token) const { return *texts_[token]; }
  std::size_t size() const { return texts_.size(); }
  std::vector<Merge>& merges() { return merges_; }

  Result<Bpe> build() const {
    std::array<Token, 256> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes[byte] = byte;
    std::vector<std::string_view> texts;
    for (const auto& text : texts_) texts.push_back(*text);
    return Bpe::build(bytes, merges_, texts);
  }

  // By the definition: the leftmost pair of lowest rank, one at a time.
  std::vector<Token> define(std::string_view piece) const {
    std::map<std::pair<Token, Token>, std::size_t> ranks;
    for (std::size_t i = 0; i < merges_.size(); ++i) {
      ranks[{merges_[i].left, merges_[i].right}] = i;
    }
    std::vector<Token> tokens;
    for (const char c : piece) tokens.push_back(static_cast<std::uint8_t>(c));
    while (true) {
      std::size_t best = merges_.size(), at = 0;
      for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto found = ranks.find({tokens[i], tokens[i + 1]});
        if (found == ranks.end() || found->second >= best) continue;
        best = found->second;
        at = i;
      }
      if (best == merges_.size()) return tokens;
      tokens[at] = merges_[best].result;
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  }

 private:
  std::vector<std::unique_ptr<std::string>> texts_;  // by id; the strings keep their place
  std::map<std::string, Token> ids_;
  std::vector<Merge> merges_;
};

std::vector<Token> encoded(const Bpe& bpe, std::string_view piece) {
  std::vector<Token> out;
  bpe.encode(piece, out);
  return out;
}

// Rules between random texts over `letters`, in the order they were made or in any order.
Vocabulary random_vocabulary(std::mt19937& random, const std::vector<std::string>& letters,
                             int rules, bool in_order) {
  Vocabulary out;
  std::vector<std::string> made;
  for (const std::string& letter : letters) {
    for (const char byte : letter) made.emplace_back(1, byte);
  }
  for (int i = 0; i < rules; ++i) {
    const std::string left = made[random() % made.size()], right = made[random() % made.size()];
    if (left.size() + right.size() <= 12 && out.merge(left, right)) made.push_back(left + right);
  }
  if (!in_order) std::shuffle(out.merges().begin(), out.merges().end(), random);
  return out;
}

std::string random_text(std::mt19937& random, const std::vector<std::string>& letters, int length) {
  std::string out;
  for (int i = 0; i < length; ++i) out += letters[random() % letters.size()];
  return out;
}

TEST(Bpe, FollowsTheDefinitionWithAnyRules) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::vector<std::string> letters = round % 2 == 0
                                                 ? std::vector<std::string>{"a", "b", "c"}
                                                 : std::vector<std::string>{"a", "\xC3\xA0"};
    const Vocabulary vocabulary = random_vocabulary(random, letters, 40, round % 4 < 2);
    const auto bpe = vocabulary.build();
    ASSERT_TRUE(bpe);
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(random, letters, 1 + static_cast<int>(random() % 60));
      ASSERT_EQ(encoded(*bpe, text), vocabulary.define(text)) << round << " " << text;
    }
  }
}

// Characters of three bytes may be begun with as one token only where no rule can come between.
TEST(Bpe, FollowsTheDefinitionWithinAndAcrossCharacters) {
  const std::vector<std::string> letters = {"一", "丁", "七", "万", "の", "a", "é"};
  std::mt19937 random(2);
  int whole = 0;
  for (int round = 0; round < 300; ++round) {
    // Few rules, so that characters often merge before anything reaches into them.
    Vocabulary vocabulary = random_vocabulary(random, letters, round % 30, round % 4 < 2);
    for (const std::string& letter : letters) {
      if (letter.size() != 3 || random() % 3 == 0) continue;
      vocabulary.merge(letter.substr(0, 2 - random() % 2), letter.substr(2));
      vocabulary.merge(letter.substr(0, 1), letter.substr(1, 1));
      vocabulary.merge(letter.substr(0, 2), letter.substr(2));
      vocabulary.merge(letter, letters[random() % letters.size()]);
    }
    if (round % 3 == 0)
      std::shuffle(vocabulary.merges().begin(), vocabulary.merges().end(), random);
    const auto bpe = vocabulary.build();
    ASSERT_TRUE(bpe);
    for (int i = 0; i < 20; ++i) {
      std::string text = random_text(random, letters, 1 + static_cast<int>(random() % 20));
      if (i % 4 == 0) text = text.substr(random() % text.size());  // begins within a character
      const std::vector<Token> tokens = encoded(*bpe, text);
      ASSERT_EQ(tokens, vocabulary.define(text)) << round << " " << text;
      for (const Token token : tokens) whole += vocabulary.text(token).size() >= 3;
    }
  }
  EXPECT_GT(whole, 1000);
}

TEST(Bpe, LongPiecesAreMergedByTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 6; ++round) {
    const std::vector<std::string> letters = round % 3 == 0 ? std::vector<std::string>{"a"}
                                             : round % 3 == 1
                                                 ? std::vector<std::string>{"a", "b"}
                                                 : std::vector<std::string>{"一", "万", "の"};
    const Vocabulary vocabulary = random_vocabulary(random, letters, 30, round % 2 == 0);
    const auto bpe = vocabulary.build();
    ASSERT_TRUE(bpe);
    for (const int length : {1024, 1025, 2500}) {
      const std::string text =
          random_text(random, letters, length / static_cast<int>(letters[0].size()));
      ASSERT_EQ(encoded(*bpe, text), vocabulary.define(text)) << round << " " << length;
    }
  }
}

// A token longer than a window: no two windows can share one.
TEST(Bpe, TokensLongerThanAWindow) {
  Vocabulary vocabulary;
  for (std::string text = "a"; text.size() <= 2048; text += text) vocabulary.merge(text, text);
  const auto bpe = vocabulary.build();
  ASSERT_TRUE(bpe);
  for (const std::size_t length : {1024U, 2000U, 4096U, 4500U}) {
    const std::string text(length, 'a');
    EXPECT_EQ(encoded(*bpe, text), vocabulary.define(text)) << length;
  }
  EXPECT_EQ(encoded(*bpe, std::string(4096, 'a')).size(), 1U);
}

// Where the end of a window cuts the tokens before it short, the next one must not begin there.
TEST(Bpe, TokensThatTheEndOfAWindowCutsShort) {
  Vocabulary vocabulary;
  for (std::string text = "a"; text.size() <= 256; text += text) vocabulary.merge(text, text);
  const auto bpe = vocabulary.build();
  ASSERT_TRUE(bpe);
  for (const std::size_t before : {1U, 124U, 700U}) {
    const std::string text = std::string(before, 'b') + std::string(2500, 'a');
    EXPECT_EQ(encoded(*bpe, text), vocabulary.define(text)) << before;
  }
}

TEST(Bpe, APieceSpelledLikeAnUnreachableTokenIsMerged) {
  Vocabulary vocabulary;
  vocabulary.merge("b", "c");
  vocabulary.merge("a", "b");
  vocabulary.merge("ab", "c");  // never: "bc" comes first
  const auto bpe = vocabulary.build();
  ASSERT_TRUE(bpe);
  EXPECT_EQ(encoded(*bpe, "abc"), vocabulary.define("abc"));
  EXPECT_EQ(encoded(*bpe, "abc").size(), 2U);
  EXPECT_EQ(encoded(*bpe, "ab").size(), 1U);
}

TEST(Bpe, RefusesTwoRulesForAPair) {
  Vocabulary vocabulary;
  vocabulary.merge("a", "b");
  vocabulary.merges().push_back(vocabulary.merges()[0]);
  const auto bpe = vocabulary.build();
  ASSERT_FALSE(bpe);
  EXPECT_EQ(bpe.error().code, Code::kCorrupt);
  EXPECT_EQ(bpe.error().message, "Merges 0 and 1 join the same two tokens.");
}

}  // namespace
}  // namespace plumb
