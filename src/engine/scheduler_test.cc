#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <set>

#include "base/soak_for_tests.h"

namespace plumb {
namespace {

// Counts pages of 4 tokens; what is parked keeps its length.
class PageRoom final : public Room {
 public:
  explicit PageRoom(int pages) : free_(pages), total_(pages) {}

  std::optional<Pos> admit(SequenceId id, bool) override {
    Held& held = held_[id];
    const int need = pages(known.at(id) + 1);
    if (need > free_) return std::nullopt;
    free_ -= need;
    held.pages = need;
    return held.length;
  }
  bool grow(SequenceId id, int tokens) override {
    Held& held = held_.at(id);
    const int need = pages(held.length + tokens) - held.pages;
    if (need > free_) return false;
    if (need > 0) {
      free_ -= need;
      held.pages += need;
    }
    return true;
  }
  void park(SequenceId id) override {
    ++parks;
    release(id);
  }
  Pos revisit(SequenceId id) override { return held_.at(id).length; }
  void release(SequenceId id) {
    free_ += held_.at(id).pages;
    held_.at(id).pages = 0;
  }
  void forget(SequenceId id) {
    release(id);
    held_.erase(id);
  }
  void set_length(SequenceId id, Pos length) {
    held_.at(id).length = length;
    EXPECT_LE(pages(length), held_.at(id).pages);
  }
  int used() const { return total_ - free_; }

  std::map<SequenceId, Pos> known;
  int parks = 0;

 private:
  struct Held {
    int pages = 0;
    Pos length = 0;
  };
  static int pages(Pos tokens) { return static_cast<int>((tokens + 3) / 4); }
  int free_, total_;
  std::map<SequenceId, Held> held_;
};

struct Load {
  Pos prompt = 0, answer = 0;
  int drafts = 0;
};

// Runs loads to their end like the engine does and checks the invariants of every step.
class World {
 public:
  World(int pages, SchedulerOptions options)
      : room(pages), scheduler(room, options), options_(options) {}

  void add(const Load& load, std::vector<Pos> cuts = {}) {
    const SequenceId id = ++last_id_;
    Demand demand;
    demand.known = demand.prompt = load.prompt;
    demand.drafts = load.drafts;
    demand.cuts = cuts;
    room.known[id] = load.prompt;
    loads_[id] = load;
    computed_[id] = 0;
    scheduler.add(id, demand);
  }

  // One step with all items; returns it. `accept` says how many drafts are right.
  Step step(const std::function<int(int)>& accept = [](int drafts) { return drafts; }) {
    Step step = scheduler.plan();
    int tokens = 0, rows = 0;
    std::set<SequenceId> seen;
    for (const StepItem& item : step.items) {
      EXPECT_TRUE(seen.insert(item.id).second) << "a sequence twice in one step";
      EXPECT_GT(item.tokens, 0);
      tokens += item.tokens + item.drafts;
      rows += item.scored;
    }
    EXPECT_LE(tokens, options_.max_step_tokens);
    EXPECT_LE(rows, options_.max_scored_rows);
    EXPECT_LE(scheduler.running(), options_.max_sequences);
    EXPECT_TRUE(step.refused.empty());
    for (const StepItem& item : step.items) settle(item, accept(item.drafts));
    return step;
  }

  void run_to_end(int most_steps) {
    for (int i = 0; i < most_steps && !scheduler.idle(); ++i) {
      EXPECT_FALSE(step().items.empty()) << "a step without work";
    }
    EXPECT_TRUE(scheduler.idle()) << "not finished after " << most_steps << " steps";
  }

  // The sequence, not in any step yet, has so many tokens from elsewhere.
  void publish(SequenceId id, Pos length) {
    room.set_length(id, length);
    computed_.at(id) = length;
  }

  PageRoom room;
  Scheduler scheduler;

