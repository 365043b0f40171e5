#include "gateway/wire/openai_chat_writer.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "gateway/wire/interleave_for_tests.h"
#include "gateway/wire/openai_chat_checker_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"

namespace plumb::wire {
namespace {

const ReplyHead kHead = {"0123456789abcdef0123456789abcdef", 1700000000, "flash \"quoted\"",
                         "fp_1"};
using Answers = std::vector<std::vector<ChatEvent>>;

Answers random_answers(std::uint64_t seed, int count, bool tokens) {
  Answers answers;
  for (int i = 0; i < count; ++i) {
    answers.push_back(random_reply(seed * 16 + static_cast<std::uint64_t>(i), {.tokens = tokens}));
  }
  return answers;
}

// What the events of one answer say.
struct Told {
  Message message;
  std::vector<TokenInfo> tokens;
  Finished finished;
};
Told told(const std::vector<ChatEvent>& events) {
  Told out;
  out.message.role = Role::kAssistant;
  for (const ChatEvent& event : events) {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) append(out.message, *delta);
    if (const auto* token = std::get_if<TokenInfo>(&event)) out.tokens.push_back(*token);
    if (const auto* finished = std::get_if<Finished>(&event)) out.finished = *finished;
  }
  return out;
}

std::string expected_finish(const Told& answer) {
  if (answer.finished.reason != FinishReason::kStop) return "length";
  return answer.message.tool_calls.empty() ? "stop" : "tool_calls";
}

std::string bytes_of(const Json& token) {
  std::string out;
  for (const Json& byte : token.find("bytes")->items()) out += static_cast<char>(*byte.as_int());
  return out;
}

void expect_tokens(const std::vector<Json>& shown, const std::vector<TokenInfo>& given) {
  ASSERT_EQ(shown.size(), given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(bytes_of(shown[i]), given[i].bytes);
    EXPECT_EQ(static_cast<float>(*shown[i].find("logprob")->as_double()), given[i].logprob);
    const auto& top = shown[i].find("top_logprobs")->items();
    ASSERT_EQ(top.size(), given[i].top.size());
    for (std::size_t k = 0; k < top.size(); ++k) EXPECT_EQ(bytes_of(top[k]), given[i].top[k].bytes);
  }
}

void expect_usage(const Json& usage, const Answers& answers) {
  std::int64_t completion = 0, reasoning = 0, prompt = 0;
  for (const auto& events : answers) {
    const Usage& one = std::get<Finished>(events.back()).usage;
    completion += one.completion;
    reasoning += one.reasoning;
    prompt = std::max<std::int64_t>(prompt, one.prompt);
  }
  EXPECT_EQ(usage.find("prompt_tokens")->as_int(), prompt);
  EXPECT_EQ(usage.find("completion_tokens")->as_int(), completion);
  EXPECT_EQ(usage.find("total_tokens")->as_int(), prompt + completion);
  EXPECT_EQ(usage.find("completion_tokens_details")->find("reasoning_tokens")->as_int(), reasoning);
}

// The form that a seed stands for, so that all of them come.
ChatReplyForm form_of(std::uint64_t seed) {
  return {.choices = static_cast<int>(1 + seed % 4),
          .stream = true,
          .usage = (seed / 4) % 2 == 0,
          .tokens = (seed / 8) % 2 == 0};
}

TEST(OpenAiChatStream, ThousandsOfRepliesBreakNoRuleAndHoldWhatTheEventsSaid) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const ChatReplyForm form = form_of(seed);
    const Answers answers = random_answers(seed, form.choices, form.tokens);
    const auto writer = make_chat_writer(kHead, form);
    OpenAiChatChecker checker({form.choices, form.usage, form.tokens});
    checker.push(joined(written(*writer, answers, seed)));
    ASSERT_TRUE(checker.violations().empty()) << seed << ": " << checker.violations().front();
    ASSERT_TRUE(checker.complete()) << seed;
    EXPECT_EQ(checker.id(), "chatcmpl-" + kHead.unique);
    EXPECT_EQ(checker.model(), kHead.model);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Told answer = told(answers[i]);
      const auto& shown = checker.choices()[i];
      EXPECT_EQ(shown.message, answer.message) << seed;
      EXPECT_EQ(shown.finish_reason, expected_finish(answer)) << seed;
      expect_tokens(shown.tokens, answer.tokens);
    }
    ASSERT_EQ(checker.usage().has_value(), form.usage);
    if (form.usage) expect_usage(*checker.usage(), answers);
  }
}

