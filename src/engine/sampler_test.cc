#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace plumb {
namespace {

Token draw(const std::vector<float>& logits, const SamplingParams& params, Pos position = 0,
           const TokenHistory& history = {}, std::vector<std::uint64_t> allowed = {}) {
  Sampler sampler;
  const Result<Sampled> sampled = sampler.sample(logits, params, position, history, allowed);
  EXPECT_TRUE(sampled) << sampled.error().message;
  return sampled ? sampled->token : -1;
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0;
  return params;
}

// How often each token is drawn at 20,000 positions.
std::vector<double> frequencies(const std::vector<float>& logits, const SamplingParams& params) {
  Sampler sampler;
  const TokenHistory history;
  std::vector<double> count(logits.size(), 0);
  constexpr int kDraws = 20000;
  for (Pos p = 0; p < kDraws; ++p) {
    count[static_cast<std::size_t>(sampler.sample(logits, params, p, history, {})->token)] +=
        1.0 / kDraws;
  }
  return count;
}

TEST(Sampler, GreedyTakesTheHighestAndTheLowestIdOnTies) {
  EXPECT_EQ(draw({0, 3, 3, 1}, greedy()), 1);
  EXPECT_EQ(draw({-5, -7, -5}, greedy()), 0);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const std::vector<double> seen = frequencies(logits, {});
  EXPECT_NEAR(seen[0], 0.5, 0.015);
  EXPECT_NEAR(seen[1], 0.3, 0.015);
  EXPECT_NEAR(seen[2], 0.2, 0.015);
}

TEST(Sampler, TemperatureSharpens) {
  SamplingParams params;
  params.temperature = 0.5f;  // probabilities squared: 25 : 9 : 4
  const std::vector<double> seen =
      frequencies({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, params);
  EXPECT_NEAR(seen[0], 25.0 / 38, 0.015);
  EXPECT_NEAR(seen[2], 4.0 / 38, 0.015);
}

TEST(Sampler, TopKKeepsTheLowerIdOnTies) {
  SamplingParams params;
  params.top_k = 2;
  const std::vector<double> seen = frequencies({1, 2, 1, 1}, params);
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0);
  EXPECT_EQ(seen[2] + seen[3], 0);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  SamplingParams params;
  params.top_p = 0.75f;
  const std::vector<double> seen =
      frequencies({std::log(0.2f), std::log(0.5f), std::log(0.3f)}, params);
  EXPECT_EQ(seen[0], 0);
  EXPECT_NEAR(seen[1], 0.5 / 0.8, 0.015);
  params.top_p = 1e-6f;  // never empty
  EXPECT_NEAR(frequencies({1, 2, 3}, params)[2], 1.0, 1e-9);
}

TEST(Sampler, TopPOverAWideFlatVocabularyKeepsItsShare) {
  const std::vector<float> logits(1000, 0.0f);
  SamplingParams params;
  params.top_p = 0.5f;
  Sampler sampler;
  for (Pos p = 0; p < 500; ++p) EXPECT_LE(sampler.sample(logits, params, p, {}, {})->token, 500);
}

TEST(Sampler, MinPDropsWhatIsMuchLessLikelyThanTheBest) {
  SamplingParams params;
  params.min_p = 0.5f;
  const std::vector<double> seen =
      frequencies({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, params);
  EXPECT_GT(seen[1], 0);
  EXPECT_EQ(seen[2], 0);
}

TEST(Sampler, IsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(64, 0.0f);
  SamplingParams a, b;
  b.seed = 1;
  int same = 0;
  for (Pos p = 0; p < 200; ++p) {
    EXPECT_EQ(draw(logits, a, p), draw(logits, a, p));
    same += draw(logits, a, p) == draw(logits, b, p);
  }
  EXPECT_LT(same, 20);
}

TEST(Sampler, PenaltiesActOnWhatWasSaid) {
  TokenHistory history;
  history.add_prompt(0);
  history.push(1);
  history.push(1);
  SamplingParams params = greedy();
  params.repetition_penalty = 2.0f;
  EXPECT_EQ(draw({4, 3, 2.5f}, params, 0, history), 2);     // 2, 1.5, 2.5
  EXPECT_EQ(draw({-1, -1, -1.5f}, params, 0, history), 2);  // -2, -2, -1.5
  params = greedy();
  params.presence_penalty = 1.0f;
  EXPECT_EQ(draw({2, 2.5f, 1}, params, 0, history), 0);  // the prompt does not count
  params = greedy();
  params.frequency_penalty = 0.6f;
  EXPECT_EQ(draw({1.5f, 2.5f, 0}, params, 0, history), 0);  // 2.5 - 1.2
  history.pop(1);
  EXPECT_EQ(draw({1.5f, 2.5f, 0}, params, 0, history), 1);  // 2.5 - 0.6
}

TEST(Sampler, BiasIsAdded) {
  SamplingParams params = greedy();
  params.logit_bias = {{2, 5.0f}};
  EXPECT_EQ(draw({1, 2, 0}, params), 2);
}

TEST(Sampler, MaskedTokensAreNeverDrawn) {
  EXPECT_EQ(draw({9, 1, 2}, greedy(), 0, {}, {0b110}), 2);
  Sampler sampler;
  const std::vector<std::uint64_t> nothing = {0};
  const std::vector<float> logits = {1, 2};
  const auto refused = sampler.sample(logits, {}, 0, {}, nothing);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
}

TEST(Sampler, NamesNanAndInfinity) {
  Sampler sampler;
  std::vector<float> logits = {1, std::numeric_limits<float>::quiet_NaN(), 2};
  const auto nan = sampler.sample(logits, {}, 17, {}, {});
  ASSERT_FALSE(nan);
  EXPECT_EQ(nan.error().code, Code::kInternal);
  EXPECT_NE(nan.error().message.find("position 17 contain NaN, first at token 1"),
            std::string::npos)
      << nan.error().message;
  logits[1] = -std::numeric_limits<float>::infinity();
  EXPECT_NE(sampler.sample(logits, {}, 0, {}, {}).error().message.find("infinity"),
            std::string::npos);
}

TEST(Sampler, LogprobsAreOfTheRawLogits) {
  SamplingParams params = greedy();
  params.logprobs = 2;
  params.logit_bias = {{0, 100.0f}};
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  Sampler sampler;
  const auto sampled = sampler.sample(logits, params, 0, {}, {});
  ASSERT_TRUE(sampled);
  EXPECT_EQ(sampled->token, 0);
  EXPECT_NEAR(sampled->logprob, std::log(0.2), 1e-6);
  ASSERT_EQ(sampled->top.size(), 2u);
  EXPECT_EQ(sampled->top[0].token, 1);
  EXPECT_EQ(sampled->top[1].token, 2);
  EXPECT_NEAR(sampled->top[1].logprob, std::log(0.3), 1e-6);
}

TEST(SamplingParams, RefusesWhatMakesNoSenseByName) {
  SamplingParams params;
  EXPECT_TRUE(params.validate(10));
  const auto refused = [](auto set) {
    SamplingParams p;
    set(p);
    const Status status = p.validate(10);
    return status ? std::string() : status.error().message;
  };
  EXPECT_NE(refused([](auto& p) { p.temperature = -1; }).find("temperature"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.temperature = NAN; }).find("temperature"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.top_p = 0; }).find("top_p"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.min_p = 2; }).find("min_p"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.top_k = -1; }).find("top_k"), std::string::npos);
  EXPECT_NE(refused([](auto& p) {
              p.logit_bias = {{10, 1.0f}};
            }).find("below 10"),
            std::string::npos);
}

}  // namespace
}  // namespace plumb
