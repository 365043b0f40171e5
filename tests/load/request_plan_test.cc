#include "load/request_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/json.h"

namespace plumb::load {
namespace {

Json body_of(const Ask& ask) {
  auto body = parse_json(ask.body, "body");
  EXPECT_TRUE(body) << ask.body;
  return body ? *body : Json();
}

LoadShape mixed() {
  LoadShape shape;
  shape.model = "m";
  shape.cancel = 0.2;
  shape.slow = 0.1;
  return shape;
}

TEST(RequestPlan, IsAFunctionOfItsSeed) {
  LoadShape shape = mixed();
  const Ask ask = make_ask(shape, 3, 7);
  EXPECT_EQ(make_ask(shape, 3, 7).body, ask.body);
  EXPECT_NE(make_ask(shape, 3, 8).body, ask.body);
  EXPECT_NE(make_ask(shape, 4, 7).body, ask.body);
  shape.seed = 2;
  EXPECT_NE(make_ask(shape, 3, 7).body, ask.body);
}

TEST(RequestPlan, AMixHasEveryApiAndTheShares) {
  std::map<Api, int> apis;
  int cancelled = 0, slow = 0;
  constexpr int kAsks = 4000;
  for (int i = 0; i < kAsks; ++i) {
    const Ask ask = make_ask(mixed(), i % 64, i / 64);
    ++apis[ask.api];
    cancelled += ask.cancel_after > 0;
    slow += ask.slow;
    EXPECT_FALSE(ask.slow && ask.cancel_after > 0);
  }
  for (const Api api : kApis) EXPECT_GT(apis[api], kAsks / 8) << to_string(api);
  EXPECT_NEAR(cancelled, kAsks * 0.2, 120);
  EXPECT_NEAR(slow, kAsks * 0.8 * 0.1, 90);
}

// Else a client that leaves does not know whether its answer was complete.
TEST(RequestPlan, ARequestToBeLeftDoesNotEndByItself) {
  int left = 0;
  for (int i = 0; i < 500; ++i) {
    const Ask ask = make_ask(mixed(), 0, i);
    if (ask.cancel_after == 0) continue;
    ++left;
    const Json body = body_of(ask);
    ASSERT_TRUE(ask.api == Api::kChat || ask.api == Api::kCompletions) << ask.path;
    EXPECT_EQ(body.find("ignore_eos")->as_bool(), true);
    EXPECT_GT(body.find("max_tokens")->as_int().value_or(0), 100 * ask.cancel_after);
  }
  EXPECT_GT(left, 50);
}

TEST(RequestPlan, EachApiIsAskedInItsOwnWords) {
  LoadShape shape = mixed();
  shape.cancel = shape.slow = 0;
  const std::pair<Api, std::pair<const char*, const char*>> words[] = {
      {Api::kChat, {"/v1/chat/completions", "messages"}},
      {Api::kCompletions, {"/v1/completions", "prompt"}},
      {Api::kMessages, {"/v1/messages", "messages"}},
      {Api::kResponses, {"/v1/responses", "input"}}};
  for (const auto& [api, word] : words) {
    shape.api = api;
    const Ask ask = make_ask(shape, 0, 0);
    const Json body = body_of(ask);
    EXPECT_EQ(ask.path, word.first);
    EXPECT_NE(body.find(word.second), nullptr) << ask.body;
    EXPECT_EQ(body.find("stream")->as_bool(), true);
    EXPECT_EQ(body.find("model")->text(), "m");
    const Json* most = body.find(api == Api::kResponses ? "max_output_tokens" : "max_tokens");
    EXPECT_EQ(most->as_int(), shape.max_tokens);
  }
}

TEST(RequestPlan, SomeRequestsShareTheBeginningOfTheirPrompt) {
  LoadShape shape = mixed();
  shape.api = Api::kMessages;
  std::set<std::string> systems, questions;
  for (int i = 0; i < 100; ++i) {
    const Json body = body_of(make_ask(shape, 1, i));
    systems.insert(body.find("system")->text());
    questions.insert(body.find("messages")->dump());
  }
  EXPECT_EQ(systems.size(), 4u);
  EXPECT_EQ(questions.size(), 100u);
}

TEST(RequestPlan, IdsAreManyAndInRange) {
  LoadShape shape = mixed();
  shape.ids = true;
  shape.cancel = shape.slow = 0;
  for (const int vocabulary : {2, 100, 1024, 129280}) {
    shape.vocabulary = vocabulary;
    const Json body = body_of(make_ask(shape, 0, 0));
    const auto& ids = body.find("prompt")->items();
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(shape.prompt_tokens));
    for (const Json& id : ids) {
      EXPECT_GE(id.as_int().value_or(-1), 1);
      EXPECT_LT(id.as_int().value_or(-1), vocabulary);
    }
    EXPECT_EQ(body.find("ignore_eos")->as_bool(), true);
    EXPECT_EQ(body.find("max_tokens")->as_int(), 32);
  }
}

}  // namespace
}  // namespace plumb::load
