#include "base/json.h"

#include <gtest/gtest.h>
#include <cmath>
#include <limits>

namespace plumb {
namespace {

Json parsed(std::string_view text) {
  auto result = parse_json(text, "test");
  EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().message);
  return result ? *std::move(result) : Json();
}

// The message of a refusal, or "" when the text was accepted.
std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  const auto result = parse_json(text, "test", limits);
  if (result) return "";
  EXPECT_EQ(result.error().code, Code::kCorrupt);
  return result.error().message;
}

TEST(Json, KeepsOrderAndLexemes) {
  const std::string text = R"({"b":1.50,"a":[1e5,-0,18446744073709551616,true,null,"x"],"":{}})";
  EXPECT_EQ(parsed(text).dump(), text);
}

TEST(Json, ReadsEveryKindOfNumberWhole) {
  for (const char* lexeme :
       {"0", "-0", "7", "-7", "123456789012345678901234567890", "0.1", "-0.25", "1e3", "1E+3",
        "1e-3", "12.50e+07", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
        "1e400", "1e-400", "0.00000000000000000000000000000000001", "3.14159265358979323846"}) {
    EXPECT_EQ(parsed(lexeme).text(), lexeme);
    EXPECT_EQ(parsed(std::string("[") + lexeme + "]").dump(), std::string("[") + lexeme + "]");
  }
  for (const char* bad :
       {"01", "+1", ".5", "1.", "1e", "1e+", "-", "0x10", "NaN", "Infinity", "1_0"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
}

TEST(Json, IntegersAreExactAndNeverRounded) {
  EXPECT_EQ(parsed("9223372036854775807").as_int(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parsed("-9223372036854775808").as_int(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parsed("9223372036854775808").as_int(), std::nullopt);
  EXPECT_EQ(parsed("3.0").as_int(), 3);
  EXPECT_EQ(parsed("3e0").as_int(), 3);
  EXPECT_EQ(parsed("1.25e2").as_int(), 125);
  EXPECT_EQ(parsed("100e-2").as_int(), 1);
  EXPECT_EQ(parsed("3.5").as_int(), std::nullopt);
  EXPECT_EQ(parsed("-0.0").as_int(), 0);
  EXPECT_EQ(parsed("0e999999999").as_int(), 0);
  EXPECT_EQ(parsed("1e999999999").as_int(), std::nullopt);
  EXPECT_EQ(parsed("\"3\"").as_int(), std::nullopt);
}

TEST(Json, DoublesRoundCorrectly) {
  EXPECT_EQ(parsed("0.1").as_double(), 0.1);
  EXPECT_EQ(parsed("1e400").as_double(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(parsed("-1e400").as_double(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(parsed("1e-400").as_double(), 0.0);
  EXPECT_TRUE(std::signbit(*parsed("-1e-400").as_double()));
  EXPECT_EQ(parsed("5e-324").as_double(), 5e-324);
  EXPECT_EQ(parsed("true").as_double(), std::nullopt);
}

// The right column is what CPython 3.11 prints for json.dumps(json.loads(left),
// ensure_ascii=False).
TEST(Json, WritesNumbersAsPythonDoes) {
  const std::pair<const char*, const char*> cases[] = {
      {"1.50", "1.5"},
      {"1e16", "1e+16"},
      {"1e15", "1000000000000000.0"},
      {"1e-5", "1e-05"},
      {"0.0001", "0.0001"},
      {"-0.0", "-0.0"},
      {"-0", "0"},
      {"1.0", "1.0"},
      {"100.0", "100.0"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"5e-324", "5e-324"},
      {"2.5e-7", "2.5e-07"},
      {"9007199254740993.0", "9007199254740992.0"},
      {"12345678901234567.0", "1.2345678901234568e+16"},
      {"0.1", "0.1"},
      {"1E3", "1000.0"},
      {"1e400", "Infinity"},
      {"-1e400", "-Infinity"},
      {"0.30000000000000004", "0.30000000000000004"},
      {"123.456", "123.456"},
      {"1e22", "1e+22"},
      {"0e5", "0.0"},
      {"1e-100", "1e-100"},
  };
  for (const auto& [text, python] : cases) EXPECT_EQ(parsed(text).dump_python(), python) << text;
}

TEST(Json, WritesStructureAsPythonDoes) {
  EXPECT_EQ(parsed(R"({"a":[1,2,{}],"b":{"c":null},"d":[],"e":true})").dump_python(),
            R"({"a": [1, 2, {}], "b": {"c": null}, "d": [], "e": true})");
  EXPECT_EQ(
      parsed(R"("\u00e9\u4e2d\ud83d\ude00 \/ \" \\ \b\f\n\r\t\u001f\u007f\u0000")").dump_python(),
      "\"é中😀 / \\\" \\\\ \\b\\f\\n\\r\\t\\u001f\x7f\\u0000\"");
}

TEST(Json, RepeatedKeysAreRefusedByName) {
  EXPECT_NE(refusal(R"({"a":1,"b":2,"a":3})").find("\"a\" is repeated"), std::string::npos);
  EXPECT_NE(refusal(R"([{"x":{"\u0061":1,"a":1}}])").find("\"a\" is repeated"), std::string::npos);
  EXPECT_NE(refusal(R"({"":1,"":2})"), "");
  EXPECT_EQ(refusal(R"([{"a":1},{"a":1}])"), "");
}

TEST(Json, DepthAndSizeAreLimited) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_EQ(refusal(nested(64)), "");
  EXPECT_NE(refusal(nested(65)).find("deeper than 64"), std::string::npos);
  EXPECT_NE(refusal(nested(200000)), "");
  EXPECT_NE(refusal("[1,2,3]", {.max_depth = 4, .max_bytes = 6}).find("at most 6"),
            std::string::npos);
}

TEST(Json, BrokenTextIsRefusedWithItsPlace) {
  EXPECT_NE(refusal("[1,]").find("at byte 3"), std::string::npos) << refusal("[1,]");
  for (const char* bad :
       {"", " ", "[", "[1", "{\"a\"}", "{\"a\":}", "{a:1}", "[1] x", "[1][2]", "'a'", "nul", "tru",
        "// c\n1", "[1,,2]", "\"\n\"", "\"\\x\"", "\"\\u12g4\"", "\xef\xbb\xbf[]", "[1]\x01"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
  EXPECT_NE(refusal(std::string_view("[1]\0", 4)), "");
}

TEST(Json, Utf8IsValidated) {
  for (const char* bad : {"\"\xff\"", "\"\xc0\x80\"", "\"\xe2\x82\"", "\"\xed\xa0\x80\"",
                          "\"\xf4\x90\x80\x80\"", "\"\x80\"", "{\"\xff\":1}"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
  EXPECT_EQ(parsed("\"\xf0\x9f\x98\x80\"").text(), "\xf0\x9f\x98\x80");
}

TEST(Json, SurrogateEscapesPairOrAreRefused) {
  EXPECT_EQ(parsed(R"("\ud83d\ude00")").text(), "😀");
  for (const char* bad : {R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", R"("\ud83dx")"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
}

TEST(Json, BuildsAndEdits) {
  Json object = Json::object({{"a", Json::integer(1)}});
  object.set("b", Json::array({Json::real(0.5), Json::boolean(false), Json::null()}));
  object.set("a", Json::string("é\n"));
  EXPECT_EQ(object.dump(), R"({"a":"é\n","b":[0.5,false,null]})");
  EXPECT_EQ(object.find("b")->items()[0].as_double(), 0.5);
  EXPECT_EQ(object.find("c"), nullptr);
  EXPECT_EQ(Json::integer(1).find("a"), nullptr);
  EXPECT_EQ(Json::integer(std::numeric_limits<std::int64_t>::min()).text(), "-9223372036854775808");
  EXPECT_EQ(object.dump_pretty(),
            "{\n  \"a\": \"é\\n\",\n  \"b\": [\n    0.5,\n    false,\n    null\n  ]\n}");
  EXPECT_EQ(Json::object().dump_pretty(), "{}");
}

TEST(Json, LongStringsAndKeysSurviveWhole) {
  const std::string big(300000, 'x');
  EXPECT_EQ(parsed("{\"" + big + "\":\"" + big + "\\n" + big + "\"}").find(big)->text(),
            big + "\n" + big);
}

TEST(Json, RepeatedKeysMayBeAllowed) {
  EXPECT_FALSE(parse_json(R"({"a":1,"a":2})", "x"));
  const auto value = parse_json(R"({"a":1,"a":2})", "x", {.repeated_keys = true});
  ASSERT_TRUE(value);
  EXPECT_EQ(value->find("a")->as_int(), 1);
  EXPECT_EQ(value->dump(), R"({"a":1,"a":2})");
}

}  // namespace
}  // namespace plumb
