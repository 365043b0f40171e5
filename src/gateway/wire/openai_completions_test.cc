#include "gateway/wire/openai_completions.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "gateway/wire/parse_for_tests.h"

namespace plumb::wire {
namespace {

Call call_of(const std::string& body) { return accepted(kOpenAiCompletions, body); }
std::vector<Prompt> prompts_of(const std::string& prompt) {
  std::vector<Prompt> prompts;
  for (const ChatRequest& request : call_of("{\"prompt\": " + prompt + "}").choices)
    prompts.push_back(request.prompt);
  return prompts;
}
std::string text_of(const Prompt& prompt) { return std::get<RawText>(prompt).text; }
using Ids = std::vector<Token>;

TEST(OpenAiCompletions, APromptIsTextOrIdsOrSeveralOfEither) {
  auto prompts = prompts_of(R"("Once")");
  ASSERT_EQ(prompts.size(), 1u);
  EXPECT_EQ(text_of(prompts[0]), "Once");
  prompts = prompts_of(R"(["a", ""])");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(text_of(prompts[0]), "a");
  EXPECT_EQ(text_of(prompts[1]), "");
  prompts = prompts_of("[0, 7, 9]");
  ASSERT_EQ(prompts.size(), 1u);
  EXPECT_EQ(std::get<Ids>(prompts[0]), (Ids{0, 7, 9}));
  prompts = prompts_of("[[1], [2, 3]]");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(std::get<Ids>(prompts[1]), (Ids{2, 3}));
}

TEST(OpenAiCompletions, AnswersAreCountedByPrompt) {
  const Call call = call_of(R"({"model": "m", "prompt": ["a", "b"], "n": 3, "seed": 5,
      "best_of": 3, "temperature": 0, "stop": "x", "ignore_eos": true, "suffix": ""})");
  ASSERT_EQ(call.choices.size(), 6u);
  EXPECT_TRUE(call.seeded);
  for (int i = 0; i < 6; ++i) {
    const ChatRequest& request = call.choices[static_cast<std::size_t>(i)];
    EXPECT_EQ(text_of(request.prompt), i < 3 ? "a" : "b");
    // Among others, a prompt has the answers that it has alone.
    EXPECT_EQ(request.sampling.seed, seed_of_choice(5, i % 3));
    EXPECT_EQ(request.max_tokens, 16);
    EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
    EXPECT_TRUE(request.ignore_end && request.sampling.greedy());
    EXPECT_FALSE(request.report_tokens);
  }
}

TEST(OpenAiCompletions, LengthAndLogprobsReachTheRequest) {
  const Call call = call_of(R"({"prompt": "a", "max_tokens": 0, "logprobs": 5})");
  EXPECT_EQ(call.choices.at(0).max_tokens, 0);
  EXPECT_EQ(call.choices[0].sampling.logprobs, 5);
  EXPECT_TRUE(call.choices[0].report_tokens);
  const Call none = call_of(R"({"prompt": "a", "logprobs": 0, "unknown": 1, "user": "u"})");
  EXPECT_EQ(none.choices.at(0).sampling.logprobs, 0);
  EXPECT_TRUE(none.choices[0].report_tokens);
  EXPECT_EQ(none.ignored, std::vector<std::string>{"unknown"});
}

TEST(OpenAiCompletions, WhatIsWrongOrNotOfferedIsRefusedByName) {
  struct Wrong {
    std::string body, param;
    std::string code = {};
  };
  const std::string kUnsupported = "unsupported_parameter";
  const std::vector<Wrong> cases = {
      {R"({})", "prompt"},
      {R"({"prompt": []})", "prompt"},
      {R"({"prompt": 3})", "prompt"},
      {R"({"prompt": {}})", "prompt"},
      {R"({"prompt": [true]})", "prompt[0]"},
      {R"({"prompt": ["a", 1]})", "prompt[1]"},
      {R"({"prompt": [1, "a"]})", "prompt[1]"},
      {R"({"prompt": [1, -2]})", "prompt[1]"},
      {R"({"prompt": [1.5]})", "prompt[0]"},
      {R"({"prompt": [3000000000]})", "prompt[0]"},
      {R"({"prompt": [[1], []]})", "prompt[1]"},
      {R"({"prompt": [[1], ["a"]]})", "prompt[1][0]"},
      {R"({"prompt": "a", "n": 17})", "n"},
      {R"({"prompt": "a", "max_tokens": -1})", "max_tokens"},
      {R"({"prompt": "a", "logprobs": 6})", "logprobs"},
      {R"({"prompt": "a", "logprobs": true})", "logprobs"},
      {R"({"prompt": "a", "echo": 1})", "echo"},
      {R"({"prompt": "a", "echo": true, "logprobs": 0})", "echo", kUnsupported},
      {R"({"prompt": [1], "echo": true})", "echo", kUnsupported},
      {R"({"prompt": "a", "suffix": "b"})", "suffix", kUnsupported},
      {R"({"prompt": "a", "best_of": 2})", "best_of", kUnsupported},
      {R"({"prompt": "a", "n": 2, "best_of": 3})", "best_of", kUnsupported},
      {R"({"prompt": "a", "tools": []})", "tools", kUnsupported},
      {R"({"prompt": "a", "regex": "x"})", "regex", kUnsupported},
      {R"({"prompt": "a", "response_format": {"type": "xml"}})", "response_format.type"},
      {R"({"prompt": "a", "guided_regex": 1})", "guided_regex"},
      {R"({"prompt": "a", "store": true})", "store", kUnsupported},
      {R"({"prompt": ["1","2","3","4","5","6","7","8","9"], "n": 16})", "prompt"},
  };
  for (const Wrong& wrong : cases) {
    const Refusal refusal = refused(kOpenAiCompletions, wrong.body);
    EXPECT_EQ(refusal.param, wrong.param) << wrong.body;
    EXPECT_EQ(refusal.code, wrong.code) << wrong.body;
    EXPECT_NE(refusal.message.find(wrong.param), std::string::npos) << refusal.message;
  }
  EXPECT_EQ(call_of(R"({"prompt": ["1","2","3","4","5","6","7","8"], "n": 16})").choices.size(),
            128u);
}

TEST(OpenAiCompletions, AnswersAreHeldToAFormAndThePromptStaysAsItIs) {
  const auto form_of = [](const std::string& field) {
    const Call call = call_of(str(R"({"prompt": "a", )", field, "}"));
    EXPECT_EQ(text_of(call.choices.at(0).prompt), "a");
    EXPECT_TRUE(call.ignored.empty()) << field;
    return call.choices.at(0).contract.form;
  };
  EXPECT_EQ(form_of(R"("response_format": {"type": "text"})"), AnswerForm());
  EXPECT_EQ(form_of(R"("response_format": {"type": "json_object"})"),
            (AnswerForm{AnswerForm::Kind::kSchema, R"({"type":"object"})", {}}));
  EXPECT_EQ(form_of(R"("guided_regex": "x")"), (AnswerForm{AnswerForm::Kind::kRegex, "x", {}}));
}

TEST(OpenAiCompletions, EchoPutsThePromptInFront) {
  const auto writes = [](const std::string& fields) {
    const Call call = call_of(str(R"({"prompt": ["P", "Q"], "n": 2, "echo": true)", fields, "}"));
    const auto writer = call.writer({"ab", 7, "m", ""});
    std::string out;
    writer->start(4, out);
    for (int i = 0; i < 4; ++i) {
      writer->take(i, ReplyDelta(ContentDelta{str("-", i)}), out);
      writer->take(i, Finished{}, out);
    }
    writer->end(out);
    return out;
  };
  const std::string whole = writes("");
  for (const char* text : {"\"P-0\"", "\"P-1\"", "\"Q-2\"", "\"Q-3\""})
    EXPECT_NE(whole.find(text), std::string::npos) << whole;
  const std::string stream = writes(R"(, "stream": true)");
  EXPECT_LT(stream.find(R"("index":3,"text":"Q")"), stream.find(R"("index":3,"text":"-3")"));
  EXPECT_NE(stream.find(R"("index":1,"text":"P")"), std::string::npos);
}

}  // namespace
}  // namespace plumb::wire
