#include "server/chat_answer.h"

#include <gtest/gtest.h>

#include <utility>

#include "gateway/scripted_provider_for_tests.h"
#include "gateway/wire/openai_chat.h"

namespace plumb {
namespace {

std::vector<ChatEvent> hello() {
  Finished finished;
  finished.usage.prompt = 7;
  finished.usage.completion = 2;
  return {ReplyDelta(ContentDelta{"Hel"}), ReplyDelta(ContentDelta{"lo"}), finished};
}

std::vector<ChatEvent> ending(FinishReason reason, std::optional<Error> error = {}) {
  Finished finished;
  finished.reason = reason;
  finished.error = std::move(error);
  return {ReplyDelta(ContentDelta{"Hel"}), finished};
}

// An answer of the chat format over scripted events, and what it reported.
struct Scene {
  explicit Scene(std::vector<ChatEvent> events, bool stream, bool held = false)
      : log(std::make_shared<ScriptedLog>()) {
    auto scripted = std::make_unique<ScriptedStream>(std::move(events), 7, log, held);
    source = scripted.get();
    std::vector<std::unique_ptr<ChatStream>> streams;
    streams.push_back(std::move(scripted));
    const Json body =
        *parse_json(R"({"messages": [{"role": "user", "content": "hi"}], "stream": )" +
                        std::string(stream ? "true}" : "false}"),
                    "test");
    const auto parsed = wire::kOpenAiChat.parse(body, {});
    ChatAnswerOptions options;
    options.format = &wire::kOpenAiChat;
    options.stream = stream;
    options.headers = {{"x-request-id", "req_1"}};
    options.keep_body = true;
    options.token_taken = [this](std::optional<Moment> previous, Moment) {
      tokens.push_back(previous.has_value());
    };
    options.token_written = [this](Moment announced, Moment when) {
      ++written;
      writing += when - announced;
    };
    options.clock = [this] { return time; };
    options.done = [this](const CallOutcome& o) {
      ++reports;
      outcome = o;
    };
    answer =
        chat_answer(std::move(streams), std::get<wire::Call>(parsed).writer({"0123", 1, "m", "fp"}),
                    std::move(options));
  }

