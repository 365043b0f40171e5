#include "gateway/local_provider.h"

#include <deque>
#include <utility>

#include "gateway/loop_detector.h"
#include "gateway/reply_filter.h"
#include "gateway/stop_scanner.h"

namespace plumb {
namespace {

// Prefixes are shared within a tenant only.
std::uint64_t scope_of(const std::string& tenant) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : tenant) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return tenant.empty() ? 0 : hash;
}

class LocalStream final : public ChatStream {
 public:
  LocalStream(std::unique_ptr<Generation> generation, int prompt_tokens, const Tokenizer& tokenizer,
              std::unique_ptr<ReplyParser> parser, std::vector<std::string> stops,
              bool report_tokens, const Guards& guards, Token end_of_reasoning)
      : generation_(std::move(generation)),
        prompt_tokens_(prompt_tokens),
        tokenizer_(tokenizer),
        parser_(std::move(parser)),
        decoder_(tokenizer),
        scanner_(std::move(stops)),
        report_tokens_(report_tokens),
        guards_(guards),
        end_of_reasoning_(end_of_reasoning) {}

  std::optional<ChatEvent> try_next() override {
    while (ready_.empty() && !over_) {
      auto event = generation_->events().try_pop();
      if (!event) return std::nullopt;
      take(*event);
    }
    return pop();
  }

  std::optional<ChatEvent> next(std::stop_token stop) override {
    while (ready_.empty() && !over_) {
      auto event = generation_->events().pop(stop);
      if (!event) return std::nullopt;
      take(*event);
    }
    return pop();
  }

  void cancel() override { generation_->cancel(); }
  void set_waker(std::function<void()> wake) override {
    generation_->events().set_waker(std::move(wake));
  }
  int prompt_tokens() const override { return prompt_tokens_; }

 private:
  std::optional<ChatEvent> pop() {
    if (ready_.empty()) return std::nullopt;
    std::optional<ChatEvent> event(std::move(ready_.front()));
    ready_.pop_front();
    return event;
  }

  void take(GenerationEvent& event) {
    if (auto* token = std::get_if<TokenEvent>(&event)) {
      // Tokens that were on their way when the answer was ended are not part of it.
      if (!ended()) take_token(*token);
    } else if (auto* end = std::get_if<GenerationEnd>(&event)) {
      finish(*end);
    } else if (auto* progress = std::get_if<PromptProgress>(&event)) {
      ready_.emplace_back(*progress);
    }
  }

  bool ended() const {
    return scanner_.matched() || brake_ == Brake::kLoop || brake_ == Brake::kLongCall;
  }

  // After the token was taken.
  void check_guards(Token token) {
    if (end_of_reasoning_ >= 0 && token == end_of_reasoning_ && !reasoning_over_) {
      reasoning_over_ = true;
      if (guards_.max_reasoning >= 0 && completion_ > guards_.max_reasoning)
        brake_ = Brake::kReasoning;
    }
    if (guards_.max_repeated > 0 && loops_.push(token) >= guards_.max_repeated) {
      brake_ = Brake::kLoop;
    } else if (guards_.max_call > 0 && in_call_ && ++call_tokens_ > guards_.max_call) {
      brake_ = Brake::kLongCall;
    }
  }

  std::string bytes_of(Token token) const { return std::string(tokenizer_.bytes(token)); }

  void take_token(const TokenEvent& token) {
    ++completion_;
    if (report_tokens_) {
      TokenInfo info{token.token, bytes_of(token.token), token.logprob, {}};
      for (const TokenLogprob& option : token.top)
        info.top.push_back({option.token, option.logprob, bytes_of(option.token)});
      ready_.emplace_back(std::move(info));
    }
    std::vector<ReplyDelta> deltas;
    if (parser_) {
      parser_->push(token.token, deltas);
    } else {
      deltas.emplace_back(ContentDelta{decoder_.push(token.token)});
    }
    for (ReplyDelta& delta : deltas) emit(delta);
    check_guards(token.token);
    if (ended()) generation_->cancel();
  }

  // Only the answer's own text is searched for stop strings: they cannot cut reasoning or a call.
  void emit(ReplyDelta& delta) {
    if (scanner_.matched()) return;
    if (auto* content = std::get_if<ContentDelta>(&delta)) {
      content->text = scanner_.push(content->text);
      if (!content->text.empty()) ready_.emplace_back(std::move(delta));
      return;
    }
    if (std::holds_alternative<ReasoningDelta>(delta)) reasoning_ = completion_;
    if (const auto* call = std::get_if<ToolCallDelta>(&delta); call && !call->id.empty()) {
      in_call_ = true;
      call_tokens_ = 0;
    }
    release_held();
    ready_.emplace_back(std::move(delta));
  }

  void release_held() {
    std::string held = scanner_.flush();
    if (!held.empty()) ready_.emplace_back(ReplyDelta(ContentDelta{std::move(held)}));
  }

  void finish(GenerationEnd& end) {
    Finished finished;
    if (!scanner_.matched()) {
      std::vector<ReplyDelta> deltas;
      if (parser_) {
        parser_->finish(deltas);
      } else {
        deltas.emplace_back(ContentDelta{decoder_.finish()});
      }
      for (ReplyDelta& delta : deltas) emit(delta);
      if (!scanner_.matched()) release_held();
      if (parser_) {
        finished.unfinished_calls = parser_->unfinished_calls();
        finished.lost_markup = parser_->lost_markup();
      }
    }
    const GenerationUsage& u = end.usage;
    finished.usage = {u.prompt,   u.cached,   completion_, reasoning_,  u.drafted,
                      u.accepted, u.queue_ms, u.prompt_ms, u.decode_ms, brake_};
    finished.reason = scanner_.matched() ? FinishReason::kStop
                      : ended()          ? FinishReason::kLength
                                         : end.reason;
    finished.stop = scanner_.matched();
    if (!ended()) finished.error = std::move(end.error);
    ready_.emplace_back(std::move(finished));
    over_ = true;
  }

