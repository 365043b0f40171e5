#include "gateway/local_provider.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "fakes/byte_tokenizer.h"

namespace plumb {
namespace {

// Answers every request with a script of tokens; keeps what it was asked.
class ScriptedEngine final : public Engine {
 public:
  ScriptedEngine() {
    info_.vocab = 1000;
    info_.bos = 256;
    info_.eos = 257;
  }
  Result<std::unique_ptr<Generation>> submit(GenerateRequest request) override {
    asked = std::move(request);
    mail = std::make_shared<Mailbox>(100000);
    for (const Token token : script) mail->events.try_push(TokenEvent{token, -0.5f, top});
    if (!open) end(FinishReason::kStop);
    return std::make_unique<Generation>(mail);
  }
  void end(FinishReason reason, std::optional<Error> error = std::nullopt) {
    GenerationUsage usage;
    usage.prompt = static_cast<int>(asked.prompt.size());
    usage.cached = 3;
    usage.drafted = 5;
    usage.accepted = 4;
    mail->events.try_push(GenerationEnd{reason, 257, usage, std::move(error)});
    mail->events.close();
  }
  EngineStats stats() const override { return {}; }
  bool healthy() const override { return true; }
  const ModelInfo& model() const override { return info_; }
  Pos context() const override { return 4096; }
  Result<std::vector<std::byte>> save_session(const std::string&) override { return Error{}; }
  Result<Pos> load_session(const std::string&, std::span<const std::byte>) override {
    return Error{};
  }
  void drop_session(const std::string&) override {}

  void write(std::string_view text) {
    for (const char c : text) script.push_back(static_cast<unsigned char>(c));
  }

  std::vector<Token> script;
  std::vector<TokenLogprob> top;  // reported with every token
  bool open = false;              // the end does not come by itself
  GenerateRequest asked;
  std::shared_ptr<Mailbox> mail;

 private:
  ModelInfo info_;
};

class LocalProviderTest : public ::testing::Test {
 protected:
  ChatRequest question(Effort effort = Effort::kNone) {
    ChatRequest request;
    Conversation conversation;
    conversation.effort = effort;
    conversation.messages.push_back(Message::of(Role::kUser, "Hi"));
    request.prompt = std::move(conversation);
    return request;
  }
  ChatReply reply_to(ChatRequest request, CallContext context = {}) {
    auto stream = provider_.chat(std::move(request), context);
    EXPECT_TRUE(stream) << stream.error().message;
    auto reply = collect(**stream);
    EXPECT_TRUE(reply) << reply.error().message;
    return std::move(*reply);
  }

