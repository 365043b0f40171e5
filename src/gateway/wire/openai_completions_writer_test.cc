#include "gateway/wire/openai_completions_writer.h"

#include <gtest/gtest.h>

#include <map>

#include "base/strings.h"
#include "gateway/wire/interleave_for_tests.h"
#include "gateway/wire/openai_completions_checker_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"

namespace plumb::wire {
namespace {

const ReplyHead kHead = {"0123456789abcdef0123456789abcdef", 1700000000, "flash", "fp_1"};
using Answers = std::vector<std::vector<ChatEvent>>;

Answers random_answers(std::uint64_t seed, int count, bool tokens) {
  Answers answers;
  for (int i = 0; i < count; ++i) {
    answers.push_back(random_reply(seed * 16 + static_cast<std::uint64_t>(i),
                                   {.reasoning = false, .tools = false, .tokens = tokens}));
  }
  return answers;
}

CompletionReplyForm form_of(std::uint64_t seed, bool stream) {
  return {.prompts = static_cast<int>(1 + seed % 2),
          .answers = static_cast<int>(1 + (seed / 2) % 2),
          .stream = stream,
          .usage = (seed / 4) % 2 == 0,
          .tokens = (seed / 8) % 2 == 0,
          .echo = {}};
}
StreamExpectation expectation_of(const CompletionReplyForm& form) {
  return {form.prompts * form.answers, form.usage, form.tokens};
}

std::string text_of(const std::vector<ChatEvent>& events) {
  std::string out;
  for (const ChatEvent& event : events) {
    if (const auto* delta = std::get_if<ReplyDelta>(&event))
      out += std::get<ContentDelta>(*delta).text;
  }
  return out;
}

std::vector<float> logprobs_of(const std::vector<ChatEvent>& events) {
  std::vector<float> out;
  for (const ChatEvent& event : events) {
    if (const auto* token = std::get_if<TokenInfo>(&event)) out.push_back(token->logprob);
  }
  return out;
}

std::string finish_of(const std::vector<ChatEvent>& events) {
  return std::get<Finished>(events.back()).reason == FinishReason::kStop ? "stop" : "length";
}

void expect_usage(const Json& usage, const Answers& answers, int answers_each) {
  std::map<std::size_t, int> prompts;
  int completion = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Usage& one = std::get<Finished>(answers[i].back()).usage;
    int& prompt = prompts[i / static_cast<std::size_t>(answers_each)];
    prompt = std::max(prompt, one.prompt);
    completion += one.completion;
  }
  int prompt = 0;
  for (const auto& [index, tokens] : prompts) prompt += tokens;
  EXPECT_EQ(usage.find("prompt_tokens")->as_int(), prompt);
  EXPECT_EQ(usage.find("completion_tokens")->as_int(), completion);
}

TEST(OpenAiCompletionsStream, ThousandsOfRepliesBreakNoRuleAndHoldWhatTheEventsSaid) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const CompletionReplyForm form = form_of(seed, true);
    const Answers answers = random_answers(seed, form.prompts * form.answers, form.tokens);
    const auto writer = make_completion_writer(kHead, form);
    OpenAiCompletionsChecker checker(expectation_of(form));
    checker.push(joined(written(*writer, answers, seed)));
    ASSERT_TRUE(checker.violations().empty()) << seed << ": " << checker.violations().front();
    ASSERT_TRUE(checker.complete()) << seed;
    EXPECT_EQ(checker.id(), "cmpl-" + kHead.unique);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto& shown = checker.choices()[i];
      EXPECT_EQ(shown.text, text_of(answers[i])) << seed;
      EXPECT_EQ(shown.finish_reason, finish_of(answers[i])) << seed;
      const auto logprobs = logprobs_of(answers[i]);
      EXPECT_EQ(std::vector<float>(shown.logprobs.begin(), shown.logprobs.end()), logprobs);
    }
    ASSERT_EQ(checker.usage().has_value(), form.usage);
    if (form.usage) expect_usage(*checker.usage(), answers, form.answers);
  }
}

TEST(OpenAiCompletionsStream, CutAnywhereItIsNeverComplete) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const CompletionReplyForm form = form_of(seed, true);
    const auto writer = make_completion_writer(kHead, form);
    const std::string bytes = joined(
        written(*writer, random_answers(seed, form.prompts * form.answers, form.tokens), seed));
    OpenAiCompletionsChecker checker(expectation_of(form));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_FALSE(checker.complete()) << seed << " at byte " << i;
      checker.push(std::string_view(bytes).substr(i, 1));
    }
    EXPECT_TRUE(checker.complete()) << seed;
  }
}

// Half of 深 each, then a letter.
const std::vector<ChatEvent> kTwoCharacters = {
    TokenInfo{1, "\xe6\xb7", -0.5f, {{1, -0.5f, "\xe6\xb7"}, {9, -1, "a"}}},
    TokenInfo{2, "\xb1", -0.25f, {{7, -0.125f, "b"}}},
    ReplyDelta(ContentDelta{"深"}),
    TokenInfo{3, "x", -2, {{4, -1, "y"}, {5, -1.5f, "y"}}},
    ReplyDelta(ContentDelta{"x"}),
    TokenInfo{4, "", -3, {}},
    Finished{}};

