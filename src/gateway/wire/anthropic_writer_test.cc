#include "gateway/wire/anthropic_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/wire/anthropic.h"
#include "gateway/wire/anthropic_checker_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"

namespace plumb::wire {
namespace {

const ReplyHead kHead = {"0123456789abcdef0123456789abcdef", 1700000000, "some-model", "fp"};

const Finished& finished_of(const std::vector<ChatEvent>& events) {
  return std::get<Finished>(events.back());
}

std::string written(const std::vector<ChatEvent>& events, const MessageOptions& options) {
  const auto writer = make_message_writer(kHead, options);
  std::string out;
  writer->start(finished_of(events).usage.prompt, out);
  for (const ChatEvent& event : events) writer->take(0, event, out);
  writer->end(out);
  return out;
}

AnthropicChecker checked(const std::string& stream) {
  AnthropicChecker checker;
  checker.push(stream);
  return checker;
}

Message turn_of(const std::vector<ChatEvent>& events) {
  Message turn;
  for (const ChatEvent& event : events) {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) append(turn, *delta);
  }
  return turn;
}

std::vector<ChatEvent> events_of(std::vector<ReplyDelta> deltas, Finished finished) {
  std::vector<ChatEvent> events;
  for (ReplyDelta& delta : deltas) events.emplace_back(std::move(delta));
  events.emplace_back(std::move(finished));
  return events;
}

Finished finished(FinishReason reason) {
  Finished finished;
  finished.reason = reason;
  finished.usage.prompt = 10;
  finished.usage.cached = 4;
  finished.usage.completion = 3;
  return finished;
}

std::string stop_reason_of(const Json& message) { return message.find("stop_reason")->text(); }

TEST(AnthropicWriter, AStreamIsTheseBytes) {
  Finished end = finished(FinishReason::kStop);
  end.usage.reasoning = 1;
  const std::string stream = written(
      events_of({ReasoningDelta{"hm"}, ContentDelta{"a\n"}, ContentDelta{"b"},
                 ToolCallDelta{0, "call_0", "get", ""}, ToolCallDelta{0, "", "", "{\"x\":1}"}},
                end),
      {.stream = true, .max_tokens = 9});
  EXPECT_EQ(stream, R"(event: message_start
data: {"type":"message_start","message":{"id":"msg_0123456789abcdef0123456789abcdef","type":"message","role":"assistant","model":"some-model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,"output_tokens_details":{"thinking_tokens":0}}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"uC4heOz00MWFncLhadf+2Gc/n27rnzWRvtXyU7d0JAg="}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\n"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_0","name":"get","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":3,"output_tokens_details":{"thinking_tokens":1}}}

event: message_stop
data: {"type":"message_stop"}

)");
}

TEST(AnthropicWriter, RandomRepliesArriveWholeAndUnchanged) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    const auto events = random_reply(seed, {.tokens = seed % 2 == 0, .progress = false});
    const AnthropicChecker checker = checked(written(events, {.stream = true}));
    ASSERT_TRUE(checker.violations().empty()) << seed << ": " << checker.violations().front();
    ASSERT_TRUE(checker.complete());
    const Message turn = turn_of(events);
    EXPECT_EQ(checker.turn().reasoning, turn.reasoning);
    EXPECT_EQ(checker.turn().text(), turn.text());
    EXPECT_EQ(checker.turn().tool_calls, turn.tool_calls);
    EXPECT_EQ(checker.cut_calls(), finished_of(events).unfinished_calls);
  }
}

TEST(AnthropicWriter, AWholeBodyIsWhatTheStreamAssemblesTo) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto events = random_reply(seed, {.progress = false});
    for (const bool show_thinking : {true, false}) {
      MessageOptions options = {.stream = true, .show_thinking = show_thinking, .max_tokens = 5};
      const AnthropicChecker checker = checked(written(events, options));
      ASSERT_TRUE(checker.violations().empty()) << checker.violations().front();
      options.stream = false;
      EXPECT_EQ(written(events, options), checker.message().dump()) << seed;
    }
  }
}

