// A tokenizer small enough to see through: one id per byte, then control tokens, then whatever a
// test adds. For tests of the chat formats, which must not depend on a vocabulary.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace plumb::fakes {

class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::initializer_list<std::string_view> controls) {
    for (int byte = 0; byte < 256; ++byte) bytes_.emplace_back(1, static_cast<char>(byte));
    for (const std::string_view name : controls) bytes_.emplace_back(name);
    controls_end_ = static_cast<Token>(bytes_.size());
  }

  // A text token of several bytes. encode() never uses it.
  Token add(std::string_view text) {
    bytes_.emplace_back(text);
    return static_cast<Token>(bytes_.size()) - 1;
  }
  // Forgets what add() made.
  void clear_added() { bytes_.resize(static_cast<std::size_t>(controls_end_)); }

  void encode(std::string_view text, std::vector<Token>& out) const override {
    for (const char c : text) out.push_back(static_cast<unsigned char>(c));
  }

  void encode_trusted(std::string_view text, std::vector<Token>& out) const override {
    while (!text.empty()) {
      Token found = static_cast<unsigned char>(text.front());
      for (Token token = 256; token < controls_end_; ++token) {
        if (text.starts_with(bytes(token))) found = token;
      }
      out.push_back(found);
      text.remove_prefix(bytes(found).size());
    }
  }

  Result<Token> control(std::string_view name) const override {
    for (Token token = 256; token < controls_end_; ++token) {
      if (bytes(token) == name) return token;
    }
    return Error{Code::kNotFound, "There is no control token " + std::string(name) + "."};
  }

  std::string_view bytes(Token token) const override {
    const bool known = token >= 0 && token < vocab_size();
    return known ? std::string_view(bytes_[static_cast<std::size_t>(token)]) : std::string_view();
  }
  bool is_control(Token token) const override { return token >= 256 && token < controls_end_; }
  int vocab_size() const override { return static_cast<int>(bytes_.size()); }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  std::vector<std::string> bytes_;
  Token controls_end_ = 0;
  std::string fingerprint_ = "byte tokenizer";
};

// With every control token of the DeepSeek-V4 chat format, and two that it does not use.
inline ByteTokenizer deepseek_v4_byte_tokenizer() {
  return ByteTokenizer({"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>",
                        "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜", "<｜latest_reminder｜>",
                        "<｜action｜>", "<｜query｜>", "<｜authority｜>", "<｜domain｜>", "<｜title｜>",
                        "<｜read_url｜>", "<｜▁pad▁｜>", "<|EOT|>"});
}

}  // namespace plumb::fakes
