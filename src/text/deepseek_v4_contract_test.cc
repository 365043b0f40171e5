#include "text/deepseek_v4_contract.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "fakes/byte_tokenizer.h"
#include "grammar/machine.h"
#include "text/deepseek_v4_literals.h"
#include "text/deepseek_v4_reply.h"
#include "text/dsml.h"
#include "text/prompt_pieces.h"
#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

using deepseek_v4::reply_grammar;
using deepseek_v4::ReplyTokens;

const Contract kFree;
const Contract kOneCall = {{}, ToolUse::kAuto, "", false};
const Contract kRequired = {{}, ToolUse::kRequired, "", true};
Contract named(std::string tool) { return {{}, ToolUse::kRequired, std::move(tool), true}; }

ToolSpec tool(std::string name, const std::string& parameters, bool strict = false) {
  std::string json = str("{\"name\":", json_quote(name), ",\"parameters\":", parameters, "}");
  return {std::move(name), std::move(json), strict};
}

// A tokenizer and the vocabulary that grammars see of it.
class Model {
 public:
  explicit Model(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer),
        tokens_{.eos = *tokenizer.control(deepseek_v4::kEos),
                .think = *tokenizer.control(deepseek_v4::kThink),
                .end_think = *tokenizer.control(deepseek_v4::kEndThink),
                .dsml = *tokenizer.control(deepseek_v4::kDsml)} {
    std::vector<std::string> texts(static_cast<std::size_t>(tokenizer.vocab_size()));
    for (Token token = 0; token < tokenizer.vocab_size(); ++token) {
      if (!tokenizer.is_control(token))
        texts[static_cast<std::size_t>(token)] = std::string(tokenizer.bytes(token));
    }
    vocabulary_ = std::make_shared<const grammar::Vocabulary>(std::move(texts));
  }

  Result<std::shared_ptr<grammar::Machine>> machine(const std::vector<ToolSpec>& tools,
                                                    const Contract& contract = {},
                                                    bool reasons = false) const {
    grammar::Rules rules;
    PLUMB_TRY(root, reply_grammar(rules, tools, contract, tokens_, reasons));
    PLUMB_TRY(automaton, grammar::Automaton::build(rules, root, "the contract of the reply"));
    return std::make_shared<grammar::Machine>(
        std::make_shared<const grammar::Automaton>(std::move(automaton)), vocabulary_);
  }

  std::vector<Token> tokens_of(const PromptPieces& pieces) const {
    return pieces.encode(tokenizer_)->tokens;
  }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const ReplyTokens& tokens() const { return tokens_; }

 private:
  const Tokenizer& tokenizer_;
  const ReplyTokens tokens_;
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
};

// A token for every byte.
const Model& byte_model() {
  static const fakes::ByteTokenizer kTokenizer = fakes::deepseek_v4_byte_tokenizer();
  static const Model kModel(kTokenizer);
  return kModel;
}
const Model& published_model() {
  static const Model kModel(v4_tokenizer());
  return kModel;
}

// Empty: the grammar lets the whole reply through, every token by the mask too. Else what it was
// read up to.
std::string stops_at(const Model& model, const std::vector<ToolSpec>& tools,
                     const Contract& contract, bool reasons, const PromptPieces& reply) {
  const auto machine = model.machine(tools, contract, reasons);
  EXPECT_TRUE(machine) << (machine ? "" : machine.error().message);
  if (!machine) return "nowhere";
  grammar::Matcher matcher(*machine);
  std::string read;
  for (const Token token : model.tokens_of(reply)) {
    grammar::TokenSet allowed((*machine)->vocabulary().words(), 0);
    EXPECT_TRUE(matcher.allow(allowed));
    const bool in_mask = (allowed[static_cast<std::size_t>(token) / 64] >> (token % 64)) & 1;
    const bool goes = matcher.accept(token);
    EXPECT_EQ(in_mask, goes) << model.tokenizer().bytes(token) << " after " << read;
    if (!goes) return str("after \"", read, "\"");
    read += model.tokenizer().bytes(token);
  }
  return matcher.may_end() ? "" : str("no end after \"", read, "\"");
}