std::string example_stream() {
  const auto writer = make_completion_writer(
      kHead,
      {.prompts = 1, .answers = 1, .stream = true, .usage = true, .tokens = true, .echo = {}});
  return joined(written(*writer, {kTwoCharacters}, 1));
}

TEST(OpenAiCompletionsStream, LooksLikeThis) {
  const std::string head =
      R"(data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion",)"
      R"("created":1700000000,"model":"flash","system_fingerprint":"fp_1","choices":[)";
  const auto chunk = [&](const std::string& text, const std::string& logprobs,
                         const std::string& finish) {
    return str(head, R"({"index":0,"text":")", text, R"(","logprobs":{)", logprobs,
               R"(},"finish_reason":)", finish, "}],\"usage\":null}\n\n");
  };
  EXPECT_EQ(
      example_stream(),
      str(chunk(
              "深",
              R"("tokens":["bytes:\\xe6\\xb7","bytes:\\xb1"],"token_logprobs":[-0.5,-0.25],"top_logprobs":[{"bytes:\\xe6\\xb7":-0.5,"a":-1},{"b":-0.125,"bytes:\\xb1":-0.25}],"text_offset":[0,0])",
              "null"),
          chunk(
              "x",
              R"("tokens":["x"],"token_logprobs":[-2],"top_logprobs":[{"y":-1,"x":-2}],"text_offset":[1])",
              "null"),
          chunk("",
                R"("tokens":[""],"token_logprobs":[-3],"top_logprobs":[{"":-3}],"text_offset":[2])",
                "\"stop\""),
          head,
          R"(],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,)"
          R"("prompt_tokens_details":{"cached_tokens":0},)"
          R"("completion_tokens_details":{"reasoning_tokens":0}}})",
          "\n\ndata: [DONE]\n\n"));
}

TEST(OpenAiCompletionsStream, TheCheckerSeesWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"cmpl-0", "chatcmpl-0"},
      {"\"text\":\"x\"", "\"text\":\"\""},
      {"\"text\":\"x\"", "\"delta\":\"x\""},
      {"\"text\":\"\"", "\"text\":\"more\""},
      {"\"finish_reason\":\"stop\"", "\"finish_reason\":\"tool_calls\""},
      {"\"finish_reason\":\"stop\"", "\"finish_reason\":null"},
      {"\"token_logprobs\":[-2]", "\"token_logprobs\":[]"},
      {"\"token_logprobs\":[-2]", "\"token_logprobs\":[2]"},
      {"\"text_offset\":[2]", "\"text_offset\":[0]"},
      {"{\"y\":-1,\"x\":-2}", "{\"y\":-1}"},
      {"data: [DONE]\n\n", ""},
  };
  for (const auto& [from, to] : changes) {
    std::string bad = example_stream();
    const std::size_t at = bad.rfind(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    OpenAiCompletionsChecker checker({1, true, true});
    checker.push(bad);
    EXPECT_FALSE(checker.complete()) << from << " -> " << to;
  }
}

TEST(OpenAiCompletionsStream, AFailureIsAnErrorWithoutDone) {
  const auto writer = make_completion_writer(kHead, form_of(0, true));
  std::string out;
  writer->start(1, out);
  writer->take(0, ReplyDelta(ContentDelta{"x"}), out);
  writer->fail({500, "It broke.", "", "internal_error", std::nullopt}, out);
  OpenAiCompletionsChecker checker(expectation_of(form_of(0, true)));
  checker.push(out);
  EXPECT_TRUE(checker.violations().empty());
  EXPECT_FALSE(checker.complete());
  ASSERT_TRUE(checker.error());
  EXPECT_EQ(checker.error()->find("message")->text(), "It broke.");
}

TEST(OpenAiCompletionsReply, WholeRepliesHoldWhatTheEventsSaid) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const CompletionReplyForm form = form_of(seed, false);
    const Answers answers = random_answers(seed, form.prompts * form.answers, form.tokens);
    const auto writer = make_completion_writer(kHead, form);
    const auto pieces = written(*writer, answers, seed);
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) ASSERT_EQ(pieces[i], "");
    const auto body = parse_json(pieces.back(), "reply");
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(body->find("object")->text(), "text_completion");
    EXPECT_EQ(body->find("id")->text(), "cmpl-" + kHead.unique);
    expect_usage(*body->find("usage"), answers, form.answers);
    ASSERT_EQ(body->find("choices")->items().size(), answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Json& choice = body->find("choices")->items()[i];
      EXPECT_EQ(choice.find("index")->as_int(), static_cast<std::int64_t>(i));
      EXPECT_EQ(choice.find("text")->text(), text_of(answers[i]));
      EXPECT_EQ(choice.find("finish_reason")->text(), finish_of(answers[i]));
      const auto count = logprobs_of(answers[i]).size();
      const Json& logprobs = *choice.find("logprobs");
      ASSERT_EQ(logprobs.is_null(), count == 0);
      if (const Json* tokens = logprobs.find("tokens")) {
        EXPECT_EQ(tokens->items().size(), count);
      }
    }
  }
}

}  // namespace
}  // namespace plumb::wire
