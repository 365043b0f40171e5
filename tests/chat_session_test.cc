// The chat's parts without a terminal or a model: what the tool loop sends, what stays when an
// answer breaks off, how lines become messages.
#include <gtest/gtest.h>

#include <csignal>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/chat_commands.h"
#include "apps/chat_loop.h"
#include "apps/chat_session.h"
#include "apps/history_file.h"
#include "apps/line_source.h"
#include "apps/reply_view.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/temp_dir_for_tests.h"
#include "fakes/byte_tokenizer.h"

namespace plumb {
namespace {

// Answers from a script, and remembers what it was asked.
class ScriptedProvider final : public Provider {
 public:
  using Reply = std::vector<ChatEvent>;
  std::deque<Reply> replies;
  std::vector<ChatRequest> asked;

  std::vector<ModelCard> models() const override { return {{"script", 0, "", "", ""}}; }
  Result<std::vector<Token>> tokenize(const std::string&, const Prompt&) const override {
    return std::vector<Token>();
  }
  Result<std::string> detokenize(const std::string&, std::span<const Token>) const override {
    return std::string();
  }
  EngineStats stats() const override { return {}; }
  bool healthy() const override { return true; }
  Result<std::unique_ptr<ChatStream>> chat(ChatRequest request, const CallContext&) override {
    asked.push_back(std::move(request));
    if (replies.empty()) return Error{Code::kUnavailable, "The script is at its end."};
    auto stream = std::make_unique<Stream>(std::move(replies.front()));
    replies.pop_front();
    return std::unique_ptr<ChatStream>(std::move(stream));
  }

 private:
  // A reply that does not finish by itself goes on until it is cancelled.
  class Stream final : public ChatStream {
   public:
    explicit Stream(Reply reply) : events_(reply.begin(), reply.end()) {}
    std::optional<ChatEvent> try_next() override {
      if (events_.empty()) return std::nullopt;
      ChatEvent event = std::move(events_.front());
      events_.pop_front();
      return event;
    }
    std::optional<ChatEvent> next(std::stop_token) override { return try_next(); }
    void cancel() override {
      Finished finished;
      finished.reason = FinishReason::kCancelled;
      events_.emplace_back(finished);
    }
    void set_waker(std::function<void()>) override {}
    int prompt_tokens() const override { return 0; }

   private:
    std::deque<ChatEvent> events_;
  };
};

// The session asks it only when files are saved or loaded.
class NoEngine final : public Engine {
 public:
  Result<std::unique_ptr<Generation>> submit(GenerateRequest) override { return none(); }
  EngineStats stats() const override { return {}; }
  bool healthy() const override { return true; }
  const ModelInfo& model() const override { return info_; }
  Pos context() const override { return 0; }
  Result<std::vector<std::byte>> save_session(const std::string&) override { return none(); }
  Result<Pos> load_session(const std::string&, std::span<const std::byte>) override {
    return none();
  }
  void drop_session(const std::string&) override {}

 private:
  static Error none() { return {Code::kUnavailable, "There is no engine."}; }
  ModelInfo info_;
};

class ListSource final : public LineSource {
 public:
  explicit ListSource(std::vector<Line> lines) : lines_(lines.begin(), lines.end()) {}
  Line read(const std::string& prompt) override {
    prompts.push_back(prompt);
    if (lines_.empty()) return {};
    Line line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }
  void remember(const std::string&) override {}
  std::vector<std::string> prompts;

 private:
  std::deque<Line> lines_;
};

Line typed(std::string text) { return {Line::Kind::kText, std::move(text), false}; }

ChatEvent says(std::string text) { return ReplyDelta(ContentDelta{std::move(text)}); }
ChatEvent thinks(std::string text) { return ReplyDelta(ReasoningDelta{std::move(text)}); }
ChatEvent calls(int index, std::string name, std::string arguments) {
  return ReplyDelta(
      ToolCallDelta{index, "call_" + std::to_string(index), std::move(name), std::move(arguments)});
}
ChatEvent ends(std::vector<int> unfinished = {}) {
  Finished finished;
  finished.usage.completion = 9;
  finished.unfinished_calls = std::move(unfinished);
  return finished;
}
const Watch kNobody = [](const ChatEvent&) {};

class Session : public ::testing::Test {
 protected:
  ChatSession make(Pos context = 1000, Conversation start = {}) {
    return ChatSession({provider_, engine_, *format_, {"w", "t", "plain"}, context}, {}, start);
  }
  const Conversation& asked(std::size_t i) {
    return std::get<Conversation>(provider_.asked.at(i).prompt);
  }

