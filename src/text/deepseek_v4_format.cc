// The DeepSeek-V4 chat format, bound to a tokenizer.
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/chat_format.h"
#include "text/deepseek_v4_contract.h"
#include "text/deepseek_v4_literals.h"
#include "text/deepseek_v4_prompt.h"
#include "text/deepseek_v4_reply.h"

namespace plumb {
namespace {

using deepseek_v4::CallIds;
using deepseek_v4::ReplyTokens;

// "call_7" for the conversation's eighth call, so that ids stay distinct over its turns and the
// same conversation always gets the same ids. Ids that a client brought along are skipped.
CallIds sequential_ids(const Conversation& conversation) {
  std::set<std::string> taken;
  int next = 0;
  for (const Message& message : conversation.messages) {
    for (const ToolCall& call : message.tool_calls) taken.insert(call.id);
    next += static_cast<int>(message.tool_calls.size());
  }
  return [taken = std::move(taken), next](int) mutable {
    for (;;) {
      std::string id = str("call_", next++);
      if (!taken.contains(id)) return id;
    }
  };
}

class DeepSeekV4Format final : public ChatFormat {
 public:
  DeepSeekV4Format(const Tokenizer& tokenizer, const ReplyTokens& tokens)
      : tokenizer_(tokenizer), tokens_(tokens) {}

  Result<RenderedPrompt> render(const Conversation& conversation) const override {
    PLUMB_TRY(pieces, deepseek_v4::render_pieces(conversation));
    auto rendered = pieces.encode(tokenizer_);
    if (rendered && pieces.ends_in(deepseek_v4::kThink))
      rendered->end_of_reasoning = tokens_.end_think;
    return rendered;
  }

  std::unique_ptr<ReplyParser> make_parser(const Conversation& conversation) const override {
    // A conversation that cannot be rendered has no reply; its parser just reads content.
    const Result<PromptPieces> prompt = deepseek_v4::render_pieces(conversation);
    const bool reasoning = prompt && prompt->ends_in(deepseek_v4::kThink);
    return std::make_unique<deepseek_v4::ReplyReader>(tokenizer_, tokens_, reasoning,
                                                      sequential_ids(conversation));
  }

  Result<std::optional<grammar::RuleId>> reply_grammar(const Conversation& conversation,
                                                       const Contract& contract,
                                                       bool starts_in_reasoning,
                                                       grammar::Rules& rules) const override {
    std::vector<ToolSpec> tools = conversation.tools;
    for (const Message& message : conversation.messages)
      tools.insert(tools.end(), message.tools.begin(), message.tools.end());
    if (tools.empty() && contract == Contract()) return std::optional<grammar::RuleId>();
    PLUMB_TRY(rule,
              deepseek_v4::reply_grammar(rules, tools, contract, tokens_, starts_in_reasoning));
    return std::optional<grammar::RuleId>(rule);
  }

  std::vector<Token> stop_tokens() const override { return {tokens_.eos}; }

 private:
  const Tokenizer& tokenizer_;
  const ReplyTokens tokens_;
};

}  // namespace

Result<std::unique_ptr<const ChatFormat>> make_deepseek_v4_format(const Tokenizer& tokenizer) {
  ReplyTokens tokens;
  Token unused = -1;
  const std::initializer_list<std::pair<std::string_view, Token*>> needed = {
      {deepseek_v4::kBos, &unused},         {deepseek_v4::kEos, &tokens.eos},
      {deepseek_v4::kUser, &unused},        {deepseek_v4::kAssistant, &unused},
      {deepseek_v4::kThink, &tokens.think}, {deepseek_v4::kEndThink, &tokens.end_think},
      {deepseek_v4::kDsml, &tokens.dsml},
  };
  for (const auto& [name, token] : needed) {
    const Result<Token> found = tokenizer.control(name);
    if (!found) {
      return Error{Code::kUnsupported, str("The tokenizer has no control token ", name,
                                           ", which the DeepSeek-V4 chat format needs.")};
    }
    *token = *found;
  }
  return std::unique_ptr<const ChatFormat>(std::make_unique<DeepSeekV4Format>(tokenizer, tokens));
}

}  // namespace plumb
