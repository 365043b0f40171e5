#include "gateway/wire/openai_chat.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "gateway/wire/parse_for_tests.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

// A request with these fields beside its one message.
std::string asking(const std::string& fields) {
  return str(R"({"messages": [{"role": "user", "content": "Hi"}])", fields.empty() ? "" : ", ",
             fields, "}");
}
std::string of_messages(const std::string& messages) {
  return str("{\"messages\": [", messages, "]}");
}

Call call_of(const std::string& body, const Defaults& defaults = {}) {
  return accepted(kOpenAiChat, body, defaults);
}
ChatRequest request_of(const std::string& body, const Defaults& defaults = {}) {
  Call call = call_of(body, defaults);
  if (call.choices.empty()) return {};
  return call.choices.front();
}
Conversation conversation_of(const std::string& body, const Defaults& defaults = {}) {
  const ChatRequest request = request_of(body, defaults);
  const auto* conversation = std::get_if<Conversation>(&request.prompt);
  return conversation ? *conversation : Conversation{};
}
Effort effort_of(const std::string& fields, Effort usual = Effort::kNone) {
  return conversation_of(asking(fields), {{}, usual}).effort;
}

TEST(OpenAiChat, ASmallRequestLeavesTheDefaults) {
  Defaults defaults;
  defaults.sampling.temperature = 0.6f;
  defaults.sampling.top_p = 0.95f;
  defaults.effort = Effort::kHigh;
  const Call call = call_of(asking(""), defaults);
  EXPECT_EQ(call.model, "");
  EXPECT_FALSE(call.stream || call.seeded);
  EXPECT_TRUE(call.ignored.empty());
  ASSERT_EQ(call.choices.size(), 1u);
  const ChatRequest& request = call.choices[0];
  EXPECT_EQ(request.sampling.temperature, 0.6f);
  EXPECT_EQ(request.sampling.top_p, 0.95f);
  EXPECT_EQ(request.sampling.logprobs, -1);
  EXPECT_EQ(request.max_tokens, -1);
  EXPECT_FALSE(request.report_tokens || request.ignore_end);
  const auto& conversation = std::get<Conversation>(request.prompt);
  EXPECT_EQ(conversation.messages, std::vector<Message>{Message::of(Role::kUser, "Hi")});
  EXPECT_EQ(conversation.effort, Effort::kHigh);
  EXPECT_TRUE(conversation.drop_old_reasoning);
}

