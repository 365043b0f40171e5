#include "gateway/wire/contract_fields.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/anthropic.h"
#include "gateway/wire/openai_chat.h"
#include "gateway/wire/openai_completions.h"
#include "gateway/wire/parse_for_tests.h"
#include "gateway/wire/responses.h"

namespace plumb::wire {
namespace {

using Kind = AnswerForm::Kind;

// Bodies of the formats with these fields beside a prompt.
std::string responses_asking(const std::string& fields) {
  return str(R"({"input": "Hi", )", fields, "}");
}
std::string completions_asking(const std::string& fields) {
  return str(R"({"prompt": "Hi", )", fields, "}");
}
std::string anthropic_asking(const std::string& fields) {
  return str(R"({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], )",
             fields, "}");
}

// The same fields in every format.
std::vector<std::pair<const Format*, std::string>> bodies_of(const std::string& fields) {
  return {{&kOpenAiChat, asking(fields)},
          {&kOpenAiResponses, responses_asking(fields)},
          {&kOpenAiCompletions, completions_asking(fields)},
          {&kAnthropicMessages, anthropic_asking(fields)}};
}

// What a request became of which nothing may be left unread.
ChatRequest request_of(const Format& format, const std::string& body,
                       const Defaults& defaults = {}) {
  const Call call = accepted(format, body, defaults);
  EXPECT_TRUE(call.ignored.empty()) << body << " leaves " << call.ignored.front();
  return call.choices.empty() ? ChatRequest() : call.choices.front();
}

const Conversation& conversation(const ChatRequest& request) {
  return std::get<Conversation>(request.prompt);
}

void expect_refused(const Format& format, const std::string& body, const std::string& param,
                    const std::string& says) {
  const Refusal refusal = refused(format, body);
  EXPECT_EQ(refusal.param, param) << body;
  EXPECT_TRUE(refusal.message.starts_with(param)) << refusal.message;
  EXPECT_NE(refusal.message.find(says), std::string::npos) << refusal.message;
  EXPECT_EQ(refusal.status, 400);
}

struct Spelling {
  std::string fields;
  AnswerForm form;
};

const std::string kAnyObject = R"({"type":"object"})";
const std::string kSchema = R"({"type":"array","items":{"enum":["a",1]}})";

std::vector<Spelling> spellings() {
  const AnswerForm any_object = {Kind::kSchema, kAnyObject, {}};
  const AnswerForm schema = {Kind::kSchema, kSchema, {}};
  const AnswerForm words = {Kind::kChoice, "", {"yes", "", "no"}};
  const AnswerForm regex = {Kind::kRegex, "[a-z]+", {}};
  const AnswerForm grammar = {Kind::kGrammar, "root ::= \"a\"", {}};
  const std::string quoted = json_quote(kSchema);
  const std::string ebnf = R"("root ::= \"a\"")";
  const std::string wrapped = R"("response_format": {"type": "json_schema", "json_schema": {)";
  return {
      {R"("response_format": null)", {}},
      {R"("response_format": {"type": "text"})", {}},
      {R"("response_format": {"type": "json_object"})", any_object},
      {str(wrapped, R"("name": "n", "description": "d", "strict": true, "schema": )", kSchema,
           "}}"),
       schema},
      {str(wrapped, R"("strict": false, "schema": )", kSchema, "}}"), schema},
      {R"("structured_outputs": {})", {}},
      {str(R"("structured_outputs": {"json": )", kSchema, "}"), schema},
      {str(R"("structured_outputs": {"json": )", quoted, "}"), schema},
      {R"("structured_outputs": {"json": true})", {Kind::kSchema, "true", {}}},
      {R"("structured_outputs": {"regex": "[a-z]+"})", regex},
      {R"("structured_outputs": {"choice": ["yes", "", "no"]})", words},
      {str(R"("structured_outputs": {"grammar": )", ebnf, "}"), grammar},
      {R"("structured_outputs": {"json_object": true})", any_object},
      {R"("structured_outputs": {"json_object": false, "regex": "[a-z]+"})", regex},
      {str(R"("guided_json": )", kSchema), schema},
      {str(R"("guided_json": )", quoted), schema},
      {R"("guided_regex": "[a-z]+")", regex},
      {R"("guided_choice": ["yes", "", "no"])", words},
      {str(R"("guided_grammar": )", ebnf), grammar},
      {str(R"("json_schema": )", kSchema), schema},
      {str(R"("json_schema": )", quoted), schema},
      {R"("json_schema": {})", {Kind::kSchema, "{}", {}}},
      {str(R"("grammar": )", ebnf), grammar},
      // Plain text is no second demand.
      {R"("response_format": {"type": "text"}, "guided_regex": "[a-z]+")", regex},
      {R"("guided_json": null, "grammar": null, "guided_regex": "[a-z]+")", regex},
  };
}

TEST(ContractFields, EverySpellingOfAFormIsRead) {
  for (const auto& [fields, form] : spellings()) {
    const ChatRequest chat = request_of(kOpenAiChat, asking(fields));
    EXPECT_EQ(chat.contract.form, form) << fields;
    // The model reads the schema, and of nothing else.
    const bool schema = form.kind == Kind::kSchema;
    EXPECT_EQ(conversation(chat).response_format,
              schema ? std::optional(form.source) : std::nullopt);
    const ChatRequest responses = request_of(kOpenAiResponses, responses_asking(fields));
    EXPECT_EQ(responses.contract.form, form) << fields;
    EXPECT_EQ(conversation(responses).response_format, conversation(chat).response_format);
    const ChatRequest raw = request_of(kOpenAiCompletions, completions_asking(fields));
    EXPECT_EQ(raw.contract, (Contract{form, ToolUse::kAuto, "", true})) << fields;
  }
}

TEST(ContractFields, TwoFormsAtOnceAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> all = {
      {"response_format", R"("response_format": {"type": "json_object"})"},
      {"structured_outputs.json", R"("structured_outputs": {"json": {}})"},
      {"structured_outputs.choice", R"("structured_outputs": {"choice": ["a"]})"},
      {"structured_outputs.json_object", R"("structured_outputs": {"json_object": true})"},
      {"guided_json", R"("guided_json": {})"},
      {"json_schema", R"("json_schema": {})"},
      {"guided_regex", R"("guided_regex": "a")"},
      {"guided_choice", R"("guided_choice": ["a"])"},
      {"guided_grammar", R"("guided_grammar": "root ::= \"a\"")"},
      {"grammar", R"("grammar": "root ::= \"a\"")"},
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      const auto& [first, one] = all[i];
      const auto& [second, other] = all[j];
      if (first.starts_with("structured_outputs") && second.starts_with("structured_outputs"))
        continue;  // the same key
      const std::string message =
          str(second, " and ", first, " both say what the answer has to be, expected one of them.");
      for (const std::string& fields : {one + ", " + other, other + ", " + one}) {
        expect_refused(kOpenAiChat, asking(fields), second, message);
        expect_refused(kOpenAiCompletions, completions_asking(fields), second, message);
      }
    }
  }
  expect_refused(kOpenAiChat, asking(R"("structured_outputs": {"grammar": "x", "regex": "a"})"),
                 "structured_outputs.grammar",
                 "structured_outputs.grammar and structured_outputs.regex both");
  expect_refused(kOpenAiResponses,
                 responses_asking(R"("guided_regex": "a", "text": {"format": {"type":
                     "json_object"}})"),
                 "text.format.type", "another field says what the answer has to be");
}

