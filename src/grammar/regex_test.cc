#include "grammar/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "grammar/ebnf.h"
#include "grammar/grammar_for_tests.h"
#include "grammar/schema_formats.h"

namespace plumb::grammar {
namespace {

std::shared_ptr<Machine> of(std::string_view pattern, const RegexOptions& options = {}) {
  Rules rules;
  const auto expr = regex(rules, pattern, options);
  EXPECT_TRUE(expr) << pattern << ": " << (expr ? "" : expr.error().message);
  return expr ? machine_of(rules, *expr) : nullptr;
}

struct Case {
  const char* pattern;
  std::vector<std::string> good, bad;
};

TEST(Regex, MatchesWhatItsDialectSays) {
  const std::vector<Case> cases = {
      {"abc", {"abc"}, {"", "ab", "abcd"}},
      {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
      {"a*b+c?", {"b", "aab", "abbc"}, {"a", "ac", "cc"}},
      {"a{3}b{2,}c{1,2}", {"aaabbc", "aaabbbbcc"}, {"aabbc", "aaabc", "aaabbccc"}},
      {"[a-c0\\-]+", {"a0-c"}, {"d", ""}},
      {"[^a-c]", {"d", "é", "日", "\n"}, {"a", "", "dd"}},
      {"[\\]\\\\]", {"]", "\\"}, {"["}},
      {"\\d\\D\\w\\W\\s\\S", {"1a_- x"}, {"aa_- x", "11_- x"}},
      {".", {"x", "é", "😀"}, {"\n", "\r", "", "xx"}},
      {"(?:ab)+(c|d)(?<name>e)", {"ababce", "abde"}, {"abe", "ce"}},
      {"\\u00e9\\x41\\u{1F600}\\ud83d\\ude00", {"éA😀😀"}, {"eA😀😀"}},
      {"\\.\\*\\/\\$\\^", {".*/$^"}, {"x*/$^"}},
      {"^a.c$", {"abc"}, {"abcd"}},
      {"a+?b*?", {"aab"}, {"b"}},
      {"[\\d.]+", {"1.2"}, {"a"}},
      {"[^\\d]+", {"ab"}, {"1"}},
  };
  for (const Case& c : cases) {
    const auto machine = of(c.pattern);
    ASSERT_TRUE(machine) << c.pattern;
    for (const std::string& text : c.good)
      EXPECT_TRUE(matches(machine, text)) << c.pattern << " " << text;
    for (const std::string& text : c.bad)
      EXPECT_FALSE(matches(machine, text)) << c.pattern << " " << text;
  }
}

TEST(Regex, MayMatchAnywhere) {
  const auto machine = of("b{2}|^x$", {Spelling::kRaw, true});
  for (const char* good : {"bb", "abb", "bbc", "abbb日", "x"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"", "b", "xx", "bab"}) EXPECT_FALSE(matches(machine, bad)) << bad;
}

TEST(Regex, InJsonCharactersAreEscapedWhereTheyMustBe) {
  const auto machine = of("[\"\\\\\\n/x]+", {Spelling::kJson, false});
  for (const char* good : {"\\\"", "\\\\", "\\n", "/", "x\\nx"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"\"", "\\", "\n", "\\x"}) EXPECT_FALSE(matches(machine, bad)) << bad;
}

TEST(Regex, MasksAreExact) {
  for (const char* pattern :
       {"[a-c]{1,4}x?", "(ab|abc|abcd)*", "[^a]+b.{2,3}", "(\\d+\\.)?\\d{2}", "日.*本"}) {
    for (const Spelling spelling : {Spelling::kRaw, Spelling::kJson}) {
      for (const bool anywhere : {false, true}) {
        const auto machine = of(pattern, {spelling, anywhere});
        for (unsigned seed = 0; seed < 4; ++seed) random_text(machine, seed, 30);
        ASSERT_FALSE(HasFailure()) << pattern;
      }
    }
  }
}

TEST(Regex, WhatIsWrongIsSaid) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"a(b", "without \")\""},  {"a)b", "closes nothing"},       {"[a", "without \"]\""},
      {"*a", "repeats nothing"}, {"a**", "repetition of a"},      {"(?=a)", "look-around"},
      {"(?<!a)", "look-around"}, {"\\1", "not offered"},          {"\\bfoo", "not offered"},
      {"\\p{L}", "not offered"}, {"a{2,1}", "before its"},        {"a{99999}", "above 10000"},
      {"[z-a]", "backwards"},    {"a^b", "not at the beginning"}, {"a$b", "not at the end"},
      {"\\u12", "hexadecimal"},  {"\\ud83d", "half of a"},        {"a{x}", "begins no count"},
  };
  for (const auto& [pattern, expected] : cases) {
    Rules rules;
    const auto expr = regex(rules, pattern);
    ASSERT_FALSE(expr) << pattern;
    EXPECT_NE(expr.error().message.find(expected), std::string::npos) << expr.error().message;
  }
  Rules rules;
  EXPECT_FALSE(regex(rules, std::string(1000, '(') + std::string(1000, ')')));
}

