// Speculation end to end on a clock of our own: drafts right as often as scripted, steps as dear as
// on a machine that waits for its memory.
#include "engine/scripted_drafts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <variant>
#include <vector>

#include "base/random.h"
#include "engine/engine_core.h"
#include "fakes/fake_model.h"

namespace plumb {
namespace {

// Charges a clock for what runs: a step for what it reads once and for the union of the experts
// its tokens chose (six of 64 each), a round of drafts a tenth of that.
class ChargedModel final : public LanguageModel {
 public:
  ChargedModel(LanguageModel& model, Deadline& now) : model_(model), now_(now) {}

  const ModelInfo& info() const override { return model_.info(); }
  const StateLayout& state_layout() const override { return model_.state_layout(); }
  void attach(StatePool& pool) override { model_.attach(pool); }
  Result<Mat<const float>> forward(std::span<const BatchItem> batch) override {
    std::size_t tokens = 0;
    for (const BatchItem& item : batch) tokens += item.tokens.size();
    charge(step_us(static_cast<int>(tokens)));
    return model_.forward(batch);
  }
  Status draft(std::span<const DraftItem> items, const DraftPick& pick) override {
    for (int round = 0;; ++round) {
      int sequences = 0;
      for (const DraftItem& item : items) sequences += item.count > round ? 1 : 0;
      if (sequences == 0) break;
      charge(0.1 * step_us(sequences));
    }
    return model_.draft(items, pick);
  }
  void set_tap(Tap tap) override { model_.set_tap(std::move(tap)); }

 private:
  static double step_us(int tokens) {
    const double experts = (1 - std::pow(1 - 6.0 / 64, tokens)) / (6.0 / 64);
    return 1000 * (8 + 2 * experts + 0.2 * (tokens - 1));
  }
  void charge(double us) { now_ += std::chrono::microseconds(std::llround(us)); }

  LanguageModel& model_;
  Deadline& now_;
};

struct Traffic {
  int batch = 1;
  double right = 0;
  int drafts = 0;  // at most; 0: none
  int tokens = 300;
  bool whims = false;  // the clock runs as it likes
};

struct Outcome {
  std::vector<std::vector<Token>> answers;
  double seconds = 0;
  int drafted = 0, accepted = 0;
};

std::vector<Token> prompt_of(int i) {
  std::mt19937 random(static_cast<unsigned>(i));
  std::vector<Token> tokens;
  for (int t = 0; t < 6 + i; ++t) tokens.push_back(static_cast<Token>(random() % 50));
  return tokens;
}

Outcome serve(const Traffic& traffic, const std::vector<std::vector<Token>>& script) {
  Deadline now{};
  FakeStack stack({}, {.pages = 200, .sequences = 8, .snapshot_bytes = 0});
  ChargedModel charged(*stack.model, now);
  ScriptedDrafts scripted(charged, traffic.right, 7);
  for (std::size_t i = 0; i < script.size(); ++i) {
    std::vector<Token> text = prompt_of(static_cast<int>(i));
    text.insert(text.end(), script[i].begin(), script[i].end());
    scripted.record(text);
  }
  EngineOptions options;
  options.drafts = traffic.drafts;
  std::uint64_t reads = 0;
  options.clock = [&] {
    if (traffic.whims) now += std::chrono::microseconds(random_bits(3, ++reads) % 5000);
    return now;
  };
  EngineCore core(scripted, *stack.pool, options);
  const EngineLimits limits = limits_of(scripted.info(), *stack.pool, options);
  std::vector<std::shared_ptr<Mailbox>> mails;
  for (int i = 0; i < traffic.batch; ++i) {
    GenerateRequest request;
    request.prompt = prompt_of(i);
    request.max_tokens = traffic.tokens;
    request.sampling.seed = static_cast<std::uint64_t>(i);
    mails.push_back(make_mailbox(request, limits.context));
    core.add(std::move(request), mails.back());
  }
  while (!core.idle()) {
    if (!core.step()) break;
  }
  Outcome outcome;
  outcome.seconds = std::chrono::duration<double>(now - Deadline{}).count();
  for (const auto& mail : mails) {
    outcome.answers.emplace_back();
    while (auto event = mail->events.try_pop()) {
      if (const auto* token = std::get_if<TokenEvent>(&*event)) {
        outcome.answers.back().push_back(token->token);
      } else if (const auto* end = std::get_if<GenerationEnd>(&*event)) {
        outcome.drafted += end->usage.drafted;
        outcome.accepted += end->usage.accepted;
      }
    }
  }
  return outcome;
}

TEST(ScriptedDrafts, SpeculationDoesNotLoseAndAnswersStay) {
  for (const int batch : {1, 2, 4}) {
    const Outcome plain = serve({.batch = batch}, {});
    EXPECT_EQ(plain.drafted, 0);
    for (const double right : {0.0, 0.3, 0.6, 0.8, 0.9}) {
      const Outcome drafted = serve({.batch = batch, .right = right, .drafts = 3}, plain.answers);
      EXPECT_EQ(drafted.answers, plain.answers);
      const double gain = plain.seconds / drafted.seconds;
      EXPECT_GE(gain, 0.98) << batch << " sequences, right " << right;
      if (right >= 0.8) {
        EXPECT_GT(gain, 1.2) << batch << " sequences, right " << right;
      }
    }
  }
}

TEST(ScriptedDrafts, AreRightAsOftenAsTold) {
  const Outcome plain = serve({.tokens = 2000}, {});
  const Outcome sure = serve({.right = 1.0, .drafts = 1, .tokens = 2000}, plain.answers);
  EXPECT_EQ(sure.accepted, sure.drafted);
  EXPECT_GT(sure.drafted, 500);
  const Outcome most = serve({.right = 0.8, .drafts = 1, .tokens = 2000}, plain.answers);
  EXPECT_NEAR(static_cast<double>(most.accepted) / most.drafted, 0.8, 0.05);
  const Outcome never = serve({.right = 0.0, .drafts = 4, .tokens = 2000}, plain.answers);
  EXPECT_EQ(never.accepted, 0);
  EXPECT_GT(never.drafted, 0);
}

TEST(ScriptedDrafts, ASequenceWithoutAScriptGetsTheModelsOwnDrafts) {
  const Outcome plain = serve({}, {});
  const Outcome own = serve({.drafts = 2}, {});
  EXPECT_EQ(own.answers, plain.answers);
  EXPECT_GT(own.accepted, 0);
}

// The pace sees nothing but the clock: whatever it is made to believe, the answers are the same.
TEST(ScriptedDrafts, WhateverTheClockSaysTheAnswersAreTheSame) {
  const Outcome plain = serve({.batch = 4, .tokens = 150}, {});
  for (const double right : {0.2, 0.7, 1.0}) {
    const Outcome odd = serve(
        {.batch = 4, .right = right, .drafts = 4, .tokens = 150, .whims = true}, plain.answers);
    EXPECT_EQ(odd.answers, plain.answers);
  }
}

}  // namespace
}  // namespace plumb
