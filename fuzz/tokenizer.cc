// Two doors. Bytes that begin like JSON are taken for a tokenizer.json: a sentence, or a tokenizer
// that gives every text back. Any others are a text for a small tokenizer: it comes back, and no
// spelling of a control token becomes one.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "text/tiny_tokenizer_for_tests.h"
#include "text/tokenizer.h"

namespace {

using plumb::Token;
using plumb::Tokenizer;

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> ids;
  tokenizer.encode(text, ids);
  std::string bytes, decoded;
  plumb::TextDecoder decoder(tokenizer);
  for (const Token id : ids) {
    PLUMB_CHECK(!tokenizer.is_control(id));
    bytes += tokenizer.bytes(id);
    decoded += decoder.push(id);
  }
  decoded += decoder.finish();
  PLUMB_CHECK(bytes == text);
  PLUMB_CHECK(decoded == plumb::replace_invalid_utf8(text));

  ids.clear();
  tokenizer.encode_trusted(text, ids);
  bytes.clear();
  for (const Token id : ids) bytes += tokenizer.bytes(id);
  PLUMB_CHECK(bytes == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.empty() && input[0] == '{') {
    const auto tokenizer = Tokenizer::load(input);
    if (tokenizer) {
      check_text(**tokenizer,
                 "the \xE4\xB8\xAD\xE6\x96\x87 <s> 12345\n\n\xFF" + std::string(input));
    } else {
      PLUMB_CHECK(!tokenizer.error().message.empty());
    }
    return 0;
  }
  static const std::unique_ptr<const Tokenizer> tiny =
      *Tokenizer::load(plumb::tiny_tokenizer_json());
  check_text(*tiny, input);
  return 0;
}
