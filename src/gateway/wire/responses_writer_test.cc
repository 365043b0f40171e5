#include "gateway/wire/responses_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/responses_checker_for_tests.h"
#include "gateway/wire/responses_reasoning.h"
#include "gateway/wire/sse.h"

namespace plumb::wire {
namespace {

ReplyHead head() { return {"0123456789abcdef0123456789abcdef", 1700000000, "the-model", "fp"}; }

ResponsesSettings settings(bool stream) {
  ResponsesSettings settings;
  settings.stream = stream;
  settings.echo = Json::object({{"store", Json::boolean(false)}});
  return settings;
}

std::string written(const ResponsesSettings& settings, const std::vector<ChatEvent>& events) {
  const auto writer = make_responses_writer(settings, head());
  std::string out;
  writer->start(7, out);
  for (const ChatEvent& event : events) writer->take(0, event, out);
  writer->end(out);
  return out;
}

Finished finished(FinishReason reason) {
  Finished finished;
  finished.reason = reason;
  finished.usage.prompt = 5;
  finished.usage.cached = 2;
  finished.usage.completion = 4;
  finished.usage.reasoning = 1;
  return finished;
}

std::vector<std::string> event_names(const std::string& bytes) {
  SseReader reader;
  std::vector<std::string> names;
  for (const SseEvent& event : reader.push(bytes)) names.push_back(event.name);
  return names;
}

// The events of a stream, each with its blank line.
std::vector<std::string> split(const std::string& bytes) {
  std::vector<std::string> events;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t end = bytes.find("\n\n", at) + 2;
    events.push_back(bytes.substr(at, end - at));
    at = end;
  }
  return events;
}

std::string joined(const std::vector<std::string>& events) {
  std::string out;
  for (const std::string& event : events) out += event;
  return out;
}

Message message_of(const std::vector<ChatEvent>& events) {
  Message message;
  for (const ChatEvent& event : events) {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) append(message, *delta);
  }
  return message;
}

// Reasoning, a text, a whole call and a call that was cut off.
std::vector<ChatEvent> one_of_each() {
  std::vector<ChatEvent> events;
  events.emplace_back(ReplyDelta(ReasoningDelta{"Hm."}));
  events.emplace_back(ReplyDelta(ContentDelta{"Let me "}));
  events.emplace_back(ReplyDelta(ContentDelta{"see."}));
  events.emplace_back(ReplyDelta(ToolCallDelta{0, "call_0", "look", "{"}));
  events.emplace_back(ReplyDelta(ToolCallDelta{0, "", "", "\"at\":1}"}));
  events.emplace_back(ReplyDelta(ToolCallDelta{1, "call_1", "look", "{\"at\":"}));
  Finished end = finished(FinishReason::kLength);
  end.unfinished_calls = {1};
  end.lost_markup = true;
  events.emplace_back(std::move(end));
  return events;
}

TEST(ResponsesWriter, EveryItemHasItsEventsInOrder) {
  const std::vector<std::string> expected = {
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
      "response.reasoning_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.incomplete",
  };
  EXPECT_EQ(event_names(written(settings(true), one_of_each())), expected);
}

TEST(ResponsesWriter, AnEventIsOneLineOfJsonUnderItsName) {
  const std::string bytes =
      written(settings(true), {ReplyDelta(ContentDelta{"a\nb"}), finished(FinishReason::kStop)});
  const std::string id = "msg_0123456789abcdef0123456789abcdef_0";
  EXPECT_EQ(split(bytes)[4],
            "event: response.output_text.delta\n"
            "data: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"" +
                id +
                "\",\"output_index\":0,\"content_index\":0,\"delta\":\"a\\nb\",\"logprobs\":[]}"
                "\n\n");
  EXPECT_EQ(split(bytes)[7],
            "event: response.output_item.done\n"
            "data: {\"type\":\"response.output_item.done\",\"sequence_number\":7,"
            "\"output_index\":0,\"item\":{\"id\":\"" +
                id +
                "\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
                "\"output_text\",\"text\":\"a\\nb\",\"annotations\":[],\"logprobs\":[]}],"
                "\"status\":\"completed\"}}\n\n");
}

