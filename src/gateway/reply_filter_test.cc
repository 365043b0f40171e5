#include "gateway/reply_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/grammar_for_tests.h"
#include "grammar/json_rules.h"

namespace plumb {
namespace {

using grammar::ExprId;
using grammar::JsonRules;
using grammar::Rules;
using grammar::TokenSet;

constexpr Token kEndOfReasoning = 0;  // the control token of the test vocabulary
// Two more of them behind it.
const Token kFirstEnd = grammar::test_vocabulary()->size();
const Token kSecondEnd = kFirstEnd + 1;
const int kTokens = kFirstEnd + 2;
constexpr Token letter(char c) { return 1 + static_cast<unsigned char>(c); }

std::shared_ptr<grammar::Machine> running(Rules& rules, ExprId root) {
  static const auto kVocabulary = [] {
    std::vector<std::string> texts(static_cast<std::size_t>(kTokens));
    for (Token token = 0; token < kFirstEnd; ++token)
      texts[static_cast<std::size_t>(token)] = grammar::test_vocabulary()->text(token);
    return std::make_shared<const grammar::Vocabulary>(std::move(texts));
  }();
  auto automaton = grammar::Automaton::build(rules, rules.rule("the reply", root), "the grammar");
  EXPECT_TRUE(automaton) << (automaton ? "" : automaton.error().message);
  if (!automaton) return nullptr;
  return std::make_shared<grammar::Machine>(
      std::make_shared<const grammar::Automaton>(*std::move(automaton)), kVocabulary);
}

// "ab", any number of "c" and then perhaps "d".
std::shared_ptr<grammar::Machine> letters_machine() {
  Rules rules;
  return running(rules, rules.seq({rules.literal("ab"), rules.repeat(rules.byte('c'), 0, -1),
                                   rules.optional(rules.byte('d'))}));
}

// A value of JSON, behind reasoning if there is some.
std::shared_ptr<grammar::Machine> json_machine(bool reasons) {
  Rules rules;
  JsonRules json(rules);
  return running(
      rules, reasons ? rules.seq({json.text(), rules.control(kEndOfReasoning), json.any_value()})
                     : json.any_value());
}

ReplyFilterOptions options_of(std::shared_ptr<grammar::Machine> machine, int max_reasoning = -1) {
  return {.machine = std::move(machine),
          .ends = {kFirstEnd, kSecondEnd},
          .starts_in_reasoning = max_reasoning >= 0,
          .end_of_reasoning = max_reasoning >= 0 ? kEndOfReasoning : -1,
          .max_reasoning = max_reasoning};
}

TokenSet everything() {
  return TokenSet((static_cast<std::size_t>(kTokens) + 63) / 64, ~std::uint64_t{0});
}
TokenSet mask_of(TokenFilter& filter) {
  TokenSet allowed = everything();
  filter.bitmask(allowed);
  return allowed;
}
TokenSet set_of(std::initializer_list<Token> tokens) {
  TokenSet out(everything().size(), 0);
  for (const Token token : tokens) grammar::insert(out, token);
  return out;
}
bool has(const TokenSet& set, Token token) {
  return (set[static_cast<std::size_t>(token) / 64] >> (token % 64)) & 1;
}
std::vector<Token> tokens_in(const TokenSet& set) {
  std::vector<Token> out;
  for (Token token = 0; token < kTokens; ++token) {
    if (has(set, token)) out.push_back(token);
  }
  return out;
}
Token one_of(const std::vector<Token>& choices, std::mt19937& random) {
  return choices[random() % choices.size()];
}
// The token with this text.
Token token_of(std::string_view text) {
  Token token = 1;
  while (grammar::test_vocabulary()->text(token) != text) ++token;
  return token;
}
void accept_all(TokenFilter& filter, std::string_view text) {
  for (const char c : text) filter.accept(letter(c));
}

TEST(ReplyFilter, EndsAreAllowedWhereTheGrammarMayEnd) {
  ReplyFilter filter(options_of(letters_machine()));
  EXPECT_EQ(mask_of(filter), set_of({letter('a'), token_of("ab"), token_of("abc")}));
  accept_all(filter, "a");
  EXPECT_EQ(mask_of(filter), set_of({letter('b')}));
  accept_all(filter, "b");
  EXPECT_EQ(mask_of(filter), set_of({letter('c'), letter('d'), kFirstEnd, kSecondEnd}));
  accept_all(filter, "cc");
  EXPECT_EQ(mask_of(filter), set_of({letter('c'), letter('d'), kFirstEnd, kSecondEnd}));
  accept_all(filter, "d");
  EXPECT_EQ(mask_of(filter), set_of({kFirstEnd, kSecondEnd}));
}

// What a matcher of its own says, and the ends where it may end.
TEST(ReplyFilter, MasksAreTheGrammarsWhereverTextsStand) {
  std::mt19937 random(7);
  for (const bool reasons : {false, true}) {
    const auto machine = json_machine(reasons);
    for (int walk = 0; walk < 20; ++walk) {
      ReplyFilter filter(options_of(machine));
      grammar::Matcher matcher(machine);
      for (int step = 0; step < 60; ++step) {
        TokenSet expected(everything().size(), 0);
        ASSERT_TRUE(matcher.allow(expected));
        const std::vector<Token> choices = tokens_in(expected);
        if (matcher.may_end()) {
          grammar::insert(expected, kFirstEnd);
          grammar::insert(expected, kSecondEnd);
        }
        ASSERT_EQ(mask_of(filter), expected) << walk << " " << step;
        if (choices.empty()) break;
        const Token token = one_of(choices, random);
        ASSERT_TRUE(matcher.accept(token));
        filter.accept(token);
      }
    }
  }
}

// Accepts and takes back at random, tokens that are not allowed among them, and compares the mask
// with the one that stood there the first time and with that of a new filter.
void walk_to_and_fro(const ReplyFilterOptions& options, unsigned seed) {
  std::mt19937 random(seed);
  ReplyFilter filter(options);
  std::vector<Token> tokens;
  std::vector<TokenSet> masks = {mask_of(filter)};
  for (int step = 0; step < 300; ++step) {
    const bool stuck = tokens_in(masks.back()).empty();
    if (!tokens.empty() && random() % (stuck ? 2 : 7) == 0) {
      const std::size_t most = random() % 16 == 0 ? tokens.size() : 6;
      const std::size_t back = 1 + random() % std::min(tokens.size(), most);
      filter.rollback(static_cast<int>(back));
      tokens.resize(tokens.size() - back);
      masks.resize(tokens.size() + 1);
    } else {
      std::vector<Token> choices = tokens_in(masks.back());
      if (stuck || random() % 16 == 0) choices = tokens_in(everything());
      tokens.push_back(one_of(choices, random));
      filter.accept(tokens.back());
      ReplyFilter fresh(options);
      for (const Token token : tokens) fresh.accept(token);
      masks.push_back(mask_of(fresh));
    }
    ASSERT_EQ(mask_of(filter), masks.back()) << "seed " << seed << ", step " << step;
  }
}

TEST(ReplyFilter, RollbackRestoresMasksExactly) {
  const auto plain = json_machine(false), reasoning = json_machine(true);
  const auto letters = letters_machine();
  for (unsigned seed = 0; seed < 12; ++seed) {
    for (const auto& options :
         {options_of(plain), options_of(reasoning), options_of(letters), options_of(nullptr, 9),
          options_of(reasoning, 0), options_of(reasoning, 5), options_of(reasoning, 40)}) {
      walk_to_and_fro(options, seed);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(ReplyFilter, TheBudgetLeavesOnlyTheEndOfReasoning) {
  const auto machine = json_machine(true);
  for (const int budget : {0, 1, 2, 17}) {
    for (const bool constrained : {false, true}) {
      ReplyFilter filter(options_of(constrained ? machine : nullptr, budget));
      for (int i = 0; i < budget; ++i) {
        EXPECT_TRUE(has(mask_of(filter), letter('x'))) << budget << " " << i;
        EXPECT_TRUE(has(mask_of(filter), kEndOfReasoning)) << budget << " " << i;
        filter.accept(letter('x'));
      }
      EXPECT_EQ(mask_of(filter), set_of({kEndOfReasoning})) << budget;
      filter.accept(kEndOfReasoning);
      const TokenSet answer = mask_of(filter);
      EXPECT_TRUE(has(answer, letter('[')));
      EXPECT_EQ(has(answer, letter('x')), !constrained);
      EXPECT_EQ(has(answer, kEndOfReasoning), !constrained);
    }
  }
}

TEST(ReplyFilter, TheBudgetCountsAgainWhatWasTakenBack) {
  for (const auto& machine : {std::shared_ptr<grammar::Machine>(), json_machine(true)}) {
    ReplyFilter filter(options_of(machine, 3));
    const TokenSet free = mask_of(filter);
    const TokenSet only_end = set_of({kEndOfReasoning});
    accept_all(filter, "xyz");
    EXPECT_EQ(mask_of(filter), only_end);
    filter.rollback(1);
    EXPECT_EQ(mask_of(filter), free);
    filter.accept(letter('a'));
    EXPECT_EQ(mask_of(filter), only_end);
    // The end and some of the answer, taken back in one go to where the end must come.
    filter.accept(kEndOfReasoning);
    const TokenSet answer = mask_of(filter);
    EXPECT_NE(answer, only_end);
    accept_all(filter, "[1");
    filter.rollback(3);
    EXPECT_EQ(mask_of(filter), only_end);
    filter.rollback(2);
    EXPECT_EQ(mask_of(filter), free);
    // An end before its time: the answer may be longer than the budget.
    filter.accept(kEndOfReasoning);
    EXPECT_EQ(mask_of(filter), answer);
    accept_all(filter, "[[[[[");
    EXPECT_NE(mask_of(filter), only_end);
    filter.rollback(6);
    accept_all(filter, "vw");
    EXPECT_EQ(mask_of(filter), only_end);
  }
}

TEST(ReplyFilter, WithoutAMachineNothingElseIsMasked) {
  std::mt19937 random(5);
  ReplyFilter free(options_of(nullptr));
  ReplyFilter budget(options_of(nullptr, 4));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(mask_of(free), everything());
    EXPECT_EQ(mask_of(budget), i == 4 ? set_of({kEndOfReasoning}) : everything()) << i;
    const Token token = i == 4 ? kEndOfReasoning : 1 + static_cast<Token>(random() % 256);
    free.accept(token);
    budget.accept(token);
  }
}

TEST(ReplyFilter, AReplyThatIsNoLongerTheGrammarsHasNoNextToken) {
  ReplyFilter filter(options_of(letters_machine()));
  accept_all(filter, "abc");
  const TokenSet before = mask_of(filter);
  accept_all(filter, "xd");
  EXPECT_EQ(mask_of(filter), set_of({}));
  filter.rollback(1);
  EXPECT_EQ(mask_of(filter), set_of({}));
  filter.rollback(1);
  EXPECT_EQ(mask_of(filter), before);
}

// Reasoning is text: a character that the budget ends in is completed before it is closed.
TEST(ReplyFilter, ABudgetThatEndsInsideACharacterWaitsForIt) {
  Rules rules;
  JsonRules json(rules);
  ReplyFilter filter(
      {running(rules, rules.seq({json.text(), rules.control(kEndOfReasoning), json.any_value()})),
       {kFirstEnd},
       true,
       kEndOfReasoning,
       1});
  const auto mask = [&] {
    TokenSet allowed((static_cast<std::size_t>(kTokens) + 63) / 64, ~std::uint64_t{0});
    filter.bitmask(allowed);
    return allowed;
  };
  filter.accept(1 + 0xe6);
  TokenSet only(mask().size(), 0);
  grammar::insert(only, kEndOfReasoning);
  EXPECT_NE(mask(), only);
  EXPECT_EQ(mask()[0] & 1, 0u) << "the end is not allowed here";
  filter.accept(1 + 0x97);
  filter.accept(1 + 0xa5);
  EXPECT_EQ(mask(), only);
  filter.accept(kEndOfReasoning);
  EXPECT_NE(mask(), TokenSet(mask().size(), 0));
}

}  // namespace
}  // namespace plumb