  std::unique_ptr<Generation> generation_;
  int prompt_tokens_;
  const Tokenizer& tokenizer_;
  std::unique_ptr<ReplyParser> parser_;  // null: raw text
  TextDecoder decoder_;
  StopScanner scanner_;
  bool report_tokens_;
  std::deque<ChatEvent> ready_;
  bool over_ = false;
  int completion_ = 0;
  const Guards guards_;
  const Token end_of_reasoning_;  // -1: the reply has none
  bool reasoning_over_ = false;
  LoopDetector loops_;
  bool in_call_ = false;
  int call_tokens_ = 0;  // since the last call began
  Brake brake_ = Brake::kNone;
  int reasoning_ = 0;  // tokens up to the last one that completed reasoning text
};

}  // namespace

Result<RenderedPrompt> LocalProvider::render(const Prompt& prompt) const {
  if (const auto* conversation = std::get_if<Conversation>(&prompt)) {
    if (!format_) {
      return Error{Code::kUnsupported,
                   "The model " + model_ + " has no chat format, expected raw text."};
    }
    return format_->render(*conversation);
  }
  RenderedPrompt rendered;
  if (const auto* raw = std::get_if<RawText>(&prompt)) {
    rendered.tokens.push_back(engine_.model().bos);
    tokenizer_.encode(raw->text, rendered.tokens);
  } else {
    rendered.tokens = std::get<std::vector<Token>>(prompt);
  }
  return rendered;
}

Status LocalProvider::check_model(const std::string& model) const {
  if (model.empty() || model == model_) return {};
  return Error{Code::kNotFound,
               "There is no model \"" + model + "\", expected \"" + model_ + "\"."};
}

std::vector<ModelCard> LocalProvider::models() const {
  const ModelInfo& info = engine_.model();
  return {
      {model_, engine_.context(), info.fingerprint, tokenizer_.fingerprint(), info.numerics.id()}};
}

Result<std::vector<Token>> LocalProvider::tokenize(const std::string& model,
                                                   const Prompt& prompt) const {
  PLUMB_TRY_STATUS(check_model(model));
  PLUMB_TRY(rendered, render(prompt));
  return std::move(rendered.tokens);
}

Result<std::string> LocalProvider::detokenize(const std::string& model,
                                              std::span<const Token> tokens) const {
  PLUMB_TRY_STATUS(check_model(model));
  TextDecoder decoder(tokenizer_);
  std::string text;
  for (const Token token : tokens) {
    if (token < 0 || token >= tokenizer_.vocab_size()) {
      return Error{Code::kInvalid, "There is no token " + std::to_string(token) +
                                       ", expected ids from 0 to " +
                                       std::to_string(tokenizer_.vocab_size() - 1) + "."};
    }
    text += decoder.push(token);
  }
  return text + decoder.finish();
}

Result<std::unique_ptr<TokenFilter>> LocalProvider::filter(const ChatRequest& request,
                                                           Token end_of_reasoning,
                                                           std::vector<Token> ends) {
  const bool reasons = end_of_reasoning >= 0;
  ReplyFilterOptions options;
  PLUMB_TRY(machine, constraints_.machine(request.prompt, request.contract, reasons));
  options.machine = std::move(machine);
  options.starts_in_reasoning = reasons && request.guards.max_reasoning >= 0;
  if (!options.machine && !options.starts_in_reasoning) return std::unique_ptr<TokenFilter>();
  options.end_of_reasoning = end_of_reasoning;
  options.max_reasoning = request.guards.max_reasoning;
  options.ends = std::move(ends);
  return std::unique_ptr<TokenFilter>(std::make_unique<ReplyFilter>(std::move(options)));
}

Result<std::unique_ptr<ChatStream>> LocalProvider::chat(ChatRequest request,
                                                        const CallContext& context) {
  PLUMB_TRY_STATUS(check_model(request.model));
  PLUMB_TRY(rendered, render(request.prompt));
  GenerateRequest generate;
  generate.prompt = std::move(rendered.tokens);
  generate.boundaries = std::move(rendered.boundaries);
  generate.sampling = std::move(request.sampling);
  generate.max_tokens = request.max_tokens;
  generate.deadline = context.deadline;
  generate.speculate = request.speculate;
  generate.session = std::move(request.session);
  generate.scope = scope_of(context.tenant);
  const auto* conversation = std::get_if<Conversation>(&request.prompt);
  std::vector<Token> ends =
      conversation ? format_->stop_tokens() : std::vector<Token>{engine_.model().eos};
  PLUMB_TRY(filter, this->filter(request, rendered.end_of_reasoning, ends));
  // What has kept its contract to the end has nothing to go on with.
  if (!request.ignore_end || filter) generate.stop_tokens = std::move(ends);
  generate.filter = std::move(filter);
  const int prompt_tokens = static_cast<int>(generate.prompt.size());
  PLUMB_TRY(generation, engine_.submit(std::move(generate)));
  return std::unique_ptr<ChatStream>(std::make_unique<LocalStream>(
      std::move(generation), prompt_tokens, tokenizer_,
      conversation ? format_->make_parser(*conversation) : nullptr, std::move(request.stop),
      request.report_tokens, request.guards, rendered.end_of_reasoning));
}

}  // namespace plumb
