// Requests, their answers, and an engine over the fake model: what tests of the engine share.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "base/soak_for_tests.h"
#include "engine/engine.h"
#include "engine/engine_core.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "fakes/fake_model.h"

namespace plumb::traffic {

struct Answer {
  std::vector<Token> tokens;
  std::vector<float> logprobs;
  std::vector<float> scores;
  std::vector<int> progress;
  GenerationEnd end;
};

inline void collect(const GenerationEvent& event, Answer& answer) {
  if (const auto* token = std::get_if<TokenEvent>(&event)) {
    answer.tokens.push_back(token->token);
    answer.logprobs.push_back(token->logprob);
  } else if (const auto* scores = std::get_if<PromptScores>(&event)) {
    EXPECT_EQ(scores->first, 1 + static_cast<int>(answer.scores.size()));
    answer.scores.insert(answer.scores.end(), scores->logprobs.begin(), scores->logprobs.end());
  } else if (const auto* progress = std::get_if<PromptProgress>(&event)) {
    answer.progress.push_back(progress->done);
  } else {
    answer.end = std::get<GenerationEnd>(event);
  }
}

inline Answer drain(Channel<GenerationEvent>& events) {
  Answer answer;
  while (auto event = events.pop()) collect(*event, answer);
  return answer;
}

inline std::vector<Token> random_tokens(int n, unsigned seed, int vocab = 50) {
  std::mt19937 random(seed);
  std::vector<Token> tokens;
  for (int i = 0; i < n; ++i)
    tokens.push_back(static_cast<Token>(random() % static_cast<unsigned>(vocab)));
  return tokens;
}

// Every token whose id is not congruent to the number of tokens so far, modulo 3, is forbidden.
class CountingFilter final : public TokenFilter {
 public:
  void bitmask(std::span<std::uint64_t> allowed) override {
    for (std::size_t t = 0; t < allowed.size() * 64; ++t) {
      if (t % 3 != static_cast<std::size_t>(count_) % 3)
        allowed[t / 64] &= ~(std::uint64_t{1} << (t % 64));
    }
  }
  void accept(Token token) override {
    EXPECT_EQ(token % 3, count_ % 3) << "accepted what it forbids";
    ++count_;
  }
  void rollback(int tokens) override {
    count_ -= tokens;
    EXPECT_GE(count_, 0);
  }

 private:
  int count_ = 0;
};

inline GenerateRequest request_of(std::vector<Token> prompt, int max_tokens,
                                  std::uint64_t seed = 0) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.sampling.logprobs = 0;
  return request;
}

// The answer by definition: every token drawn from the logits of the whole prefix.
std::vector<Token> truth(const FakeModel& model, const GenerateRequest& request,
                         bool filtered = false) {
  std::vector<Token> tokens = request.prompt;
  CountingFilter filter;
  TokenChooser chooser(request.sampling, request.prompt, filtered ? &filter : nullptr,
                       model.info().vocab);
  Sampler sampler;
  std::vector<Token> answer;
  while (static_cast<int>(answer.size()) < request.max_tokens) {
    const auto sampled =
        chooser.choose(sampler, model.logits_after(tokens), static_cast<Pos>(tokens.size()));
    const auto& stops = request.stop_tokens;
    if (std::find(stops.begin(), stops.end(), sampled->token) != stops.end()) break;
    chooser.accept(sampled->token);
    answer.push_back(sampled->token);
    tokens.push_back(sampled->token);
  }
  return answer;
}

// A core with its model; requests are added and stepped by hand.
struct Bench {
  explicit Bench(PoolOptions pool = {.pages = 200, .sequences = 8, .snapshot_bytes = 1 << 20},
                 EngineOptions options = {}, FakeModelOptions model = {})
      : stack(model, pool), core(*stack.model, *stack.pool, options) {}

  std::shared_ptr<Mailbox> add(GenerateRequest request) {
    const EngineLimits limits = limits_of(stack.model->info(), *stack.pool, {});
    const Status fits = check_request(request, limits);
    EXPECT_TRUE(fits) << fits.error().message;
    auto mail = make_mailbox(request, limits.context);
    core.add(std::move(request), mail);
    return mail;
  }
  void run() {
    for (int i = 0; i < 100000 && !core.idle(); ++i) {
      const auto ran = core.step();
      EXPECT_TRUE(ran) << ran.error().message;
      if (!ran) return;
    }
    EXPECT_TRUE(core.idle());
  }
  Answer answer(GenerateRequest request) {
    auto mail = add(std::move(request));
    run();
    return drain(mail->events);
  }

  FakeStack stack;
  EngineCore core;
};

}  // namespace plumb::traffic