  void SetUp() override {
    auto format = make_deepseek_v4_format(tokenizer_);
    ASSERT_TRUE(format) << format.error().message;
    format_ = std::move(*format);
    clear_interrupts();
  }

  fakes::ByteTokenizer tokenizer_ = fakes::deepseek_v4_byte_tokenizer();
  std::unique_ptr<const ChatFormat> format_;
  ScriptedProvider provider_;
  NoEngine engine_;
};

TEST_F(Session, ToolResultsAreAskedForAndSent) {
  provider_.replies = {{says("I look."), calls(0, "weather", "{\"city\": \"Rome\"}"),
                        calls(1, "time", "{}"), ends()},
                       {says("Sunny, noon."), ends()}};
  ChatSession session = make();
  ListSource source({typed("How is it in Rome?"), typed("sunny"), typed("12:00")});
  HistoryFile history{std::filesystem::path()};
  ChatLoop loop(session, source, history, {});
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(loop.run(), 0);
  const std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("(calls weather) {\"city\": \"Rome\"}"), std::string::npos) << out;
  EXPECT_NE(out.find("Sunny, noon.\n"), std::string::npos) << out;
  ASSERT_EQ(provider_.asked.size(), 2u);
  EXPECT_EQ(source.prompts.at(1), "tool result for weather> ");
  EXPECT_EQ(source.prompts.at(2), "tool result for time> ");
  const std::vector<Message>& sent = asked(1).messages;
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(sent[1].tool_calls.size(), 2u);
  EXPECT_EQ(sent[2].role, Role::kTool);
  EXPECT_EQ(sent[2].tool_call_id, "call_0");
  EXPECT_EQ(sent[2].text(), "sunny");
  EXPECT_EQ(sent[3].tool_call_id, "call_1");
  EXPECT_EQ(session.conversation().messages.size(), 5u);
  EXPECT_TRUE(session.undo());
  EXPECT_TRUE(session.conversation().messages.empty());
}

TEST_F(Session, CallsThatBrokeOffAreNeverAskedFor) {
  provider_.replies = {{calls(0, "good", "{}"), calls(1, "cut", "{\"a"), ends({1})}};
  ChatSession session = make();
  const auto report = session.say("Go", kNobody);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->calls.size(), 1u);
  EXPECT_EQ(report->calls[0].name, "good");
  EXPECT_EQ(session.conversation().messages.back().tool_calls, report->calls);
}

// SIGINT comes in the middle, as Ctrl-C would.
TEST_F(Session, WhatWasWrittenStaysWhenStopped) {
  install_interrupt_counter();
  const Watch interrupt = [](const ChatEvent& event) {
    if (!std::holds_alternative<Finished>(event)) std::raise(SIGINT);
  };
  provider_.replies = {{says("Once upon")}, {thinks("Let me see")}, {says("Anew"), ends()}};
  ChatSession session = make();
  auto report = session.say("Tell", interrupt);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->stopped);
  EXPECT_TRUE(report->kept);
  EXPECT_EQ(session.conversation().messages.back().text(), "Once upon");
  // Nothing but thoughts: the question is taken back, and so is a retry that came to nothing.
  const Conversation before = session.conversation();
  report = session.retry(std::nullopt, interrupt);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->kept);
  EXPECT_EQ(session.conversation(), before);
  report = session.retry(9, kNobody);
  ASSERT_TRUE(report);
  EXPECT_EQ(provider_.asked.back().sampling.seed, 9u);
  EXPECT_EQ(session.conversation().messages.back().text(), "Anew");
  EXPECT_EQ(session.conversation().messages.size(), 2u);
  clear_interrupts();
}

