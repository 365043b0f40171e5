// Our engine behind the Provider interface.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gateway/constraints.h"
#include "gateway/provider.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace plumb {

// Renders, tokenizes and submits on the caller's thread; on the consumer's, decodes, finds stop
// strings and parses the reply. Everything it borrows must outlive it and its streams. Thread-safe.
class LocalProvider final : public Provider {
 public:
  // `format` may be null: then only raw text and token ids can be asked for.
  LocalProvider(std::string model, const Tokenizer& tokenizer, const ChatFormat* format,
                Engine& engine)
      : model_(std::move(model)),
        tokenizer_(tokenizer),
        format_(format),
        engine_(engine),
        constraints_(tokenizer, format, engine.model().vocab) {}

  std::vector<ModelCard> models() const override;
  bool healthy() const override { return engine_.healthy(); }
  // kNotFound: another model's name. Else as in Engine::submit.
  Result<std::unique_ptr<ChatStream>> chat(ChatRequest request,
                                           const CallContext& context) override;

  Result<std::vector<Token>> tokenize(const std::string& model,
                                      const Prompt& prompt) const override;
  Result<std::string> detokenize(const std::string& model,
                                 std::span<const Token> tokens) const override;
  EngineStats stats() const override { return engine_.stats(); }

  // The prompt as the model will see it.
  Result<RenderedPrompt> render(const Prompt& prompt) const;

 private:
  Status check_model(const std::string& model) const;
  // Null: the reply needs none.
  Result<std::unique_ptr<TokenFilter>> filter(const ChatRequest& request, Token end_of_reasoning,
                                              std::vector<Token> ends);

  std::string model_;
  const Tokenizer& tokenizer_;
  const ChatFormat* format_;
  Engine& engine_;
  Constraints constraints_;
};

}  // namespace plumb
