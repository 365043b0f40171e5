// The engine on its thread: many clients, sessions across threads, failure and the end.
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

TEST(Engine, ServesManyThreadsAtOnce) {
  FakeStack stack({}, {.pages = 60, .sequences = 4, .snapshot_bytes = 1 << 16});
  EngineOptions options;
  options.drafts = 2;
  auto engine = Engine::start(*stack.model, *stack.pool, options);
  ASSERT_TRUE(engine);
  const FakeModel reference({});
  std::vector<std::jthread> clients;
  std::atomic<int> right{0};
  for (unsigned c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (unsigned i = 0; i < 6; ++i) {
        GenerateRequest request = request_of(random_tokens(10 + static_cast<int>(7 * i), c), 20, c);
        const std::vector<Token> expected = truth(reference, request);
        auto generation = (*engine)->submit(std::move(request));
        if (!generation) continue;
        if (i == 3) continue;  // goes away at once
        if (drain((*generation)->events()).tokens == expected) ++right;
        static_cast<void>((*engine)->stats());
      }
    });
  }
  clients.clear();
  EXPECT_EQ(right, 20);
  EXPECT_TRUE((*engine)->healthy());
}

TEST(Engine, ASessionIsSavedAndLoadedAcrossThreads) {
  FakeStack stack({}, {.pages = 60, .sequences = 2, .snapshot_bytes = 0});
  auto engine = std::move(*Engine::start(*stack.model, *stack.pool, {}));
  GenerateRequest request = request_of(random_tokens(30, 1), 5);
  request.session = "a";
  drain((*engine->submit(std::move(request)))->events());
  const auto bytes = engine->save_session("a");
  ASSERT_TRUE(bytes);
  engine->drop_session("a");
  EXPECT_FALSE(engine->save_session("a"));
  const auto length = engine->load_session("a", *bytes);
  ASSERT_TRUE(length);
  EXPECT_EQ(*length, 34);
}

TEST(Engine, RefusesWhenTheQueueIsFull) {
  FakeStack stack({}, {.pages = 200, .sequences = 2, .snapshot_bytes = 0});
  EngineOptions options;
  options.scheduler.max_sequences = 2;
  options.max_queue = 3;
  auto engine = std::move(*Engine::start(*stack.model, *stack.pool, options));
  std::vector<std::unique_ptr<Generation>> held;
  const auto submit = [&] { return engine->submit(request_of(random_tokens(10, 1), 1500)); };
  for (int i = 0; i < 5; ++i) {  // at once, whether or not the engine has taken the last one
    auto generation = submit();
    ASSERT_TRUE(generation) << i << ": " << generation.error().message;
    held.push_back(std::move(*generation));
  }
  const auto refused = submit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kExhausted);
  EXPECT_NE(refused.error().message.find("3 requests wait, at most 3 may"), std::string::npos)
      << refused.error().message;
  // Whoever goes away makes room.
  held[4]->cancel();
  EXPECT_EQ(drain(held[4]->events()).end.reason, FinishReason::kCancelled);
  Result<std::unique_ptr<Generation>> next = submit();
  while (!next) next = submit();
}

// The longest of a few tries may be the machine's doing, the shortest is the engine's.
TEST(Engine, AnIdleEngineStartsAtOnceAndTellsAtOnce) {
  FakeStack stack({}, {.pages = 200, .sequences = 2, .snapshot_bytes = 0});
  auto engine = std::move(*Engine::start(*stack.model, *stack.pool, {}));
  double best_ms = 1e9;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto generation = std::move(*engine->submit(request_of({1, 2, 3}, 1)));
    while (auto event = generation->events().pop()) {
      if (!std::holds_alternative<TokenEvent>(*event)) continue;
      const std::chrono::duration<double, std::milli> passed =
          std::chrono::steady_clock::now() - start;
      best_ms = std::min(best_ms, passed.count());
    }
  }
  RecordProperty("microseconds", static_cast<int>(1000 * best_ms));
  EXPECT_LT(best_ms, 5);
}

TEST(Engine, StopsServingAfterAFailure) {
  FakeModelOptions model;
  model.fail_at_forward = 2;
  FakeStack stack(model, {.pages = 60, .sequences = 2, .snapshot_bytes = 0});
  auto engine = std::move(*Engine::start(*stack.model, *stack.pool, {}));
  auto generation = std::move(*engine->submit(request_of(random_tokens(10, 1), 50)));
  EXPECT_EQ(drain(generation->events()).end.reason, FinishReason::kFailed);
  Result<std::unique_ptr<Generation>> next = engine->submit(request_of(random_tokens(10, 1), 5));
  if (next) {
    EXPECT_EQ(drain((*next)->events()).end.reason, FinishReason::kFailed);
  }
  while (engine->healthy()) std::this_thread::yield();
  next = engine->submit(request_of(random_tokens(10, 1), 5));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Code::kUnavailable);
}

TEST(Engine, ShutdownEndsWhatRuns) {
  FakeStack stack({}, {.pages = 250, .sequences = 2, .snapshot_bytes = 0});
  auto engine = std::move(*Engine::start(*stack.model, *stack.pool, {}));
  auto generation = std::move(*engine->submit(request_of(random_tokens(10, 1), 3900)));
  engine.reset();
  const Answer answer = drain(generation->events());
  EXPECT_TRUE(answer.end.reason == FinishReason::kCancelled ||
              answer.end.reason == FinishReason::kLength);
}

}  // namespace
}  // namespace plumb
