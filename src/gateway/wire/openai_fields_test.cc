#include "gateway/wire/openai_fields.h"

#include <gtest/gtest.h>

#include <functional>

namespace plumb::wire {
namespace {

struct Read {
  std::optional<Refusal> refusal;
  std::vector<std::string> ignored;
};
Read with_fields(const std::string& text, const std::function<void(Fields&)>& read) {
  const Json body = *parse_json(text, "body");
  Reading reading;
  {
    Fields fields(body, "", reading);
    read(fields);
  }
  return {reading.refusal, reading.ignored};
}

TEST(OpenAiFields, SamplingTakesWhatIsThereAndLeavesTheRest) {
  SamplingParams sampling;
  sampling.top_p = 0.9f;
  const auto read = with_fields(R"({"temperature": 0.5, "top_k": 40, "min_p": 0.1,
      "presence_penalty": -2, "frequency_penalty": 2, "repetition_penalty": 1.1,
      "logit_bias": {"7": -100, "50": 2.5}})",
                                [&](Fields& f) { read_sampling(f, sampling); });
  EXPECT_FALSE(read.refusal);
  EXPECT_TRUE(read.ignored.empty());
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.1f);
  EXPECT_EQ(sampling.top_p, 0.9f);
  EXPECT_EQ(sampling.presence_penalty, -2.0f);
  EXPECT_EQ(sampling.frequency_penalty, 2.0f);
  EXPECT_EQ(sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<Token, float>>{{7, -100.0f}, {50, 2.5f}}));
  EXPECT_TRUE(sampling.validate(100));
}

TEST(OpenAiFields, TopKOfMinusOneIsOff) {
  SamplingParams sampling;
  sampling.top_k = 20;
  with_fields(R"({"top_k": -1})", [&](Fields& f) { read_sampling(f, sampling); });
  EXPECT_EQ(sampling.top_k, 0);
}

TEST(OpenAiFields, WrongSamplingIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"temperature": 2.1})", "temperature"},
      {R"({"temperature": -0.1})", "temperature"},
      {R"({"temperature": "1"})", "temperature"},
      {R"({"top_p": 0})", "top_p"},
      {R"({"top_p": 1e-60})", "top_p"},
      {R"({"top_p": 1.01})", "top_p"},
      {R"({"top_p": []})", "top_p"},
      {R"({"min_p": 2})", "min_p"},
      {R"({"top_k": -2})", "top_k"},
      {R"({"top_k": 1.5})", "top_k"},
      {R"({"presence_penalty": 3})", "presence_penalty"},
      {R"({"frequency_penalty": -3})", "frequency_penalty"},
      {R"({"repetition_penalty": 0})", "repetition_penalty"},
      {R"({"repetition_penalty": 101})", "repetition_penalty"},
      {R"({"logit_bias": []})", "logit_bias"},
      {R"({"logit_bias": {"a": 1}})", "logit_bias"},
      {R"({"logit_bias": {"07": 1}})", "logit_bias"},
      {R"({"logit_bias": {"-1": 1}})", "logit_bias"},
      {R"({"logit_bias": {"99999999999": 1}})", "logit_bias"},
      {R"({"logit_bias": {"5": 101}})", "logit_bias.5"},
      {R"({"logit_bias": {"5": "1"}})", "logit_bias.5"},
  };
  for (const auto& [text, param] : cases) {
    SamplingParams sampling;
    const auto read = with_fields(text, [&](Fields& f) { read_sampling(f, sampling); });
    ASSERT_TRUE(read.refusal) << text;
    EXPECT_EQ(read.refusal->param, param) << text;
    EXPECT_NE(read.refusal->message.find("expected"), std::string::npos) << text;
  }
}

TEST(OpenAiFields, EverySixtyFourBitSeedIsTaken) {
  const auto seed = [](const std::string& value) {
    std::optional<std::uint64_t> out;
    with_fields("{\"seed\": " + value + "}", [&](Fields& f) { out = read_seed(f); });
    return out;
  };
  EXPECT_EQ(seed("0"), 0u);
  EXPECT_EQ(seed("-1"), 0xffffffffffffffffu);
  EXPECT_EQ(seed("9223372036854775807"), 0x7fffffffffffffffu);
  EXPECT_EQ(seed("-9223372036854775808"), 0x8000000000000000u);
  EXPECT_EQ(seed("null"), std::nullopt);
  EXPECT_EQ(seed("9223372036854775808"), std::nullopt);
}