// A reply as prompts render it.
PromptPieces reply_of(const std::vector<ToolCall>& calls, const std::string& content = "",
                      const char* reasoning = nullptr) {
  PromptPieces out;
  if (reasoning) {
    out.text(reasoning);
    out.control(deepseek_v4::kEndThink);
  }
  out.text(content);
  deepseek_v4::append_tool_calls(calls, out);
  return out;
}
ToolCall call(std::string name, std::string arguments) {
  return {"c", std::move(name), std::move(arguments)};
}
bool lets_through(const std::vector<ToolSpec>& tools, const Contract& contract,
                  const PromptPieces& reply, bool reasons = false) {
  return stops_at(byte_model(), tools, contract, reasons, reply).empty();
}

const std::vector<ToolSpec>& tools() {
  static const std::vector<ToolSpec> kTools = {
      tool("get_weather", R"({"type":"object","properties":{"city":{"type":"string"},
          "days":{"type":"integer","minimum":1,"maximum":14},"unit":{"enum":["C","F"]},
          "tags":{"type":"array","items":{"type":"string"}},
          "options":{"type":"object","properties":{"wind":{"type":"boolean"},
              "height":{"type":"number"}},"required":["wind"]},
          "note":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["city","days"]})",
           true),
      tool("write", R"({"type":"object","properties":{"path":{"$ref":"#/$defs/path"},
          "text":{"type":"string"}},"required":["path","text"],"additionalProperties":false,
          "$defs":{"path":{"type":"string"}}})"),
      {"now", R"({"name":"now","description":"The time."})", false},
      tool("set", R"({"type":"object","additionalProperties":{"type":"integer"}})"),
  };
  return kTools;
}

const std::vector<ToolCall>& valid_calls() {
  static const std::vector<ToolCall> kCalls = {
      call("get_weather", R"({"city":"Rome","days":3})"),
      call("get_weather", R"({"city":"","days":14,"unit":"F","tags":[],"options":{"wind":true},
          "note":null})"),
      call("get_weather", R"({"city":"東京 \"🙂\"\n","days":1,"tags":["a\"b","\u00e9\n",""],
          "options":{"wind":false,"height":-1.5e-7},"note":"null"})"),
      call("write", R"({"path":"/tmp/a","text":"</ <｜DSML｜parameter> \\ {}\n\n\"x\"\n"})"),
      call("now", "{}"),
      call("set", "{}"),
      call("set", R"({"a":1,"B-2_c":-30})"),
  };
  return kCalls;
}

const ToolCall kNow = call("now", "{}");
const ToolCall kWrite = call("write", R"({"path":"p","text":"t"})");

TEST(DeepSeekV4Contract, ValidCallsAreLetThroughAsPromptsRenderThem) {
  for (const Model* model : {&byte_model(), &published_model()}) {
    for (const ToolCall& one : valid_calls()) {
      for (const bool reasons : {false, true}) {
        for (const Contract& contract : {kFree, kOneCall, kRequired, named(one.name)}) {
          const auto reply = reply_of({one}, "", reasons ? "Let me see. </think> <" : nullptr);
          EXPECT_EQ(stops_at(*model, tools(), contract, reasons, reply), "") << one.arguments;
        }
        const char* reasoning = reasons ? "" : nullptr;
        EXPECT_EQ(stops_at(*model, tools(), kFree, reasons, reply_of({one}, "Well:", reasoning)),
                  "");
      }
    }
    EXPECT_EQ(stops_at(*model, tools(), kFree, true, reply_of(valid_calls(), "All.", "Hm.")), "");
    EXPECT_EQ(stops_at(*model, tools(), kRequired, false, reply_of(valid_calls())), "");
    EXPECT_EQ(stops_at(*model, tools(), kFree, true, reply_of({}, "No call. \n\n<", "")), "");
  }
}