TEST_F(Session, FailuresLeaveTheConversationAlone) {
  Conversation start;
  start.messages.push_back(Message::of(Role::kSystem, "Be brief."));
  ChatSession session = make(60, start);
  const auto full = session.say(std::string(100, 'x'), kNobody);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kExhausted);
  EXPECT_NE(full.error().message.find("113 tokens, and the context holds 60"), std::string::npos)
      << full.error().message;
  EXPECT_TRUE(provider_.asked.empty());
  EXPECT_FALSE(session.say("Hi", kNobody));  // the script is at its end
  EXPECT_EQ(session.conversation(), start);
  EXPECT_FALSE(session.undo());
  session.clear();
  EXPECT_EQ(session.system(), "Be brief.");
  session.set_system("");
  EXPECT_TRUE(session.conversation().messages.empty());
  EXPECT_EQ(session.tokens(), 0);
}

TEST(ReadEntry, LinesBlocksAndPastes) {
  const auto read = [](std::vector<Line> lines) {
    ListSource source(std::move(lines));
    return read_entry(source, "> ");
  };
  EXPECT_EQ(read({typed("one")}).text, "one");
  EXPECT_FALSE(read({typed("/undo")}).literal);
  EXPECT_EQ(read({typed("one\\"), typed("two")}).text, "one\ntwo");
  EXPECT_EQ(read({typed("\"\"\""), typed("a\\"), typed(""), typed("b"), typed("\"\"\"")}).text,
            "a\\\n\nb");
  EXPECT_EQ(read({typed("\"\"\"a b\"\"\"")}).text, "a b");
  EXPECT_TRUE(read({typed("\"\"\"/undo\"\"\"")}).literal);
  EXPECT_TRUE(read({{Line::Kind::kText, "/undo\nb", true}}).literal);
  EXPECT_EQ(read({{Line::Kind::kText, "a\\\n", true}}).text, "a\\");
  // An open block at the end of a pipe is still a message.
  const Entry open = read({typed("\"\"\"a"), typed("b")});
  EXPECT_EQ(open.kind, Line::Kind::kText);
  EXPECT_EQ(open.text, "a\nb");
  EXPECT_EQ(read({}).kind, Line::Kind::kEnd);
  EXPECT_FALSE(read({{Line::Kind::kInterrupted, "", false}}).discarded);
  EXPECT_TRUE(read({typed("\"\"\"a"), {Line::Kind::kInterrupted, "", false}}).discarded);
}

TEST(ChatCommands, AreReadOrNamed) {
  const auto command = parse_chat_command("/save  my file.chat ");
  ASSERT_TRUE(command && *command);
  EXPECT_EQ((*command)->verb, ChatVerb::kSave);
  EXPECT_EQ((*command)->argument, "my file.chat");
  EXPECT_FALSE(parse_chat_command("/save"));
  EXPECT_FALSE(parse_chat_command("/undo 3"));
  EXPECT_EQ(parse_chat_command("/sav x").error().code, Code::kInvalid);
  const auto spoken = parse_chat_command("//etc");
  ASSERT_TRUE(spoken);
  EXPECT_FALSE(*spoken);
  EXPECT_EQ(spoken_text("//etc"), "/etc");
  EXPECT_EQ(spoken_text("a / b"), "a / b");
}

TEST(ReplyView, NothingInAnAnswerCommandsTheTerminal) {
  EXPECT_EQ(harmless("a\tb\n\xe6\xb8\xa9"), "a\tb\n\xe6\xb8\xa9");
  const std::string shown = harmless(
      "\033]0;x\007\x7f\xc2\x9b"
      "1m\rz\xff");
  EXPECT_EQ(shown, "\uFFFD]0;x\uFFFD\uFFFD\uFFFD1m\uFFFDz\uFFFD");
}

TEST(HistoryFile, KeepsLinesAndForgetsTheOldest) {
  const TempDir dir;
  const std::filesystem::path path = dir / "deep" / "history";
  HistoryFile history(path);
  EXPECT_TRUE(history.load().empty());
  history.append("a\\n\nb");
  history.append("c");
  EXPECT_EQ(history.load(), (std::vector<std::string>{"a\\n\nb", "c"}));
  std::string many;
  for (int i = 0; i < 5000; ++i) many += std::to_string(i) + "\n";
  ASSERT_TRUE(write_file_atomically(path, many));
  EXPECT_EQ(history.load().size(), 2000u);
  EXPECT_EQ(history.load().back(), "4999");
  EXPECT_EQ(read_file(path)->size(), 2000u * 5);
  EXPECT_EQ(static_cast<int>(std::filesystem::status(path).permissions()) & 0777, 0600);
}

}  // namespace
}  // namespace plumb
