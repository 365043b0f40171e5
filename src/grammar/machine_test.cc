#include "grammar/machine.h"

#include <gtest/gtest.h>

#include <string>

#include "grammar/grammar_for_tests.h"
#include "grammar/json_rules.h"
#include "grammar/rules.h"

namespace plumb::grammar {
namespace {

std::string error_of(const Rules& rules, RuleId root) {
  const auto automaton = Automaton::build(rules, root, "the test");
  return automaton ? "" : automaton.error().message;
}

TEST(GrammarMachine, SequencesAlternativesAndRepetitions) {
  Rules rules;
  const auto machine = machine_of(
      rules, rules.seq({rules.literal("a"),
                        rules.repeat(rules.alt({rules.literal("b"), rules.literal("cd")}), 1, 3),
                        rules.optional(rules.literal("!"))}));
  for (const char* good : {"ab", "acd", "abb", "abcdb", "acdcdcd!", "ab!"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"", "a", "ac", "abbbb", "a!", "ab!!", "b"})
    EXPECT_FALSE(matches(machine, bad)) << bad;
}

TEST(GrammarMachine, RulesCallThemselves) {
  Rules rules;
  const RuleId nested = rules.declare("nested");
  rules.define(nested, rules.seq({rules.byte('('), rules.repeat(rules.call(nested), 0, kUnbounded),
                                  rules.byte(')')}));
  const auto machine = machine_of_rule(rules, nested);
  std::string deep(2000, '(');
  deep += std::string(2000, ')');
  EXPECT_TRUE(matches(machine, deep));
  EXPECT_TRUE(matches(machine, "(()(()))"));
  EXPECT_FALSE(matches(machine, "(()"));
  EXPECT_FALSE(matches(machine, "())"));
}

// Written with recursion at the end, a list needs no stack that grows with it.
TEST(GrammarMachine, ListsByRecursionStaySmall) {
  Rules rules;
  const RuleId list = rules.declare("list");
  rules.define(list, rules.seq({rules.byte('a'), rules.alt({rules.byte('.'), rules.call(list)})}));
  const auto machine = machine_of_rule(rules, list);
  EXPECT_TRUE(matches(machine, std::string(100, 'a') + "."));
  const std::size_t before = machine->bytes();
  EXPECT_TRUE(matches(machine, std::string(100'000, 'a') + "."));
  EXPECT_EQ(machine->bytes(), before);
}

// Each "a" may be closed by b or c: two to the hundredth derivations.
TEST(GrammarMachine, AmbiguityStaysSmall) {
  Rules rules;
  const RuleId s = rules.declare("s");
  rules.define(s, rules.alt({rules.seq({rules.byte('a'), rules.call(s), rules.byte('b')}),
                             rules.seq({rules.byte('a'), rules.call(s), rules.byte('c')}),
                             rules.byte('x')}));
  const auto machine = machine_of_rule(rules, s);
  EXPECT_TRUE(
      matches(machine, std::string(100, 'a') + "x" + std::string(50, 'b') + std::string(50, 'c')));
  EXPECT_FALSE(matches(machine, std::string(100, 'a') + "x" + std::string(99, 'b')));
  EXPECT_LT(machine->bytes(), std::size_t{2} << 20);
}

TEST(GrammarMachine, EmptyRulesAreSkipped) {
  Rules rules;
  const RuleId nothing = rules.rule("nothing", rules.empty());
  const RuleId maybe = rules.rule("maybe", rules.optional(rules.byte('a')));
  const auto machine =
      machine_of(rules, rules.seq({rules.call(nothing), rules.call(maybe), rules.call(maybe),
                                   rules.byte('b'), rules.call(maybe), rules.call(nothing)}));
  for (const char* good : {"b", "ab", "aab", "aaba", "ba"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"", "a", "aaab", "baa"}) EXPECT_FALSE(matches(machine, bad)) << bad;
}

TEST(GrammarMachine, WhatCannotBeRunIsRefused) {
  {
    Rules rules;
    const RuleId a = rules.declare("alpha"), b = rules.declare("beta");
    rules.define(a, rules.seq({rules.optional(rules.byte('x')), rules.call(b)}));
    rules.define(b, rules.alt({rules.call(a), rules.byte('y')}));
    EXPECT_NE(error_of(rules, a).find("begins with itself"), std::string::npos)
        << error_of(rules, a);
  }
  {
    Rules rules;
    const RuleId a = rules.declare("alpha");
    rules.define(a, rules.seq({rules.byte('x'), rules.call(a)}));
    EXPECT_EQ(error_of(rules, a),
              "In the test, alpha can never end: it always needs another of its kind.");
  }
  {
    Rules rules;
    const RuleId a = rules.declare("alpha");
    rules.define(a, rules.call(rules.declare("beta")));
    EXPECT_EQ(error_of(rules, a), "In the test, beta is not defined.");
  }
  {
    Rules rules;
    ExprId e = rules.byte('a');
    for (int i = 0; i < 4; ++i) e = rules.repeat(e, 1000, 1000);
    EXPECT_NE(error_of(rules, rules.rule("huge", e)).find("too large"), std::string::npos);
  }
}

// What can never end is not begun.
TEST(GrammarMachine, DeadEndsAreCutAway) {
  Rules rules;
  const RuleId endless = rules.declare("endless");
  rules.define(endless, rules.seq({rules.byte('x'), rules.call(endless)}));
  const auto machine = machine_of(
      rules, rules.alt({rules.seq({rules.literal("ab"), rules.call(endless)}),
                        rules.seq({rules.byte('a'), rules.never()}), rules.literal("ac")}));
  EXPECT_TRUE(matches(machine, "ac"));
  Matcher matcher(machine);
  ASSERT_TRUE(matcher.accept(1 + 'a'));
  EXPECT_FALSE(matcher.accept(1 + 'b'));
}

TEST(GrammarMachine, ControlTokensStandBetweenTexts) {
  Rules rules;
  const auto machine =
      machine_of(rules, rules.seq({rules.literal("a"), rules.control(0), rules.literal("bc")}));
  Matcher matcher(machine);
  EXPECT_FALSE(matcher.accept(0));
  ASSERT_TRUE(matcher.accept(1 + 'a'));
  TokenSet allowed(test_vocabulary()->words(), 0);
  ASSERT_TRUE(matcher.allow(allowed));
  TokenSet only(allowed.size(), 0);
  insert(only, 0);
  EXPECT_EQ(allowed, only);
  EXPECT_FALSE(matcher.accept(1 + 'b'));
  ASSERT_TRUE(matcher.accept(0));
  ASSERT_TRUE(matcher.accept(1 + 'b'));
  matcher.rollback(2);
  ASSERT_TRUE(matcher.accept(0));
  EXPECT_FALSE(matcher.accept(0));
  EXPECT_TRUE(matcher.accept(1 + 'b'));
  EXPECT_TRUE(matcher.accept(1 + 'c'));
  EXPECT_TRUE(matcher.may_end());
}

// Masks equal what single tokens do, wherever texts stand.
TEST(GrammarMachine, MasksAreExact) {
  Rules rules;
  JsonRules json(rules);
  const auto any = machine_of(rules, json.any_value());
  const auto text =
      machine_of(rules, rules.seq({json.text(), rules.control(0), json.any_object()}));
  const auto bounded = machine_of(rules, json.array(json.string(Spelling::kJson, 1, 5), 1, 3));
  const auto raw = machine_of(
      rules,
      rules.seq({rules.literal("<"), json.string(Spelling::kRaw, 0, 4), rules.literal("</")}));
  for (unsigned seed = 0; seed < 30; ++seed) {
    for (const auto& machine : {any, text, bounded, raw}) random_text(machine, seed, 60);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(GrammarMachine, TextsWithoutAPart) {
  Rules rules;
  const auto machine = machine_of(rules, text_without(rules, "\uFF5CDSM\uFF5C"));
  for (const char* good : {"", "abc", "\uFF5C", "\uFF5CDSM", "\uFF5CDS\uFF5CDSM", "DSM\uFF5C",
                           "\uFF5C\uFF5CDSMM\uFF5C"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"\uFF5CDSM\uFF5C", "ab\uFF5CDSM\uFF5Cc", "\uFF5C\uFF5CDSM\uFF5C",
                          "\uFF5CDS\uFF5CDSM\uFF5C"})
    EXPECT_FALSE(matches(machine, bad)) << bad;
  for (unsigned seed = 0; seed < 10; ++seed) random_text(machine, seed, 60);
}

// Hostile: everything may be the beginning of the end, a thousand characters later.
TEST(GrammarMachine, WorkHasALimit) {
  Rules rules;
  const ExprId any = rules.bytes(0, 255);
  const auto machine =
      machine_of_rule(rules,
                      rules.rule("r", rules.seq({rules.repeat(any, 0, kUnbounded), rules.byte('a'),
                                                 rules.repeat(any, 3000, 3000)})),
                      {.max_bytes = std::size_t{8} << 20, .max_work = 2'000'000});
  Matcher matcher(machine);
  bool stopped = false;
  for (int i = 0; i < 3000 && !stopped; ++i) {
    TokenSet allowed(test_vocabulary()->words(), 0);
    stopped = !matcher.allow(allowed) || !matcher.accept(1 + (i % 7 == 0 ? 'b' : 'a'));
  }
  EXPECT_TRUE(stopped);
  EXPECT_LT(machine->bytes(), std::size_t{10} << 20);
}

}  // namespace
}  // namespace plumb::grammar