TEST(OpenAiChatStream, CutAnywhereItIsNeverComplete) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const ChatReplyForm form = form_of(seed);
    const auto writer = make_chat_writer(kHead, form);
    const std::string bytes =
        joined(written(*writer, random_answers(seed, form.choices, form.tokens), seed));
    OpenAiChatChecker checker({form.choices, form.usage, form.tokens});
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_FALSE(checker.complete()) << seed << " at byte " << i;
      checker.push(std::string_view(bytes).substr(i, 1));
    }
    EXPECT_TRUE(checker.complete()) << seed;
  }
}

TEST(OpenAiChatStream, EqualHeadsAndEventsGiveEqualBytes) {
  const Answers answers = random_answers(5, 3, true);
  const ChatReplyForm form = {.choices = 3, .stream = true, .usage = true, .tokens = true};
  const auto once = make_chat_writer(kHead, form), again = make_chat_writer(kHead, form);
  EXPECT_EQ(written(*once, answers, 5), written(*again, answers, 5));
}

// A stream of two answers as events of data, without their ends.
std::vector<std::string> events_of(const std::string& bytes) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find("\n\n", at) + 2;
    out.push_back(bytes.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string example_stream() {
  const auto writer =
      make_chat_writer(kHead, {.choices = 1, .stream = true, .usage = true, .tokens = false});
  Finished finished;
  finished.usage.prompt = 5;
  finished.usage.completion = 6;
  const Answers answers = {{ReplyDelta(ReasoningDelta{"why"}), ReplyDelta(ContentDelta{"Hi"}),
                            ReplyDelta(ToolCallDelta{0, "call_0", "f", "{"}),
                            ReplyDelta(ToolCallDelta{0, "", "", "}"}), finished}};
  return joined(written(*writer, answers, 1));
}

TEST(OpenAiChatStream, LooksLikeThis) {
  const std::string head =
      R"(data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk",)"
      R"("created":1700000000,"model":"flash \"quoted\"","system_fingerprint":"fp_1","choices":[)";
  const auto chunk = [&](const std::string& delta, const std::string& finish = "null") {
    return str(head, R"({"index":0,"delta":)", delta, R"(,"logprobs":null,"finish_reason":)",
               finish, "}],\"usage\":null}\n\n");
  };
  EXPECT_EQ(
      example_stream(),
      str(chunk(R"({"role":"assistant","content":""})"), chunk(R"({"reasoning_content":"why"})"),
          chunk(R"({"content":"Hi"})"),
          chunk(
              R"({"tool_calls":[{"index":0,"id":"call_0","type":"function","function":{"name":"f","arguments":"{"}}]})"),
          chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"}"}}]})"),
          chunk("{}", "\"tool_calls\""), head,
          R"(],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11,)",
          R"("prompt_tokens_details":{"cached_tokens":0},)",
          R"("completion_tokens_details":{"reasoning_tokens":0}}})", "\n\ndata: [DONE]\n\n"));
}

// The checker must see what is wrong, or the tests above show nothing.
TEST(OpenAiChatStream, TheCheckerSeesEveryEventThatIsLeftOutOrComesTwice) {
  const auto events = events_of(example_stream());
  ASSERT_EQ(events.size(), 8u);
  for (std::size_t broken = 0; broken < events.size(); ++broken) {
    for (const std::size_t times : {0u, 2u}) {
      OpenAiChatChecker checker({1, true, false});
      for (std::size_t i = 0; i < events.size(); ++i) {
        for (std::size_t n = i == broken ? times : 1; n > 0; --n) checker.push(events[i]);
      }
      // Pieces of text stand for themselves: only what they add up to tells that one is missing.
      const bool text = broken == 1 || broken == 2;
      EXPECT_EQ(checker.complete(), text) << broken << " comes " << times << " times";
    }
  }
}

