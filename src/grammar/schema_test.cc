#include "grammar/schema.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grammar/grammar_for_tests.h"

namespace plumb::grammar {
namespace {

std::shared_ptr<Machine> of(const std::string& text) {
  const auto schema = parse_json(text, "schema", {.max_depth = 200});
  EXPECT_TRUE(schema) << text;
  if (!schema) return nullptr;
  Rules rules;
  JsonRules json(rules);
  const auto expr = json_schema(json, *schema);
  EXPECT_TRUE(expr) << text << ": " << (expr ? "" : expr.error().message);
  return expr ? machine_of(rules, *expr) : nullptr;
}

std::string error_of(const std::string& text) {
  const auto schema = parse_json(text, "schema", {.max_depth = 200});
  if (!schema) return schema.error().message;
  Rules rules;
  JsonRules json(rules);
  const auto expr = json_schema(json, *schema);
  if (!expr) return expr.error().message;
  const auto automaton = Automaton::build(rules, rules.rule("the schema", *expr), "the schema");
  return automaton ? "" : automaton.error().message;
}

struct Case {
  const char* schema;
  std::vector<std::string> good, bad;
};

TEST(Schema, LetsThroughWhatSatisfiesIt) {
  const std::vector<Case> cases = {
      {"true", {"1", "\"a\"", "{\"a\": [null, true]}", "[]"}, {"", "a", "{a:1}"}},
      {R"({"type":"string"})",
       {R"("")", R"("a\n\u00e9é😀\ud83d\ude00")"},
       {"a", "\"\n\"", R"("\x")", R"("\ud83d")", "1"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("é日\n")"},
       {R"("a")", R"("abcd")"}},
      {R"({"type":"string","pattern":"^[a-z]+\\d$"})", {R"("ab1")"}, {R"("ab")", R"("AB1")"}},
      {R"({"type":"string","pattern":"x"})", {R"("x")", R"("axb")"}, {R"("a")"}},
      {R"({"type":"integer"})", {"0", "-12"}, {"1.5", "01", "\"1\""}},
      {R"({"type":"integer","minimum":18,"exclusiveMaximum":66})", {"18", "65"}, {"17", "66"}},
      {R"({"type":"number","minimum":0,"maximum":1})", {"0", "0.5", "1", "1.0"}, {"-0.5", "1.01"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"True", "1"}},
      {R"({"type":["string","null"]})", {R"("a")", "null"}, {"1"}},
      {R"({"enum":["a","b\"c",3,null]})", {R"("a")", R"("b\"c")", "3", "null"}, {R"("c")", "4"}},
      {R"({"const":{"a":[1,2]}})", {R"({"a":[1,2]})"}, {"{}"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1, 2,3]", "[\n  1,\n  2\n]"},
       {"[]", "[1,2,3,4]", "[\"a\"]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {R"([1, "a"])"},
       {R"([1])", R"([1,"a",2])"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]})",
       {R"({"a":1})", R"({"a": 1, "b": "x"})", "{\n  \"a\": 1,\n  \"b\": \"x\"\n}"},
       {"{}", R"({"b":"x"})", R"({"b":"x","a":1})", R"({"a":1,"c":2})", R"({"a":1,})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}}})",
       {"{}", R"({"a":1})", R"({"b":1})", R"({"a":1,"c":2})", R"({"b":1,"c":2})"},
       {R"({,"b":1})", R"({"c":1,"a":2})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}})",
       {R"({"a":1})", R"({"a":1,"b":"x"})", R"({"b":"x","aa":"y"})", "{}"},
       {R"({"b":1})", R"({"b":"x","a":1})", R"({"a":"x"})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2})",
       {R"({"x":1})", R"({"x":1,"y":2})"},
       {"{}", R"({"x":1,"y":2,"z":3})"}},
      {R"({"type":"object","patternProperties":{"^x_":{"type":"integer"}},"additionalProperties":false})",
       {"{}", R"({"x_a":1})"},
       {R"({"a":1})"}},
      {R"({"type":"object","propertyNames":{"enum":["p","q"]},"additionalProperties":{"type":"integer"}})",
       {R"({"p":1})"},
       {R"({"r":1})"}},
      {R"({"type":"object"})", {"{}", R"({"a":{"b":[1]}})"}, {"[]"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"string"}}]})",
       {"1", R"(["a"])"},
       {R"("a")"}},
      {R"({"type":"object","properties":{"k":{"type":"integer"}},"anyOf":[{"required":["k"]},{"properties":{"m":{"const":1}},"required":["m"]}]})",
       {R"({"k":1})", R"({"k":1,"m":1})", R"({"m":1})"},
       {"{}"}},
      {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"},"x":{"type":"integer"}},"required":["t","x"]},
                   {"type":"object","properties":{"t":{"const":"b"}},"required":["t"]}]})",
       {R"({"t":"a","x":1})", R"({"t":"b"})"},
       {R"({"t":"a"})", R"({"t":"c"})"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                   {"properties":{"b":{"type":"string"}},"required":["b"]}]})",
       {R"({"a":1,"b":"x"})"},
       {R"({"a":1})", "{}"}},
      {R"({"allOf":[{"type":"integer","minimum":3},{"minimum":5,"maximum":9}]})",
       {"5", "9"},
       {"4", "10"}},
      {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
         "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":1})"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"type":"object","properties":{"when":{"type":"string","format":"date"}},"required":["when"],"title":"x","x-y":1})",
       {R"({"when":"2024-01-31"})"},
       {R"({"when":"tomorrow"})"}},
      {R"({"properties":{"a/b":{"type":"integer"},"~":{"$ref":"#/properties/a~1b"}},"required":["a/b","~"]})",
       {R"({"a/b":1,"~":2})"},
       {"{}"}},
      {R"({"type":"object","required":["z"]})", {R"({"z":[1]})"}, {"{}"}},
      {R"({"type":"object","properties":{"no":false,"yes":true}})",
       {"{}", R"({"yes":1})"},
       {R"({"no":1})"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      {R"({"type":"integer","multipleOf":5,"minimum":1,"maximum":20})",
       {"5", "20"},
       {"0", "7", "25"}},
  };
  for (const Case& c : cases) {
    const auto machine = of(c.schema);
    ASSERT_TRUE(machine) << c.schema;
    for (const std::string& text : c.good)
      EXPECT_TRUE(matches(machine, text)) << c.schema << "\n" << text;
    for (const std::string& text : c.bad)
      EXPECT_FALSE(matches(machine, text)) << c.schema << "\n" << text;
    for (unsigned seed = 0; seed < 3; ++seed) random_text(machine, seed, 40);
    if (HasFailure()) return;
  }
}

