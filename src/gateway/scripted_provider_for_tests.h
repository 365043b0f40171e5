// A provider that answers from a script, without a model.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gateway/provider.h"

namespace plumb {

// What happened to the streams of a ScriptedProvider.
struct ScriptedLog {
  std::mutex mutex;
  std::vector<ChatRequest> asked;
  std::vector<CallContext> contexts;
  int open = 0, destroyed_early = 0;  // early: before Finished was taken
};

// Gives its events at once, or as many as release() lets it. Thread-safe.
class ScriptedStream final : public ChatStream {
 public:
  ScriptedStream(std::vector<ChatEvent> events, int prompt_tokens, std::shared_ptr<ScriptedLog> log,
                 bool held)
      : events_(std::make_move_iterator(events.begin()), std::make_move_iterator(events.end())),
        prompt_tokens_(prompt_tokens),
        log_(std::move(log)),
        released_(held ? 0 : events_.size()) {
    const std::lock_guard lock(log_->mutex);
    ++log_->open;
  }
  ~ScriptedStream() override {
    const std::lock_guard lock(log_->mutex);
    --log_->open;
    if (!events_.empty()) ++log_->destroyed_early;
  }

  std::optional<ChatEvent> try_next() override {
    const std::lock_guard lock(mutex_);
    if (events_.empty() || released_ == 0) return std::nullopt;
    --released_;
    ChatEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  std::optional<ChatEvent> next(std::stop_token) override { return try_next(); }
  void cancel() override {}
  void set_waker(std::function<void()> wake) override {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  int prompt_tokens() const override { return prompt_tokens_; }

  void release(std::size_t events) {
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex_);
      released_ += events;
      wake = wake_;
    }
    if (wake) wake();
  }

 private:
  std::mutex mutex_;
  std::deque<ChatEvent> events_;
  int prompt_tokens_;
  std::shared_ptr<ScriptedLog> log_;
  std::size_t released_;
  std::function<void()> wake_;
};

class ScriptedProvider final : public Provider {
 public:
  // The reply to the n-th chat, or the error that it ends with.
  using Script = std::function<Result<std::vector<ChatEvent>>(const ChatRequest& request, int n)>;
  explicit ScriptedProvider(Script script) : script_(std::move(script)) {}

  std::vector<ModelCard> models() const override {
    return {{"script", 4096, "weights0123", "tokenizer0123", "plain-1"}};
  }
  bool healthy() const override { return healthy_; }
  Result<std::unique_ptr<ChatStream>> chat(ChatRequest request,
                                           const CallContext& context) override {
    auto events = script_(request, n_++);
    if (!events) return events.error();
    {
      const std::lock_guard lock(log_->mutex);
      log_->asked.push_back(std::move(request));
      log_->contexts.push_back(context);
    }
    const auto* finished = events->empty() ? nullptr : std::get_if<Finished>(&events->back());
    const int prompt = finished ? finished->usage.prompt : 0;
    auto stream = std::make_unique<ScriptedStream>(std::move(*events), prompt, log_, held_);
    last_ = stream.get();
    return std::unique_ptr<ChatStream>(std::move(stream));
  }
  // One token per byte.
  Result<std::vector<Token>> tokenize(const std::string&, const Prompt& prompt) const override {
    if (const auto* ids = std::get_if<std::vector<Token>>(&prompt)) return *ids;
    std::string text;
    if (const auto* raw = std::get_if<RawText>(&prompt)) text = raw->text;
    if (const auto* chat = std::get_if<Conversation>(&prompt)) {
      for (const Message& message : chat->messages) text += message.text();
    }
    std::vector<Token> tokens;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }
  Result<std::string> detokenize(const std::string&, std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens) text += static_cast<char>(token);
    return text;
  }
  EngineStats stats() const override { return {}; }

  ScriptedLog& log() { return *log_; }
  ScriptedStream* last() { return last_; }  // of the last chat; the answer owns it
  void hold(bool held) { held_ = held; }    // streams wait for release()
  void set_healthy(bool healthy) { healthy_ = healthy; }

 private:
  Script script_;
  std::shared_ptr<ScriptedLog> log_ = std::make_shared<ScriptedLog>();
  ScriptedStream* last_ = nullptr;
  int n_ = 0;
  bool held_ = false, healthy_ = true;
};

}  // namespace plumb