  std::shared_ptr<ScriptedLog> log;
  ScriptedStream* source = nullptr;
  std::vector<bool> tokens;
  int written = 0, reports = 0;
  Moment time{std::chrono::hours(1)};
  Moment::duration writing{};  // from announced to written
  CallOutcome outcome;
  std::unique_ptr<Answer> answer;
};

std::string header(const HttpHead& head, const std::string& name) {
  for (const auto& [key, value] : head.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(ChatAnswer, AWholeReplyHasItsLengthAndIsReportedOnce) {
  Scene scene(hello(), false);
  std::string out;
  ASSERT_EQ(scene.answer->pull(out), Answer::State::kEnd);
  ASSERT_NE(scene.answer->head(), nullptr);
  EXPECT_EQ(scene.answer->head()->status, 200);
  EXPECT_EQ(scene.answer->length(), static_cast<std::int64_t>(out.size()));
  EXPECT_EQ(header(*scene.answer->head(), "Content-Type"), "application/json");
  EXPECT_EQ(header(*scene.answer->head(), "x-request-id"), "req_1");
  EXPECT_NE(out.find("\"Hello\""), out.npos);
  scene.answer.reset();
  EXPECT_EQ(scene.reports, 1);
  EXPECT_EQ(scene.outcome.end, CallOutcome::End::kComplete);
  EXPECT_EQ(scene.outcome.usage.completion, 2);
  EXPECT_EQ(scene.outcome.body, out);
  EXPECT_EQ(scene.tokens, (std::vector<bool>{false, true}));
}

TEST(ChatAnswer, AStreamHasNoHeadBeforeItsFirstEvent) {
  Scene scene(hello(), true, true);
  std::string out;
  EXPECT_EQ(scene.answer->pull(out), Answer::State::kWait);
  EXPECT_EQ(scene.answer->head(), nullptr);
  EXPECT_TRUE(out.empty());
  scene.source->release(1);
  EXPECT_EQ(scene.answer->pull(out), Answer::State::kWait);
  ASSERT_NE(scene.answer->head(), nullptr);
  EXPECT_EQ(scene.answer->length(), -1);
  EXPECT_EQ(header(*scene.answer->head(), "Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_NE(out.find("Hel"), out.npos);
  scene.source->release(2);
  EXPECT_EQ(scene.answer->pull(out), Answer::State::kEnd);
  EXPECT_TRUE(out.ends_with("data: [DONE]\n\n"));
}

TEST(ChatAnswer, AFailureBeforeAnythingWasSentIsAStatus) {
  for (const bool stream : {false, true}) {
    Scene scene({ending(FinishReason::kFailed, Error{Code::kExhausted, "No room."}).back()},
                stream);
    std::string out;
    ASSERT_EQ(scene.answer->pull(out), Answer::State::kEnd);
    ASSERT_NE(scene.answer->head(), nullptr);
    EXPECT_EQ(scene.answer->head()->status, 429);
    EXPECT_EQ(header(*scene.answer->head(), "Content-Type"), "application/json");
    EXPECT_NE(out.find("No room."), out.npos);
    EXPECT_EQ(scene.outcome.end, CallOutcome::End::kFailed);
    EXPECT_EQ(scene.outcome.status, 429);
  }
}

TEST(ChatAnswer, RepliesThatBreakOffNeverLookComplete) {
  const std::pair<FinishReason, const char*> cases[] = {{FinishReason::kDeadline, "time"},
                                                        {FinishReason::kCancelled, "stopped"},
                                                        {FinishReason::kFailed, "engine"}};
  for (const auto& [reason, word] : cases) {
    Scene scene(ending(reason), true, true);
    std::string out;
    scene.source->release(1);
    ASSERT_EQ(scene.answer->pull(out), Answer::State::kWait);
    scene.source->release(1);
    ASSERT_EQ(scene.answer->pull(out), Answer::State::kEnd);
    EXPECT_EQ(scene.answer->head()->status, 200);  // it had gone
    EXPECT_NE(out.find("\"error\""), out.npos);
    EXPECT_NE(out.find(word), out.npos) << out;
    EXPECT_EQ(out.find("[DONE]"), out.npos);
    EXPECT_EQ(out.find("finish_reason\":\"stop"), out.npos);
    EXPECT_EQ(scene.outcome.end, CallOutcome::End::kFailed);
    Scene unstreamed(ending(reason), false);
    std::string body;
    ASSERT_EQ(unstreamed.answer->pull(body), Answer::State::kEnd);
    EXPECT_GE(unstreamed.answer->head()->status, 500);
  }
}

TEST(ChatAnswer, SilenceIsFilledWithBytesThatMeanNothing) {
  Scene stream(hello(), true, true);
  std::string out;
  EXPECT_EQ(stream.answer->pull(out), Answer::State::kWait);
  stream.answer->keep_alive(out);
  ASSERT_NE(stream.answer->head(), nullptr);
  EXPECT_EQ(out, ": keep-alive\n\n");

  Scene whole(hello(), false, true);
  std::string body;
  EXPECT_EQ(whole.answer->pull(body), Answer::State::kWait);
  whole.answer->keep_alive(body);
  whole.source->release(3);
  ASSERT_EQ(whole.answer->pull(body), Answer::State::kEnd);
  EXPECT_EQ(whole.answer->length(), -1);  // it was not known when the head went out
  EXPECT_TRUE(parse_json(body, "body"));
  EXPECT_EQ("\n" + whole.outcome.body, body);
}

TEST(ChatAnswer, AClientThatGoesCancelsTheStreamAndIsReportedOnce) {
  Scene scene(hello(), true, true);
  std::string out;
  scene.source->release(1);
  EXPECT_EQ(scene.answer->pull(out), Answer::State::kWait);
  scene.answer.reset();
  EXPECT_EQ(scene.log->open, 0);
  EXPECT_EQ(scene.log->destroyed_early, 1);
  EXPECT_EQ(scene.reports, 1);
  EXPECT_EQ(scene.outcome.end, CallOutcome::End::kAborted);
  EXPECT_EQ(scene.outcome.reasons, std::vector<FinishReason>{FinishReason::kCancelled});
}

TEST(ChatAnswer, WritingIsTimedFromTheAnnouncement) {
  Scene scene(hello(), true, true);
  int woken = 0;
  scene.answer->set_waker([&] { ++woken; });
  std::string out;
  scene.source->release(1);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(scene.answer->pull(out), Answer::State::kWait);
  scene.answer->written();
  scene.answer->written();  // nothing new
  EXPECT_EQ(scene.written, 1);
}

// The engine rings for what brings no text as well; the next token's time begins with its own ring.
TEST(ChatAnswer, ATokensTimeIsFromItsOwnAnnouncementToItsWriting) {
  using std::chrono::milliseconds;
  std::vector<ChatEvent> events = hello();
  events.insert(events.begin(), PromptProgress{1, 2});
  Scene scene(std::move(events), true, true);
  scene.answer->set_waker([] {});
  std::string out;
  const auto pull_after = [&](std::size_t released, milliseconds before_pull) {
    scene.source->release(released);
    scene.time += before_pull;
    scene.answer->pull(out);
    scene.answer->written();
    scene.time += milliseconds(100);
  };
  pull_after(1, milliseconds(0));  // progress
  EXPECT_EQ(scene.written, 0);
  pull_after(1, milliseconds(0));  // a token, written at once
  EXPECT_EQ(scene.written, 1);
  EXPECT_EQ(scene.writing, milliseconds(0));
  pull_after(0, milliseconds(0));  // a ring for nothing
  EXPECT_EQ(scene.written, 1);
  pull_after(1, milliseconds(30));  // a token that waited
  EXPECT_EQ(scene.written, 2);
  EXPECT_EQ(scene.writing, milliseconds(30));
}

}  // namespace
}  // namespace plumb
