#include "engine/step_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace plumb {
namespace {

constexpr int kMaxStepTokens = 256;

// A machine that takes time for steps, and may be noisy.
struct Machine {
  std::string name;
  // ms of a step that writes `rows` and reads `tokens` of a prompt behind `position` others.
  std::function<double(int rows, int tokens, int position)> cost;
  double noise = 0;     // standard deviation of the logarithm
  double outliers = 0;  // how often a step takes five times as long
  double spell_ms = 0;  // between changes of speed; 0: none
  double slowest = 1;   // speeds lie between this and 1
};

// Runs steps on a machine as the engine would, by its budget.
class Simulation {
 public:
  Simulation(Machine machine, double longest_ms, unsigned seed)
      : budget(longest_ms, 32, kMaxStepTokens), machine_(std::move(machine)), random_(seed) {}

  // Steps that only write; returns their times.
  std::vector<double> write(int rows, int steps) {
    std::vector<double> times;
    for (int i = 0; i < steps; ++i) times.push_back(step(rows, 0, 0));
    return times;
  }

  struct Reading {
    double total_ms = 0, reading_ms = 0;
    std::vector<double> steps;
    int plain_steps = 0;
  };
  // A prompt beside `rows` that write, 0: alone. `fixed` tokens per step, 0: as the budget says.
  Reading read(int rows, int prompt, int fixed = 0) {
    Reading out;
    for (int done = 0; done < prompt;) {
      int tokens = rows > 0 ? budget.beside(rows) : budget.alone();
      if (fixed > 0) tokens = fixed;
      tokens = std::min({tokens, kMaxStepTokens - rows, prompt - done});
      const double ms = step(rows, tokens, done);
      out.total_ms += ms;
      out.reading_ms += ms * (1 - machine_.cost(rows, 0, done) / machine_.cost(rows, tokens, done));
      out.steps.push_back(ms);
      out.plain_steps += tokens == 0 ? 1 : 0;
      done += tokens;
      EXPECT_LT(out.steps.size(), 50000u) << "starving";
      if (::testing::Test::HasFailure()) break;
    }
    return out;
  }

  double step(int rows, int tokens, int position) {
    double ms = machine_.cost(rows, tokens, position) * speed();
    ms *= std::exp(std::normal_distribution<>(0, machine_.noise)(random_));
    if (std::uniform_real_distribution<>(0, 1)(random_) < machine_.outliers) ms *= 5;
    budget.record(rows, tokens, ms);
    now_ += ms;
    return ms;
  }

  StepBudget budget;

 private:
  double speed() {
    if (machine_.spell_ms > 0 && now_ > until_) {
      slow_ = std::uniform_real_distribution<>(1, machine_.slowest)(random_);
      until_ = now_ + machine_.spell_ms;
    }
    return slow_;
  }

