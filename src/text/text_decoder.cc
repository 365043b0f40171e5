#include <utility>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace plumb {

std::string TextDecoder::push(Token token) {
  pending_ += tokenizer_.bytes(token);
  const std::size_t ready = complete_utf8_prefix(pending_);
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, ready));
  pending_.erase(0, ready);
  return text;
}

std::string TextDecoder::finish() { return replace_invalid_utf8(std::exchange(pending_, {})); }

}  // namespace plumb
