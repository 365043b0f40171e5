#include "text/prompt_pieces.h"

#include "base/strings.h"

namespace plumb {

void PromptPieces::text(std::string_view text) {
  if (text.empty()) return;
  if (pieces_.empty() || pieces_.back().control) {
    pieces_.push_back({.control = false, .text = std::string(text)});
    return;
  }
  if (!boundaries_.empty() && boundaries_.back() == pieces_.size()) boundaries_.pop_back();
  pieces_.back().text += text;
}

void PromptPieces::control(std::string_view name) {
  pieces_.push_back({.control = true, .text = std::string(name)});
}

void PromptPieces::boundary() {
  if (pieces_.empty() || (!boundaries_.empty() && boundaries_.back() == pieces_.size())) return;
  boundaries_.push_back(pieces_.size());
}

bool PromptPieces::ends_in(std::string_view control_name) const {
  return !pieces_.empty() && pieces_.back().control && pieces_.back().text == control_name;
}

std::string PromptPieces::str() const {
  std::string joined;
  for (const Piece& piece : pieces_) joined += piece.text;
  return joined;
}

Result<RenderedPrompt> PromptPieces::encode(const Tokenizer& tokenizer) const {
  RenderedPrompt prompt;
  auto boundary = boundaries_.begin();
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (piece.control) {
      const Result<Token> token = tokenizer.control(piece.text);
      if (!token) {
        return Error{Code::kUnsupported,
                     plumb::str("The conversation needs the control token ", piece.text,
                                ", which the model's tokenizer does not have.")};
      }
      prompt.tokens.push_back(*token);
    } else {
      tokenizer.encode(piece.text, prompt.tokens);
    }
    if (boundary != boundaries_.end() && *boundary == i + 1) {
      prompt.boundaries.push_back(static_cast<int>(prompt.tokens.size()));
      ++boundary;
    }
  }
  return prompt;
}

}  // namespace plumb