  const Machine machine_;
  std::mt19937 random_;
  double slow_ = 1;
  double now_ = 0, until_ = 0;
};

double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

struct Ratios {
  double gap = 0, wait = 0;
  // By how much the worse of the two promises is missed; 1 or less: both are kept.
  double excess() const {
    return std::max(gap / StepBudget::kMostGap, wait / StepBudget::kMostWait);
  }
};

struct Load {
  int rows = 0, prompt = 4000;
  bool alone_first = true;  // before each a prompt is read when nobody writes
  int fixed = 0;            // tokens per step beside writers; 0: as the budget says
};

// What prompts do to those who write, and they to them; now and then a prompt comes alone.
Ratios company(const Machine& machine, const Load& load, unsigned seed) {
  Simulation run(machine, 400, seed);
  std::vector<double> without, beside;
  double waited = 0, alone = 0;
  for (int round = 0; round < 12; ++round) {
    if (load.alone_first) alone += run.read(0, load.prompt).total_ms;
    const std::vector<double> written = run.write(load.rows, 400);
    without.insert(without.end(), written.begin(), written.end());
    const Simulation::Reading read = run.read(load.rows, load.prompt, load.fixed);
    beside.insert(beside.end(), read.steps.begin(), read.steps.end());
    waited += read.total_ms;
    if (!load.alone_first) alone += Simulation(machine, 400, seed).read(0, load.prompt).total_ms;
  }
  return {percentile(beside, 0.99) / percentile(without, 0.99), waited / alone};
}

// Costs bend: more tokens touch more experts, whose weights have to be read.
Machine with_experts() {
  return {"more tokens touch more experts", [](int rows, int tokens, int) {
            return 20 + 100 * (1 - std::exp(-(rows + tokens) / 12.0)) + 3 * tokens + 5 * rows;
          }};
}
// `own` ms for having a prompt in the step at all.
Machine with_overhead(double own) {
  return {"a prompt costs something of its own", [own](int rows, int tokens, int) {
            return 5 + 1.0 * rows + (tokens > 0 ? own : 0) + 0.3 * tokens;
          }};
}
Machine large_and_slow() {
  return {"large and slow",
          [](int rows, int tokens, int) { return 150 + 20.0 * rows + 20.0 * tokens; }};
}
Machine small_and_quick() {
  return {"small and quick", [](int rows, int tokens, int position) {
            return 0.2 + 0.1 * rows + (0.12 + 8e-6 * position) * tokens;
          }};
}

Machine noisy(Machine machine) {
  machine.noise = 0.15;
  machine.outliers = 0.002;
  return machine;
}
Machine moody(Machine machine, int rows) {
  machine = noisy(std::move(machine));
  machine.spell_ms = 300 * machine.cost(rows, 0, 0);
  machine.slowest = 2.5;
  return machine;
}

TEST(SizeCurve, ReadsBetweenPointsAndBeyondThemTheNearest) {
  SizeCurve curve;
  EXPECT_TRUE(curve.empty());
  curve.record(8, 10, 0);
  EXPECT_FALSE(curve.empty());
  EXPECT_EQ(curve.at(1), 10);
  EXPECT_EQ(curve.at(1e9), 10);
  curve.record(32, 2, 0);
  EXPECT_EQ(curve.at(32), 2);
  EXPECT_EQ(curve.at(100), 2);
  EXPECT_EQ(curve.at(4), 10);
  curve.record(16, 6, 0);
  EXPECT_NEAR(curve.at(std::sqrt(8.0 * 16)), 8, 1e-9);
}

TEST(SizeCurve, TheLeastOfTheFirstMeasurementsCounts) {
  SizeCurve curve;
  for (const double ms : {50.0, 10.0, 12.0}) curve.record(4, ms, 0);
  EXPECT_EQ(curve.at(4), 10);
  curve.record(4, 99, 0.5 * std::log(2.0));
  EXPECT_NEAR(curve.at(4), 10 * std::sqrt(2.0), 1e-9);
  EXPECT_FALSE(curve.settled(4));
  for (int i = 0; i < 12; ++i) curve.record(4, 10, 0);
  EXPECT_TRUE(curve.settled(4));
  EXPECT_TRUE(curve.settled(5)) << "sizes like it";
  EXPECT_FALSE(curve.settled(8));
}

TEST(CostFilter, WhatOneMeasurementSaysHoldsForAllThatTheMachineSpeeds) {
  CostFilter filter;
  filter.learn(CostFilter::kPlain);
  filter.learn(CostFilter::kAlone);
  for (int i = 0; i < 200; ++i) filter.drift();
  CostFilter::Costs off = filter.correct({1, 0, 0}, 0.3);
  EXPECT_GT(off[CostFilter::kPlain], 0.2) << "it was not measured for long";
  EXPECT_LT(off[CostFilter::kPlain], 0.3);
  EXPECT_GT(off[CostFilter::kAlone], 0.1);
  EXPECT_LT(off[CostFilter::kAlone], off[CostFilter::kPlain]);
  // A step that is partly the one and partly the other is put down to both.
  filter.learn(CostFilter::kBeside);
  filter.drift();
  off = filter.correct({0.5, 0.5, 0}, 0.3);
  EXPECT_GT(off[CostFilter::kPlain], 0);
  EXPECT_GT(off[CostFilter::kBeside], 0);
}

TEST(CostFilter, AnOutlierSaysLittleAboutWhatIsWellKnown) {
  CostFilter filter;
  filter.learn(CostFilter::kPlain);
  for (int i = 0; i < 50; ++i) {
    filter.drift();
    filter.correct({1, 0, 0}, 0);
  }
  CostFilter once = filter;
  const double usual = once.correct({1, 0, 0}, 0.1)[CostFilter::kPlain] / 0.1;
  const double odd = filter.correct({1, 0, 0}, 3)[CostFilter::kPlain] / 3;
  EXPECT_GT(usual, 0.1);
  EXPECT_LT(odd, usual / 4);
}

TEST(StepBudget, KeepsBothPromises) {
  for (const int rows : {1, 4, 8, 16}) {
    std::vector<Machine> machines = {small_and_quick(), large_and_slow(), with_overhead(3)};
    if (rows > 1) machines.push_back(with_experts());
    for (const Machine& machine : machines) {
      SCOPED_TRACE(machine.name + ", " + std::to_string(rows) + " write");
      for (const unsigned seed : {1u, 2u}) {
        EXPECT_LE(company(machine, {.rows = rows}, seed).excess(), 1);
        EXPECT_LE(company(noisy(machine), {.rows = rows}, seed).excess(), 1.05);
        EXPECT_LE(company(moody(machine, rows), {.rows = rows}, seed).excess(), 1.1);
      }
    }
  }
}

// Where no number of tokens keeps both, none does much better than the one that is chosen.
TEST(StepBudget, MissesBothByAboutTheSameFactorWhereNeitherCanBeKept) {
  for (const Machine& machine : {with_experts(), with_overhead(8), with_overhead(20)}) {
    SCOPED_TRACE(machine.name);
    double best = 100;
    for (int tokens = 1; tokens <= 128; tokens += 1 + tokens / 8) {
      best = std::min(best, company(machine, {.rows = 1, .fixed = tokens}, 1).excess());
    }
    const Ratios chosen = company(machine, {.rows = 1}, 1);
    EXPECT_GT(best, 1);
    EXPECT_LE(chosen.excess(), 1.15 * best) << chosen.gap << " " << chosen.wait;
  }
}

TEST(StepBudget, KeepsTheGapBeforeItKnowsWhatReadingAloneCosts) {
  for (const Machine& machine :
       {small_and_quick(), large_and_slow(), with_overhead(4), with_experts()}) {
    const Ratios ratios = company(noisy(machine), {.rows = 4, .alone_first = false}, 1);
    EXPECT_LE(ratios.gap, StepBudget::kMostGap) << machine.name;
    EXPECT_LE(ratios.wait, 1.6 * StepBudget::kMostWait) << machine.name;
  }
}

TEST(StepBudget, LeavesReading45PercentOfTheTimeOrOfTheSpeedThatItHasAlone) {
  for (const int rows : {1, 4, 16}) {
    for (const Machine& machine :
         {small_and_quick(), large_and_slow(), with_overhead(4), with_experts()}) {
      Simulation run(noisy(machine), 400, 1);
      const double alone = run.read(0, 4000).total_ms;
      run.write(rows, 100);
      const Simulation::Reading read = run.read(rows, 4000);
      EXPECT_GE(std::max(read.reading_ms, alone), 0.45 * read.total_ms)
          << machine.name << ", " << rows;
      EXPECT_LE(read.plain_steps, static_cast<int>(read.steps.size()) / 16 + 1);
    }
  }
}

TEST(StepBudget, AStepKeepsToTheLongestTime) {
  const Machine machine = {"", [](int rows, int tokens, int) { return 10.0 * rows + 2 * tokens; }};
  Simulation run(machine, 400, 1);
  const std::vector<double> steps = run.read(0, 4000).steps;
  EXPECT_EQ(steps.front(), 64) << "the first is short: nothing is known";
  EXPECT_NEAR(percentile(steps, 0.5), 400, 10);
  EXPECT_LE(percentile(steps, 1), 410);
  // Beside writers too, however long their steps are by themselves.
  run.write(16, 100);
  EXPECT_NEAR(percentile(run.read(16, 2000).steps, 0.9), 340, 40);
  run.write(20, 100);
  EXPECT_LE(percentile(run.read(20, 2000).steps, 0.9), 420);
  // A slow machine reads as many as are worth a step.
  Simulation slow(large_and_slow(), 100, 1);
  EXPECT_EQ(percentile(slow.read(0, 400).steps, 0.5), large_and_slow().cost(0, 32, 0));
}

TEST(StepBudget, FollowsAMachineThatSlowsDownAndRecovers) {
  double speed = 1;
  const Machine machine = {
      "", [&speed](int rows, int tokens, int) { return speed * (1 + 0.2 * rows + 0.1 * tokens); }};
  Simulation run(machine, 400, 1);
  run.read(0, 4000);
  run.write(8, 400);
  for (const double now : {1.0, 4.0, 0.5, 1.0}) {
    speed = now;
    run.read(8, 1000);
    const Simulation::Reading read = run.read(8, 4000);
    const double gap = percentile(read.steps, 0.99) / machine.cost(8, 0, 0);
    EXPECT_GT(gap, 1.6) << now;
    EXPECT_LT(gap, 2.8) << now;
  }
}

TEST(StepBudget, AnOutlierChangesLittle) {
  Simulation run(small_and_quick(), 400, 1);
  run.read(0, 4000);
  run.write(8, 100);
  run.read(8, 1000);
  run.write(8, 1);
  const int before = run.budget.beside(8);
  run.budget.record(8, before, 1000);
  run.budget.record(8, before, 1000);
  EXPECT_NEAR(run.budget.beside(8), before, 0.2 * before);
}

TEST(StepBudget, PromptsThatWaitForEachOtherMakeStepsLonger) {
  Simulation run(small_and_quick(), 400, 1);
  run.read(0, 4000);
  run.write(8, 100);
  run.read(8, 2000);
  run.write(8, 1);
  const int one = run.budget.beside(8);
  EXPECT_NEAR(run.budget.beside(8, 4), 2 * one, 2);
  EXPECT_NEAR(run.budget.beside(8, 9), 3 * one, 3);
  // The longest time stays a bound.
  EXPECT_EQ(run.budget.beside(8, 1'000'000), kMaxStepTokens);
  Simulation slow(large_and_slow(), 400, 1);
  slow.read(0, 400);
  slow.write(2, 100);
  slow.read(2, 400);
  slow.write(2, 1);
  EXPECT_LE(slow.budget.beside(2, 100), (400 - 190) / 20 + 2);
}

TEST(StepBudget, AClockThatStandsStillStarvesNobody) {
  StepBudget budget(400, 32, 256);
  int read = 0;
  for (int i = 0; i < 100; ++i) {
    const int tokens = budget.beside(4);
    budget.record(4, tokens, 0);
    read += tokens;
  }
  EXPECT_GT(read, 100);
  EXPECT_GE(budget.alone(), 32);
}

TEST(StepBudget, WithoutATimeOnlyTheStepsSizeCounts) {
  StepBudget budget(0, 32, 256);
  budget.record(4, 0, 10);
  budget.record(4, 64, 10000);
  EXPECT_EQ(budget.beside(4), 256);
  EXPECT_EQ(budget.alone(), 256);
}

}  // namespace
}  // namespace plumb
