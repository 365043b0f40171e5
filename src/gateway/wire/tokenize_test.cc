#include "gateway/wire/tokenize.h"

#include <gtest/gtest.h>

#include "gateway/wire/openai_chat.h"
#include "gateway/wire/parse_for_tests.h"

namespace plumb::wire {
namespace {

Json json_of(const std::string& body) { return *parse_json(body, "body"); }

TokenizeCall call_of(const std::string& body, const Defaults& defaults = {}) {
  auto parsed = parse_tokenize(json_of(body), defaults);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    ADD_FAILURE() << body << " was refused: " << refusal->message;
    return {};
  }
  return std::get<TokenizeCall>(std::move(parsed));
}

TEST(Tokenize, TextComesUnderBothNamesWithTheFirstTokenThatEachExpects) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {R"({"model": "m", "prompt": "Hi"})", false},
      {R"({"model": "m", "prompt": "Hi", "add_special_tokens": true})", false},
      {R"({"model": "m", "prompt": "Hi", "add_special_tokens": false})", true},
      {R"({"model": "m", "content": "Hi"})", true},
      {R"({"model": "m", "content": "Hi", "add_special": false, "with_pieces": false})", true},
      {R"({"model": "m", "content": "Hi", "add_special": true})", false},
  };
  for (const auto& [body, without_first] : cases) {
    const TokenizeCall call = call_of(body);
    EXPECT_EQ(call.model, "m");
    EXPECT_EQ(std::get<RawText>(call.prompt).text, "Hi");
    EXPECT_EQ(call.without_first, without_first) << body;
    EXPECT_TRUE(call.ignored.empty()) << body;
  }
}

TEST(Tokenize, MessagesAreReadAsChatCompletionsReadThem) {
  const std::string body = R"({"messages": [{"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "Par"}], "chat_template_kwargs": {"thinking": true},
      "tools": [{"type": "function", "function": {"name": "f"}}]})";
  const Defaults defaults = {{}, Effort::kMax, {}};
  const TokenizeCall call = call_of(body, defaults);
  const Call chat = accepted(kOpenAiChat, body, defaults);
  EXPECT_EQ(std::get<Conversation>(call.prompt), std::get<Conversation>(chat.choices.at(0).prompt));
  EXPECT_FALSE(call.without_first);
}

TEST(Tokenize, WrongBodiesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "prompt"},
      {R"({"prompt": "a", "content": "b"})", "prompt"},
      {R"({"prompt": "a", "messages": []})", "prompt"},
      {R"({"prompt": 3})", "prompt"},
      {R"({"content": []})", "content"},
      {R"({"messages": []})", "messages"},
      {R"({"messages": [{"role": "user"}]})", "messages[0].content"},
      {R"({"prompt": "a", "add_special_tokens": 1})", "add_special_tokens"},
      {R"({"prompt": "a", "return_token_strs": true})", "return_token_strs"},
      {R"({"content": "a", "with_pieces": true})", "with_pieces"},
      {R"({"content": "a", "parse_special": true})", "parse_special"},
      {R"({"messages": [{"role": "user", "content": "a"}], "add_special_tokens": true})",
       "add_special_tokens"},
      {R"({"model": 1, "prompt": "a"})", "model"},
      {R"([])", ""},
  };
  for (const auto& [body, param] : cases) {
    const auto parsed = parse_tokenize(json_of(body), {});
    ASSERT_TRUE(std::holds_alternative<Refusal>(parsed)) << body;
    EXPECT_EQ(std::get<Refusal>(parsed).param, param) << body;
    EXPECT_EQ(std::get<Refusal>(parsed).status, 400);
  }
}

TEST(Tokenize, TheReplyCountsTheIdsThatItGives) {
  const std::vector<Token> tokens = {0, 7153, 16};
  TokenizeCall call;
  EXPECT_EQ(tokenize_reply(call, tokens, 4096),
            R"({"count":3,"max_model_len":4096,"tokens":[0,7153,16]})");
  call.without_first = true;
  EXPECT_EQ(tokenize_reply(call, tokens, 4096),
            R"({"count":2,"max_model_len":4096,"tokens":[7153,16]})");
  EXPECT_EQ(tokenize_reply(call, {}, 4096), R"({"count":0,"max_model_len":4096,"tokens":[]})");
}

TEST(Detokenize, IdsAreReadAndTheTextComesUnderBothNames) {
  const auto parsed = parse_detokenize(json_of(R"({"model": "m", "tokens": [1, 2], "x": 1})"));
  ASSERT_TRUE(std::holds_alternative<DetokenizeCall>(parsed));
  const auto& call = std::get<DetokenizeCall>(parsed);
  EXPECT_EQ(call.model, "m");
  EXPECT_EQ(call.tokens, (std::vector<Token>{1, 2}));
  EXPECT_EQ(call.ignored, std::vector<std::string>{"x"});
  EXPECT_EQ(detokenize_reply("a\"é"), R"({"prompt":"a\"é","content":"a\"é"})");
}

TEST(Detokenize, WrongIdsAreRefusedByTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "tokens"},
      {R"({"tokens": "a"})", "tokens"},
      {R"({"tokens": [1, "a"]})", "tokens[1]"},
      {R"({"tokens": [-1]})", "tokens[0]"},
      {R"({"tokens": [1.5]})", "tokens[0]"},
      {R"({"tokens": [99999999999]})", "tokens[0]"},
  };
  for (const auto& [body, param] : cases) {
    const auto parsed = parse_detokenize(json_of(body));
    ASSERT_TRUE(std::holds_alternative<Refusal>(parsed)) << body;
    EXPECT_EQ(std::get<Refusal>(parsed).param, param) << body;
  }
  EXPECT_TRUE(
      std::holds_alternative<DetokenizeCall>(parse_detokenize(json_of(R"({"tokens": []})"))));
}

}  // namespace
}  // namespace plumb::wire