// (a|b)*a(a|b){20} has a million states when it is made deterministic at once.
TEST(Regex, IsMadeDeterministicAsFarAsTextsGo) {
  const auto machine = of("(a|b)*a(a|b){20}");
  std::string text;
  for (int i = 0; i < 3000; ++i) text += (i * i) % 7 < 3 ? 'a' : 'b';
  text += "a" + std::string(20, 'b');
  EXPECT_TRUE(matches(machine, text));
  EXPECT_FALSE(matches(machine, text + "b" + std::string(20, 'b')));
  EXPECT_LT(machine->bytes(), std::size_t{20} << 20);
}

TEST(Regex, FormatsOfSchemas) {
  const std::vector<Case> cases = {
      {"date",
       {"2024-02-28", "1999-12-31"},
       {"2024-02-30", "2024-13-01", "0000-01-01", "2024-1-1"}},
      {"time", {"12:30:59Z", "00:00:00.123+02:00"}, {"24:00:00Z", "12:30:59"}},
      {"date-time", {"2024-02-28T12:30:59Z"}, {"2024-02-28 12:30:59Z"}},
      {"uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567"}},
      {"ipv4", {"0.0.0.0", "255.249.199.1"}, {"256.1.1.1", "01.1.1.1"}},
      {"ipv6", {"::1", "1:2:3:4:5:6:7:8"}, {":", "1:2"}},
      {"email", {"a.b@c.de", "x_y@ex-ample.org"}, {"a@b", "@c.de", "a..b@c.de"}},
      {"hostname", {"localhost", "a-b.example.com"}, {"-a", "a..b"}},
      {"uri", {"https://a.bc/d?e=f#g", "http://localhost:8080"}, {"ftp//x", "https://"}},
      {"duration", {"P3D", "PT5M", "P1DT2H"}, {"P", "3D"}},
  };
  for (const Case& c : cases) {
    const auto machine = of(format_pattern(c.pattern));
    for (const std::string& text : c.good)
      EXPECT_TRUE(matches(machine, text)) << c.pattern << " " << text;
    for (const std::string& text : c.bad)
      EXPECT_FALSE(matches(machine, text)) << c.pattern << " " << text;
  }
  EXPECT_EQ(format_pattern("int32"), "");
}

std::shared_ptr<Machine> of_ebnf(std::string_view text) {
  Rules rules;
  const auto root = ebnf(rules, text);
  EXPECT_TRUE(root) << (root ? "" : root.error().message);
  return root ? machine_of_rule(rules, *root) : nullptr;
}

TEST(Ebnf, RulesAsPeopleWriteThem) {
  const auto machine = of_ebnf(
      "# A greeting\n"
      "root ::= greeting (\", \" name)* \"!\"\n"
      "greeting ::= \"Hello\" | \"Good \" (\"day\" |\n   \"evening\")   # two lines\n"
      "name ::= [A-Z] [a-z]{1,5}\n");
  for (const char* good : {"Hello!", "Good day, Ann!", "Good evening, Bo, Cy!"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"Hello", "Good !", "Hello, ann!", "Hello, Annabella!"})
    EXPECT_FALSE(matches(machine, bad)) << bad;
  EXPECT_TRUE(
      matches(of_ebnf("root ::= \"\\\"\\n\\x41\\u00e9\" . [\\]^-]+ \"x\"?"), "\"\nAé日]^-"));
}

TEST(Ebnf, WhatIsWrongIsSaid) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"a ::= \"x\"", "no rule \"root\""},
      {"root ::= b", "no rule \"b\""},
      {"root ::= \"x\nroot ::= \"y\"", "line"},
      {"root ::= (\"x\"", "without \")\""},
      {"root ::= \"x\"\nroot ::= \"y\"", "a second rule \"root\" in line 2"},
      {"root ::= \"x\" )", "not part of it"},
      {"root ::= [a", "without \"]\""},
      {"root ::= \"\\q\"", "escape"},
      {"root ::= \"a\"{3,1}", "count"},
      {"root = \"a\"", "no rule"},
  };
  for (const auto& [text, expected] : cases) {
    Rules rules;
    const auto root = ebnf(rules, text);
    ASSERT_FALSE(root) << text;
    EXPECT_NE(root.error().message.find(expected), std::string::npos) << root.error().message;
  }
}

}  // namespace
}  // namespace plumb::grammar