TEST(Schema, WhatIsNotOfferedIsRefusedByItsPath) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"properties":{"a":{"not":{}}}})", "$.properties.a.not is not offered"},
      {R"({"type":"array","contains":{}})", "$.contains is not offered"},
      {R"({"type":"array","uniqueItems":true})", "$.uniqueItems is not offered"},
      {R"({"if":{},"then":{}})", "$.if is not offered"},
      {R"({"type":"text"})", "$.type is \"text\", expected string"},
      {R"({"minLength":-1})", "$.minLength is -1, expected a whole number"},
      {R"({"type":"string","minLength":5,"maxLength":3})", "no value has both"},
      {R"({"properties":[]})", "$.properties is [], expected an object of schemas"},
      {R"({"enum":[]})", "$.enum is [], expected an array that is not empty"},
      {R"({"$ref":"#/$defs/none"})", "$.$ref is \"#/$defs/none\", expected"},
      {R"({"$ref":"http://example.com/x"})", "expected \"#\" or a part"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "$.pattern: The pattern"},
      {R"({"oneOf":[{"type":"string"},{"maxLength":3}]})", "$.oneOf has two alternatives"},
      {R"({"type":"integer","minimum":3,"maximum":1})", "There is no number"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "can never end"},
      {R"({"$ref":"#"})", "itself"},
      {R"({"type":"number","multipleOf":0.1})", "multipleOf is 0.1"},
      {R"({"type":"object","properties":{"a":{}},"required":["b"],"additionalProperties":false})",
       "required names \"b\""},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", "different values of pattern"},
      {R"({"type":"array","allOf":[{"prefixItems":[{"type":"integer"}]},{"items":{"type":"string"}}]})",
       "puts prefixItems and other items together"},
      {R"({"$ref":"#/$defs/a","items":{"type":"string"},"$defs":{"a":{"prefixItems":[{"type":"integer"}]}}})",
       "puts prefixItems and other items together"},
      {R"({"allOf":[{"patternProperties":{"^a":{"type":"integer"}},"additionalProperties":false},
          {"additionalProperties":{"type":"string"}}]})",
       "puts patternProperties and other properties together"},
      {"false", "can never end"},
  };
  for (const auto& [schema, expected] : cases) {
    EXPECT_NE(error_of(schema).find(expected), std::string::npos) << schema << "\n"
                                                                  << error_of(schema);
  }
}

TEST(Schema, HostileSchemasTakeLittleTime) {
  std::string deep;
  for (int i = 0; i < 150; ++i) deep += R"({"type":"array","items":)";
  deep += "{}" + std::string(150, '}');
  EXPECT_NE(error_of(deep), "");
  std::string wide = R"({"type":"object","properties":{)";
  for (int i = 0; i < 5000; ++i)
    wide += (i > 0 ? "," : "") + std::string("\"p") + std::to_string(i) + R"(":{"type":"integer"})";
  EXPECT_EQ(error_of(wide + "}}"), "");
  EXPECT_NE(error_of(R"({"type":"string","pattern":"((a{1000}){1000}){1000}"})"), "");
  // References that multiply: two to the hundredth if they were written out.
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 100; ++i) {
    const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
    doubling += "\"d" + std::to_string(i) + R"(":{"type":"array","prefixItems":[)" + next + "," +
                next + "]},";
  }
  EXPECT_EQ(error_of(doubling + R"("d100":{"type":"null"}}})"), "");
  // Alternatives, each of which is compared with all others, and combinations that multiply.
  std::string one = R"({"oneOf":[)";
  for (int i = 0; i < 3000; ++i)
    one += (i > 0 ? ",{\"const\":" : "{\"const\":") + std::to_string(i) + "}";
  EXPECT_NE(error_of(one + "]}").find("3000 alternatives"), std::string::npos);
  std::string all = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
    all += "\"d" + std::to_string(i) + "\":{\"anyOf\":[" + next + "," + next + "],\"minimum\":1},";
  }
  EXPECT_NE(error_of(all + R"("d40":{"type":"number"}}})").find("multiply"), std::string::npos);
}

}  // namespace
}  // namespace plumb::grammar
