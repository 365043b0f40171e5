#include "engine/draft_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/random.h"

namespace plumb {
namespace {

TEST(CostCurve, ReadsBetweenAndBeyondWhatWasMeasured) {
  CostCurve curve;
  EXPECT_TRUE(curve.empty());
  EXPECT_DOUBLE_EQ(curve.at(1), 1.0);
  EXPECT_GT(curve.at(5), curve.at(2));
  curve.record(2, 0);  // a clock that stands still says nothing
  EXPECT_TRUE(curve.empty());
  for (int i = 0; i < 3; ++i) {
    curve.record(2, 10);
    curve.record(6, 30);
  }
  EXPECT_DOUBLE_EQ(curve.at(2), 10);
  EXPECT_DOUBLE_EQ(curve.at(3), 15);
  EXPECT_DOUBLE_EQ(curve.at(6), 30);
  EXPECT_LT(curve.at(1), 10);
  EXPECT_GT(curve.at(8), 30);
  EXPECT_LT(curve.at(8), 40);
}

TEST(CostCurve, FollowsTheMachineInAllSizesAtOnce) {
  CostCurve curve;
  for (int i = 0; i < 20; ++i) {
    curve.record(1, 10);
    curve.record(4, 20);
  }
  for (int i = 0; i < 20; ++i) curve.record(4, 40);  // half as fast; size 1 does not run
  EXPECT_NEAR(curve.at(4), 40, 1);
  EXPECT_NEAR(curve.at(1), 20, 3);
}

TEST(CostCurve, AnOutlierMovesItLittle) {
  CostCurve curve;
  curve.record(1, 500);  // the first one of all is one
  for (int i = 0; i < 20; ++i) {
    curve.record(1, 10);
    curve.record(2, 12);
  }
  curve.record(1, 1000);
  EXPECT_LT(curve.at(1), 14);
  EXPECT_NEAR(curve.at(2) / curve.at(1), 1.2, 0.1);
}

TEST(CostCurve, AnOutlierDoesNotBarASize) {
  CostCurve curve;
  for (int i = 0; i < 10; ++i) curve.record(1, 10);
  const double guess = curve.at(2);
  curve.record(2, 300);
  EXPECT_LT(curve.at(2), 1.3 * guess);
  curve.record(2, 14);
  EXPECT_LE(curve.at(2), 14);
  curve.record(2, 15);
  EXPECT_DOUBLE_EQ(curve.at(2), 15);
}

TEST(Acceptance, StartsFromTheOthersAndLearnsItsOwn) {
  Acceptance crowd(3), own(3);
  EXPECT_GT(own.at(0, &crowd), 0.5);
  for (int i = 0; i < 200; ++i) crowd.record(3, 0, 0.99);
  EXPECT_LT(own.at(0, &crowd), 0.1);
  for (int i = 0; i < 100; ++i) own.record(3, 2, 0.96);
  EXPECT_GT(own.at(0, &crowd), 0.8);
  EXPECT_GT(own.at(1, &crowd), 0.8);
  EXPECT_LT(own.at(2, &crowd), 0.2);
  for (int i = 0; i < 1000; ++i) own.age(0.99);
  EXPECT_NEAR(own.at(0, &crowd), crowd.at(0, nullptr), 0.01);
}

// Decoding on the bus: a step reads everything shared once, and the union of the experts that its
// tokens chose, six of 64 each; a little arithmetic comes per token.
double step_cost(int tokens) {
  const double experts = (1 - std::pow(1 - 6.0 / 64, tokens)) / (6.0 / 64);
  return 8 + 2 * experts + 0.2 * (tokens - 1);
}
double round_cost(int sequences) { return 0.1 * step_cost(sequences); }

struct World {
  int batch = 1;
  int most = 3;
  std::function<double(int step)> right = [](int) { return 0.5; };
  std::function<double(int tokens)> step = step_cost;
  std::function<double(int sequences)> round = round_cost;
  double noise = 0.05;  // and now and then a step takes ten times as long
};

struct Outcome {
  double time = 0, tokens = 0, plain_time = 0;  // plain_time: for as many tokens without drafts
  double wasted = 0;  // time of drafted steps beyond what their tokens would have taken
  int drafted = 0;
  std::vector<int> lengths;  // of the first sequence's drafts
  double gain() const { return plain_time / time; }
};

// Lets `pace` decide for `steps` steps. Time is the true cost: noise only blurs what is reported.
Outcome simulate(const World& world, int steps, DraftPace& pace, std::uint64_t seed = 1) {
  std::vector<Acceptance> own(static_cast<std::size_t>(world.batch), Acceptance(world.most));
  std::vector<DraftPace::Writer> writers;
  for (Acceptance& a : own) writers.push_back({&a, world.most});
  std::uint64_t draws = 0;
  const auto draw = [&] { return uniform(seed, draws++); };
  const auto blur = [&](double ms) {
    const double factor = 1 + world.noise * (2 * draw() - 1);
    return draw() < 0.01 ? 10 * ms : factor * ms;
  };
  Outcome run;
  for (int i = 0; i < steps; ++i) {
    const std::vector<int> drafts = pace.choose(writers);
    std::vector<int> rounds;
    DraftPace::Step step;
    step.writers = world.batch;
    for (std::size_t w = 0; w < drafts.size(); ++w) {
      EXPECT_LE(drafts[w], world.most);
      for (int r = 0; r < drafts[w]; ++r) {
        if (static_cast<int>(rounds.size()) <= r) rounds.push_back(0);
        ++rounds[static_cast<std::size_t>(r)];
      }
      int matched = 0;
      while (matched < drafts[w] && draw() < world.right(i)) ++matched;
      pace.record_drafts(own[w], drafts[w], matched);
      step.drafted += drafts[w];
      step.matched += matched;
    }
    double draft_ms = 0;
    for (const int sequences : rounds) draft_ms += world.round(sequences);
    const double step_ms = world.step(world.batch + step.drafted);
    step.rounds = rounds;
    step.draft_ms = rounds.empty() ? 0 : blur(draft_ms);
    step.step_ms = blur(step_ms);
    pace.record_step(step);
    const double plain = world.step(world.batch) * (world.batch + step.matched) / world.batch;
    run.time += step_ms + draft_ms;
    run.tokens += world.batch + step.matched;
    run.plain_time += plain;
    run.wasted += std::max(0.0, step_ms + draft_ms - plain);
    run.drafted += step.drafted;
    run.lengths.push_back(drafts[0]);
  }
  return run;
}

TEST(DraftPace, NeverLosesAndWinsWhereItCan) {
  for (const int batch : {1, 2, 4}) {
    for (const double right : {0.0, 0.3, 0.6, 0.8, 0.9}) {
      for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
        World world;
        world.batch = batch;
        world.right = [&](int) { return right; };
        DraftPace pace(world.most);
        const Outcome run = simulate(world, 1000, pace, seed);
        EXPECT_GE(run.gain(), 0.98) << batch << " sequences, right " << right << ", " << seed;
        if (right >= 0.8) {
          EXPECT_GT(run.gain(), 1.2) << batch << " sequences, right " << right << ", " << seed;
        }
      }
    }
  }
}

TEST(DraftPace, StaysOffWhereEveryTokenCostsAStep) {
  // Reading more tokens is no cheaper than reading them one by one: a machine bound by arithmetic.
  for (const int batch : {1, 2, 4}) {
    for (const double right : {0.0, 0.6, 0.9}) {
      World world;
      world.batch = batch;
      world.right = [&](int) { return right; };
      world.step = [](int tokens) { return 10.0 * tokens; };
      world.round = [](int sequences) { return 1.0 * sequences; };
      DraftPace pace(world.most);
      EXPECT_GE(simulate(world, 1000, pace).gain(), 0.98) << batch << " " << right;
    }
  }
}

TEST(DraftPace, AHopelessDraftHeadCostsUnderOnePercentAndIsProbedEverMoreRarely) {
  World world;
  world.right = [](int) { return 0.0; };
  DraftPace pace(world.most);
  simulate(world, 300, pace);  // what was to be learned is learned
  const Outcome run = simulate(world, 4000, pace, 2);
  EXPECT_LT(run.wasted, 0.01 * run.time);
  EXPECT_GT(run.drafted, 5);
  EXPECT_LT(run.drafted, 60);
}

TEST(DraftPace, FollowsChanges) {
  World world;
  world.right = [](int step) { return step < 1000 || step >= 2000 ? 0.9 : 0.0; };
  DraftPace pace(world.most);
  const Outcome run = simulate(world, 3000, pace);
  const auto share = [&](int from, int to) {
    return static_cast<double>(std::count_if(run.lengths.begin() + from, run.lengths.begin() + to,
                                             [](int n) { return n > 0; })) /
           (to - from);
  };
  EXPECT_GT(share(500, 1000), 0.9);
  EXPECT_LT(share(1100, 2000), 0.1);
  EXPECT_GT(share(2500, 3000), 0.9);
}

TEST(DraftPace, LongerDraftsWhereTheyPay) {
  World world;
  world.most = 6;
  world.right = [](int) { return 0.95; };
  DraftPace often(world.most);
  const Outcome sure = simulate(world, 1000, often);
  EXPECT_GT(std::accumulate(sure.lengths.end() - 200, sure.lengths.end(), 0), 200 * 4);
  world.right = [](int) { return 0.6; };
  DraftPace seldom(world.most);
  const Outcome unsure = simulate(world, 1000, seldom);
  EXPECT_LT(std::accumulate(unsure.lengths.end() - 200, unsure.lengths.end(), 0), 200 * 3);
  EXPECT_GT(unsure.gain(), 1.0);
}

TEST(DraftPace, GivesDraftsToThoseWhoseAreRight) {
  DraftPace pace(3);
  Acceptance good(3), bad(3);
  const std::vector<DraftPace::Writer> writers = {{&bad, 3}, {&good, 3}, {&good, 0}};
  int to_good = 0, to_bad = 0;
  for (int i = 0; i < 500; ++i) {
    const std::vector<int> drafts = pace.choose(writers);
    ASSERT_EQ(drafts.size(), 3u);
    EXPECT_EQ(drafts[2], 0);
    std::vector<int> rounds;
    for (int r = 0; r < 3; ++r) {
      const int n = (drafts[0] > r ? 1 : 0) + (drafts[1] > r ? 1 : 0);
      if (n > 0) rounds.push_back(n);
    }
    pace.record_drafts(bad, drafts[0], 0);
    pace.record_drafts(good, drafts[1], drafts[1]);
    double draft_ms = 0;
    for (const int n : rounds) draft_ms += round_cost(n);
    const int drafted = drafts[0] + drafts[1];
    pace.record_step({3, drafted, drafts[1], rounds, draft_ms, step_cost(3 + drafted), false});
    if (i < 100) continue;
    to_bad += drafts[0];
    to_good += drafts[1];
  }
  EXPECT_GT(to_good, 400 * 2);
  EXPECT_LT(to_bad, 400 / 4);
}

TEST(DraftPace, NothingToWriteIsNoStep) {
  DraftPace pace(2);
  EXPECT_TRUE(pace.choose({}).empty());
  pace.record_step({0, 0, 0, {}, 0, 50, true});
  Acceptance own(2);
  const DraftPace::Writer writer{&own, 0};
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(pace.choose({&writer, 1}), std::vector<int>{0});
    pace.record_step({1, 0, 0, {}, 0, 10, false});
  }
}

}  // namespace
}  // namespace plumb