TEST(OpenAiFields, StopIsAStringOrSeveral) {
  const auto stops = [](const std::string& value) {
    std::vector<std::string> out;
    const auto read =
        with_fields("{\"stop\": " + value + "}", [&](Fields& f) { out = read_stop(f); });
    if (read.refusal) out = {"refused " + read.refusal->param};
    return out;
  };
  using Strings = std::vector<std::string>;
  EXPECT_EQ(stops("null"), Strings{});
  EXPECT_EQ(stops("\"END\""), Strings{"END"});
  EXPECT_EQ(stops("[\"a\", \"b\"]"), (Strings{"a", "b"}));
  EXPECT_EQ(stops("[]"), Strings{});
  EXPECT_EQ(stops("\"\""), Strings{"refused stop"});
  EXPECT_EQ(stops("[\"a\", \"\"]"), Strings{"refused stop[1]"});
  EXPECT_EQ(stops("[\"a\", 3]"), Strings{"refused stop[1]"});
  EXPECT_EQ(stops("7"), Strings{"refused stop"});
  std::string many = "[\"x\"";
  for (int i = 0; i < 16; ++i) many += ",\"x\"";
  EXPECT_EQ(stops(many + "]"), Strings{"refused stop"});
}

TEST(OpenAiFields, StreamOptionsAreReadAndWhatIsNotOfferedIsNamed) {
  StreamWishes wishes;
  auto read = with_fields(R"({"stream": true, "stream_options": {"include_usage": true,
      "continuous_usage_stats": false, "include_obfuscation": false}})",
                          [&](Fields& f) { wishes = read_stream_wishes(f); });
  EXPECT_FALSE(read.refusal);
  EXPECT_TRUE(wishes.stream && wishes.usage);
  read = with_fields(R"({"stream_options": {"continuous_usage_stats": true}})",
                     [&](Fields& f) { wishes = read_stream_wishes(f); });
  ASSERT_TRUE(read.refusal);
  EXPECT_EQ(read.refusal->param, "stream_options.continuous_usage_stats");
  EXPECT_EQ(read.refusal->code, "unsupported_parameter");
  EXPECT_FALSE(wishes.stream || wishes.usage);
}

TEST(OpenAiFields, FormalitiesPassAndPromisesThatNobodyKeepsAreRefused) {
  auto read = with_fields(R"({"metadata": {"a": "b"}, "user": "u", "safety_identifier": "s",
      "prompt_cache_key": "k", "service_tier": "auto", "store": false, "other": 1})",
                          read_formalities);
  EXPECT_FALSE(read.refusal);
  EXPECT_EQ(read.ignored, std::vector<std::string>{"other"});
  for (const auto& [text, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({"store": true})", "store"},
           {R"({"service_tier": "flex"})", "service_tier"},
           {R"({"service_tier": 1})", "service_tier"}}) {
    read = with_fields(text, read_formalities);
    ASSERT_TRUE(read.refusal) << text;
    EXPECT_EQ(read.refusal->param, param);
  }
}

TEST(OpenAiFields, ConstraintsThatNothingEnforcesAreRefusedByName) {
  auto read = with_fields(R"({"min_tokens": 0, "stop_token_ids": [], "use_beam_search": false,
      "regex": null, "ebnf": null})",
                          refuse_constraints);
  EXPECT_FALSE(read.refusal);
  EXPECT_TRUE(read.ignored.empty());
  for (const auto& [text, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({"regex": "a+"})", "regex"},
           {R"({"ebnf": "root ::= x"})", "ebnf"},
           {R"({"min_tokens": 3})", "min_tokens"},
           {R"({"stop_token_ids": [1]})", "stop_token_ids"},
           {R"({"bad_words": ["x"]})", "bad_words"},
           {R"({"allowed_token_ids": [1]})", "allowed_token_ids"},
           {R"({"prompt_logprobs": 1})", "prompt_logprobs"}}) {
    read = with_fields(text, refuse_constraints);
    ASSERT_TRUE(read.refusal) << text;
    EXPECT_EQ(read.refusal->param, param);
    EXPECT_EQ(read.refusal->code, "unsupported_parameter");
  }
}

TEST(OpenAiFields, CountsAndEffortsAreCheckedInTheirRanges) {
  int n = 0;
  std::optional<int> tokens;
  std::optional<Effort> effort;
  const auto all = [&](Fields& f) {
    n = read_choice_count(f);
    tokens = read_token_count(f, "max_tokens");
    effort = read_effort(f, "reasoning_effort");
  };
  EXPECT_FALSE(
      with_fields(R"({"n": 16, "max_tokens": 1, "reasoning_effort": "xhigh"})", all).refusal);
  EXPECT_EQ(n, 16);
  EXPECT_EQ(tokens, 1);
  EXPECT_EQ(effort, Effort::kMax);
  EXPECT_FALSE(with_fields("{}", all).refusal);
  EXPECT_EQ(n, 1);
  EXPECT_EQ(tokens, std::nullopt);
  EXPECT_EQ(effort, std::nullopt);
  for (const auto& [text, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({"n": 0})", "n"},
           {R"({"n": 17})", "n"},
           {R"({"max_tokens": 0})", "max_tokens"},
           {R"({"max_tokens": 4294967296})", "max_tokens"},
           {R"({"reasoning_effort": "much"})", "reasoning_effort"}}) {
    const auto read = with_fields(text, all);
    ASSERT_TRUE(read.refusal) << text;
    EXPECT_EQ(read.refusal->param, param);
  }
}

}  // namespace
}  // namespace plumb::wire
