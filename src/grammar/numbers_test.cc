#include "grammar/numbers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "grammar/grammar_for_tests.h"

namespace plumb::grammar {
namespace {

std::optional<Bound> bound(const char* text, bool open = false) {
  if (!text) return std::nullopt;
  return Bound{*Decimal::parse(text), open};
}

TEST(Numbers, DecimalsAreRead) {
  for (const auto& [lexeme, text] :
       std::vector<std::pair<const char*, const char*>>{{"0", "0"},
                                                        {"-0", "0"},
                                                        {"12", "12"},
                                                        {"-1.50", "-1.5"},
                                                        {"1e3", "1000"},
                                                        {"1.25e1", "12.5"},
                                                        {"125e-2", "1.25"},
                                                        {"5E-3", "0.005"},
                                                        {"0.000", "0"},
                                                        {"100", "100"}}) {
    const auto decimal = Decimal::parse(lexeme);
    ASSERT_TRUE(decimal) << lexeme;
    EXPECT_EQ(decimal->text(), text) << lexeme;
  }
  EXPECT_FALSE(Decimal::parse("1e400"));
}

// Every integer around the bounds, against arithmetic.
TEST(Numbers, IntegersBetweenBounds) {
  const std::vector<std::pair<const char*, const char*>> bounds = {
      {"0", "9"},     {"7", "123"},     {"-5", "5"},     {"-120", "-7"},
      {"0", "0"},     {"99", "101"},    {"-1", "0"},     {"10", "999"},
      {"1.5", "7.5"}, {"-7.5", "-1.5"}, {"-0.5", "0.5"}, {"100", "100"}};
  for (const auto& [low, high] : bounds) {
    for (const bool open : {false, true}) {
      Rules rules;
      const auto expr = integers(rules, {bound(low, open), bound(high, open)});
      const double a = std::atof(low), b = std::atof(high);
      int inside = 0;
      std::shared_ptr<Machine> machine = expr ? machine_of(rules, *expr) : nullptr;
      for (int value = -1200; value <= 1200; ++value) {
        const bool in = open ? value > a && value < b : value >= a && value <= b;
        inside += in;
        if (machine) {
          EXPECT_EQ(matches(machine, std::to_string(value)), in)
              << low << " " << high << " " << value;
        }
      }
      EXPECT_EQ(expr.has_value(), inside > 0) << low << " " << high << " " << open;
      if (machine) {
        for (const char* text : {"-0", "01", "1.0", "", "-", "1e1"})
          EXPECT_FALSE(matches(machine, text)) << text;
      }
    }
  }
}

TEST(Numbers, IntegersWithOneBoundOrNone) {
  Rules rules;
  const auto machine = machine_of(rules, *integers(rules, {bound("18"), std::nullopt}));
  for (const char* good : {"18", "99", "123456789012345678"})
    EXPECT_TRUE(matches(machine, good)) << good;
  for (const char* bad : {"17", "-18", "1234567890123456789"})
    EXPECT_FALSE(matches(machine, bad)) << bad;
  const auto any = machine_of(rules, *integers(rules, {}));
  for (const char* good : {"0", "-1", "999999999999999999"})
    EXPECT_TRUE(matches(any, good)) << good;
}

TEST(Numbers, Multiples) {
  Rules rules;
  for (const int of : {2, 3, 7, 10, 25}) {
    const auto any = machine_of(rules, *integers(rules, {}, of));
    const auto some = machine_of(rules, *integers(rules, {bound("-40"), bound("333")}, of));
    for (int value = -500; value <= 500; ++value) {
      EXPECT_EQ(matches(any, std::to_string(value)), value % of == 0) << value << " of " << of;
      EXPECT_EQ(matches(some, std::to_string(value)),
                value % of == 0 && value >= -40 && value <= 333)
          << value;
    }
  }
  EXPECT_FALSE(integers(rules, {bound("1"), bound("2")}, 5));
  EXPECT_FALSE(integers(rules, {}, 100'000));
}

// Texts of many shapes, against arithmetic.
TEST(Numbers, NumbersBetweenBounds) {
  const std::vector<std::pair<const char*, const char*>> bounds = {
      {"0", "1"},      {"0.25", "0.75"}, {"-1.5", "2.25"}, {"-3", "-0.125"},
      {"9.5", "10.5"}, {"1.05", "1.1"},  {"0", nullptr},   {nullptr, "-2.5"},
      {"12", "12"},    {"0.1", "0.1"},   {"-0.5", "0"},    {"99.99", "1000.001"}};
  std::vector<std::string> texts;
  for (const char* sign : {"", "-"}) {
    for (const char* whole : {"0", "1", "2", "3", "9", "10", "12", "99", "100", "999", "1000"}) {
      for (const char* fraction :
           {"",     ".0",   ".1",   ".10",   ".05",   ".049",    ".051", ".124",
            ".125", ".126", ".25",  ".2500", ".5",    ".500001", ".75",  ".750",
            ".76",  ".99",  ".989", ".001",  ".0011", ".999"}) {
        texts.push_back(std::string(sign) + whole + fraction);
      }
    }
  }
  for (const auto& [low, high] : bounds) {
    for (const bool open : {false, true}) {
      Rules rules;
      const auto expr = numbers(rules, {bound(low, open), bound(high, open)});
      if (!expr) {
        EXPECT_TRUE(open && low && high && std::atof(low) == std::atof(high));
        continue;
      }
      const auto machine = machine_of(rules, *expr);
      for (const std::string& text : texts) {
        const double value = std::atof(text.c_str());
        const bool above = !low || value > std::atof(low) || (!open && value == std::atof(low));
        const bool below = !high || value < std::atof(high) || (!open && value == std::atof(high));
        // Zero has no sign here.
        if (text.starts_with('-') && value == 0) {
          EXPECT_FALSE(matches(machine, text) && !(above && below)) << text;
          continue;
        }
        EXPECT_EQ(matches(machine, text), above && below)
            << text << " in " << (low ? low : "") << " " << (high ? high : "") << " " << open;
      }
    }
  }
}

TEST(Numbers, TextsThatComeOutAreWithin) {
  for (const auto& [low, high] :
       std::vector<std::pair<const char*, const char*>>{{"-2.5", "17.25"}, {"0.001", "0.01"}}) {
    Rules rules;
    const auto machine = machine_of(rules, *numbers(rules, {bound(low), bound(high, true)}));
    for (unsigned seed = 0; seed < 20; ++seed) {
      const double value = std::atof(random_text(machine, seed).c_str());
      EXPECT_GE(value, std::atof(low));
      EXPECT_LT(value, std::atof(high));
    }
  }
}

}  // namespace
}  // namespace plumb::grammar
