#include "load/reply_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"

namespace plumb::load {
namespace {

using Events = std::vector<wire::SseEvent>;

wire::SseEvent named(const std::string& name, const std::string& rest = "") {
  return {name, "{\"type\":\"" + name + "\"" + rest + "}"};
}

wire::SseEvent chat(const std::string& choices, const std::string& rest = "") {
  return {"",
          R"({"id":"a","object":"chat.completion.chunk","choices":[)" + choices + "]" + rest + "}"};
}

constexpr const char* kUsage =
    R"(,"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}})";

Events chat_reply() {
  return {chat(R"({"delta":{"role":"assistant","content":""},"finish_reason":null})"),
          chat(R"({"delta":{"reasoning_content":"Hm"},"finish_reason":null})"),
          chat(R"({"delta":{"content":"Hi"},"finish_reason":null})"),
          chat(R"({"delta":{},"finish_reason":"stop"})"),
          chat("", kUsage),
          {"", "[DONE]"}};
}

Events completions_reply() {
  const std::string head = R"({"id":"a","object":"text_completion","choices":[)";
  return {{"", head + R"({"text":"Hi","finish_reason":null}]})"},
          {"", head + R"({"text":" you","finish_reason":"length"}])" + kUsage + "}"},
          {"", "[DONE]"}};
}

Events messages_reply() {
  return {named("message_start"),
          named("ping"),
          named("content_block_start", R"(,"index":0)"),
          named("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":"Hi"})"),
          named("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":"!"})"),
          named("content_block_stop", R"(,"index":0)"),
          named("message_delta", R"(,"delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":5,)"
                                 R"("cache_read_input_tokens":4,"output_tokens":2})"),
          named("message_stop")};
}

wire::SseEvent response(const std::string& name, int sequence, const std::string& rest = "") {
  return named("response." + name, ",\"sequence_number\":" + std::to_string(sequence) + rest);
}

Events responses_reply() {
  return {response("created", 0),
          response("output_item.added", 1),
          response("output_text.delta", 2, R"(,"delta":"Hi")"),
          response("output_text.delta", 3, R"(,"delta":"!")"),
          response("output_item.done", 4),
          response("completed", 5,
                   R"(,"response":{"usage":{"input_tokens":9,"output_tokens":2,)"
                   R"("input_tokens_details":{"cached_tokens":4}}})")};
}

struct Reply {
  Api api;
  Events events;
};
std::vector<Reply> replies() {
  return {{Api::kChat, chat_reply()},
          {Api::kCompletions, completions_reply()},
          {Api::kMessages, messages_reply()},
          {Api::kResponses, responses_reply()}};
}

// What the reply is told to be, and how many pieces it had.
Result<TokenUsage> read(Api api, const Events& events, int* pieces = nullptr) {
  const auto check = make_reply_check(api);
  for (const wire::SseEvent& event : events) {
    const auto piece = check->take(event);
    if (!piece) return piece.error();
    if (pieces && *piece) ++*pieces;
  }
  return check->end();
}

TEST(ReplyCheck, WholeRepliesPassWithTheirUsage) {
  for (const Reply& reply : replies()) {
    int pieces = 0;
    const auto usage = read(reply.api, reply.events, &pieces);
    ASSERT_TRUE(usage) << to_string(reply.api) << ": " << usage.error().message;
    EXPECT_EQ(*usage, (TokenUsage{9, 4, 2})) << to_string(reply.api);
    EXPECT_EQ(pieces, 2) << to_string(reply.api);
  }
}

TEST(ReplyCheck, AReplyThatStopsAnywhereIsNotWhole) {
  for (const Reply& reply : replies()) {
    for (std::size_t n = 0; n < reply.events.size(); ++n) {
      const Events part(reply.events.begin(),
                        reply.events.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_FALSE(read(reply.api, part)) << to_string(reply.api) << " " << n;
    }
  }
}

TEST(ReplyCheck, NothingFollowsTheLastEvent) {
  for (const Reply& reply : replies()) {
    for (const wire::SseEvent& event : reply.events) {
      Events more = reply.events;
      more.push_back(event);
      EXPECT_FALSE(read(reply.api, more)) << to_string(reply.api) << " " << event.data;
    }
  }
}

// Events that no client may be without, each left out. Others (text, pings, an empty first delta)
// may be missing.
TEST(ReplyCheck, WhatMustBeThereIsMissed) {
  const std::pair<Api, std::vector<std::size_t>> needed[] = {{Api::kChat, {3, 4, 5}},
                                                             {Api::kCompletions, {1, 2}},
                                                             {Api::kMessages, {0, 2, 5, 6, 7}},
                                                             {Api::kResponses, {0, 1, 4, 5}}};
  for (const auto& [api, places] : needed) {
    for (const std::size_t place : places) {
      Events events = replies()[static_cast<std::size_t>(api)].events;
      events.erase(events.begin() + static_cast<std::ptrdiff_t>(place));
      EXPECT_FALSE(read(api, events)) << to_string(api) << " without " << place;
    }
  }
}

TEST(ReplyCheck, AnErrorInTheStreamIsAFailure) {
  const std::pair<Api, wire::SseEvent> errors[] = {
      {Api::kChat, {"", R"({"error":{"message":"no"}})"}},
      {Api::kCompletions, {"", R"({"error":{"message":"no"}})"}},
      {Api::kMessages, named("error", R"(,"error":{"type":"api_error"})")},
      {Api::kResponses, response("failed", 1)}};
  for (const auto& [api, event] : errors) {
    Events events = replies()[static_cast<std::size_t>(api)].events;
    events.insert(events.begin() + 1, event);
    const auto usage = read(api, events);
    ASSERT_FALSE(usage) << to_string(api);
    EXPECT_NE(usage.error().message.find("The stream told an error"), std::string::npos);
  }
}

TEST(ReplyCheck, EachFormatsRulesAreKept) {
  Events events = chat_reply();
  events[2].data.replace(events[2].data.find("\"a\""), 3, "\"b\"");  // another id
  EXPECT_FALSE(read(Api::kChat, events));
  events = chat_reply();
  std::swap(events[2], events[3]);  // text after the finish reason
  EXPECT_FALSE(read(Api::kChat, events));
  EXPECT_FALSE(read(Api::kChat, completions_reply()));
  events = chat_reply();
  events[1].data = "{";
  EXPECT_FALSE(read(Api::kChat, events));

  events = messages_reply();
  events[3].data.replace(events[3].data.find("\"index\":0"), 9, "\"index\":1");
  EXPECT_FALSE(read(Api::kMessages, events));
  events = messages_reply();
  events[4].name = "ping";  // not its type
  EXPECT_FALSE(read(Api::kMessages, events));
  events = messages_reply();
  std::swap(events[5], events[6]);  // ends inside a block
  EXPECT_FALSE(read(Api::kMessages, events));

  events = responses_reply();
  std::swap(events[2], events[3]);  // the sequence goes back
  EXPECT_FALSE(read(Api::kResponses, events));
}

}  // namespace
}  // namespace plumb::load
