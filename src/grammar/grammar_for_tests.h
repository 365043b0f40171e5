// A vocabulary and grammars to try in tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/machine.h"
#include "grammar/rules.h"

namespace plumb::grammar {

// Every byte, and some texts that run over the borders of JSON's parts. Token 0 is a control token.
inline std::shared_ptr<const Vocabulary> test_vocabulary() {
  static const std::shared_ptr<const Vocabulary> kVocabulary = [] {
    std::vector<std::string> texts = {""};
    for (int byte = 0; byte < 256; ++byte) texts.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* text :
         {"ab", "abc",  "the",  " the",  "{\"",    "\":",   "\": ",     "\",",  "\", \"", "\"}",
          "]}", "},",   "true", "false", "null",   "12",    "100",      "-1",   "0.5",    "1,",
          "é",  "éa",   "日本", "日",    "\\n",    "\\u00", "\\\"",     "\n  ", "    ",   "\n\n",
          "</", "aaaa", "abab", "x\"",   "\"x\":", "name",  "\"name\"", "[",    "[1",     "[]"}) {
      texts.emplace_back(text);
    }
    texts.emplace_back("\xe6\x97");  // half a character
    texts.emplace_back("\x97\xa5z");
    return std::make_shared<const Vocabulary>(std::move(texts));
  }();
  return kVocabulary;
}

inline std::shared_ptr<Machine> machine_of_rule(const Rules& rules, RuleId root,
                                                MachineLimits limits = {}) {
  auto automaton = Automaton::build(rules, root, "the grammar");
  EXPECT_TRUE(automaton) << (automaton ? "" : automaton.error().message);
  if (!automaton) return nullptr;
  return std::make_shared<Machine>(std::make_shared<const Automaton>(*std::move(automaton)),
                                   test_vocabulary(), limits);
}

inline std::shared_ptr<Machine> machine_of(Rules& rules, ExprId root) {
  return machine_of_rule(rules, rules.rule("the root", root));
}

// The whole text is one of the grammar's, byte by byte.
inline bool matches(const std::shared_ptr<Machine>& machine, std::string_view text) {
  Matcher matcher(machine);
  for (const char c : text) {
    if (!matcher.accept(1 + static_cast<unsigned char>(c))) return false;
  }
  return matcher.may_end();
}

// A text that the grammar lets through, by tokens drawn from the masks; each mask is compared with
// what single tokens do. `most` tokens; longer texts are closed by the likeliest way to an end.
inline std::string random_text(const std::shared_ptr<Machine>& machine, unsigned seed,
                               int most = 200) {
  std::mt19937 random(seed);
  const Vocabulary& vocabulary = machine->vocabulary();
  Matcher matcher(machine);
  std::string out;
  for (int i = 0; i < most; ++i) {
    TokenSet allowed(vocabulary.words(), 0);
    EXPECT_TRUE(matcher.allow(allowed));
    std::vector<Token> choices;
    for (Token token = 0; token < vocabulary.size(); ++token) {
      const bool bit = contains(allowed, token);
      const bool goes = matcher.accept(token);
      if (goes) matcher.rollback(1);
      // Tokens of several fillers may be left out where their number is bounded; single bytes
      // never.
      EXPECT_TRUE(!bit || goes) << token << " \"" << vocabulary.text(token) << "\" after " << out;
      EXPECT_TRUE(bit || !goes || vocabulary.text(token).size() > 1)
          << token << " \"" << vocabulary.text(token) << "\" after " << out;
      if (bit) choices.push_back(token);
    }
    if (matcher.may_end() && (choices.empty() || random() % 8 == 0)) return out;
    if (choices.empty()) {
      ADD_FAILURE() << "nothing may follow " << out;
      return out;
    }
    const Token token = choices[random() % choices.size()];
    EXPECT_TRUE(matcher.accept(token));
    out += vocabulary.text(token);
  }
  return out;
}

}  // namespace plumb::grammar