 private:
  void settle(const StepItem& item, int right) {
    const Load& load = loads_.at(item.id);
    Pos& known = room.known.at(item.id);
    Pos& computed = computed_.at(item.id);
    const Pos cut = computed + item.tokens + item.drafts;
    for (Pos p = computed + 1; p < cut; ++p)
      EXPECT_FALSE(scheduler.is_cut(item.id, p)) << "step over a cut";
    computed += item.tokens;
    EXPECT_LE(computed, known);
    if (computed == known) {
      EXPECT_EQ(item.scored, 1 + item.drafts);
      computed += right;
      known = std::min(known + right + 1, load.prompt + load.answer);
    } else {
      EXPECT_EQ(item.scored, 0);
    }
    room.set_length(item.id, std::min(computed, known));
    if (known == load.prompt + load.answer) {
      room.forget(item.id);
      scheduler.remove(item.id);
      return;
    }
    scheduler.commit(item.id, computed, known);
  }

  SchedulerOptions options_;
  std::map<SequenceId, Load> loads_;
  std::map<SequenceId, Pos> computed_;
  SequenceId last_id_ = 0;
};

TEST(Scheduler, WritersComeFirstAndPromptsFillTheRest) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 16, .max_scored_rows = 8, .min_chunk = 4});
  world.add({4, 100});
  world.step();
  world.add({100, 5});
  const Step step = world.step();
  ASSERT_EQ(step.items.size(), 2u);
  EXPECT_EQ(step.items[0].id, 1u);
  EXPECT_EQ(step.items[0].tokens, 1);
  EXPECT_EQ(step.items[1].tokens, 15);
}

bool has(const Step& step, SequenceId id) {
  return std::any_of(step.items.begin(), step.items.end(),
                     [&](const StepItem& item) { return item.id == id; });
}
int tokens_of(const Step& step, SequenceId id) {
  for (const StepItem& item : step.items) {
    if (item.id == id) return item.tokens;
  }
  return 0;
}

TEST(Scheduler, EqualPromptsAreReadInOrderOfArrival) {
  World world(1000,
              {.max_sequences = 16, .max_step_tokens = 20, .max_scored_rows = 20, .min_chunk = 4});
  for (int i = 0; i < 16; ++i) world.add({100, 50});
  std::vector<SequenceId> first_tokens;
  for (int i = 0; i < 200 && first_tokens.size() < 16; ++i) {
    for (const StepItem& item : world.step().items) {
      if (item.scored > 0 && std::count(first_tokens.begin(), first_tokens.end(), item.id) == 0) {
        first_tokens.push_back(item.id);
      }
    }
    if (i == 4) {
      EXPECT_EQ(first_tokens, std::vector<SequenceId>{1}) << "it does not wait for the others";
      EXPECT_EQ(world.scheduler.running(), 16) << "all fit";
    }
  }
  std::vector<SequenceId> arrival(16);
  std::iota(arrival.begin(), arrival.end(), SequenceId{1});
  EXPECT_EQ(first_tokens, arrival);
}

TEST(Scheduler, AShortPromptDoesNotWaitForALongOne) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 20, .max_scored_rows = 8, .min_chunk = 4});
  world.add({1000, 5});
  world.add({500, 5});
  world.step();
  world.add({8, 5});
  Step step = world.step();
  EXPECT_EQ(tokens_of(step, 3), 8);
  EXPECT_EQ(tokens_of(step, 1), 10) << "half for the oldest";
  EXPECT_EQ(tokens_of(step, 2), 2) << "the rest for the one with the least left";
  step = world.step();
  EXPECT_EQ(tokens_of(step, 3), 1) << "it writes";
  EXPECT_EQ(tokens_of(step, 1), 10);
  EXPECT_EQ(tokens_of(step, 2), 9) << "the one with the least left";
}

TEST(Scheduler, ALongPromptIsReadHoweverManyShortOnesCome) {
  World world(
      100000,
      {.max_sequences = 1000, .max_step_tokens = 40, .max_scored_rows = 40, .min_chunk = 8});
  world.add({300, 1});
  world.add({700, 1});
  const int bound = 2 * (300 + 700) / 40 + 2;
  int steps = 0;
  for (bool read = false; !read && steps <= bound; ++steps) {
    for (int i = 0; i < 3; ++i) world.add({30, 1});
    for (const StepItem& item : world.step().items) read |= item.id == 2 && item.scored > 0;
  }
  EXPECT_LE(steps, bound);
  EXPECT_GE(steps, bound - 4) << "the others got their half";
}

