// The prompt grammar of one model family, both directions.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "grammar/rules.h"
#include "text/chat.h"
#include "text/contract.h"
#include "text/tokenizer.h"

namespace plumb {

// Reads a reply token by token. Ids open a structure, bytes complete it: quoted markup in an answer
// (which has no control ids) stays an answer. Thread-compatible; one per reply.
class ReplyParser {
 public:
  virtual ~ReplyParser() = default;
  virtual void push(Token token, std::vector<ReplyDelta>& out) = 0;
  virtual void finish(std::vector<ReplyDelta>& out) = 0;  // closes whatever is open; never fails

  // After finish(): the indices of calls that were begun but cut off or malformed. They must not be
  // run; see ToolCallDelta.
  virtual const std::vector<int>& unfinished_calls() const = 0;
  // After finish(): some markup was cut off or malformed and was left out of the deltas. Always
  // true when unfinished_calls() is not empty; also when a call was cut before its name was
  // complete.
  virtual bool lost_markup() const = 0;
};

// A prompt as ids, plus what the cache and the user interface want to know about it.
struct RenderedPrompt {
  std::vector<Token> tokens;
  // Positions (token counts) at which a turn or tool block ends: good places for snapshots.
  std::vector<int> boundaries;
  Token end_of_reasoning =
      -1;  // the reply begins with reasoning, up to this token; -1: it does not
};

// Immutable, thread-safe.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  // kInvalid names the message and what it may hold.
  virtual Result<RenderedPrompt> render(const Conversation& conversation) const = 0;
  virtual std::unique_ptr<ReplyParser> make_parser(const Conversation& conversation) const = 0;
  virtual std::vector<Token> stop_tokens() const = 0;

  // The replies that keep the contract; nullopt: any does. kInvalid and kUnsupported say what of
  // the contract or of the tools cannot be kept.
  virtual Result<std::optional<grammar::RuleId>> reply_grammar(const Conversation& conversation,
                                                               const Contract& contract,
                                                               bool starts_in_reasoning,
                                                               grammar::Rules& rules) const = 0;
};

// The format that the checkpoint's tokenizer carries; kUnsupported names the missing control token.
// The tokenizer must outlive it.
Result<std::unique_ptr<const ChatFormat>> make_deepseek_v4_format(const Tokenizer& tokenizer);

}  // namespace plumb