TEST(ResponsesWriter, TheObjectSaysWhatCameOfTheReply) {
  const std::string body = written(settings(false), one_of_each());
  const Result<Json> object = parse_json(body, "body");
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->find("id")->text(), "resp_0123456789abcdef0123456789abcdef");
  EXPECT_EQ(object->find("created_at")->dump(), "1700000000");
  EXPECT_EQ(object->find("model")->text(), "the-model");
  EXPECT_EQ(object->find("status")->text(), "incomplete");
  EXPECT_EQ(object->find("store")->dump(), "false");
  EXPECT_EQ(object->find("usage")->dump(),
            "{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":2,"
            "\"cache_write_tokens\":0},\"output_tokens\":4,\"output_tokens_details\":"
            "{\"reasoning_tokens\":1},\"total_tokens\":9}");
  const auto& output = object->find("output")->items();
  ASSERT_EQ(output.size(), 4u);
  EXPECT_EQ(output[0].find("encrypted_content")->dump(), "null");
  EXPECT_EQ(output[1].find("status")->text(), "completed");
  EXPECT_EQ(output[2].dump(),
            "{\"id\":\"fc_0123456789abcdef0123456789abcdef_2\",\"type\":\"function_call\","
            "\"call_id\":\"call_0\",\"name\":\"look\",\"arguments\":\"{\\\"at\\\":1}\","
            "\"status\":\"completed\"}");
  EXPECT_EQ(output[3].find("status")->text(), "incomplete");
}

TEST(ResponsesWriter, RandomRepliesKeepTheGrammarAndTheContent) {
  int cut_calls = 0, empty = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto events = random_reply(seed, {.tokens = seed % 3 == 0});
    ResponsesSettings wanted = settings(true);
    wanted.logprobs = seed % 6 == 0;
    wanted.pack_reasoning = seed % 2 == 0;
    ResponsesChecker checker;
    checker.push(written(wanted, events));
    ASSERT_EQ(checker.violation(), "") << "seed " << seed;
    ASSERT_TRUE(checker.complete()) << "seed " << seed;
    const Message message = message_of(events);
    ASSERT_EQ(checker.reasoning(), message.reasoning) << "seed " << seed;
    ASSERT_EQ(checker.text(), message.text()) << "seed " << seed;
    const auto& end = std::get<Finished>(events.back());
    std::vector<int> cut;
    ASSERT_EQ(checker.calls().size(), message.tool_calls.size()) << "seed " << seed;
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      const auto& call = checker.calls()[i];
      ASSERT_EQ((ToolCall{call.id, call.name, call.arguments}), message.tool_calls[i]);
      if (!call.whole) cut.push_back(static_cast<int>(i));
    }
    ASSERT_EQ(cut, end.unfinished_calls) << "seed " << seed;
    cut_calls += static_cast<int>(cut.size());
    empty += checker.events() == 3;
  }
  EXPECT_GT(cut_calls, 30);
  EXPECT_GT(empty, 5);
}

TEST(ResponsesWriter, AStreamThatIsCutAnywhereIsNeverComplete) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::string bytes = written(settings(true), random_reply(seed));
    ResponsesChecker checker;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_FALSE(checker.complete()) << "seed " << seed << ", byte " << i;
      checker.push(std::string_view(bytes).substr(i, 1));
    }
    EXPECT_TRUE(checker.complete()) << checker.violation();
  }
}

TEST(ResponsesWriter, AReplyInOnePieceIsTheObjectThatTheStreamEndsWith) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto events = random_reply(seed, {.tokens = true});
    ResponsesSettings whole = settings(false), stream = settings(true);
    whole.logprobs = stream.logprobs = true;
    whole.pack_reasoning = stream.pack_reasoning = true;
    ResponsesChecker checker;
    checker.push(written(stream, events));
    EXPECT_EQ(written(whole, events), checker.response().dump()) << "seed " << seed;
  }
}

