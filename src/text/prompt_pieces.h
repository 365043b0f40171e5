// A prompt before it becomes ids: plain text and control tokens, strictly apart.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace plumb {

// Grows from left to right. Neighbouring text is joined as it arrives, so that merges of the
// tokenizer cross the border between template and content, as they did in training. A control token
// comes from control() only: text that spells one stays text. Value type.
class PromptPieces {
 public:
  struct Piece {
    bool control = false;
    std::string text;  // plain text, or the control token's name
  };

  void text(std::string_view text);
  void control(std::string_view name);
  // A turn or tool block ends here. Forgotten if plain text follows, because the ids of the text
  // before would then depend on the text after.
  void boundary();

  const std::vector<Piece>& pieces() const { return pieces_; }
  bool ends_in(std::string_view control_name) const;

  // The prompt as one string, control tokens by name: what the published encoder returns.
  std::string str() const;
  // kUnsupported names a control token that the tokenizer lacks.
  Result<RenderedPrompt> encode(const Tokenizer& tokenizer) const;

 private:
  std::vector<Piece> pieces_;
  std::vector<std::size_t> boundaries_;  // counts of pieces before
};

}  // namespace plumb