TEST(ContractFields, WrongShapesOfAFormAreRefusedByPath) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {R"("response_format": "json_object")", "response_format", "expected an object"},
      {R"("response_format": {"type": "grammar"})", "response_format.type",
       "text, json_object or json_schema"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema",
       "an object with a schema"},
      {R"("response_format": {"type": "json_schema", "schema": {}})", "response_format.json_schema",
       "is missing"},
      {R"("response_format": {"type": "json_schema", "json_schema": {}})",
       "response_format.json_schema.schema", "is missing"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"schema": "{}"}})",
       "response_format.json_schema.schema", "expected an object"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": 1, "schema": {}}})",
       "response_format.json_schema.name", "a string"},
      {R"("structured_outputs": "x")", "structured_outputs", "expected an object"},
      {R"("structured_outputs": {"json": 1})", "structured_outputs.json",
       "a JSON Schema, as an object or as its text"},
      {R"("structured_outputs": {"json": "{"})", "structured_outputs.json", ""},
      {R"("structured_outputs": {"regex": {}})", "structured_outputs.regex", "a string"},
      {R"("structured_outputs": {"choice": "a"})", "structured_outputs.choice", "an array"},
      {R"("structured_outputs": {"choice": []})", "structured_outputs.choice",
       "an array of one string at least"},
      {R"("structured_outputs": {"choice": ["a", 1]})", "structured_outputs.choice",
       "an array of strings"},
      {R"("structured_outputs": {"json_object": "yes"})", "structured_outputs.json_object",
       "true or false"},
      {R"("guided_json": "no JSON")", "guided_json", ""},
      {R"("guided_regex": 1)", "guided_regex", "a string"},
      {R"("guided_choice": [])", "guided_choice", "an array of one string at least"},
      {R"("guided_grammar": {})", "guided_grammar", "a string"},
      {R"("json_schema": 7)", "json_schema", "a JSON Schema, as an object or as its text"},
      {R"("grammar": ["root"])", "grammar", "a string"},
  };
  for (const auto& [fields, param, says] : cases) {
    expect_refused(kOpenAiChat, asking(fields), param, says);
    expect_refused(kOpenAiResponses, responses_asking(fields), param, says);
    expect_refused(kOpenAiCompletions, completions_asking(fields), param, says);
  }
}