TEST(ResponsesWriter, HowAReplyEndedIsSaid) {
  const auto object_of = [](FinishReason reason) {
    ResponsesChecker checker;
    checker.push(written(settings(true), {ReplyDelta(ContentDelta{"and"}), finished(reason)}));
    EXPECT_TRUE(checker.complete()) << checker.violation();
    return checker.response();
  };
  const Json cut = object_of(FinishReason::kLength);
  EXPECT_EQ(cut.find("status")->text(), "incomplete");
  EXPECT_EQ(cut.find("incomplete_details")->dump(), "{\"reason\":\"max_output_tokens\"}");
  EXPECT_EQ(cut.find("output")->items()[0].find("status")->text(), "incomplete");
  const Json whole = object_of(FinishReason::kStop);
  EXPECT_EQ(whole.find("status")->text(), "completed");
  EXPECT_EQ(whole.find("incomplete_details")->dump(), "null");
  EXPECT_EQ(whole.find("output")->items()[0].find("status")->text(), "completed");
}

TEST(ResponsesWriter, AReplyOfNothingHasNoItems) {
  ResponsesChecker checker;
  checker.push(written(settings(true), {finished(FinishReason::kStop)}));
  EXPECT_TRUE(checker.complete()) << checker.violation();
  EXPECT_EQ(checker.response().find("output")->dump(), "[]");
}

// The model wrote a call badly and went on: the reply is complete, the call is not.
TEST(ResponsesWriter, AMalformedCallIsIncompleteWhereverItStands) {
  Finished end = finished(FinishReason::kStop);
  end.unfinished_calls = {0};
  ResponsesChecker checker;
  checker.push(written(settings(true), {ReplyDelta(ToolCallDelta{0, "call_0", "look", "{\"a"}),
                                        ReplyDelta(ToolCallDelta{1, "call_1", "look", "{}"}),
                                        ReplyDelta(ContentDelta{"so"}), end}));
  ASSERT_TRUE(checker.complete()) << checker.violation();
  ASSERT_EQ(checker.calls().size(), 2u);
  EXPECT_FALSE(checker.calls()[0].whole);
  EXPECT_TRUE(checker.calls()[1].whole);
  EXPECT_EQ(checker.text(), "so");
}

TEST(ResponsesWriter, CallsWithRepeatedKeysOrDeepValuesAreWhole) {
  for (const std::string& arguments :
       {std::string(R"({"v":{"p":1,"p":2}})"),
        R"({"v":)" + std::string(200, '[') + std::string(200, ']') + "}"}) {
    ResponsesChecker checker;
    checker.push(written(settings(true), {ReplyDelta(ToolCallDelta{0, "call_0", "look", arguments}),
                                          finished(FinishReason::kStop)}));
    ASSERT_TRUE(checker.complete()) << checker.violation();
    ASSERT_EQ(checker.calls().size(), 1u);
    EXPECT_TRUE(checker.calls()[0].whole) << arguments;
  }
}

TEST(ResponsesWriter, AFailureEndsTheStreamWithoutFinishingWhatIsOpen) {
  const auto events = one_of_each();
  for (std::size_t count = 0; count < events.size(); ++count) {
    const auto writer = make_responses_writer(settings(true), head());
    std::string out;
    writer->start(7, out);
    for (std::size_t i = 0; i < count; ++i) writer->take(0, events[i], out);
    writer->fail({.status = 500,
                  .message = "The device is gone.",
                  .param = {},
                  .code = {},
                  .retry_after_s = {}},
                 out);
    ResponsesChecker checker;
    checker.push(out);
    EXPECT_EQ(checker.violation(), "");
    EXPECT_TRUE(checker.failed());
    EXPECT_FALSE(checker.complete());
    EXPECT_EQ(checker.response().find("error")->dump(),
              "{\"code\":\"server_error\",\"message\":\"The device is gone.\"}");
    EXPECT_LT(checker.response().find("output")->items().size(), 4u);
  }
}