TEST(DeepSeekV4Contract, OneCallAtMostWhereParallelIsOff) {
  for (const ToolUse use : {ToolUse::kAuto, ToolUse::kRequired}) {
    const Contract one = {{}, use, "", false}, many = {{}, use, "", true};
    EXPECT_TRUE(lets_through(tools(), one, reply_of({kNow})));
    EXPECT_FALSE(lets_through(tools(), one, reply_of({kNow, kNow})));
    EXPECT_FALSE(lets_through(tools(), one, reply_of({kWrite, kNow})));
    EXPECT_TRUE(lets_through(tools(), many, reply_of({kWrite, kNow, kNow})));
  }
}

TEST(DeepSeekV4Contract, RequiredCallsAreMadeAndNothingElse) {
  for (const Contract& contract : {kRequired, named("now")}) {
    EXPECT_TRUE(lets_through(tools(), contract, reply_of({kNow, kNow})));
    EXPECT_FALSE(lets_through(tools(), contract, reply_of({})));
    EXPECT_FALSE(lets_through(tools(), contract, reply_of({}, "No.")));
    EXPECT_FALSE(lets_through(tools(), contract, reply_of({kNow}, "Well:")));
    EXPECT_TRUE(lets_through(tools(), contract, reply_of({kNow}, "", "Hm."), true));
    EXPECT_FALSE(lets_through(tools(), contract, reply_of({}, "", "Hm."), true));
    EXPECT_EQ(lets_through(tools(), contract, reply_of({kWrite})), contract.tool.empty());
    EXPECT_EQ(lets_through(tools(), contract, reply_of({kNow, kWrite})), contract.tool.empty());
  }
  const auto none = byte_model().machine({}, kRequired);
  const auto later = byte_model().machine(tools(), named("later"));
  ASSERT_FALSE(none || later);
  EXPECT_EQ(none.error().message, "A call is required, but no tool is offered.");
  EXPECT_EQ(later.error().message, "The tool \"later\" is to be called, but not offered.");
}

TEST(DeepSeekV4Contract, ReasoningEndsWithItsToken) {
  const PromptPieces with = reply_of({}, "Yes.", "Hm."), without = reply_of({}, "Yes.");
  for (const std::vector<ToolSpec>& offered : {tools(), std::vector<ToolSpec>()}) {
    EXPECT_TRUE(lets_through(offered, kFree, with, true));
    EXPECT_FALSE(lets_through(offered, kFree, without, true));
    EXPECT_TRUE(lets_through(offered, kFree, without, false));
    EXPECT_FALSE(lets_through(offered, kFree, with, false));
    // A call within reasoning is none.
    PromptPieces early = reply_of({kNow});
    early.control(deepseek_v4::kEndThink);
    EXPECT_FALSE(lets_through(offered, kFree, early, true));
  }
}

TEST(DeepSeekV4Contract, AFormOtherThanTextExcludesCallsBehindIt) {
  const Contract json = {
      {AnswerForm::Kind::kSchema, R"({"type":"integer"})", {}}, ToolUse::kAuto, "", true};
  EXPECT_TRUE(lets_through(tools(), json, reply_of({}, "7")));
  EXPECT_TRUE(lets_through(tools(), json, reply_of({kNow})));
  EXPECT_FALSE(lets_through(tools(), json, reply_of({kNow}, "7")));
  EXPECT_FALSE(lets_through(tools(), json, reply_of({}, "seven")));
  EXPECT_FALSE(lets_through(tools(), json, reply_of({kNow}, "7", "Seven?"), true));
}