TEST(ContractFields, FormatsOfResponsesAndAnthropicHoldTheirSchema) {
  const AnswerForm schema = {Kind::kSchema, kSchema, {}};
  const AnswerForm any_object = {Kind::kSchema, kAnyObject, {}};
  const std::string format =
      str(R"({"type": "json_schema", "name": "n", "schema": )", kSchema, "}");
  const auto check = [](const ChatRequest& request, const AnswerForm& form) {
    EXPECT_EQ(request.contract.form, form);
    EXPECT_EQ(conversation(request).response_format,
              form == AnswerForm() ? std::nullopt : std::optional(form.source));
  };
  for (const auto& [value, form] :
       std::vector<std::pair<std::string, AnswerForm>>{{format, schema},
                                                       {R"({"type": "json_object"})", any_object},
                                                       {R"({"type": "text"})", {}}}) {
    check(request_of(kOpenAiResponses, responses_asking(str(R"("text": {"format": )", value, "}"))),
          form);
    check(request_of(kAnthropicMessages,
                     anthropic_asking(str(R"("output_config": {"format": )", value, "}"))),
          form);
    check(request_of(kAnthropicMessages, anthropic_asking(str(R"("output_format": )", value))),
          form);
  }
  for (const auto& [fields, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("output_config": {"format": "json"})", "output_config.format"},
           {R"("output_config": {"format": {}})", "output_config.format.type"},
           {R"("output_config": {"format": {"type": "json_schema"}})",
            "output_config.format.schema"},
           {R"("output_format": [])", "output_format"},
           {R"("output_format": {"type": "regex"})", "output_format.type"},
           {R"("output_format": {"type": "json_schema", "schema": true})",
            "output_format.schema"}}) {
    expect_refused(kAnthropicMessages, anthropic_asking(fields), param, "expected");
  }
}

struct Choice {
  std::string fields;
  Contract contract;
  bool offered = true;
};

// The request has one tool.
void expect_choice(const ChatRequest& request, const Choice& choice) {
  EXPECT_EQ(request.contract, choice.contract) << choice.fields;
  EXPECT_EQ(conversation(request).tools.size(), choice.offered ? 1u : 0u) << choice.fields;
}