TEST(OpenAiChat, EveryFieldReachesTheRequest) {
  const Call call = call_of(asking(R"("model": "m", "stream": true,
      "temperature": 0.5, "top_p": 0.9, "min_p": 0.05, "top_k": 40, "presence_penalty": 1,
      "frequency_penalty": -1, "repetition_penalty": 1.2, "logit_bias": {"5": -100},
      "logprobs": true, "top_logprobs": 3, "n": 3, "seed": 42, "stop": ["a", "b"],
      "max_completion_tokens": 99, "ignore_eos": true)"));
  EXPECT_EQ(call.model, "m");
  EXPECT_TRUE(call.stream && call.seeded);
  ASSERT_EQ(call.choices.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const ChatRequest& request = call.choices[static_cast<std::size_t>(i)];
    EXPECT_EQ(request.model, "m");
    EXPECT_EQ(request.sampling.seed, seed_of_choice(42, i));
    EXPECT_EQ(request.sampling.temperature, 0.5f);
    EXPECT_EQ(request.sampling.top_p, 0.9f);
    EXPECT_EQ(request.sampling.min_p, 0.05f);
    EXPECT_EQ(request.sampling.top_k, 40);
    EXPECT_EQ(request.sampling.presence_penalty, 1.0f);
    EXPECT_EQ(request.sampling.frequency_penalty, -1.0f);
    EXPECT_EQ(request.sampling.repetition_penalty, 1.2f);
    EXPECT_EQ(request.sampling.logit_bias.size(), 1u);
    EXPECT_EQ(request.sampling.logprobs, 3);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(request.max_tokens, 99);
    EXPECT_TRUE(request.report_tokens && request.ignore_end);
  }
}

TEST(OpenAiChat, TheOldNameOfTheLengthAndLogprobsWithoutOthersAreTaken) {
  EXPECT_EQ(request_of(asking(R"("max_tokens": 7)")).max_tokens, 7);
  EXPECT_EQ(request_of(asking(R"("max_tokens": 7, "max_completion_tokens": 7)")).max_tokens, 7);
  const ChatRequest request = request_of(asking(R"("logprobs": true)"));
  EXPECT_EQ(request.sampling.logprobs, 0);
  EXPECT_TRUE(request.report_tokens);
  EXPECT_FALSE(request_of(asking(R"("logprobs": false, "top_logprobs": 0)")).report_tokens);
}

TEST(OpenAiChat, EveryKindOfMessageIsRead) {
  const Conversation conversation = conversation_of(of_messages(R"(
      {"role": "system", "content": "Be brief.", "name": "s"},
      {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "latest_reminder", "content": "2026-05-01"},
      {"role": "user", "content": [{"type": "text", "text": "Time?", "cache_control": {}}], "name": "u"},
      {"role": "assistant", "content": null, "reasoning_content": "look", "refusal": null,
       "tool_calls": [{"id": "c1", "type": "function",
                       "function": {"name": "clock", "arguments": "{\"tz\": \"x\"}"}},
                      {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": ""}},
                      {"id": "c3", "function": {"name": "clock", "arguments": {"a": 1}}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "10:00"},
      {"role": "tool", "tool_call_id": "c2", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
      {"role": "assistant", "content": [{"type": "text", "text": "Ten"}, {"type": "refusal", "refusal": "no"}],
       "reasoning": "why"},
      {"role": "assistant", "refusal": "I will not."},
      {"role": "assistant"},
      {"role": "user", "content": "", "task": "action"})"));
  const auto& m = conversation.messages;
  ASSERT_EQ(m.size(), 11u);
  EXPECT_EQ(m[0], Message::of(Role::kSystem, "Be brief."));
  EXPECT_EQ(m[1].role, Role::kDeveloper);
  EXPECT_EQ(m[1].text(), "a\n\nb");
  EXPECT_EQ(m[2], Message::of(Role::kLatestReminder, "2026-05-01"));
  EXPECT_EQ(m[3], Message::of(Role::kUser, "Time?"));
  EXPECT_EQ(m[4].role, Role::kAssistant);
  EXPECT_TRUE(m[4].content.empty());
  EXPECT_EQ(m[4].reasoning, "look");
  EXPECT_EQ(m[4].tool_calls, (std::vector<ToolCall>{{"c1", "clock", "{\"tz\": \"x\"}"},
                                                    {"c2", "clock", "{}"},
                                                    {"c3", "clock", "{\"a\":1}"}}));
  EXPECT_EQ(m[5].tool_call_id, "c1");
  EXPECT_EQ(m[5].text(), "10:00");
  ASSERT_EQ(m[6].content.size(), 1u);
  EXPECT_EQ(m[6].content[0].kind, ContentPart::Kind::kImage);
  EXPECT_EQ(m[6].content[0].type_name, "image_url");
  EXPECT_EQ(m[7].text(), "Ten\n\nno");
  EXPECT_EQ(m[7].reasoning, "why");
  EXPECT_EQ(m[8].text(), "I will not.");
  EXPECT_TRUE(m[9].content.empty());
  EXPECT_EQ(m[10].task, "action");
  for (const Message& message : m) EXPECT_FALSE(message.wo_eos);
}

TEST(OpenAiChat, ALastMessageOfTheAssistantIsContinued) {
  const std::string user = R"({"role": "user", "content": "Q"},)";
  for (const std::string& body : {
           of_messages(user + R"({"role": "assistant", "content": "Par"})"),
           of_messages(user + R"({"role": "assistant", "content": "Par", "prefix": true})"),
           str(R"({"continue_final_message": true, "add_generation_prompt": false, "messages": [)",
               user, R"({"role": "assistant", "content": "Par"}]})"),
       }) {
    const Conversation conversation = conversation_of(body);
    ASSERT_EQ(conversation.messages.size(), 2u);
    EXPECT_TRUE(conversation.messages[1].wo_eos) << body;
    EXPECT_EQ(conversation.messages[1].text(), "Par");
  }
  // A task asks about the message, and does not go on with it.
  EXPECT_FALSE(conversation_of(
                   of_messages(user + R"({"role": "assistant", "content": "A", "task": "title"})"))
                   .messages[1]
                   .wo_eos);
}

constexpr const char* kTool = R"({"type": "function", "function":
    {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": false}})";

TEST(OpenAiChat, ToolsAreOfferedUnlessNoneMayBeChosen) {
  for (const char* choice : {"", R"(, "tool_choice": "auto")",
                             R"(, "tool_choice": null, "parallel_tool_calls": true)"}) {
    const Conversation offered = conversation_of(asking(str(R"("tools": [)", kTool, "]", choice)));
    ASSERT_EQ(offered.tools.size(), 1u) << choice;
    EXPECT_EQ(offered.tools[0].name, "f");
    EXPECT_EQ(offered.tools[0].function_json,
              R"({"name":"f","description":"d","parameters":{"type":"object"},"strict":false})");
  }
  const Conversation none =
      conversation_of(str(R"({"tool_choice": "none", "tools": [)", kTool, R"(], "messages": [
      {"role": "system", "content": "s", "tools": [)",
                          kTool, R"(]},
      {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "r"}]})"));
  EXPECT_TRUE(none.tools.empty());
  ASSERT_EQ(none.messages.size(), 3u);
  EXPECT_TRUE(none.messages[0].tools.empty());
  EXPECT_EQ(none.messages[1].tool_calls.size(), 1u);
}

TEST(OpenAiChat, TheFormOfTheAnswerIsItsSchema) {
  using Format = std::optional<std::string>;
  const auto format = [](const std::string& value) {
    return conversation_of(asking("\"response_format\": " + value)).response_format;
  };
  EXPECT_EQ(format("null"), Format());
  EXPECT_EQ(format(R"({"type": "text"})"), Format());
  EXPECT_EQ(format(R"({"type": "json_object"})"), Format(R"({"type":"object"})"));
  EXPECT_EQ(format(R"({"type": "json_schema", "json_schema":
      {"name": "n", "description": "d", "strict": false, "schema": {"type": "array", "a": 1.50}}})"),
            Format(R"({"type":"array","a":1.50})"));
}

TEST(OpenAiChat, ASystemMessageMayOfferToolsAndAFormItself) {
  const Conversation conversation = conversation_of(of_messages(
      str(R"({"role": "system", "content": "s", "response_format": {"type": "object"}, "tools": [)",
          kTool, R"(]}, {"role": "user", "content": "Hi"})")));
  ASSERT_EQ(conversation.messages.size(), 2u);
  EXPECT_EQ(conversation.messages[0].tools.size(), 1u);
  EXPECT_EQ(conversation.messages[0].response_format, R"({"type":"object"})");
}

TEST(OpenAiChat, ThinkingIsSwitchedAndMeasuredByEveryNameForIt) {
  EXPECT_EQ(effort_of(""), Effort::kNone);
  EXPECT_EQ(effort_of("", Effort::kMax), Effort::kMax);
  for (const auto& [name, effort] :
       std::vector<std::pair<std::string, Effort>>{{"none", Effort::kNone},
                                                   {"minimal", Effort::kNone},
                                                   {"low", Effort::kHigh},
                                                   {"medium", Effort::kHigh},
                                                   {"high", Effort::kHigh},
                                                   {"xhigh", Effort::kMax},
                                                   {"max", Effort::kMax}}) {
    EXPECT_EQ(effort_of(str(R"("reasoning_effort": ")", name, "\"")), effort);
    EXPECT_EQ(effort_of(str(R"("chat_template_kwargs": {"reasoning_effort": ")", name, "\"}")),
              effort);
  }
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"})"), Effort::kHigh);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"})", Effort::kMax), Effort::kMax);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "disabled"})", Effort::kMax), Effort::kNone);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"}, "reasoning_effort": "max")"),
            Effort::kMax);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "disabled"}, "reasoning_effort": "max")"),
            Effort::kNone);
  EXPECT_EQ(effort_of(R"("chat_template_kwargs": {"thinking": true})"), Effort::kHigh);
  EXPECT_EQ(effort_of(R"("chat_template_kwargs": {"enable_thinking": false})", Effort::kHigh),
            Effort::kNone);
  EXPECT_FALSE(conversation_of(asking(R"("chat_template_kwargs": {"drop_thinking": false})"))
                   .drop_old_reasoning);
}