TEST(OpenAiChatStream, TheCheckerSeesWhatIsMisspelt) {
  const std::string good = example_stream();
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"chatcmpl-0", "cmpl-0"},
      {"chat.completion.chunk", "chat.completion"},
      {"1700000000", "1700000001"},
      {"\"usage\":null", "\"usage\":{}"},
      {",\"usage\":null", ""},
      {"\"role\":\"assistant\",", ""},
      {"{\"content\":\"Hi\"}", "{\"content\":\"\"}"},
      {"{\"content\":\"Hi\"}", "{\"text\":\"Hi\"}"},
      {"{\"content\":\"Hi\"}", "{\"role\":\"assistant\",\"content\":\"Hi\"}"},
      {"\"reasoning_content\"", "\"reasoning\""},
      {"\"id\":\"call_0\",", ""},
      {"\"type\":\"function\",", ""},
      {"\"index\":0,\"function\"", "\"index\":0,\"id\":\"call_0\",\"function\""},
      {"\"arguments\":\"}\"", "\"name\":\"f\",\"arguments\":\"}\""},
      {"\"arguments\":\"}\"", "\"arguments\":\"\""},
      {"\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"stop\""},
      {"\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"end\""},
      {"\"finish_reason\":\"tool_calls\"", "\"finish_reason\":null"},
      {"\"total_tokens\":11", "\"total_tokens\":12"},
      {"\"cached_tokens\":0", "\"cached_tokens\":9"},
      {"\"logprobs\":null,", ""},
      {"data: {", "event: chunk\ndata: {"},
      {"data: {", "date: {"},
      {"data: [DONE]", "data: [DONE]\n\ndata: [DONE]"},
      {"data: [DONE]", "data: done"},
  };
  for (const auto& [from, to] : changes) {
    std::string bad = good;
    const std::size_t at = bad.rfind(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    OpenAiChatChecker checker({1, true, false});
    checker.push(bad);
    EXPECT_FALSE(checker.complete()) << from << " -> " << to;
    EXPECT_FALSE(checker.violations().empty()) << from << " -> " << to;
  }
}

TEST(OpenAiChatStream, TokensOfNoTextComeWithTheNextPieceAndTheLastWithTheEnd) {
  const auto writer =
      make_chat_writer(kHead, {.choices = 1, .stream = true, .usage = false, .tokens = true});
  std::string out;
  writer->start(1, out);
  const auto take = [&](const ChatEvent& event) {
    out.clear();
    writer->take(0, event, out);
    return out;
  };
  EXPECT_EQ(take(TokenInfo{1, "\xe6\xb7", -0.5f, {}}), "");
  EXPECT_EQ(take(TokenInfo{2, "\xb1", -0.1f, {{2, -0.1f, "\xb1"}}}), "");
  EXPECT_NE(
      take(ReplyDelta(ContentDelta{"深"}))
          .find(
              R"("logprobs":{"content":[{"token":"�","logprob":-0.5,"bytes":[230,183],"top_logprobs":[]},)"
              R"({"token":"�","logprob":-0.1,"bytes":[177],"top_logprobs":[{"token":"�","logprob":-0.1,"bytes":[177]}]}],"refusal":null})"),
      std::string::npos)
      << out;
  EXPECT_NE(take(ReplyDelta(ContentDelta{"x"})).find("\"logprobs\":null"), std::string::npos);
  EXPECT_EQ(take(TokenInfo{3, "\n", -2, {}}), "");
  EXPECT_NE(
      take(Finished{}).find(R"("delta":{},"logprobs":{"content":[{"token":"\n","logprob":-2,)"),
      std::string::npos)
      << out;
}

TEST(OpenAiChatStream, TokensAreNotShownUnasked) {
  const auto writer = make_chat_writer(kHead, {.choices = 1, .stream = true});
  OpenAiChatChecker checker({1, false, false});
  checker.push(joined(written(*writer, random_answers(3, 1, true), 3)));
  EXPECT_TRUE(checker.complete());
}

TEST(OpenAiChatStream, ACutAnswerNeverLooksLikeAnEnd) {
  const auto finish = [](FinishReason reason, bool call, bool whole = true) {
    const auto writer = make_chat_writer(kHead, {.choices = 1, .stream = true});
    Finished finished;
    finished.reason = reason;
    if (!whole) finished.unfinished_calls = {0};
    Answers answers(1);
    if (call) answers[0].emplace_back(ReplyDelta(ToolCallDelta{0, "call_0", "f", "{}"}));
    answers[0].emplace_back(finished);
    OpenAiChatChecker checker({1, false, false});
    checker.push(joined(written(*writer, answers, 1)));
    EXPECT_TRUE(checker.complete());
    return checker.choices()[0].finish_reason;
  };
  for (const bool call : {false, true}) {
    for (const FinishReason reason :
         {FinishReason::kLength, FinishReason::kCancelled, FinishReason::kDeadline}) {
      EXPECT_EQ(finish(reason, call), "length");
    }
  }
  EXPECT_EQ(finish(FinishReason::kStop, false), "stop");
  EXPECT_EQ(finish(FinishReason::kStop, true), "tool_calls");
  // The model went on to its end behind a call that is not whole.
  EXPECT_EQ(finish(FinishReason::kStop, true, false), "length");
}