TEST(ContractFields, ToolChoicesOfOpenAi) {
  const std::vector<Choice> both = {
      {R"("tool_choice": null, "parallel_tool_calls": null)", {}},
      {R"("tool_choice": "auto", "parallel_tool_calls": true)", {}},
      {R"("tool_choice": "none")", {}, false},
      {R"("tool_choice": "required")", {{}, ToolUse::kRequired, "", true}},
      {R"("parallel_tool_calls": false)", {{}, ToolUse::kAuto, "", false}},
      {R"("tool_choice": "required", "parallel_tool_calls": false)",
       {{}, ToolUse::kRequired, "", false}},
  };
  const Contract named = {{}, ToolUse::kRequired, "f", true};
  const std::string chat_tools = R"("tools": [{"type": "function", "function": {"name": "f"}}], )";
  const std::string tools = R"("tools": [{"type": "function", "name": "f"}], )";
  std::vector<Choice> chat = both, responses = both;
  chat.push_back({R"("tool_choice": {"type": "function", "function": {"name": "f"}})", named});
  responses.push_back({R"("tool_choice": {"type": "function", "name": "f"})", named});
  for (const Choice& c : chat)
    expect_choice(request_of(kOpenAiChat, asking(chat_tools + c.fields)), c);
  for (const Choice& c : responses)
    expect_choice(request_of(kOpenAiResponses, responses_asking(tools + c.fields)), c);
}

TEST(ContractFields, WrongToolChoicesOfOpenAiAreRefusedByPath) {
  const std::string ways = "auto, none, required or the function";
  for (const std::string value : {"\"any\"", "7", "true", "[]"}) {
    const std::string fields = "\"tool_choice\": " + value;
    expect_refused(kOpenAiChat, asking(fields), "tool_choice", ways);
    expect_refused(kOpenAiResponses, responses_asking(fields), "tool_choice", ways);
  }
  const std::string custom = R"("tool_choice": {"type": "custom", "name": "f"})";
  expect_refused(kOpenAiChat, asking(custom), "tool_choice.type", "only functions can be chosen");
  expect_refused(kOpenAiResponses, responses_asking(custom), "tool_choice.type",
                 "only functions can be chosen");
  // Each format names the function in its own place.
  expect_refused(kOpenAiChat, asking(R"("tool_choice": {"type": "function", "name": "f"})"),
                 "tool_choice.function", "an object with the function's name");
  expect_refused(kOpenAiChat, asking(R"("tool_choice": {"function": {}})"),
                 "tool_choice.function.name", "is missing");
  expect_refused(kOpenAiResponses,
                 responses_asking(R"("tool_choice": {"type": "function", "function": {"name":
                     "f"}})"),
                 "tool_choice.name", "is missing");
}

TEST(ContractFields, ToolChoicesOfAnthropic) {
  const std::vector<Choice> cases = {
      {R"("tool_choice": null)", {}},
      {R"("tool_choice": {"type": "auto"})", {}},
      {R"("tool_choice": {"type": "auto", "disable_parallel_tool_use": true})",
       {{}, ToolUse::kAuto, "", false}},
      {R"("tool_choice": {"type": "any"})", {{}, ToolUse::kRequired, "", true}},
      {R"("tool_choice": {"type": "any", "disable_parallel_tool_use": true})",
       {{}, ToolUse::kRequired, "", false}},
      {R"("tool_choice": {"type": "tool", "name": "f"})", {{}, ToolUse::kRequired, "f", true}},
      {R"("tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true})",
       {{}, ToolUse::kRequired, "f", false}},
      {R"("tool_choice": {"type": "none"})", {}, false},
  };
  const std::string tools = R"("tools": [{"name": "f", "input_schema": {}}], )";
  for (const Choice& c : cases)
    expect_choice(request_of(kAnthropicMessages, anthropic_asking(tools + c.fields)), c);
}