TEST(DeepSeekV4Contract, WrongCallsAreNotLetThrough) {
  const auto expect_wrong = [&](const char* name, const std::string& arguments) {
    const ToolCall one = call(name, arguments);
    EXPECT_FALSE(lets_through(tools(), kFree, reply_of({one}))) << arguments;
    EXPECT_FALSE(lets_through(tools(), kRequired, reply_of({kNow, one}))) << arguments;
    EXPECT_NE(stops_at(published_model(), tools(), kFree, false, reply_of({one})), "") << arguments;
  };
  const std::string good = R"({"city":"Rome","days":3)";
  for (const char* name : {"forecast", "get_weathe", "get_weather2"})
    expect_wrong(name, good + "}");
  // Too few, in another order than the schema's, of wrong types, out of bounds, not JSON.
  for (const char* arguments :
       {"{}", R"({"city":"Rome"})", R"({"days":3})", R"({"days":3,"city":"Rome"})",
        R"({"city":7,"days":3})", R"({"city":null,"days":3})", R"({"city":"Rome","days":"3"})",
        R"({"city":"Rome","days":3.5})", R"({"city":"Rome","days":0})",
        R"({"city":"Rome","days":15})", "city=Rome"})
    expect_wrong("get_weather", arguments);
  for (const char* more :
       {R"("unit":"K")", R"("unit":"CF")", R"("unit":["C"])", R"("tags":"a")", R"("tags":["a",1])",
        R"("options":{})", R"("options":{"height":2})", R"("options":{"wind":"true"})",
        R"("options":"{}")", R"("note":3)", R"("more":1)", R"("days":4)"})
    expect_wrong("get_weather", str(good, ",", more, "}"));
  expect_wrong("write", R"({"path":"p","text":"t","mode":"w"})");
  expect_wrong("write", R"({"path":["p"],"text":"t"})");
  expect_wrong("now", R"({"zone":"UTC"})");
  expect_wrong("set", R"({"a":"1"})");
  expect_wrong("set", R"({"a\">":1})");
}

TEST(DeepSeekV4Contract, StringsStandRawAndAllElseAsJson) {
  const std::vector<ToolSpec> one = {tool("f", R"({"type":"object","properties":{
      "s":{"type":"string"},"n":{"type":"number"},"a":{"type":"array"},"x":true}})")};
  const auto goes = [&](const std::string& parameter, const std::string& value) {
    PromptPieces reply;
    const auto tag = [&](const char* open, const std::string& rest) {
      reply.text(open);
      reply.control(deepseek_v4::kDsml);
      reply.text(rest);
    };
    tag("\n\n<", "tool_calls>\n");
    tag("<", "invoke name=\"f\">\n");
    tag("<", str("parameter name=", parameter, ">", value));
    tag("</", "parameter>\n");
    tag("</", "invoke>\n");
    tag("</", "tool_calls>");
    return lets_through(one, kRequired, reply);
  };
  for (const std::string value : {"", "\"", "\"quoted\"", "a\nb\t\\n", "</", "{}", "7", "日本"})
    EXPECT_TRUE(goes(R"("s" string="true")", value)) << value;
  EXPECT_FALSE(goes(R"("s" string="true")", "\xff"));
  EXPECT_FALSE(goes(R"("s" string="false")", "\"quoted\""));
  EXPECT_FALSE(goes(R"("s")", "a"));
  EXPECT_TRUE(goes(R"("n" string="false")", "-7.25e3"));
  EXPECT_FALSE(goes(R"("n" string="true")", "7"));
  EXPECT_TRUE(goes(R"("a" string="false")", "[1, \"a\\n\", {\"b\": [null]}]"));
  EXPECT_TRUE(goes(R"("a" string="false")", "[1,{\n  \"b\":true\n}]"));
  EXPECT_FALSE(goes(R"("a" string="false")", "[1, a]"));
  EXPECT_FALSE(goes(R"("a" string="true")", "[]"));
  // Anything: text raw, the rest as JSON.
  EXPECT_TRUE(goes(R"("x" string="true")", "[1, a]"));
  EXPECT_TRUE(goes(R"("x" string="false")", "[1, \"a\"]"));
  EXPECT_FALSE(goes(R"("x" string="false")", "\"a\""));
}