TEST(ResponsesWriter, AFailureHasACodeOfTheFormat) {
  const std::pair<int, const char*> codes[] = {
      {400, "invalid_prompt"},      {404, "invalid_prompt"}, {408, "server_error"},
      {429, "rate_limit_exceeded"}, {499, "server_error"},   {503, "server_error"}};
  for (const auto& [status, code] : codes) {
    const auto writer = make_responses_writer(settings(true), head());
    std::string out;
    Refusal refusal;
    refusal.status = status;
    refusal.message = "No.";
    writer->start(7, out);
    writer->fail(refusal, out);
    ResponsesChecker checker;
    checker.push(out);
    EXPECT_EQ(checker.response().find("error")->find("code")->text(), code) << status;
  }
}

TEST(ResponsesWriter, AFailureOfAReplyInOnePieceIsAnErrorBody) {
  const auto writer = make_responses_writer(settings(false), head());
  std::string out;
  Refusal refusal;
  refusal.status = 503;
  refusal.message = "Later.";
  writer->start(7, out);
  writer->take(0, ReplyDelta(ContentDelta{"a"}), out);
  writer->fail(refusal, out);
  const Result<Json> body = parse_json(out, "body");
  ASSERT_TRUE(body.has_value()) << out;
  EXPECT_EQ(body->find("error")->find("message")->text(), "Later.");
}

TEST(ResponsesWriter, LogProbabilitiesAreThoseOfTheAnswersTokens) {
  const auto token = [](const char* bytes) {
    TokenInfo info{1, bytes, -0.25f, {}};
    info.top = {{1, -0.25f, bytes}, {2, -1.5f, "\xe6\xb7"}};
    return ChatEvent(info);
  };
  const std::vector<ChatEvent> events = {token("Hm"),
                                         ReplyDelta(ReasoningDelta{"Hm"}),
                                         token("</think>"),
                                         token("So"),
                                         ReplyDelta(ContentDelta{"So"}),
                                         token("\xe6"),
                                         token("\xb7\xb1"),
                                         ReplyDelta(ContentDelta{"深"}),
                                         token("<call>"),
                                         ReplyDelta(ToolCallDelta{0, "call_0", "look", "{}"}),
                                         finished(FinishReason::kStop)};
  ResponsesSettings wanted = settings(true);
  wanted.logprobs = true;
  ResponsesChecker checker;
  checker.push(written(wanted, events));
  ASSERT_TRUE(checker.complete()) << checker.violation();
  ASSERT_EQ(checker.logprobs().size(), 3u);
  EXPECT_EQ(checker.logprobs()[0].dump(),
            "{\"token\":\"So\",\"bytes\":[83,111],\"logprob\":-0.25,\"top_logprobs\":["
            "{\"token\":\"So\",\"bytes\":[83,111],\"logprob\":-0.25},"
            "{\"token\":\"\xef\xbf\xbd\",\"bytes\":[230,183],\"logprob\":-1.5}]}");
  EXPECT_EQ(checker.logprobs()[2].find("bytes")->dump(), "[183,177]");

  ResponsesChecker plain;
  plain.push(written(settings(true), events));
  EXPECT_TRUE(plain.logprobs().empty());
}

TEST(ResponsesWriter, ReasoningIsPackedForClientsThatCarryNothingElse) {
  ResponsesSettings wanted = settings(true);
  wanted.pack_reasoning = true;
  ResponsesChecker checker;
  checker.push(written(wanted, one_of_each()));
  const Json& item = checker.response().find("output")->items()[0];
  EXPECT_EQ(unpack_reasoning(item.find("encrypted_content")->text()), "Hm.");
}