TEST(Scheduler, PromptsTakeTurnsWhereAStepIsNotWorthSharing) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 40, .max_scored_rows = 8, .min_chunk = 32});
  world.add({400, 1});
  world.add({300, 1});
  std::vector<SequenceId> turns;
  for (int i = 0; i < 6; ++i) {
    const Step step = world.step();
    ASSERT_EQ(step.items.size(), 1u);
    EXPECT_EQ(step.items[0].tokens, 40);
    turns.push_back(step.items[0].id);
  }
  EXPECT_EQ(turns, (std::vector<SequenceId>{1, 2, 1, 2, 1, 2}));
}

TEST(Scheduler, WhatThoseWithAShareDoNotNeedGoesToTheOthers) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 40, .max_scored_rows = 8, .min_chunk = 4});
  world.add({25, 1});
  world.add({5, 1});
  world.add({300, 1});
  Step step = world.step();
  EXPECT_EQ(tokens_of(step, 1), 20);
  EXPECT_EQ(tokens_of(step, 2), 5);
  EXPECT_EQ(tokens_of(step, 3), 15);
  step = world.step();
  EXPECT_EQ(tokens_of(step, 1), 5) << "now it has the least left, too";
  EXPECT_EQ(tokens_of(step, 3), 35);
}

TEST(Scheduler, ReadsNoMoreThanItIsToldBesideWritersAndAlone) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 64, .max_scored_rows = 8, .min_chunk = 4});
  world.scheduler.set_prompt_tokens(6, 20);
  world.add({20, 50, 3});
  EXPECT_EQ(world.scheduler.writing_rows(), 0);
  EXPECT_EQ(tokens_of(world.step(), 1), 20);
  EXPECT_EQ(world.scheduler.writing_rows(), 4) << "with the drafts it would like";
  world.add({100, 5});
  Step step = world.step();
  EXPECT_EQ(tokens_of(step, 1), 1);
  EXPECT_EQ(step.items[0].drafts, 3) << "prompts do not take them away";
  EXPECT_EQ(tokens_of(step, 2), 6);
  world.scheduler.set_prompt_tokens(0, 20);
  step = world.step();
  EXPECT_TRUE(has(step, 1));
  EXPECT_FALSE(has(step, 2)) << "a step that only writes";
}

TEST(Scheduler, APromptBeginsAfterTheStepThatLeavesAPrefix) {
  World world(1000, {.max_sequences = 8,
                     .max_step_tokens = 40,
                     .max_scored_rows = 8,
                     .min_chunk = 4,
                     .prompt_cut = 0});
  world.add({100, 1}, {64});
  world.add({100, 1}, {64});
  world.step();
  EXPECT_EQ(world.step().items.size(), 1u) << "it ends at the cut, and the second waits";
  world.publish(2, 64);
  EXPECT_EQ(tokens_of(world.step(), 1), 36);
  EXPECT_EQ(tokens_of(world.step(), 2), 32);
}

TEST(Scheduler, ASequenceStartsFromWhatIsThereWhenItsTurnComes) {
  World world(1000, {.max_sequences = 8,
                     .max_step_tokens = 40,
                     .max_scored_rows = 8,
                     .min_chunk = 4,
                     .prompt_cut = 0});
  world.add({100, 1});
  world.add({100, 1});
  world.step();
  EXPECT_TRUE(world.scheduler.is_running(2));
  EXPECT_EQ(world.scheduler.computed(2), 0);
  world.publish(2, 80);
  world.step();
  const Step step = world.step();
  EXPECT_EQ(tokens_of(step, 1), 20);
  EXPECT_EQ(tokens_of(step, 2), 20) << "all that is left of it";
}