TEST(ContractFields, StrictToolsAreMarked) {
  const auto strict = [](const ChatRequest& request) {
    std::vector<bool> out;
    for (const ToolSpec& tool : conversation(request).tools) out.push_back(tool.strict);
    return out;
  };
  const std::vector<bool> expected = {true, false, false};
  EXPECT_EQ(strict(request_of(kOpenAiChat, asking(R"("tools": [
                {"type": "function", "function": {"name": "a", "strict": true}},
                {"type": "function", "function": {"name": "b", "strict": false}},
                {"type": "function", "function": {"name": "c"}}])"))),
            expected);
  EXPECT_EQ(strict(request_of(kOpenAiResponses, responses_asking(R"("tools": [
                {"type": "function", "name": "a", "strict": true},
                {"type": "function", "name": "b", "strict": false},
                {"type": "function", "name": "c", "strict": null}])"))),
            expected);
  EXPECT_EQ(strict(request_of(kAnthropicMessages, anthropic_asking(R"("tools": [
                {"name": "a", "input_schema": {}, "strict": true},
                {"name": "b", "input_schema": {}, "strict": false},
                {"name": "c", "input_schema": {}}])"))),
            expected);
}

// reasoning, repeated, call
using Numbers = std::array<int, 3>;
Numbers numbers(const Guards& guards) {
  return {guards.max_reasoning, guards.max_repeated, guards.max_call};
}

TEST(ContractFields, GuardsStandOverTheDefaults) {
  Defaults defaults;
  EXPECT_EQ(numbers(defaults.guards), (Numbers{-1, 0, 0}));
  defaults.guards = {1000, 300, 5000};
  const std::vector<std::pair<std::string, Numbers>> cases = {
      {R"("guards": null)", {1000, 300, 5000}},
      {R"("guards": {})", {1000, 300, 5000}},
      {R"("guards": {"max_reasoning_tokens": 0})", {0, 300, 5000}},
      {R"("guards": {"max_repeated_tokens": 0, "max_call_tokens": null})", {1000, 0, 5000}},
      {R"("guards": {"max_call_tokens": 7})", {1000, 300, 7}},
      {R"("guards": {"max_reasoning_tokens": 1, "max_repeated_tokens": 2, "max_call_tokens": 3})",
       {1, 2, 3}},
      {R"("thinking_token_budget": 64)", {64, 300, 5000}},
      {R"("thinking_token_budget": 64, "guards": {"max_repeated_tokens": 2})", {64, 2, 5000}},
      {R"("thinking_token_budget": 1073741824)", {1 << 30, 300, 5000}},
  };
  for (const auto& [fields, expected] : cases) {
    for (const auto& [format, body] : bodies_of(fields))
      EXPECT_EQ(numbers(request_of(*format, body, defaults).guards), expected) << body;
  }
}

TEST(ContractFields, WrongGuardsAreRefusedByPath) {
  for (const auto& [fields, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("guards": 3)", "guards"},
           {R"("guards": {"max_reasoning_tokens": "many"})", "guards.max_reasoning_tokens"},
           {R"("guards": {"max_reasoning_tokens": -2})", "guards.max_reasoning_tokens"},
           {R"("guards": {"max_repeated_tokens": 1.5})", "guards.max_repeated_tokens"},
           {R"("guards": {"max_call_tokens": 1073741825})", "guards.max_call_tokens"},
           {R"("thinking_token_budget": -2)", "thinking_token_budget"},
           {R"("thinking_token_budget": true)", "thinking_token_budget"}}) {
    for (const auto& [format, body] : bodies_of(fields))
      expect_refused(*format, body, param, "expected");
  }
  for (const auto& [format, body] : bodies_of(R"("guards": {"max_tokens": 3})"))
    EXPECT_EQ(accepted(*format, body).ignored, std::vector<std::string>{"guards.max_tokens"});
}

TEST(ContractFields, ThinkingOfAnthropicHasABudget) {
  const auto budget = [](const std::string& thinking) {
    return request_of(kAnthropicMessages, anthropic_asking("\"thinking\": " + thinking))
        .guards.max_reasoning;
  };
  EXPECT_EQ(budget("null"), -1);
  EXPECT_EQ(budget(R"({"type": "enabled"})"), -1);
  EXPECT_EQ(budget(R"({"type": "enabled", "budget_tokens": 2048})"), 2048);
  EXPECT_EQ(budget(R"({"type": "enabled", "budget_tokens": 0})"), 0);
  EXPECT_EQ(budget(R"({"type": "disabled", "budget_tokens": 2048})"), -1);
  expect_refused(kAnthropicMessages,
                 anthropic_asking(R"("thinking": {"type": "enabled", "budget_tokens": "x"})"),
                 "thinking.budget_tokens", "an integer from 0");
}

}  // namespace
}  // namespace plumb::wire
