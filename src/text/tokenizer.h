// Byte-level BPE from a tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace plumb {

// Immutable after load, safe to share between threads.
//
// Text and control tokens have separate doors. encode() can never produce a control token,
// whatever the text spells; only control() can. Everything that a user, a document or a tool wrote
// goes through encode().
class Tokenizer {
 public:
  // Builds from the bytes of a tokenizer.json. kCorrupt/kUnsupported name the field and its value.
  static Result<std::unique_ptr<const Tokenizer>> load(std::string_view tokenizer_json);
  virtual ~Tokenizer() = default;

  // Appends the ids of `text` (any bytes; invalid UTF-8 is encoded byte by byte) to `out`.
  virtual void encode(std::string_view text, std::vector<Token>& out) const = 0;
  // As encode(), but added (control) tokens that occur literally in `text` become their ids: what
  // the reference library does. For trusted text and for tests only.
  virtual void encode_trusted(std::string_view text, std::vector<Token>& out) const = 0;
  // The id of an added token by its exact name ("<｜User｜>"). kNotFound names it.
  virtual Result<Token> control(std::string_view name) const = 0;
  // The bytes a token stands for; may be half a UTF-8 sequence. A control token's bytes are its
  // name. Empty for ids that the vocabulary leaves unused or outside it.
  virtual std::string_view bytes(Token token) const = 0;
  virtual bool is_control(Token token) const = 0;
  virtual int vocab_size() const = 0;  // highest id + 1
  // SHA-256 (hex) of everything that decides ids: vocabulary, merges, added tokens, splitting.
  virtual const std::string& fingerprint() const = 0;
};

// Turns a token stream into text, holding back incomplete UTF-8. Bytes that can no longer become
// valid UTF-8 come out as U+FFFD. Thread-compatible.
class TextDecoder {
 public:
  explicit TextDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string push(Token token);  // the text that became complete
  std::string finish();           // what is left, replaced where incomplete

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace plumb