TEST(Scheduler, StepsEndWhereSnapshotsAreWanted) {
  World world(1000, {.max_step_tokens = 100, .prompt_cut = 64, .answer_cut = 16});
  world.add({90, 30}, {24, 80});
  std::vector<int> chunks;
  for (int i = 0; i < 5; ++i) chunks.push_back(world.step().items.at(0).tokens);
  EXPECT_EQ(chunks, (std::vector<int>{24, 40, 16, 10, 1}));
  EXPECT_TRUE(world.scheduler.is_cut(1, 24));
  EXPECT_TRUE(world.scheduler.is_cut(1, 64));
  EXPECT_FALSE(world.scheduler.is_cut(1, 48)) << "inside the prompt only its own cuts count";
  EXPECT_TRUE(world.scheduler.is_cut(1, 96));
  world.run_to_end(100);
}

TEST(Scheduler, DraftsUseWhatIsLeftOver) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 6, .max_scored_rows = 6, .min_chunk = 1});
  world.add({1, 50, 3});
  world.add({1, 50, 3});
  world.step();
  const Step step = world.step();
  ASSERT_EQ(step.items.size(), 2u);
  EXPECT_EQ(step.items[0].drafts + step.items[1].drafts, 4);
}

TEST(Scheduler, ParksTheOneThatLosesLeastAndNeverTheOldest) {
  World world(12,
              {.max_sequences = 8, .max_step_tokens = 64, .max_scored_rows = 8, .min_chunk = 4});
  world.add({16, 30});  // 5 pages with room for one more token
  world.add({12, 30});  // 4
  world.add({3, 30});   // 1: the shortest
  int step = 0;
  while (world.room.parks == 0 && ++step < 30) world.step();
  ASSERT_GT(world.room.parks, 0);
  EXPECT_TRUE(world.scheduler.is_running(1));
  EXPECT_FALSE(world.scheduler.is_running(3));
  world.run_to_end(300);
}

TEST(Scheduler, RefusesWhatDoesNotFitEvenAlone) {
  PageRoom room(2);
  Scheduler scheduler(room, {});
  room.known[1] = 100;
  Demand demand;
  demand.known = demand.prompt = 100;
  scheduler.add(1, demand);
  const Step step = scheduler.plan();
  EXPECT_TRUE(step.items.empty());
  EXPECT_EQ(step.refused, std::vector<SequenceId>{1});
}

TEST(Scheduler, PlacesWaitForRowsWhenFewMayBeScored) {
  World world(1000,
              {.max_sequences = 8, .max_step_tokens = 64, .max_scored_rows = 2, .min_chunk = 4});
  for (int i = 0; i < 5; ++i) world.add({5, 10});
  world.run_to_end(200);
}

// Random loads: everything ends, every step works, nobody waits for ever.
TEST(Scheduler, RandomLoadsAllFinish) {
  for (unsigned round = 0; round < 150u * static_cast<unsigned>(soak_scale()); ++round) {
    const unsigned seed = round + 1000003u * static_cast<unsigned>(soak_seed());
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    const int pages = pick(12, 60);
    SchedulerOptions options;
    options.max_sequences = pick(1, 6);
    options.max_step_tokens = pick(options.max_sequences, 40);
    options.max_scored_rows = pick(1, 12);
    options.min_chunk = pick(1, 8);
    options.prompt_cut = pick(0, 1) * 16;
    options.answer_cut = pick(0, 1) * 8;
    World world(pages, options);
    int to_add = pick(1, 12);
    std::int64_t work = 0;
    for (int step = 0; to_add > 0 || !world.scheduler.idle(); ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
      if (to_add > 0 && (world.scheduler.idle() || random() % 3 == 0)) {
        --to_add;
        const Pos total = pick(2, pages * 4 - 1);
        const Pos answer = pick(1, static_cast<int>(total) - 1);
        world.add({total - answer, answer, pick(0, 3)});
        work += total;
      }
      // Whatever the budget says, a step works.
      world.scheduler.set_prompt_tokens(pick(0, 3) * pick(1, 8), pick(1, 20));
      const Step planned =
          world.step([&](int drafts) { return drafts == 0 ? 0 : pick(0, drafts); });
      ASSERT_FALSE(planned.items.empty());
      ASSERT_LT(step, 12 * work + 100) << "starving";
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(world.room.used(), 0);
  }
}

}  // namespace
}  // namespace plumb
