// Reply of a DeepSeek-V4 model → reasoning, content and tool calls, token by token (docs/CHAT.md).
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace plumb::deepseek_v4 {

// The ids that give a reply its structure.
struct ReplyTokens {
  Token eos = -1;
  Token think = -1;
  Token end_think = -1;
  Token dsml = -1;
};

// Names the call with the given index (from 0) within one reply.
using CallIds = std::function<std::string(int index)>;

// Only the DSML control token makes markup; the same characters as plain text are content. Control
// tokens that are no part of the reply's grammar are left out of reasoning and content, and spelled
// out inside argument values (a model that edits a file about itself needs them). Everything that
// the deltas join to is independent of how the text was cut into tokens. Never fails, holds back no
// more than the beginning of a possible tag. Thread-compatible; the tokenizer must outlive it.
class ReplyReader final : public ReplyParser {
 public:
  ReplyReader(const Tokenizer& tokenizer, const ReplyTokens& tokens, bool starts_in_reasoning,
              CallIds call_ids);

  void push(Token token, std::vector<ReplyDelta>& out) override;
  void finish(std::vector<ReplyDelta>& out) override;
  const std::vector<int>& unfinished_calls() const override { return unfinished_; }
  bool lost_markup() const override { return lost_markup_; }

 private:
  enum class State : unsigned char {
    kReasoning,
    kContent,
    kBlock,       // inside tool_calls, between calls
    kCall,        // inside an invoke, between parameters
    kValue,       // inside a parameter
    kBrokenCall,  // skipping what is left of a malformed call
    kAfterBlock,  // white space after tool_calls belongs to the markup
    kEnded,
  };
  using Deltas = std::vector<ReplyDelta>;

  // The unread input: text, with each control token as one byte (or a bracketed name) that cannot
  // occur in UTF-8.
  std::string_view rest() const { return std::string_view(buffer_).substr(head_); }
  void consume(std::size_t bytes) { head_ += bytes; }
  void append_control(Token token);
  void run(Deltas& out);

  // Each reads as much of rest() as it can decide on and returns whether to go on.
  bool step(Deltas& out);
  bool step_text(Deltas& out);
  bool step_text_mark(std::size_t mark, Deltas& out);
  bool step_block(Deltas& out);
  bool step_call(Deltas& out);
  bool step_value(Deltas& out);
  bool step_broken_call();
  bool step_after_block();

  bool open_call(std::size_t header, Deltas& out);
  bool open_parameter(std::size_t header, Deltas& out);
  void close_parameter(Deltas& out);
  void close_call(Deltas& out);
  void break_call();

  void emit_text(std::string_view text, Deltas& out);
  void emit_value(std::string_view text, Deltas& out);
  void emit_arguments(std::string fragment, Deltas& out);
  void skip_filler();

  const Tokenizer& tokenizer_;
  const ReplyTokens tokens_;
  const CallIds call_ids_;
  TextDecoder decoder_;
  std::string buffer_;
  std::size_t head_ = 0;
  State state_;
  bool segment_empty_ = true;  // nothing was delivered since this reasoning or content began

  int calls_ = 0;              // calls opened so far
  bool call_open_ = false;
  std::set<std::string> keys_;  // of the open call
  std::string key_;             // of the open parameter
  bool value_is_string_ = false;
  bool value_is_duplicate_ = false;
  std::string value_;  // JSON values are gathered here until they are complete

  std::vector<int> unfinished_;
  bool lost_markup_ = false;
};

}  // namespace plumb::deepseek_v4