TEST(AnthropicWriter, NoBeginningOfAStreamIsComplete) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const std::string stream = written(random_reply(seed, {.progress = false}), {.stream = true});
    AnthropicChecker checker;
    for (std::size_t i = 0; i < stream.size(); ++i) {
      ASSERT_FALSE(checker.complete()) << "after " << i << " of " << stream.size() << " bytes";
      checker.push(stream.substr(i, 1));
    }
    EXPECT_TRUE(checker.complete());
  }
}

TEST(AnthropicWriter, AReplySentBackIsTheTurnThatItWas) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto events = random_reply(seed, {.progress = false});
    const Json reply = *parse_json(written(events, {.show_thinking = seed % 2 == 0}), "reply");
    const std::string body = R"({"model":"m","max_tokens":1,"messages":[
        {"role":"user","content":"Q"},{"role":"assistant","content":)" +
                             reply.find("content")->dump() + R"(},{"role":"user","content":"R"}]})";
    const Parsed parsed = kAnthropicMessages.parse(*parse_json(body, "body"), {});
    ASSERT_TRUE(std::holds_alternative<Call>(parsed)) << std::get<Refusal>(parsed).message;
    const auto& conversation = std::get<Conversation>(std::get<Call>(parsed).choices[0].prompt);
    ASSERT_EQ(conversation.messages.size(), 3u);
    const Message& back = conversation.messages[1];
    Message turn = turn_of(events);
    for (const int cut : finished_of(events).unfinished_calls) {
      turn.tool_calls.erase(turn.tool_calls.begin() + cut);  // there is one at most
    }
    EXPECT_EQ(back.reasoning, turn.reasoning);
    EXPECT_EQ(back.text(), turn.text());
    for (ToolCall& call : turn.tool_calls) call.arguments = parse_json(call.arguments, "")->dump();
    EXPECT_EQ(back.tool_calls, turn.tool_calls);
  }
}

TEST(AnthropicWriter, AnEmptyReplyIsAMessageWithoutBlocks) {
  const auto events = events_of({}, finished(FinishReason::kStop));
  const Json whole = *parse_json(written(events, {}), "reply");
  EXPECT_TRUE(whole.find("content")->items().empty());
  EXPECT_EQ(stop_reason_of(whole), "end_turn");
  const AnthropicChecker checker = checked(written(events, {.stream = true}));
  EXPECT_TRUE(checker.complete());
  EXPECT_EQ(checker.message().dump(), whole.dump());
}

TEST(AnthropicWriter, EmptyDeltasOpenNoBlocks) {
  const auto events = events_of({ReasoningDelta{""}, ContentDelta{""}, ContentDelta{"x"}},
                                finished(FinishReason::kStop));
  const AnthropicChecker checker = checked(written(events, {.stream = true}));
  EXPECT_TRUE(checker.violations().empty());
  EXPECT_EQ(checker.message().find("content")->dump(), R"([{"type":"text","text":"x"}])");
}

TEST(AnthropicWriter, AlternatingDeltasAreBlocksInOrder) {
  const auto events = events_of({ContentDelta{"a"}, ReasoningDelta{"b"}, ContentDelta{"c"},
                                 ToolCallDelta{0, "call_0", "get", "{}"}, ContentDelta{"d"}},
                                finished(FinishReason::kStop));
  const AnthropicChecker checker = checked(written(events, {.stream = true}));
  ASSERT_TRUE(checker.violations().empty()) << checker.violations().front();
  std::string types;
  for (const Json& block : checker.message().find("content")->items()) {
    types += block.find("type")->text() + " ";
  }
  EXPECT_EQ(types, "text thinking text tool_use text ");
  EXPECT_EQ(written(events, {}), checker.message().dump());
}

