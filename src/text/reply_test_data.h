// For tests and fuzzing: replies as pieces of text and control tokens, cut into tokens at will.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fakes/byte_tokenizer.h"
#include "text/chat.h"
#include "text/deepseek_v4_literals.h"
#include "text/deepseek_v4_reply.h"

namespace plumb::chat_tests {

// What the deltas of a reply join to.
struct Reply {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
  std::vector<int> unfinished;
  bool lost_markup = false;
  bool operator==(const Reply&) const = default;
};

struct ReplyPiece {
  bool control = false;
  std::string text;
};

// `text`, with the names of control tokens as controls.
inline std::vector<ReplyPiece> control_pieces(const fakes::ByteTokenizer& tokenizer,
                                              std::string_view text) {
  std::vector<Token> tokens;
  tokenizer.encode_trusted(text, tokens);
  std::vector<ReplyPiece> pieces;
  for (const Token token : tokens) {
    const bool control = tokenizer.is_control(token);
    if (control || pieces.empty() || pieces.back().control) pieces.push_back({control, {}});
    pieces.back().text += tokenizer.bytes(token);
  }
  return pieces;
}

// The first `bytes` of the reply; a control token counts as one.
inline std::vector<ReplyPiece> beginning(const std::vector<ReplyPiece>& pieces, std::size_t bytes) {
  std::vector<ReplyPiece> cut;
  for (const ReplyPiece& piece : pieces) {
    if (bytes == 0) break;
    const std::size_t size = piece.control ? 1 : std::min(piece.text.size(), bytes);
    cut.push_back({piece.control, piece.control ? piece.text : piece.text.substr(0, size)});
    bytes -= size;
  }
  return cut;
}

inline std::size_t size_of(const std::vector<ReplyPiece>& pieces) {
  std::size_t size = 0;
  for (const ReplyPiece& piece : pieces) size += piece.control ? 1 : piece.text.size();
  return size;
}

// A reader and what it has delivered so far.
class ReplyStream {
 public:
  ReplyStream(fakes::ByteTokenizer& tokenizer, bool thinking)
      : tokenizer_(tokenizer),
        reader_(tokenizer,
                {.eos = *tokenizer.control(deepseek_v4::kEos),
                 .think = *tokenizer.control(deepseek_v4::kThink),
                 .end_think = *tokenizer.control(deepseek_v4::kEndThink),
                 .dsml = *tokenizer.control(deepseek_v4::kDsml)},
                thinking, [](int index) { return "call_" + std::to_string(index); }) {}

  // Text is pushed in tokens of the sizes that `next_size` gives (bytes; at least 1).
  void push_text(
      const std::vector<ReplyPiece>& pieces,
      const std::function<std::size_t()>& next_size = [] { return std::size_t{1}; }) {
    for (const ReplyPiece& piece : pieces) {
      if (piece.control) {
        push(*tokenizer_.control(piece.text));
        continue;
      }
      std::string_view rest = piece.text;
      while (!rest.empty()) {
        const std::string_view token = rest.substr(0, next_size());
        push(token.size() == 1 ? static_cast<unsigned char>(token[0]) : tokenizer_.add(token));
        rest.remove_prefix(token.size());
      }
    }
  }

  void push(Token token) {
    std::vector<ReplyDelta> out;
    reader_.push(token, out);
    take(out);
  }

  void finish() {
    std::vector<ReplyDelta> out;
    reader_.finish(out);
    take(out);
    reply_.unfinished = reader_.unfinished_calls();
    reply_.lost_markup = reader_.lost_markup();
  }

  const Reply& reply() const { return reply_; }

 private:
  void take(const std::vector<ReplyDelta>& deltas) {
    for (const ReplyDelta& delta : deltas) {
      if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta))
        reply_.reasoning += reasoning->text;
      if (const auto* content = std::get_if<ContentDelta>(&delta)) reply_.content += content->text;
      const auto* call = std::get_if<ToolCallDelta>(&delta);
      if (!call) continue;
      if (static_cast<std::size_t>(call->index) == reply_.calls.size()) {
        reply_.calls.push_back({call->id, call->name, {}});
      }
      reply_.calls.at(static_cast<std::size_t>(call->index)).arguments += call->arguments;
    }
  }

  fakes::ByteTokenizer& tokenizer_;
  deepseek_v4::ReplyReader reader_;
  Reply reply_;
};

inline Reply read_reply(
    fakes::ByteTokenizer& tokenizer, const std::vector<ReplyPiece>& pieces, bool thinking,
    const std::function<std::size_t()>& next_size = [] { return std::size_t{1}; }) {
  ReplyStream stream(tokenizer, thinking);
  stream.push_text(pieces, next_size);
  stream.finish();
  tokenizer.clear_added();
  return stream.reply();
}

}  // namespace plumb::chat_tests