TEST(OpenAiChat, WhatNobodyKnowsIsListedAndWhatMeansNothingIsNot) {
  const Call call = call_of(R"({"echo": false, "metadata": {"a": "b"}, "user": "u", "store": false,
      "safety_identifier": "s", "service_tier": "auto", "prompt_cache_key": "k",
      "modalities": ["text"], "verbosity": "medium", "tools": [], "best_of": 1,
      "chat_template_kwargs": {"foo": 1}, "stream_options": {"bar": 1},
      "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}], "y": 2},
                   {"role": "user", "content": "b", "y": 2}]})");
  EXPECT_EQ(call.ignored,
            (std::vector<std::string>{"messages[].content[].x", "messages[].y",
                                      "chat_template_kwargs.foo", "stream_options.bar", "echo"}));
}

struct Wrong {
  std::string fields;
  std::string param;
  std::string code = {};
};

TEST(OpenAiChat, WhatIsNotOfferedIsRefusedByName) {
  const std::string named_tool = R"({"type": "function", "function": {"name": "f"}})";
  const std::vector<Wrong> cases = {
      {R"("audio": {"voice": "x"})", "audio"},
      {R"("modalities": ["text", "audio"])", "modalities"},
      {R"("prediction": {"type": "content"})", "prediction"},
      {R"("web_search_options": {})", "web_search_options"},
      {R"("verbosity": "low")", "verbosity"},
      {R"("functions": [])", "functions"},
      {R"("function_call": "auto")", "function_call"},
      {R"("tool_choice": "required")", "tool_choice"},
      {R"("tool_choice": )" + named_tool, "tool_choice"},
      {R"("parallel_tool_calls": false)", "parallel_tool_calls"},
      {R"("store": true)", "store"},
      {R"("service_tier": "priority")", "service_tier"},
      {R"("include_reasoning": false)", "include_reasoning"},
      {R"("best_of": 2)", "best_of"},
      {R"("guided_json": {})", "guided_json"},
      {R"("stop_token_ids": [3])", "stop_token_ids"},
      {R"("stream_options": {"continuous_usage_stats": true})",
       "stream_options.continuous_usage_stats"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"strict": true, "schema": {}}})",
       "response_format.json_schema.strict"},
      {R"("tools": [{"type": "function", "function": {"name": "f", "strict": true}}])",
       "tools[0].function.strict"},
  };
  for (const Wrong& wrong : cases) {
    const Refusal refusal = refused(kOpenAiChat, asking(wrong.fields));
    EXPECT_EQ(refusal.param, wrong.param) << wrong.fields;
    EXPECT_EQ(refusal.code, "unsupported_parameter") << wrong.fields;
    EXPECT_EQ(refusal.status, 400);
    EXPECT_NE(refusal.message.find(wrong.param), std::string::npos) << refusal.message;
  }
}