TEST(ResponsesReasoning, WhatOthersPackedIsNotRead) {
  for (const std::string text : {"", "Hm.", "\"quoted\"\n深", "\x01"})
    EXPECT_EQ(unpack_reasoning(pack_reasoning(text)), text);
  for (const char* other : {"", "gAAAAABpZtK3", "e30=", "bm90IGpzb24=", "!",
                            "bnVsbA==", "eyJwbHVtYi5yZWFzb25pbmciOjF9"}) {
    EXPECT_EQ(unpack_reasoning(other), std::nullopt) << other;
  }
}

// The checker itself: no event can be left out, doubled or swapped with its neighbour.
TEST(ResponsesChecker, EveryMissingDoubledOrSwappedEventIsNoticed) {
  const auto events = split(written(settings(true), one_of_each()));
  const auto passes = [](const std::vector<std::string>& changed) {
    ResponsesChecker checker;
    checker.push(joined(changed));
    return checker.complete();
  };
  ASSERT_TRUE(passes(events));
  for (std::size_t i = 0; i < events.size(); ++i) {
    auto changed = events;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(passes(changed)) << "without " << events[i];
    changed = events;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), events[i]);
    EXPECT_FALSE(passes(changed)) << "twice " << events[i];
    if (i + 1 == events.size()) continue;
    changed = events;
    std::swap(changed[i], changed[i + 1]);
    EXPECT_FALSE(passes(changed)) << "swapped " << events[i];
  }
}

TEST(ResponsesChecker, CommentsBetweenEventsMeanNothing) {
  ResponsesChecker checker;
  for (const std::string& event : split(written(settings(true), one_of_each()))) {
    checker.push(kSseKeepAlive);
    checker.push(event);
  }
  EXPECT_TRUE(checker.complete()) << checker.violation();
}

TEST(ResponsesChecker, AWrongEventIsNoticedThoughItsNumberIsRight) {
  const std::string bytes = written(settings(true), one_of_each());
  const std::pair<const char*, const char*> changes[] = {
      {"\"delta\":\"see.\"", "\"delta\":\"see!\""},
      {"\"text\":\"Hm.\"", "\"text\":\"Hm\""},
      {"_0\",\"type\":\"reasoning\"", "_1\",\"type\":\"reasoning\""},
      {"\"content_index\":0", "\"content_index\":1"},
      {"\"output_index\":1", "\"output_index\":2"},
      {"\"status\":\"completed\"", "\"status\":\"in_progress\""},
      {"\"reason\":\"max_output_tokens\"", "\"reason\":\"\""},
      {"\"total_tokens\":9", "\"total_tokens\":8"},
      {"\"logprobs\":[]}", "\"logprobs\":[],\"more\":1}"},
      {"event: response.in_progress", "event: response.created"},
      {"data: {", "date: {"},
      {"\"arguments\":\"\"", "\"arguments\":\"{}\""},
      {"\"name\":\"look\",\"arguments\":\"{", "\"name\":\"see\",\"arguments\":\"{"},
  };
  for (const auto& [from, to] : changes) {
    std::string changed = bytes;
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, changed.npos) << from;
    changed.replace(at, std::string_view(from).size(), to);
    ResponsesChecker checker;
    checker.push(changed);
    EXPECT_FALSE(checker.complete()) << from << " -> " << to;
    EXPECT_NE(checker.violation(), "") << from << " -> " << to;
  }
}

TEST(ResponsesChecker, LeavingOutADeltaWithTheNumbersPutRightIsNoticed) {
  const auto events = split(written(settings(true), one_of_each()));
  for (std::size_t left_out = 0; left_out < events.size(); ++left_out) {
    std::string bytes;
    int number = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (i == left_out) continue;
      std::string event = events[i];
      const std::string old = str("\"sequence_number\":", i);
      event.replace(event.find(old), old.size(), str("\"sequence_number\":", number++));
      bytes += event;
    }
    ResponsesChecker checker;
    checker.push(bytes);
    EXPECT_FALSE(checker.complete()) << events[left_out];
  }
}

}  // namespace
}  // namespace plumb::wire