  fakes::ByteTokenizer tokenizer_ = fakes::deepseek_v4_byte_tokenizer();
  std::unique_ptr<const ChatFormat> format_ = std::move(*make_deepseek_v4_format(tokenizer_));
  ScriptedEngine engine_;
  LocalProvider provider_{"m", tokenizer_, format_.get(), engine_};
};

TEST_F(LocalProviderTest, RendersSubmitsAndReadsTheReply) {
  engine_.write("hm");
  engine_.script.push_back(*tokenizer_.control("</think>"));
  engine_.write("Hello");
  ChatRequest request = question(Effort::kHigh);
  request.max_tokens = 77;
  request.sampling.seed = 5;
  request.session = "s";
  const ChatReply reply = reply_to(std::move(request), {"id", "tenant", std::nullopt});
  EXPECT_EQ(reply.message.text(), "Hello");
  EXPECT_EQ(reply.message.reasoning, "hm");
  EXPECT_EQ(reply.finish.reason, FinishReason::kStop);
  EXPECT_EQ(reply.finish.usage.completion, 8);
  EXPECT_EQ(reply.finish.usage.reasoning, 2);
  EXPECT_EQ(reply.finish.usage.cached, 3);
  EXPECT_EQ(reply.finish.usage.accepted, 4);
  EXPECT_EQ(engine_.asked.max_tokens, 77);
  EXPECT_EQ(engine_.asked.sampling.seed, 5u);
  EXPECT_EQ(engine_.asked.session, "s");
  EXPECT_EQ(engine_.asked.stop_tokens, format_->stop_tokens());
  EXPECT_NE(engine_.asked.scope, 0u);
  EXPECT_EQ(engine_.asked.prompt,
            format_->render(std::get<Conversation>(question(Effort::kHigh).prompt))->tokens);
}

TEST_F(LocalProviderTest, LoopsAreCutAndSayWhy) {
  engine_.write("The answer: ");
  for (int i = 0; i < 500; ++i) engine_.write("ha ");
  ChatRequest request = question();
  request.guards.max_repeated = 256;
  const ChatReply reply = reply_to(std::move(request));
  EXPECT_EQ(reply.finish.reason, FinishReason::kLength);
  EXPECT_EQ(reply.finish.usage.brake, Brake::kLoop);
  EXPECT_LE(reply.finish.usage.completion, 12 + 3 + 256);
  EXPECT_TRUE(engine_.mail->cancelled);
  const ChatReply free = reply_to(question());
  EXPECT_EQ(free.finish.usage.completion, 1512);
  EXPECT_EQ(free.finish.usage.brake, Brake::kNone);
}

TEST_F(LocalProviderTest, ACallThatDoesNotEndIsCutAndNotDeliveredAsClosed) {
  const Token dsml = *tokenizer_.control("｜DSML｜");
  const auto tag = [&](const char* open, const char* rest) {
    engine_.write(open);
    engine_.script.push_back(dsml);
    engine_.write(rest);
  };
  engine_.write("\n\n");
  tag("<", "tool_calls>\n");
  tag("<", "invoke name=\"f\">\n");
  tag("<", "parameter name=\"x\" string=\"true\">");
  for (int i = 0; i < 300; ++i) engine_.write(std::to_string(i));
  ChatRequest request = question();
  request.guards.max_call = 100;
  const ChatReply reply = reply_to(std::move(request));
  EXPECT_EQ(reply.finish.reason, FinishReason::kLength);
  EXPECT_EQ(reply.finish.usage.brake, Brake::kLongCall);
  EXPECT_EQ(reply.finish.unfinished_calls, std::vector<int>{0});
  EXPECT_TRUE(reply.message.tool_calls.empty());
}

TEST_F(LocalProviderTest, AReasoningBudgetIsAFilterAndTheReplySaysThatItWasUsedUp) {
  engine_.write("hmm");
  engine_.script.push_back(*tokenizer_.control("</think>"));
  engine_.write("Hello");
  ChatRequest request = question(Effort::kHigh);
  request.guards.max_reasoning = 3;
  const ChatReply reply = reply_to(std::move(request));
  EXPECT_EQ(reply.finish.usage.brake, Brake::kReasoning);
  EXPECT_EQ(reply.finish.reason, FinishReason::kStop);
  EXPECT_EQ(reply.message.text(), "Hello");
  EXPECT_NE(engine_.asked.filter, nullptr);
  // Nothing is held where nothing was asked for, and answers that do not reason have no budget.
  reply_to(question(Effort::kHigh));
  EXPECT_EQ(engine_.asked.filter, nullptr);
  request = question();
  request.guards.max_reasoning = 3;
  reply_to(std::move(request));
  EXPECT_EQ(engine_.asked.filter, nullptr);
}

TEST_F(LocalProviderTest, AContractThatCannotBeKeptIsRefused) {
  ChatRequest request = question();
  request.contract.form = {AnswerForm::Kind::kSchema, R"({"not":{}})", {}};
  const auto stream = provider_.chat(std::move(request), {});
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Code::kUnsupported);
  request = question();
  request.contract.tools = ToolUse::kRequired;
  const auto calls = provider_.chat(std::move(request), {});
  ASSERT_FALSE(calls);
  EXPECT_EQ(calls.error().message, "A call is required, but no tool is offered.");
}

TEST_F(LocalProviderTest, TenantsDoNotShareAndNobodyIsScopeZero) {
  reply_to(question(), {"", "a", std::nullopt});
  const std::uint64_t a = engine_.asked.scope;
  reply_to(question(), {"", "b", std::nullopt});
  EXPECT_NE(engine_.asked.scope, a);
  reply_to(question());
  EXPECT_EQ(engine_.asked.scope, 0u);
}

TEST_F(LocalProviderTest, RawTextGetsOnlyTheBeginning) {
  engine_.write("caf");
  engine_.script.push_back(0xc3);  // half a character at the end
  ChatRequest request;
  request.prompt = RawText{"ab<think>"};
  const ChatReply reply = reply_to(std::move(request));
  EXPECT_EQ(engine_.asked.prompt,
            (std::vector<Token>{256, 'a', 'b', '<', 't', 'h', 'i', 'n', 'k', '>'}));
  EXPECT_EQ(engine_.asked.stop_tokens, std::vector<Token>{257});
  EXPECT_EQ(reply.message.text(), "caf\xef\xbf\xbd");
  request.prompt = std::vector<Token>{1, 2, 3};
  request.ignore_end = true;
  reply_to(std::move(request));
  EXPECT_EQ(engine_.asked.prompt, (std::vector<Token>{1, 2, 3}));
  EXPECT_TRUE(engine_.asked.stop_tokens.empty());
}

TEST_F(LocalProviderTest, StopStringsCutTheAnswerAndCancelTheRest) {
  engine_.write("one two STOP three");
  engine_.open = true;
  ChatRequest request = question();
  request.stop = {"STOP"};
  request.report_tokens = true;
  auto stream = std::move(*provider_.chat(std::move(request), {}));
  std::string text;
  bool cancelled_before_end = false;
  std::optional<Finished> finish;
  for (int i = 0; i < 100 && !finish; ++i) {
    auto event = stream->try_next();
    if (!event) {
      cancelled_before_end = engine_.mail->cancelled;
      engine_.end(FinishReason::kCancelled);
      continue;
    }
    if (auto* delta = std::get_if<ReplyDelta>(&*event)) text += std::get<ContentDelta>(*delta).text;
    if (auto* f = std::get_if<Finished>(&*event)) finish = *f;
  }
  ASSERT_TRUE(finish);
  EXPECT_EQ(text, "one two ");
  EXPECT_TRUE(cancelled_before_end);
  EXPECT_EQ(finish->reason, FinishReason::kStop);
  EXPECT_EQ(finish->stop, "STOP");
  EXPECT_EQ(finish->usage.completion, 12) << "what came behind the stop string does not count";
  EXPECT_FALSE(stream->next());
}

TEST_F(LocalProviderTest, StopStringsDoNotCutReasoning) {
  engine_.write("STOP thinking");
  engine_.script.push_back(*tokenizer_.control("</think>"));
  engine_.write("fine");
  ChatRequest request = question(Effort::kHigh);
  request.stop = {"STOP"};
  const ChatReply reply = reply_to(std::move(request));
  EXPECT_EQ(reply.message.reasoning, "STOP thinking");
  EXPECT_EQ(reply.message.text(), "fine");
}

TEST_F(LocalProviderTest, TokensAreReportedBeforeTheirText) {
  engine_.write("ab");
  ChatRequest request = question();
  request.report_tokens = true;
  auto stream = std::move(*provider_.chat(std::move(request), {}));
  auto first = stream->next();
  ASSERT_TRUE(first && std::holds_alternative<TokenInfo>(*first));
  EXPECT_EQ(std::get<TokenInfo>(*first).bytes, "a");
  EXPECT_EQ(std::get<TokenInfo>(*first).logprob, -0.5f);
  EXPECT_TRUE(std::get<TokenInfo>(*first).top.empty());
}

TEST_F(LocalProviderTest, OtherTokensThatCouldHaveComeHaveTheirBytes) {
  engine_.write("a");
  engine_.top = {{'a', -0.5f}, {0xe6, -1.0f}};  // the second is a third of a character
  ChatRequest request = question();
  request.report_tokens = true;
  const ChatReply reply = reply_to(std::move(request));
  ASSERT_EQ(reply.tokens.size(), 1u);
  ASSERT_EQ(reply.tokens[0].top.size(), 2u);
  EXPECT_EQ(reply.tokens[0].top[0].bytes, "a");
  EXPECT_EQ(reply.tokens[0].top[1].bytes, "\xe6");
  EXPECT_EQ(reply.tokens[0].top[1].token, 0xe6);
  EXPECT_EQ(reply.tokens[0].top[1].logprob, -1.0f);
}

TEST_F(LocalProviderTest, FailuresAndUnknownModelsAreErrors) {
  ChatRequest other = question();
  other.model = "gpt";
  const auto unknown = provider_.chat(std::move(other), {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kNotFound);

  engine_.open = true;
  auto stream = std::move(*provider_.chat(question(), {}));
  engine_.end(FinishReason::kFailed, Error{Code::kInternal, "It broke."});
  const auto reply = collect(*stream);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().message, "It broke.");

  LocalProvider bare("m", tokenizer_, nullptr, engine_);
  EXPECT_EQ(bare.chat(question(), {}).error().code, Code::kUnsupported);
}

TEST_F(LocalProviderTest, DroppingTheStreamCancels) {
  engine_.open = true;
  auto stream = std::move(*provider_.chat(question(), {}));
  EXPECT_FALSE(engine_.mail->cancelled);
  stream.reset();
  EXPECT_TRUE(engine_.mail->cancelled);
}

TEST_F(LocalProviderTest, ACallCutOffIsNotPartOfTheMessage) {
  const Token dsml = *tokenizer_.control("｜DSML｜");
  engine_.write("Let me see.\n\n<");
  engine_.script.push_back(dsml);
  engine_.write("tool_calls>\n<");
  engine_.script.push_back(dsml);
  engine_.write("invoke name=\"f\">\n<");
  engine_.script.push_back(dsml);
  engine_.write("parameter name=\"a\" string=\"true\">hal");
  const ChatReply reply = reply_to(question());
  EXPECT_EQ(reply.message.text(), "Let me see.");
  EXPECT_TRUE(reply.finish.lost_markup);
  EXPECT_TRUE(reply.message.tool_calls.empty());
}

}  // namespace
}  // namespace plumb
