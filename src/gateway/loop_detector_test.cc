#include "gateway/loop_detector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

constexpr std::size_t kLongest = LoopDetector::kLongest;
constexpr int kUsual = 256;  // that are a loop

// The longest run anywhere in these tokens.
int longest_run(const std::vector<Token>& tokens) {
  LoopDetector detector;
  int longest = 0;
  for (const Token token : tokens) longest = std::max(longest, detector.push(token));
  return longest;
}

// How often words come in texts: the n-th most frequent about 1/n as often as the first.
class Words {
 public:
  Words(unsigned seed, double exponent, int words) : random_(seed) {
    std::vector<double> weights;
    for (int n = 1; n <= words; ++n) weights.push_back(std::pow(n, -exponent));
    pick_ = std::discrete_distribution<Token>(weights.begin(), weights.end());
  }
  Token next() { return pick_(random_); }
  std::vector<Token> some(std::size_t count) {
    std::vector<Token> out(count);
    for (Token& token : out) token = next();
    return out;
  }
  std::mt19937& random() { return random_; }

 private:
  std::mt19937 random_;
  std::discrete_distribution<Token> pick_;
};

// By the definition: of every period, how many of the last tokens are what stood one period before.
int run_by_definition(const std::vector<Token>& tokens) {
  int longest = 0;
  for (std::size_t period = 1; period <= kLongest && period < tokens.size(); ++period) {
    int run = 0;
    for (std::size_t i = tokens.size(); i-- > period && tokens[i] == tokens[i - period];) ++run;
    if (run >= 2 * static_cast<int>(period)) longest = std::max(longest, run);
  }
  return longest;
}

TEST(LoopDetector, SaysWhatItsDefinitionSays) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<Token> tokens;
    LoopDetector detector;
    while (tokens.size() < 800) {
      // Goes on with what stood some way back, for a while.
      const std::size_t period = 1 + random() % 110;
      const bool repeats = tokens.size() >= period && random() % 2 == 0;
      for (std::size_t n = random() % 300; n > 0 && tokens.size() < 800; --n) {
        const auto other = static_cast<Token>(random() % 3);
        tokens.push_back(repeats ? tokens[tokens.size() - period] : other);
        ASSERT_EQ(detector.push(tokens.back()), run_by_definition(tokens))
            << "seed " << seed << ", token " << tokens.size();
      }
    }
  }
}

TEST(LoopDetector, EveryPeriodIsFoundInTime) {
  for (std::size_t period = 1; period <= kLongest; ++period) {
    Words words(static_cast<unsigned>(period), 1.0, 5000);
    LoopDetector detector;
    for (const Token token : words.some(1000)) ASSERT_LT(detector.push(token), kUsual);
    std::vector<Token> loop(period);
    for (std::size_t i = 0; i < period; ++i) loop[i] = 10000 + static_cast<Token>(i);
    for (const Token token : loop) EXPECT_LT(detector.push(token), kUsual);
    int found_after = 0;
    for (int repeated = 1; repeated <= 256 && found_after == 0; ++repeated) {
      const auto at = static_cast<std::size_t>(repeated - 1) % period;
      if (detector.push(loop[at]) >= kUsual) found_after = repeated;
    }
    EXPECT_EQ(found_after, 256) << "period " << period;
  }
}

// The words of a loop may come several times within it.
TEST(LoopDetector, LoopsOfFrequentWordsAreFoundNoLater) {
  for (std::size_t period = 1; period <= kLongest; ++period) {
    Words words(static_cast<unsigned>(period), 1.3, 50);
    const std::vector<Token> loop = words.some(period);
    std::vector<Token> tokens = words.some(300);
    for (std::size_t i = 0; i < period + 256; ++i) tokens.push_back(loop[i % period]);
    EXPECT_GE(longest_run(tokens), kUsual) << "period " << period;
  }
}

TEST(LoopDetector, ARunHoldsItsPeriodTwice) {
  LoopDetector detector;
  for (int i = 0; i < 149; ++i) EXPECT_EQ(detector.push(i % 50), 0) << i;
  EXPECT_EQ(detector.push(49), 100);
  EXPECT_EQ(detector.push(0), 101);
  // Something else ends it.
  EXPECT_EQ(detector.push(77), 0);
  EXPECT_EQ(detector.push(3), 0);
}

TEST(LoopDetector, LongerPeriodsAreNotLoops) {
  for (const std::size_t period : {kLongest + 1, 2 * kLongest, std::size_t{300}}) {
    std::vector<Token> tokens;
    for (std::size_t i = 0; i < 3000; ++i) tokens.push_back(static_cast<Token>(i % period));
    EXPECT_EQ(longest_run(tokens), 0) << period;
  }
}

TEST(LoopDetector, NaturalTextIsNone) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    EXPECT_LT(longest_run(Words(seed, 1.0, 50000).some(20000)), kUsual);
    EXPECT_LT(longest_run(Words(seed, 1.5, 2000).some(20000)), kUsual);
    EXPECT_LT(longest_run(Words(seed, 2.0, 100).some(20000)), kUsual);
  }
}

// "| name | 12 | 3.5 | yes |": most tokens of a line stand in every line, at the same place.
TEST(LoopDetector, LinesOfATableAreNone) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Words words(seed, 0.8, 500);
    std::vector<Token> tokens;
    for (int line = 0; line < 500; ++line) {
      for (int column = 0; column < 4; ++column) {
        tokens.insert(tokens.end(), {1000, 1001});  // "|", " "
        // Some columns hold one of a few words, one counts the lines.
        tokens.push_back(column == 0   ? 2000 + line
                         : column == 1 ? words.next()
                                       : 3000 + static_cast<Token>(words.random()() % 2));
        if (column == 1) tokens.push_back(words.next());
      }
      tokens.insert(tokens.end(), {1000, 1002});  // "|", end of line
    }
    EXPECT_LT(longest_run(tokens), kUsual) << seed;
  }
}

// Ten thousand pieces of books in three languages, as the published tokenizer cuts them.
TEST(LoopDetector, OrdinaryTextIsNotTakenForALoop) {
  auto tokenizer = Tokenizer::load(v4_tokenizer_json());
  ASSERT_TRUE(tokenizer);
  std::vector<Token> tokens;
  for (const char* name :
       {"texts/alice.en.txt", "texts/promessi_sposi.it.txt", "texts/xiyouji.zh.txt"})
    (*tokenizer)->encode(test_data(name), tokens);
  constexpr std::size_t kReplies = 10'000, kLength = 300;
  ASSERT_GT(tokens.size(), kLength);
  int cut = 0, longest = 0;
  for (std::size_t reply = 0; reply < kReplies; ++reply) {
    const std::size_t first = reply * 7919 % (tokens.size() - kLength);
    LoopDetector detector;
    int most = 0;
    for (std::size_t t = first; t < first + kLength; ++t)
      most = std::max(most, detector.push(tokens[t]));
    cut += most >= 256;
    longest = std::max(longest, most);
  }
  EXPECT_EQ(cut, 0);
  RecordProperty("longest", longest);
}

}  // namespace
}  // namespace plumb