TEST(AnthropicWriter, TheStopReasonSaysWhatHappened) {
  const std::vector<ReplyDelta> text = {ContentDelta{"x"}};
  const std::vector<ReplyDelta> call = {ToolCallDelta{0, "call_0", "get", "{}"}};
  Finished stopped = finished(FinishReason::kStop);
  stopped.stop = "END";
  Finished malformed = finished(FinishReason::kStop);
  malformed.unfinished_calls = {0};
  const struct {
    std::vector<ReplyDelta> deltas;
    Finished finished;
    int max_tokens;
    const char* reason;
    const char* sequence;
  } cases[] = {
      {text, finished(FinishReason::kStop), 3, "end_turn", "null"},
      {call, finished(FinishReason::kStop), 3, "tool_use", "null"},
      {text, stopped, 3, "stop_sequence", "\"END\""},
      {text, finished(FinishReason::kLength), 3, "max_tokens", "null"},
      {text, finished(FinishReason::kLength), 4, "model_context_window_exceeded", "null"},
      {{ToolCallDelta{0, "call_0", "get", "{\"a"}}, malformed, 3, "end_turn", "null"},
  };
  for (const auto& c : cases) {
    for (const bool stream : {true, false}) {
      const std::string out =
          written(events_of(c.deltas, c.finished), {.stream = stream, .max_tokens = c.max_tokens});
      const Json message = stream ? checked(out).message() : *parse_json(out, "reply");
      EXPECT_EQ(stop_reason_of(message), c.reason);
      EXPECT_EQ(message.find("stop_sequence")->dump(), c.sequence);
    }
  }
}

TEST(AnthropicWriter, ACallThatWasCutOffNeverLooksWhole) {
  Finished end = finished(FinishReason::kLength);
  end.unfinished_calls = {1};
  const auto events = events_of({ToolCallDelta{0, "call_0", "get", "{\"a\": 1}"},
                                 ToolCallDelta{1, "call_1", "rm", "{\"path\": \"/t"}},
                                end);
  const AnthropicChecker checker = checked(written(events, {.stream = true}));
  EXPECT_TRUE(checker.violations().empty());
  EXPECT_EQ(checker.cut_calls(), std::vector<int>{1});
  EXPECT_EQ(stop_reason_of(checker.message()), "max_tokens");
  const Json whole = *parse_json(written(events, {}), "reply");
  EXPECT_EQ(whole.find("content")->dump(),
            R"([{"type":"tool_use","id":"call_0","name":"get","input":{"a":1}}])");
}

TEST(AnthropicWriter, ACallWithoutAnyInputHasAnEmptyOne) {
  const auto events =
      events_of({ToolCallDelta{0, "call_0", "now", ""}}, finished(FinishReason::kStop));
  const std::string content = R"([{"type":"tool_use","id":"call_0","name":"now","input":{}}])";
  EXPECT_EQ(checked(written(events, {.stream = true})).message().find("content")->dump(), content);
  EXPECT_EQ(parse_json(written(events, {}), "reply")->find("content")->dump(), content);
}

TEST(AnthropicWriter, CallsWithRepeatedKeysOrDeepValuesArrive) {
  for (const std::string& arguments :
       {std::string(R"({"v":{"p":1,"p":2}})"),
        R"({"v":)" + std::string(200, '[') + std::string(200, ']') + "}"}) {
    const auto events =
        events_of({ToolCallDelta{0, "call_0", "now", arguments}}, finished(FinishReason::kStop));
    const std::string body = written(events, {});
    EXPECT_NE(body.find(arguments), body.npos) << body;
    EXPECT_NE(body.find(R"("stop_reason":"tool_use")"), body.npos) << body;
  }
}

TEST(AnthropicWriter, CallsNobodyWantsAreLeftOut) {
  const auto events = events_of({ContentDelta{"a"}, ToolCallDelta{0, "call_0", "get", "{}"}},
                                finished(FinishReason::kStop));
  for (const bool stream : {true, false}) {
    const std::string out = written(events, {.stream = stream, .calls = false});
    const Json message = stream ? checked(out).message() : *parse_json(out, "reply");
    EXPECT_EQ(message.find("content")->dump(), R"([{"type":"text","text":"a"}])");
    EXPECT_EQ(stop_reason_of(message), "end_turn");
  }
}

TEST(AnthropicWriter, HiddenThinkingHasASignatureAndNoText) {
  const auto events =
      events_of({ReasoningDelta{"secret "}, ReasoningDelta{"plan"}}, finished(FinishReason::kStop));
  const std::string stream = written(events, {.stream = true, .show_thinking = false});
  EXPECT_EQ(stream.find("thinking_delta"), stream.npos);
  EXPECT_EQ(stream.find("secret"), stream.npos);
  const AnthropicChecker checker = checked(stream);
  EXPECT_TRUE(checker.violations().empty());
  const Json& block = checker.message().find("content")->items().at(0);
  EXPECT_EQ(block.find("thinking")->text(), "");
  EXPECT_EQ(sealed_thinking(block.find("signature")->text()), "secret plan");
}

