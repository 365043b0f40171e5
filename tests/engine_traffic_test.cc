// The whole engine over a model whose logits betray any mistake of the cache.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <numeric>
#include <optional>
#include <random>
#include <thread>

#include "base/soak_for_tests.h"
#include "engine/engine_core.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "engine_traffic.h"
#include "fakes/fake_model.h"

namespace plumb {
namespace {

using namespace traffic;

TEST(EngineCore, AnswersWhatTheLogitsSay) {
  Bench bench;
  for (const int length : {1, 2, 15, 16, 17, 63, 64, 65, 200}) {
    GenerateRequest request = request_of(random_tokens(length, 1), 40, 5);
    const std::vector<Token> expected = truth(*bench.stack.model, request);
    const Answer answer = bench.answer(std::move(request));
    EXPECT_EQ(answer.tokens, expected) << "prompt of " << length;
    EXPECT_EQ(answer.end.reason, FinishReason::kLength);
    EXPECT_EQ(answer.end.usage.generated, 40);
  }
}

TEST(EngineCore, AnswersTheSameInAnyCompanyAndAnyCut) {
  std::vector<std::vector<Token>> expected;
  const auto request = [](int i) {
    return request_of(random_tokens(5 + 37 * i, 10u + static_cast<unsigned>(i)), 20 + i, 3);
  };
  for (int i = 0; i < 7; ++i) {
    Bench alone;
    expected.push_back(truth(*alone.stack.model, request(i)));
  }
  for (const int step_tokens : {64, 17, 8}) {
    EngineOptions options;
    options.scheduler.max_step_tokens = step_tokens;
    options.scheduler.min_chunk = 3;
    options.drafts = step_tokens == 17 ? 3 : 0;
    Bench bench({.pages = 200, .sequences = 8, .snapshot_bytes = 1 << 20}, options);
    std::vector<std::shared_ptr<Mailbox>> mails;
    for (int i = 0; i < 7; ++i) {
      mails.push_back(bench.add(request(i)));
      EXPECT_TRUE(bench.core.step());
    }
    bench.run();
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(drain(mails[i]->events).tokens, expected[i]) << i;
  }
}

struct Speculation {
  const char* name;
  bool filtered;
  std::function<void(SamplingParams&)> set;
};

TEST(EngineCore, SpeculationNeverChangesAnAnswer) {
  const std::vector<Speculation> kinds = {
      {"greedy", false, [](auto& p) { p.temperature = 0; }},
      {"seeded", false, [](auto&) {}},
      {"cut", false,
       [](auto& p) {
         p.top_k = 5;
         p.top_p = 0.8f;
         p.min_p = 0.1f;
       }},
      {"penalties", false,
       [](auto& p) {
         p.repetition_penalty = 1.5f;
         p.presence_penalty = 1;
         p.frequency_penalty = 1;
       }},
      {"greedy with penalties", false,
       [](auto& p) {
         p.temperature = 0;
         p.frequency_penalty = 2;
       }},
      {"filtered", true, [](auto&) {}},
      {"greedy and filtered", true, [](auto& p) { p.temperature = 0; }},
  };
  for (const Speculation& kind : kinds) {
    for (const int drafts : {0, 1, 2, 4}) {
      for (unsigned seed = 0; seed < 5; ++seed) {
        EngineOptions options;
        options.drafts = drafts;
        options.draft_always = true;
        options.scheduler.answer_cut = 16;
        Bench bench({.pages = 40, .sequences = 2, .snapshot_bytes = 1 << 20}, options);
        GenerateRequest request =
            request_of(random_tokens(20 + static_cast<int>(seed), seed), 100, seed);
        kind.set(request.sampling);
        request.stop_tokens = {49};
        const std::vector<Token> expected = truth(*bench.stack.model, request, kind.filtered);
        if (kind.filtered) request.filter = std::make_unique<CountingFilter>();
        const Answer answer = bench.answer(std::move(request));
        EXPECT_EQ(answer.tokens, expected)
            << kind.name << ", " << drafts << " drafts, seed " << seed;
        const bool stopped = expected.size() < 100;
        EXPECT_EQ(answer.end.reason, stopped ? FinishReason::kStop : FinishReason::kLength);
        if (stopped) {
          EXPECT_EQ(answer.end.stop_token, 49);
        }
        if (drafts > 0 && expected.size() > 50) {
          EXPECT_GT(answer.end.usage.accepted, 0);
          EXPECT_LT(answer.end.usage.accepted, answer.end.usage.drafted);
        }
        EXPECT_EQ(bench.stack.pool->stats().sequences, 0) << "memory was kept";
      }
    }
  }
}

TEST(EngineCore, SpeculationSavesSteps) {
  const auto steps = [](int drafts) {
    EngineOptions options;
    options.drafts = drafts;
    options.draft_always = true;
    Bench bench({.pages = 40, .sequences = 2, .snapshot_bytes = 0}, options);
    GenerateRequest request = request_of(random_tokens(8, 1), 200);
    request.sampling.temperature = 0;
    bench.answer(std::move(request));
    return bench.stack.model->forwards();
  };
  EXPECT_LT(steps(2), steps(0) * 0.8);
}

TEST(EngineCore, PrefixesAreReusedAndChangeNothing) {
  for (const int drafts : {0, 3}) {
    EngineOptions options;
    options.drafts = drafts;
    options.draft_always = true;
    Bench bench({.pages = 200, .sequences = 4, .snapshot_bytes = 1 << 20}, options);
    std::vector<Token> shared = random_tokens(100, 7);
    GenerateRequest first = request_of(shared, 30);
    first.boundaries = {50, 100};
    EXPECT_EQ(bench.answer(std::move(first)).end.usage.cached, 0);
    const std::uint64_t before = bench.stack.model->tokens();
    std::vector<Token> longer = shared;
    longer.push_back(3);
    GenerateRequest second = request_of(longer, 30);
    const std::vector<Token> expected = truth(*bench.stack.model, second);
    const Answer answer = bench.answer(std::move(second));
    EXPECT_EQ(answer.end.usage.cached, 96)
        << "the last multiple of 16 before the end of the prompt";
    EXPECT_EQ(answer.tokens, expected);
    EXPECT_LT(bench.stack.model->tokens() - before, 5u + 30u * 4u);
    // Parting ways in the middle goes back to the boundary before.
    std::vector<Token> other(shared.begin(), shared.begin() + 60);
    other.push_back(1);
    GenerateRequest third = request_of(other, 10);
    const std::vector<Token> also = truth(*bench.stack.model, third);
    const Answer parted = bench.answer(std::move(third));
    EXPECT_EQ(parted.end.usage.cached, 48);
    EXPECT_EQ(parted.tokens, also);
    // Another tenant sees none of it.
    GenerateRequest foreign = request_of(longer, 5);
    foreign.scope = 9;
    EXPECT_EQ(bench.answer(std::move(foreign)).end.usage.cached, 0);
  }
}

TEST(EngineCore, ParkedSequencesGoOnAsIfNothingHadHappened) {
  for (const std::size_t parked_bytes : {std::size_t{1} << 20, std::size_t{0}}) {
    for (const int drafts : {0, 2}) {
      EngineOptions options;
      options.max_parked_bytes = parked_bytes;
      options.drafts = drafts;
      options.draft_always = true;
      Bench bench({.pages = 12, .sequences = 4, .snapshot_bytes = 4096}, options);  // 192 positions
      std::vector<std::shared_ptr<Mailbox>> mails;
      std::vector<std::vector<Token>> expected;
      for (unsigned i = 0; i < 6; ++i) {
        GenerateRequest request = request_of(random_tokens(20 + 3 * static_cast<int>(i), i), 90, i);
        expected.push_back(truth(*bench.stack.model, request));
        mails.push_back(bench.add(std::move(request)));
      }
      bench.run();
      EXPECT_GT(bench.core.stats().parked, 0u);
      for (std::size_t i = 0; i < 6; ++i) {
        const Answer answer = drain(mails[i]->events);
        EXPECT_EQ(answer.tokens, expected[i]) << i;
        EXPECT_EQ(answer.end.reason, FinishReason::kLength);
      }
      EXPECT_EQ(bench.stack.pool->stats().sequences, 0);
    }
  }
}

// Everything at once, at random, against the definition.
TEST(EngineCore, RandomTrafficAnswersExactly) {
  for (unsigned round = 0; round < 25u * static_cast<unsigned>(soak_scale()); ++round) {
    const unsigned seed = round + 1000003u * static_cast<unsigned>(soak_seed());
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    EngineOptions options;
    options.drafts = pick(0, 4);
    options.draft_always = pick(0, 2) > 0;
    options.scheduler.max_step_tokens = pick(8, 64);
    options.scheduler.max_scored_rows = pick(1, 16);
    options.scheduler.min_chunk = pick(1, 16);
    options.scheduler.answer_cut = 16 * pick(0, 2);
    options.max_sessions = pick(1, 3);
    options.max_parked_bytes = static_cast<std::size_t>(pick(0, 1)) << 20;
    Bench bench({.pages = pick(14, 40),
                 .sequences = pick(1, 5),
                 .snapshot_bytes = static_cast<std::size_t>(pick(0, 8192))},
                options);
    std::vector<Token> common = random_tokens(60, seed);
    std::vector<std::shared_ptr<Mailbox>> mails;
    std::vector<std::vector<Token>> expected;
    for (int i = 0; i < 12; ++i) {
      std::vector<Token> prompt(common.begin(), common.begin() + pick(1, 60));
      const std::vector<Token> own =
          random_tokens(pick(0, 50), seed + 100u * static_cast<unsigned>(i));
      prompt.insert(prompt.end(), own.begin(), own.end());
      GenerateRequest request = request_of(prompt, pick(1, 80), random());
      if (pick(0, 2) == 0) request.session = "s" + std::to_string(pick(0, 1));
      if (pick(0, 1) == 0) request.boundaries = {pick(0, 30), pick(30, 60)};
      request.speculate = pick(0, 3) > 0;
      request.score_prompt = pick(0, 4) == 0;
      expected.push_back(truth(*bench.stack.model, request));
      mails.push_back(bench.add(std::move(request)));
      for (int s = pick(0, 20); s > 0 && !bench.core.idle(); --s) ASSERT_TRUE(bench.core.step());
    }
    bench.run();
    for (std::size_t i = 0; i < mails.size(); ++i) {
      EXPECT_EQ(drain(mails[i]->events).tokens, expected[i]) << "seed " << seed << " request " << i;
    }
  }
}

TEST(EngineCore, ScoresEveryTokenOfThePrompt) {
  EngineOptions options;
  options.scheduler.max_scored_rows = 7;
  Bench bench({.pages = 20, .sequences = 2, .snapshot_bytes = 1 << 20}, options);
  const std::vector<Token> prompt = random_tokens(50, 3);
  for (int round = 0; round < 2; ++round) {  // a published prefix must not hide scores
    GenerateRequest request = request_of(prompt, round == 0 ? 0 : 4);
    request.score_prompt = true;
    const Answer answer = bench.answer(std::move(request));
    ASSERT_EQ(answer.scores.size(), 49u);
    for (std::size_t i = 1; i < 50; ++i) {
      const auto logits = bench.stack.model->logits_after(std::span(prompt).first(i));
      EXPECT_EQ(answer.scores[i - 1], token_logprob(logits, prompt[i])) << i;
    }
    EXPECT_EQ(answer.end.usage.cached, 0);
    EXPECT_EQ(answer.tokens.size(), round == 0 ? 0u : 4u);
  }
}

TEST(EngineCore, ReportsProgressOfLongPrompts) {
  Bench bench;
  const Answer answer = bench.answer(request_of(random_tokens(300, 3), 1));
  EXPECT_GE(answer.progress.size(), 5u);
  EXPECT_EQ(answer.progress.back(), 300);
  EXPECT_TRUE(std::is_sorted(answer.progress.begin(), answer.progress.end()));
}

TEST(EngineCore, ASessionGoesOnWithoutComputingAnythingTwice) {
  for (const int drafts : {0, 4}) {
    EngineOptions options;
    options.drafts = drafts;
    options.draft_always = true;
    Bench bench({.pages = 40, .sequences = 1, .snapshot_bytes = 0}, options);
    std::vector<Token> talk = random_tokens(21, 5);
    for (int turn = 0; turn < 4; ++turn) {
      GenerateRequest request = request_of(talk, 13, 2);
      request.session = "chat";
      const std::vector<Token> expected = truth(*bench.stack.model, request);
      const Answer answer = bench.answer(std::move(request));
      EXPECT_EQ(answer.tokens, expected);
      // The last token of an answer is drawn but not computed.
      if (turn > 0) {
        EXPECT_EQ(answer.end.usage.cached, static_cast<int>(talk.size()) - 4);
      }
      talk.insert(talk.end(), expected.begin(), expected.end());
      for (const Token t : random_tokens(3, static_cast<unsigned>(turn))) talk.push_back(t);
    }
    // Back by a token or two is possible; further back starts again.
    talk.resize(talk.size() - 4);
    talk.push_back(0);
    GenerateRequest request = request_of(talk, 5, 2);
    request.session = "chat";
    const std::vector<Token> expected = truth(*bench.stack.model, request);
    EXPECT_EQ(bench.answer(std::move(request)).tokens, expected);
  }
}

TEST(EngineCore, ASavedSessionLoadsWithoutPrefillAndChangesNothing) {
  std::vector<std::byte> saved;
  std::vector<Token> talk = random_tokens(50, 5);
  {
    Bench bench;
    GenerateRequest request = request_of(talk, 10, 2);
    request.session = "chat";
    const Answer answer = bench.answer(std::move(request));
    talk.insert(talk.end(), answer.tokens.begin(), answer.tokens.end());
    const auto bytes = bench.core.save_session("chat");
    ASSERT_TRUE(bytes) << bytes.error().message;
    saved = *bytes;
    EXPECT_EQ(bench.core.save_session("other").error().code, Code::kNotFound);
  }
  talk.push_back(9);
  Bench bench;
  const auto length = bench.core.load_session("again", saved);
  ASSERT_TRUE(length) << length.error().message;
  EXPECT_EQ(*length, 59);
  GenerateRequest request = request_of(talk, 20, 2);
  request.session = "again";
  const std::vector<Token> expected = truth(*bench.stack.model, request);
  const Answer answer = bench.answer(std::move(request));
  EXPECT_EQ(answer.end.usage.cached, 59);
  EXPECT_EQ(answer.tokens, expected);

  // Damage anywhere is named, never a crash; other weights are refused by name.
  for (std::size_t cut = 0; cut < saved.size(); cut += 7) {
    EXPECT_FALSE(bench.core.load_session("x", std::span(saved).first(cut)));
  }
  for (std::size_t at = 0; at < saved.size(); at += 3) {
    std::vector<std::byte> bad = saved;
    bad[at] ^= std::byte{0x40};
    EXPECT_FALSE(bench.core.load_session("x", bad)) << "byte " << at;
  }
  std::vector<std::byte> foreign = saved;
  foreign[16] = std::byte{'X'};  // the first letter of "fake-weights"
  const auto refused = bench.core.load_session("x", foreign);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_NE(refused.error().message.find("other weights"), std::string::npos)
      << refused.error().message;
}

TEST(EngineCore, DeadlinesAndCancellationsEndARequest) {
  EngineOptions options;
  Deadline now{};
  options.clock = [&] { return now; };
  Bench bench({.pages = 40, .sequences = 4, .snapshot_bytes = 0}, options);
  GenerateRequest late = request_of(random_tokens(5, 1), 500);
  late.deadline = now + std::chrono::seconds(3);
  const auto late_mail = bench.add(std::move(late));
  const auto dropped = bench.add(request_of(random_tokens(5, 2), 500));
  const auto kept = bench.add(request_of(random_tokens(5, 3), 50));
  for (int i = 0; i < 10; ++i) {
    now += std::chrono::milliseconds(200);
    ASSERT_TRUE(bench.core.step());
  }
  dropped->cancelled = true;
  now += std::chrono::seconds(2);
  bench.run();
  EXPECT_EQ(drain(late_mail->events).end.reason, FinishReason::kDeadline);
  const Answer cancelled = drain(dropped->events);
  EXPECT_EQ(cancelled.end.reason, FinishReason::kCancelled);
  EXPECT_EQ(cancelled.tokens.size(), 10u);
  EXPECT_EQ(drain(kept->events).tokens.size(), 50u);
}

// Cancelled or late, running or waiting: gone at the next step, with everything it held.
TEST(EngineCore, WhatIsOverIsGoneAtTheNextStep) {
  for (const bool late : {false, true}) {
    EngineOptions options;
    Deadline now{};
    options.clock = [&] { return now; };
    options.scheduler.max_sequences = 2;
    Bench bench({.pages = 40, .sequences = 2, .snapshot_bytes = 0}, options);
    std::vector<std::shared_ptr<Mailbox>> mails;
    for (unsigned i = 0; i < 4; ++i) {
      GenerateRequest request = request_of(random_tokens(30, i), 200);
      if (late && i % 2 == 0) request.deadline = now + std::chrono::seconds(1);
      mails.push_back(bench.add(std::move(request)));
    }
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(bench.core.step());
    const EngineStats before = bench.core.stats();
    EXPECT_EQ(before.running, 2);
    EXPECT_EQ(before.waiting, 2);
    if (late) {
      now += std::chrono::seconds(1);
    } else {
      mails[0]->cancelled = mails[2]->cancelled = true;
    }
    ASSERT_TRUE(bench.core.step());
    for (const std::size_t i : {0u, 2u}) {
      EXPECT_TRUE(mails[i]->events.closed());
      EXPECT_EQ(drain(mails[i]->events).end.reason,
                late ? FinishReason::kDeadline : FinishReason::kCancelled);
    }
    const EngineStats after = bench.core.stats();
    EXPECT_EQ(after.running, 2) << "the next one has the slot";
    EXPECT_EQ(after.waiting, 0);
    EXPECT_EQ(after.finished[static_cast<std::size_t>(late ? FinishReason::kDeadline
                                                           : FinishReason::kCancelled)],
              2u);
    for (const std::size_t i : {1u, 3u}) mails[i]->cancelled = true;
    EXPECT_FALSE(*bench.core.step());
    EXPECT_EQ(bench.core.stats().pool.pages_free, 40);
    EXPECT_EQ(bench.core.stats().pool.sequences, 0);
  }
}

TEST(EngineCore, CountsWhatBecameOfRequests) {
  Bench bench({.pages = 12, .sequences = 4, .snapshot_bytes = 0});
  std::vector<std::shared_ptr<Mailbox>> mails;
  for (unsigned i = 0; i < 4; ++i) mails.push_back(bench.add(request_of(random_tokens(30, i), 60)));
  int most_parked = 0;
  while (!bench.core.idle()) {
    ASSERT_TRUE(bench.core.step());
    const EngineStats stats = bench.core.stats();
    EXPECT_LE(stats.parked_now, stats.waiting);
    most_parked = std::max(most_parked, stats.parked_now);
  }
  bench.answer(request_of({1, 2, 3}, 0));
  const EngineStats stats = bench.core.stats();
  EXPECT_EQ(stats.slots, 4);
  EXPECT_GE(most_parked, 1);
  EXPECT_GE(stats.parked, static_cast<std::uint64_t>(most_parked));
  EXPECT_EQ(stats.parked_now, 0);
  EXPECT_EQ(stats.finished[static_cast<std::size_t>(FinishReason::kLength)], 5u);
  EXPECT_EQ(std::accumulate(stats.finished.begin(), stats.finished.end(), std::uint64_t{0}), 5u);
  EXPECT_EQ(stats.generated, 4u * 60);
  EXPECT_EQ(stats.prompt_tokens, 4u * 30 + 3);
}

TEST(EngineCore, PromptsThatComeTogetherReadWhatTheyShareOnce) {
  EngineOptions options;
  options.scheduler.max_step_tokens = 64;
  Bench bench({.pages = 200, .sequences = 6, .snapshot_bytes = 1 << 20}, options);
  const std::vector<Token> system = random_tokens(160, 1);
  std::vector<std::shared_ptr<Mailbox>> mails;
  std::vector<std::vector<Token>> expected;
  for (unsigned i = 0; i < 6; ++i) {
    std::vector<Token> prompt = system;
    for (const Token t : random_tokens(20, 10 + i)) prompt.push_back(t);
    GenerateRequest request = request_of(prompt, 10, i);
    request.boundaries = {160};
    expected.push_back(truth(*bench.stack.model, request));
    mails.push_back(bench.add(std::move(request)));
  }
  bench.run();
  for (std::size_t i = 0; i < 6; ++i) {
    const Answer answer = drain(mails[i]->events);
    EXPECT_EQ(answer.tokens, expected[i]) << i;
    EXPECT_EQ(answer.end.usage.cached, i == 0 ? 0 : 160) << i;
  }
  EXPECT_EQ(bench.core.stats().cached_tokens, 5u * 160);
  EXPECT_EQ(bench.stack.model->tokens(), 160u + 6 * (20 + 9)) << "nothing was read twice";
}

// A model of which a pass takes 1 ms and every token 0.1 ms, on a clock of its own.
struct TimedBench {
  TimedBench() {
    FakeModelOptions model;
    model.max_step_tokens = 256;
    EngineOptions options;
    options.scheduler.max_step_tokens = 256;
    options.step_ms = 400;
    options.clock = [this] { return now(); };
    bench.emplace(PoolOptions{.pages = 1000, .sequences = 8, .snapshot_bytes = 0}, options, model);
  }
  Deadline now() const {
    if (!bench) return Deadline{};
    const FakeModel& model = *bench->stack.model;
    return Deadline(std::chrono::microseconds(1000 * model.forwards() +
                                              100 * static_cast<std::int64_t>(model.tokens())));
  }
  double step() {
    const Deadline start = now();
    EXPECT_TRUE(bench->core.step());
    return std::chrono::duration<double, std::milli>(now() - start).count();
  }
  // Steps until the request has its first token; their times.
  std::vector<double> first_token(GenerateRequest request) {
    const auto mail = bench->add(std::move(request));
    std::vector<double> steps;
    for (bool written = false; !written && steps.size() < 10000;) {
      steps.push_back(step());
      while (auto event = mail->events.try_pop()) {
        written |= std::holds_alternative<TokenEvent>(*event);
      }
    }
    return steps;
  }
  std::optional<Bench> bench;
};

TEST(EngineCore, ALongPromptAndThoseWhoWriteLeaveEachOtherTime) {
  TimedBench timed;
  const auto total = [](const std::vector<double>& steps) {
    return std::accumulate(steps.begin(), steps.end(), 0.0);
  };
  const double alone = total(timed.first_token(request_of(random_tokens(3000, 1), 1)));
  for (unsigned i = 0; i < 4; ++i) timed.bench->add(request_of(random_tokens(5, i), 3000));
  for (int i = 0; i < 50; ++i) timed.step();
  const double without = timed.step();
  EXPECT_NEAR(without, 1.4, 1e-9);
  std::vector<double> beside = timed.first_token(request_of(random_tokens(3000, 2), 1));
  EXPECT_LT(total(beside), 2.5 * alone);
  std::sort(beside.begin(), beside.end());
  EXPECT_LT(beside[beside.size() * 99 / 100], 3 * without);
  EXPECT_GT(beside[beside.size() / 2], 1.5 * without);
}

TEST(EngineCore, WaitingEndsWithTheFirstStep) {
  TimedBench timed;
  const auto first = timed.bench->add(request_of(random_tokens(1000, 1), 1));
  const auto second = timed.bench->add(request_of(random_tokens(1000, 2), 1));
  timed.bench->run();
  const GenerationUsage one = drain(first->events).end.usage, two = drain(second->events).end.usage;
  EXPECT_EQ(one.queue_ms, 0);
  EXPECT_GT(one.prompt_ms, 100);
  // Let in at once, but it was not its turn.
  EXPECT_NEAR(two.queue_ms, one.prompt_ms, 30);
  EXPECT_NEAR(two.prompt_ms, one.prompt_ms, 30);
}

TEST(EngineCore, NanEndsOnlyTheSequenceThatHasItAndIsNamed) {
  FakeModelOptions model;
  model.nan_after = 7;
  Bench bench({.pages = 40, .sequences = 4, .snapshot_bytes = 1 << 20}, {}, model);
  std::vector<Token> bad(20, 1);
  bad[15] = 7;
  GenerateRequest good = request_of(std::vector<Token>(30, 2), 20);
  good.sampling.logit_bias = {{7, -1000.0f}};
  const auto poisoned = bench.add(request_of(bad, 20));
  const auto fine = bench.add(std::move(good));
  bench.run();
  const Answer answer = drain(poisoned->events);
  EXPECT_EQ(answer.end.reason, FinishReason::kFailed);
  ASSERT_TRUE(answer.end.error.has_value());
  EXPECT_EQ(answer.end.error->code, Code::kInternal);
  EXPECT_NE(answer.end.error->message.find(
                "Request 1 failed: The logits for position 20 contain NaN, first at token 25"),
            std::string::npos)
      << answer.end.error->message;
  EXPECT_EQ(drain(fine->events).tokens.size(), 20u);
}

TEST(EngineCore, FailureOfTheDeviceEndsEverything) {
  FakeModelOptions model;
  model.fail_at_forward = 3;
  Bench bench({.pages = 40, .sequences = 4, .snapshot_bytes = 0}, {}, model);
  const auto a = bench.add(request_of(random_tokens(5, 1), 50));
  const auto b = bench.add(request_of(random_tokens(5, 2), 50));
  Result<bool> ran = true;
  for (int i = 0; i < 5 && ran; ++i) ran = bench.core.step();
  ASSERT_FALSE(ran);
  for (const auto& mail : {a, b}) {
    const Answer answer = drain(mail->events);
    EXPECT_EQ(answer.end.reason, FinishReason::kFailed);
    EXPECT_EQ(answer.end.error->code, Code::kInternal);
  }
}

TEST(EngineCore, RequestsThatCannotFitAreRefusedWithBothNumbers) {
  Bench bench({.pages = 4, .sequences = 1, .snapshot_bytes = 0});
  const auto check = [&](GenerateRequest request) {
    const Status status =
        check_request(request, limits_of(bench.stack.model->info(), *bench.stack.pool, {}));
    return status ? std::string() : status.error().message;
  };
  const std::string cache = check(request_of(random_tokens(60, 1), 5));
  EXPECT_NE(cache.find("need 65 tokens"), std::string::npos) << cache;
  EXPECT_NE(cache.find("the cache holds 64 tokens"), std::string::npos) << cache;
  EXPECT_EQ(check(request_of(random_tokens(60, 1), 4)), "");
  EXPECT_NE(check(request_of(random_tokens(64, 1), -1)).find("no room for an answer"),
            std::string::npos);
  EXPECT_NE(check(request_of({}, 1)).find("at least one"), std::string::npos);
  EXPECT_NE(check(request_of({50}, 1)).find("token 50"), std::string::npos);
  // With no limit given the answer may fill what there is.
  const Answer answer = bench.answer(request_of(random_tokens(40, 1), -1));
  EXPECT_EQ(answer.tokens.size(), 24u);
  EXPECT_EQ(answer.end.reason, FinishReason::kLength);
}

}  // namespace
}  // namespace plumb