TEST(OpenAiChat, WhatIsWrongIsRefusedByName) {
  const std::vector<Wrong> cases = {
      {R"("model": 3)", "model"},
      {R"("temperature": 2.5)", "temperature"},
      {R"("top_p": 0)", "top_p"},
      {R"("n": 17)", "n"},
      {R"("n": 128)", "n"},
      {R"("n": 1.5)", "n"},
      {R"("seed": "x")", "seed"},
      {R"("stop": [""])", "stop[0]"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_tokens": 5, "max_completion_tokens": 6)", "max_completion_tokens"},
      {R"("logprobs": 3)", "logprobs"},
      {R"("top_logprobs": 21, "logprobs": true)", "top_logprobs"},
      {R"("top_logprobs": 2)", "logprobs"},
      {R"("stream": "yes")", "stream"},
      {R"("stream_options": {"include_usage": 1})", "stream_options.include_usage"},
      {R"("stream_options": [])", "stream_options"},
      {R"("ignore_eos": 1)", "ignore_eos"},
      {R"("tool_choice": "any")", "tool_choice"},
      {R"("tool_choice": 1)", "tool_choice"},
      {R"("tools": {})", "tools"},
      {R"("tools": [1])", "tools[0]"},
      {R"("tools": [{"type": "function"}])", "tools[0].function"},
      {R"("tools": [{"function": {}}])", "tools[0].function.name"},
      {R"("tools": [{"function": {"name": ""}}])", "tools[0].function.name"},
      {R"("tools": [{"function": {"name": "a\">"}}])", "tools[0].function.name"},
      {R"("tools": [{"function": {"name": "f", "parameters": []}}])",
       "tools[0].function.parameters"},
      {R"("tools": [{"function": {"name": "f", "description": 1}}])",
       "tools[0].function.description"},
      {R"("response_format": "json")", "response_format"},
      {R"("response_format": {})", "response_format.type"},
      {R"("response_format": {"type": "xml"})", "response_format.type"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n"}})",
       "response_format.json_schema.schema"},
      {R"("reasoning_effort": "huge")", "reasoning_effort"},
      {R"("thinking": true)", "thinking"},
      {R"("thinking": {})", "thinking.type"},
      {R"("thinking": {"type": "adaptive"})", "thinking.type"},
      {R"("thinking": {"type": "enabled"}, "reasoning_effort": "none")", "reasoning_effort"},
      {R"("thinking": {"type": "enabled"}, "chat_template_kwargs": {"thinking": false})",
       "chat_template_kwargs.thinking"},
      {R"("reasoning_effort": "max", "chat_template_kwargs": {"reasoning_effort": "low"})",
       "chat_template_kwargs.reasoning_effort"},
      {R"("chat_template_kwargs": {"enable_thinking": "no"})",
       "chat_template_kwargs.enable_thinking"},
      {R"("continue_final_message": true)", "continue_final_message"},
      {R"("add_generation_prompt": false)", "add_generation_prompt"},
  };
  for (const Wrong& wrong : cases) {
    const Refusal refusal = refused(kOpenAiChat, asking(wrong.fields));
    EXPECT_EQ(refusal.param, wrong.param) << wrong.fields;
    EXPECT_NE(refusal.message.find("expected"), std::string::npos) << refusal.message;
  }
}