TEST(AnthropicWriter, AWholeBodyThatFailsIsTheError) {
  const auto writer = make_message_writer(kHead, {});
  std::string out;
  writer->start(10, out);
  writer->take(0, ReplyDelta(ContentDelta{"half"}), out);
  writer->fail({504, "Too late.", "", "", {}}, out);
  EXPECT_EQ(out, R"({"type":"error","error":{"type":"timeout_error","message":"Too late."}})");
}

TEST(AnthropicWriter, NothingFollowsAnError) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto events = random_reply(seed, {.progress = false});
    const auto writer = make_message_writer(kHead, {.stream = true});
    std::string out;
    writer->start(finished_of(events).usage.prompt, out);
    const std::size_t until = seed % events.size();
    for (std::size_t i = 0; i < until; ++i) writer->take(0, events[i], out);
    writer->fail({503, "The engine went away.", "", "", {}}, out);
    const std::size_t size = out.size();
    for (std::size_t i = until; i < events.size(); ++i) writer->take(0, events[i], out);
    writer->end(out);
    writer->fail({500, "Again.", "", "", {}}, out);
    EXPECT_EQ(out.size(), size);
    const AnthropicChecker checker = checked(out);
    EXPECT_TRUE(checker.violations().empty());
    EXPECT_TRUE(checker.failed() && !checker.complete());
    EXPECT_EQ(
        checker.error().dump(),
        R"({"type":"error","error":{"type":"overloaded_error","message":"The engine went away."}})");
  }
}

TEST(AnthropicWriter, PiecesOfTwoCallsThatAreMixedBreakTheStream) {
  const auto events =
      events_of({ToolCallDelta{0, "call_0", "get", "{"}, ToolCallDelta{1, "call_1", "get", "{"},
                 ToolCallDelta{0, "", "", "}"}, ToolCallDelta{1, "", "", "}"}},
                finished(FinishReason::kStop));
  const AnthropicChecker checker = checked(written(events, {.stream = true}));
  EXPECT_TRUE(checker.failed());
  EXPECT_EQ(checker.error().find("error")->find("type")->text(), "api_error");
  const Json whole = *parse_json(written(events, {}), "reply");
  EXPECT_EQ(whole.find("content")->items().size(), 2u);
}

// The checker is only worth what it refuses.
TEST(AnthropicChecker, SeesWhatIsMissingDoubledOrInTheWrongPlace) {
  const auto events =
      events_of({ReasoningDelta{"r"}, ContentDelta{"a"}, ToolCallDelta{0, "call_0", "get", "{}"}},
                finished(FinishReason::kStop));
  const std::string stream = written(events, {.stream = true, .max_tokens = 9});
  std::vector<std::string> frames;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at) + 2;
    frames.push_back(stream.substr(at, end - at));
    at = end;
  }
  const auto faulty = [](const std::vector<std::string>& some) {
    AnthropicChecker checker;
    for (const std::string& frame : some) checker.push(frame);
    return !checker.violations().empty() || !checker.complete();
  };
  ASSERT_FALSE(faulty(frames));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (frames[i].starts_with("event: ping")) continue;
    auto missing = frames;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    // A piece of text or of input that is missing cannot be seen unless nothing is left.
    if (frames[i].find("input_json_delta") == std::string::npos) {
      EXPECT_TRUE(faulty(missing)) << frames[i];
    }
    if (frames[i].find("_delta\",\"text\"") == std::string::npos &&
        frames[i].find("thinking_delta") == std::string::npos) {
      auto doubled = frames;
      doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), frames[i]);
      EXPECT_TRUE(faulty(doubled)) << frames[i];
    }
    if (i + 1 < frames.size() && !frames[i + 1].starts_with("event: ping")) {
      auto swapped = frames;
      std::swap(swapped[i], swapped[i + 1]);
      EXPECT_TRUE(faulty(swapped)) << frames[i];
    }
  }
}

}  // namespace
}  // namespace plumb::wire
