// A tokenizer.json, read and checked.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "text/bpe.h"

namespace plumb {

// An added token: a name that stands for an id and takes no part in merging. All of them are
// control tokens here, whatever the file's "special" says (it only tells a decoder what to hide).
struct ControlToken {
  Token id = -1;
  std::string name;
  bool special = false;
  bool normalized = false;  // looked for after those that are not (encode_trusted)
};

struct TokenizerFile {
  std::vector<std::string> texts;  // bytes by id, of the tokens that merging knows; else empty
  std::array<Token, 256> byte_tokens{};
  std::vector<Merge> merges;           // in rank order; no control token takes part
  std::vector<ControlToken> controls;  // in the file's order; names and ids are unique
};

// Accepts one kind of tokenizer: byte-level BPE, no normaliser, the splitting of PieceSplitter.
// kUnsupported names the field and value that asks for anything else, kCorrupt what contradicts
// itself.
Result<TokenizerFile> parse_tokenizer_file(std::string_view tokenizer_json);

// The byte that a character of the byte alphabet stands for; -1 for other characters. Printable
// Latin-1 stands for itself, the other 68 bytes are U+0100... in order: so a vocabulary of any
// bytes can be written as text.
int byte_of_symbol(char32_t symbol);

}  // namespace plumb