TEST(OpenAiChat, AWrongMessageIsRefusedByItsPlace) {
  const std::vector<Wrong> cases = {
      {R"(1)", "messages[0]"},
      {R"({"content": "x"})", "messages[0].role"},
      {R"({"role": "function", "content": "x"})", "messages[0].role"},
      {R"({"role": "user"})", "messages[0].content"},
      {R"({"role": "user", "content": 3})", "messages[0].content"},
      {R"({"role": "user", "content": ["x"]})", "messages[0].content[0]"},
      {R"({"role": "user", "content": [{"text": "x"}]})", "messages[0].content[0].type"},
      {R"({"role": "user", "content": [{"type": "text"}]})", "messages[0].content[0].text"},
      {R"({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]})",
       "messages[0].content[1].type", "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "input_audio"}]})", "messages[0].content[0].type",
       "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "file"}]})", "messages[0].content[0].type",
       "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]})",
       "messages[0].content[0].type", "unsupported_value"},
      {R"({"role": "tool", "content": "x"})", "messages[0].tool_call_id"},
      {R"({"role": "tool", "tool_call_id": "c"})", "messages[0].content"},
      {R"({"role": "assistant", "reasoning_content": 1})", "messages[0].reasoning_content"},
      {R"({"role": "assistant", "function_call": {"name": "f"}})", "messages[0].function_call",
       "unsupported_parameter"},
      {R"({"role": "assistant", "audio": {"id": "a"}})", "messages[0].audio",
       "unsupported_parameter"},
      {R"({"role": "assistant", "tool_calls": {}})", "messages[0].tool_calls"},
      {R"({"role": "assistant", "tool_calls": [{}]}, {"role": "user", "content": "x"})",
       "messages[0].tool_calls[0].function"},
      {R"({"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]})",
       "messages[0].tool_calls[0].type", "unsupported_value"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]})",
       "messages[0].tool_calls[0].function.name"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]})",
       "messages[0].tool_calls[0].function.arguments"},
      {R"({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]})",
       "messages[0].tool_calls"},
      {R"({"role": "assistant", "content": "a", "prefix": true}, {"role": "user", "content": "x"})",
       "messages[0].prefix"},
      {R"({"role": "user", "content": "x", "task": 1})", "messages[0].task"},
  };
  for (const Wrong& wrong : cases) {
    const Refusal refusal = refused(kOpenAiChat, of_messages(wrong.fields));
    EXPECT_EQ(refusal.param, wrong.param) << wrong.fields;
    EXPECT_EQ(refusal.code, wrong.code) << wrong.fields;
    EXPECT_NE(refusal.message.find(wrong.param), std::string::npos) << refusal.message;
  }
  EXPECT_EQ(refused(kOpenAiChat, "{}").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, R"({"messages": []})").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, R"({"messages": "x"})").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, "[]").message, "The body is [], expected an object.");
  const std::string prefilled = R"("messages": [{"role": "assistant", "content": "x"}])";
  EXPECT_EQ(
      refused(kOpenAiChat, str("{", prefilled, R"(, "continue_final_message": false})")).param,
      "continue_final_message");
}