TEST(DeepSeekV4Contract, StrictToolsKeepTheWholeSchemaOrAreRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("a":{"not":{"type":"null"}})", "$.properties.a.not"},
      {R"("a":{"type":"array","uniqueItems":true})", "$.properties.a.uniqueItems"},
      {R"("a":{"type":"array","contains":{"const":1}})", "$.properties.a.contains"},
      {R"("a":{"type":"object","dependentRequired":{"b":["c"]}})",
       "$.properties.a.dependentRequired"},
      {R"("a":{"type":"object","properties":{"b":{"if":{},"then":{}}}})",
       "$.properties.a.properties.b.if"},
      {R"-("a":{"type":"string","pattern":"^(?!x)"})-", "$.properties.a.pattern"},
      {R"("a":{"$ref":"#/$defs/d"})", ".unevaluatedItems"},
  };
  for (const auto& [property, path] : cases) {
    const std::string schema = str(
        R"({"type":"object","properties":{)", property,
        R"(,"n":{"type":"integer"}},"required":["n"],"$defs":{"d":{"unevaluatedItems":false}}})");
    const auto strict = byte_model().machine({tool("now", "{}"), tool("f", schema, true)});
    ASSERT_FALSE(strict) << schema;
    EXPECT_EQ(strict.error().code, Code::kUnsupported);
    EXPECT_TRUE(strict.error().message.starts_with("The tool \"f\": ")) << strict.error().message;
    EXPECT_NE(strict.error().message.find(path), std::string::npos) << strict.error().message;
    // Any value in its place; what is offered is kept all the same.
    const std::vector<ToolSpec> loose = {tool("now", "{}"), tool("f", schema)};
    EXPECT_TRUE(lets_through(loose, kRequired, reply_of({call("f", R"({"n":1})")}))) << schema;
    EXPECT_FALSE(lets_through(loose, kRequired, reply_of({call("f", R"({"n":"1"})")}))) << schema;
    EXPECT_FALSE(lets_through(loose, kRequired, reply_of({call("f", "{}")}))) << schema;
  }
  const std::vector<ToolSpec> loose = {tool("f", R"({"type":"object","properties":{
      "a":{"type":"array","items":{"not":{"type":"string"}}}},"dependentRequired":{"a":["b"]}})")};
  EXPECT_TRUE(lets_through(loose, kRequired, reply_of({call("f", R"({"a":[1,"x",{"y":[]}]})")})));
  EXPECT_FALSE(lets_through(loose, kRequired, reply_of({call("f", R"({"a":1})")})));
}

TEST(DeepSeekV4Contract, WhatCannotBeSaidOfAllParametersIsRefusedOrForgiven) {
  for (
      const char* root :
      {R"({"additionalProperties":{"type":"integer"},"minProperties":1})",
       R"({"additionalProperties":{"type":"integer"},"propertyNames":{"pattern":"^a"}})",
       R"({"patternProperties":{"^a":{"type":"integer"}}})", R"({"const":{"a":1}})",
       R"({"oneOf":[{"properties":{"a":{"type":"integer"}}},{"properties":{"a":{"type":"number"}}}]})"}) {
    EXPECT_FALSE(byte_model().machine({tool("f", root, true)})) << root;
    EXPECT_TRUE(byte_model().machine({tool("f", root)})) << root;
  }
  // Older drafts and slips: any parameters.
  for (const char* root :
       {R"({"properties":{"a":{"exclusiveMinimum":true}}})", R"({"required":null})",
        R"({"properties":{"a":{"type":"any"}}})", R"({"properties":{"a\"b":{}}})"}) {
    EXPECT_TRUE(lets_through({tool("f", root)}, kRequired, reply_of({call("f", R"({"x":1})")})))
        << root;
  }
  EXPECT_TRUE(lets_through({tool("f", "null")}, kRequired, reply_of({call("f", "{}")})));
  const std::vector<ToolSpec> joined = {
      tool("f", R"({"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],
      "$defs":{"a":{"properties":{"x":{"type":"integer"}},"required":["x"]},
               "b":{"properties":{"y":{"type":"integer"}},"required":["y"]}}})",
           true)};
  EXPECT_TRUE(lets_through(joined, kRequired, reply_of({call("f", R"({"x":1,"y":2})")})));
  EXPECT_FALSE(lets_through(joined, kRequired, reply_of({call("f", R"({"x":1})")})));
}