TEST(OpenAiChatStream, AFailureIsAnErrorWithoutDone) {
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    const ChatReplyForm form = form_of(seed);
    const auto writer = make_chat_writer(kHead, form);
    const auto pieces = written(*writer, random_answers(seed, form.choices, form.tokens), seed);
    const auto broken = make_chat_writer(kHead, form);
    std::string out;
    broken->fail({503, "The engine stopped.", "", "unavailable", std::nullopt}, out);
    for (std::size_t cut = 1; cut < pieces.size(); ++cut) {
      OpenAiChatChecker checker({form.choices, form.usage, form.tokens});
      for (std::size_t i = 0; i < cut; ++i) checker.push(pieces[i]);
      checker.push(out);
      ASSERT_TRUE(checker.violations().empty()) << checker.violations().front();
      ASSERT_FALSE(checker.complete());
      ASSERT_TRUE(checker.error());
      EXPECT_EQ(
          checker.error()->dump(),
          R"({"message":"The engine stopped.","type":"server_error","param":null,"code":"unavailable"})");
    }
  }
}

void expect_message(const Json& shown, const Told& answer) {
  const Message& given = answer.message;
  std::vector<ToolCall> whole_calls = given.tool_calls;
  for (auto at = answer.finished.unfinished_calls.rbegin();
       at != answer.finished.unfinished_calls.rend(); ++at) {
    whole_calls.erase(whole_calls.begin() + *at);
  }
  EXPECT_EQ(shown.find("role")->text(), "assistant");
  ASSERT_TRUE(shown.find("refusal") && shown.find("refusal")->is_null());
  EXPECT_EQ(shown.find("content")->is_null(), given.text().empty() && !whole_calls.empty());
  EXPECT_EQ(shown.find("content")->text(), given.text());
  ASSERT_EQ(shown.find("reasoning_content") != nullptr, !given.reasoning.empty());
  if (const Json* reasoning = shown.find("reasoning_content")) {
    EXPECT_EQ(reasoning->text(), given.reasoning);
  }
  ASSERT_EQ(shown.find("tool_calls") != nullptr, !whole_calls.empty());
  for (std::size_t i = 0; i < whole_calls.size(); ++i) {
    const ToolCall& call = whole_calls[i];
    EXPECT_EQ(shown.find("tool_calls")->items()[i].dump(),
              str(R"({"id":")", call.id, R"(","type":"function","function":{"name":")", call.name,
                  R"(","arguments":)", json_quote(call.arguments), "}}"));
  }
}

TEST(OpenAiChatReply, WholeRepliesHoldWhatTheEventsSaidWithoutCallsThatWereCut) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    ChatReplyForm form = form_of(seed);
    form.stream = false;
    const Answers answers = random_answers(seed, form.choices, form.tokens);
    const auto writer = make_chat_writer(kHead, form);
    const auto pieces = written(*writer, answers, seed);
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) ASSERT_EQ(pieces[i], "");
    const auto body = parse_json(pieces.back(), "reply");
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(body->find("id")->text(), "chatcmpl-" + kHead.unique);
    EXPECT_EQ(body->find("object")->text(), "chat.completion");
    EXPECT_EQ(body->find("created")->as_int(), kHead.created);
    EXPECT_EQ(body->find("model")->text(), kHead.model);
    EXPECT_EQ(body->find("system_fingerprint")->text(), kHead.fingerprint);
    expect_usage(*body->find("usage"), answers);
    ASSERT_EQ(body->find("choices")->items().size(), answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Json& choice = body->find("choices")->items()[i];
      const Told answer = told(answers[i]);
      EXPECT_EQ(choice.find("index")->as_int(), static_cast<std::int64_t>(i));
      EXPECT_EQ(choice.find("finish_reason")->text(), expected_finish(answer));
      expect_message(*choice.find("message"), answer);
      const Json& logprobs = *choice.find("logprobs");
      ASSERT_EQ(logprobs.is_null(), answer.tokens.empty());
      if (!logprobs.is_null()) expect_tokens(logprobs.find("content")->items(), answer.tokens);
    }
  }
}

TEST(OpenAiChatReply, LooksLikeThis) {
  const auto writer = make_chat_writer({"ab", 7, "m", ""}, {});
  Finished finished;
  finished.usage.prompt = 5;
  finished.usage.cached = 4;
  finished.usage.completion = 2;
  finished.usage.reasoning = 1;
  const Answers answers = {{PromptProgress{1, 5}, ReplyDelta(ReasoningDelta{"hm"}),
                            ReplyDelta(ContentDelta{"Hi"}), finished}};
  EXPECT_EQ(
      joined(written(*writer, answers, 1)),
      R"({"id":"chatcmpl-ab","object":"chat.completion","created":7,"model":"m","system_fingerprint":null,)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"reasoning_content":"hm"},)"
      R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,)"
      R"("prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}})");
}

}  // namespace
}  // namespace plumb::wire