TEST(OpenAiChat, AnImageIsRefusedWithItsPlaceAndWhy) {
  EXPECT_EQ(
      refused(
          kOpenAiChat,
          of_messages(
              R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})"))
          .message,
      "messages[0].content[0].type is \"image_url\", but this model reads text only; expected "
      "\"text\".");
}

// Both readers of conversations must agree on what they both know.
TEST(OpenAiChat, AConversationFromAFileIsTheSameOverTheWire) {
  const std::string body =
      str(R"({"reasoning_effort": "high", "response_format": {"type": "json_object"},
      "tools": [)",
          kTool, R"(], "messages": [
      {"role": "system", "content": "s"}, {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls":
       [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "x"}]})");
  const auto from_file = conversation_from_json(*parse_json(body, "file"));
  ASSERT_TRUE(from_file) << from_file.error().message;
  EXPECT_EQ(conversation_of(body), *from_file);
}

TEST(OpenAiChat, TheWriterOfACallHasItsForm) {
  const auto writes = [](const std::string& fields) {
    const Call call = call_of(asking(fields));
    const auto writer = call.writer({"ab", 7, call.model, ""});
    std::string out;
    writer->start(1, out);
    for (int i = 0; i < static_cast<int>(call.choices.size()); ++i) {
      writer->take(i, TokenInfo{1, "x", -1, {}}, out);
      writer->take(i, Finished{}, out);
    }
    writer->end(out);
    return out;
  };
  const std::string whole = writes(R"("model": "m", "n": 2)");
  EXPECT_TRUE(whole.starts_with(R"({"id":"chatcmpl-ab","object":"chat.completion",)")) << whole;
  EXPECT_NE(whole.find("\"index\":1,\"message\""), std::string::npos);
  EXPECT_EQ(whole.find("\"logprob\""), std::string::npos);
  EXPECT_NE(writes(R"("logprobs": true)").find("\"logprob\":-1"), std::string::npos);
  EXPECT_EQ(writes(R"("stream": true)").find("usage"), std::string::npos);
  EXPECT_NE(writes(R"("stream": true, "stream_options": {"include_usage": true})").find("usage"),
            std::string::npos);
}

}  // namespace
}  // namespace plumb::wire