// The spelling of DSML's token in plain characters would look like markup.
TEST(DeepSeekV4Contract, TextBesideToolsCannotSpellTheMarkup) {
  for (const bool reasoning : {false, true}) {
    const auto machine = byte_model().machine({tool("now", "{}")}, {}, reasoning);
    ASSERT_TRUE(machine);
    grammar::Matcher matcher(*machine);
    const std::string spelled(deepseek_v4::kDsml);
    const auto accept = [&](std::string_view text) {
      std::vector<Token> tokens;
      byte_model().tokenizer().encode(text, tokens);
      return std::all_of(tokens.begin(), tokens.end(), [&](Token t) { return matcher.accept(t); });
    };
    EXPECT_TRUE(accept("a < b "));
    EXPECT_TRUE(accept(spelled.substr(0, spelled.size() - 3)));
    EXPECT_FALSE(accept(spelled.substr(spelled.size() - 3)));
  }
}

// Calls by tokens drawn from the masks, those that lead on more often; empty: it did not end.
std::vector<Token> random_reply(const Model& model,
                                const std::shared_ptr<grammar::Machine>& machine,
                                std::mt19937& random) {
  grammar::Matcher matcher(machine);
  std::vector<Token> out;
  while (out.size() < 5000) {
    if (matcher.may_end()) return out;
    grammar::TokenSet allowed(machine->vocabulary().words(), 0);
    EXPECT_TRUE(matcher.allow(allowed));
    std::vector<Token> all, leading;
    for (Token token = 0; token < machine->vocabulary().size(); ++token) {
      if (!((allowed[static_cast<std::size_t>(token) / 64] >> (token % 64)) & 1)) continue;
      all.push_back(token);
      const std::string_view bytes = model.tokenizer().bytes(token);
      const bool leads = std::string_view("</\"]}\n").find(bytes) != std::string_view::npos;
      if (leads || model.tokenizer().is_control(token)) leading.push_back(token);
    }
    const auto& from = !leading.empty() && random() % 4 != 0 ? leading : all;
    out.push_back(from[random() % from.size()]);
    EXPECT_TRUE(matcher.accept(out.back()));
  }
  return {};
}

// As the reader of replies has them.
std::vector<ToolCall> read_calls(const Model& model, const std::vector<Token>& reply) {
  deepseek_v4::ReplyReader reader(model.tokenizer(), model.tokens(), false,
                                  [](int index) { return std::to_string(index); });
  std::vector<ReplyDelta> deltas;
  for (const Token token : reply) reader.push(token, deltas);
  reader.finish(deltas);
  EXPECT_FALSE(reader.lost_markup());
  std::vector<ToolCall> calls;
  for (const ReplyDelta& delta : deltas) {
    const auto& part = std::get<ToolCallDelta>(delta);
    if (!part.id.empty()) calls.push_back({part.id, part.name, ""});
    calls.back().arguments += part.arguments;
  }
  return calls;
}

TEST(DeepSeekV4Contract, WhatIsLetThroughIsReadAsValidCalls) {
  const auto machine = byte_model().machine(tools(), kRequired);
  ASSERT_TRUE(machine);
  std::mt19937 random(11);
  std::map<std::string, int> seen;
  for (int n = 0; n < 120; ++n) {
    const std::vector<Token> reply = random_reply(byte_model(), *machine, random);
    for (const ToolCall& one : read_calls(byte_model(), reply)) {
      ++seen[one.name];
      const auto arguments = parse_json(one.arguments, "arguments");
      ASSERT_TRUE(arguments && arguments->is_object()) << one.arguments;
      // It is let through again, as a prompt renders it.
      EXPECT_TRUE(lets_through(tools(), kRequired, reply_of({one}))) << one.arguments;
      if (one.name != "get_weather") continue;
      const Json *city = arguments->find("city"), *days = arguments->find("days");
      ASSERT_TRUE(city && city->is_string() && days) << one.arguments;
      EXPECT_TRUE(days->as_int() >= 1 && days->as_int() <= 14) << one.arguments;
    }
  }
  for (const ToolSpec& spec : tools()) EXPECT_GT(seen[spec.name], 10) << spec.name;
}

}  // namespace
}  // namespace plumb
