#include "gateway/wire/openai_reply.h"

#include <gtest/gtest.h>

#include <limits>

namespace plumb::wire {
namespace {

Usage usage_of(int prompt, int cached, int completion, int reasoning) {
  Usage usage;
  usage.prompt = prompt;
  usage.cached = cached;
  usage.completion = completion;
  usage.reasoning = reasoning;
  return usage;
}

TEST(OpenAiReply, APromptCountsOnceAndIsCachedAsFarAsItsFirstReaderFoundIt) {
  UsageTotal total;
  total.add(0, usage_of(10, 8, 5, 1));
  total.add(0, usage_of(10, 2, 7, 3));
  total.add(1, usage_of(100, 50, 1, 0));
  EXPECT_EQ(total.json(), R"({"prompt_tokens":110,"completion_tokens":13,"total_tokens":123,)"
                          R"("prompt_tokens_details":{"cached_tokens":52},)"
                          R"("completion_tokens_details":{"reasoning_tokens":4}})");
}

TEST(OpenAiReply, LogProbabilitiesAreShortAndAlwaysNumbers) {
  EXPECT_EQ(logprob_text(-0.25f), "-0.25");
  EXPECT_EQ(logprob_text(-0.1f), "-0.1");
  EXPECT_EQ(logprob_text(0.0f), "0");
  EXPECT_EQ(logprob_text(-std::numeric_limits<float>::infinity()), "-9999.0");
  EXPECT_EQ(logprob_text(std::numeric_limits<float>::quiet_NaN()), "-9999.0");
  for (const float value : {-1e-30f, -3.4e30f, -12.75f}) {
    const auto json = parse_json(logprob_text(value), "number");
    ASSERT_TRUE(json) << logprob_text(value);
    EXPECT_EQ(static_cast<float>(*json->as_double()), value);
  }
}

TEST(OpenAiReply, OnlyAnAnswerThatEndedItselfSaysSo) {
  Finished finished;
  EXPECT_EQ(finish_reason(finished, 0), "stop");
  EXPECT_EQ(finish_reason(finished, 2), "tool_calls");
  finished.unfinished_calls = {1};
  EXPECT_EQ(finish_reason(finished, 2), "length");
  finished.unfinished_calls.clear();
  for (const FinishReason reason :
       {FinishReason::kLength, FinishReason::kCancelled, FinishReason::kDeadline}) {
    finished.reason = reason;
    EXPECT_EQ(finish_reason(finished, 0), "length");
    EXPECT_EQ(finish_reason(finished, 2), "length");
  }
}

}  // namespace
}  // namespace plumb::wire
