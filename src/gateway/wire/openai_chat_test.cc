#include "gateway/wire/openai_chat.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "gateway/wire/parse_for_tests.h"

namespace plumb::wire {
namespace {

Call call_of(const std::string& body, const Defaults& defaults = {}) {
  return accepted(kOpenAiChat, body, defaults);
}
ChatRequest request_of(const std::string& body) {
  Call call = call_of(body);
  if (call.choices.empty()) return {};
  return call.choices.front();
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
  const std::vector<Wrong> cases = {
      {R"("audio": {"voice": "x"})", "audio"},
      {R"("modalities": ["text", "audio"])", "modalities"},
      {R"("prediction": {"type": "content"})", "prediction"},
      {R"("web_search_options": {})", "web_search_options"},
      {R"("verbosity": "low")", "verbosity"},
      {R"("functions": [])", "functions"},
      {R"("function_call": "auto")", "function_call"},
      {R"("tool_choice": {"type": "allowed_tools"})", "tool_choice.type"},
      {R"("store": true)", "store"},
      {R"("service_tier": "priority")", "service_tier"},
      {R"("include_reasoning": false)", "include_reasoning"},
      {R"("best_of": 2)", "best_of"},
      {R"("regex": "a+")", "regex"},
      {R"("ebnf": "root ::= \"a\"")", "ebnf"},
      {R"("stop_token_ids": [3])", "stop_token_ids"},
      {R"("stream_options": {"continuous_usage_stats": true})",
       "stream_options.continuous_usage_stats"},
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
      {R"("tools": [{"function": {"name": "f", "strict": 1}}])", "tools[0].function.strict"},
      {R"("parallel_tool_calls": 1)", "parallel_tool_calls"},
      {R"("response_format": "json")", "response_format"},
      {R"("response_format": {})", "response_format.type"},
      {R"("response_format": {"type": "xml"})", "response_format.type"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n"}})",
       "response_format.json_schema.schema"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"strict": 1, "schema": {}}})",
       "response_format.json_schema.strict"},
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
