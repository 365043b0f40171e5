#include "text/tokenizer.h"

#include <cstdint>
#include <span>
#include <utility>

#include "base/digest.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/bpe.h"
#include "text/control_tokens.h"
#include "text/piece_cache.h"
#include "text/pretokenize.h"
#include "text/tokenizer_file.h"

namespace plumb {

namespace {

// Texts are prefixed with their length, so that no two tokenizers feed the same bytes.
std::string fingerprint_of(const TokenizerFile& file) {
  Sha256 digest;
  const auto number = [&](std::int64_t value) { digest.update(str(value, ";")); };
  const auto text = [&](std::string_view value) {
    number(static_cast<std::int64_t>(value.size()));
    digest.update(value);
  };
  text("plumb tokenizer 1");
  for (const std::string_view pattern : kSplitPatterns) text(pattern);
  number(static_cast<std::int64_t>(file.texts.size()));
  for (const std::string& bytes : file.texts) text(bytes);
  number(static_cast<std::int64_t>(file.merges.size()));
  for (const Merge& merge : file.merges) {
    number(merge.left);
    number(merge.right);
  }
  for (const ControlToken& control : file.controls) {
    number(control.id);
    text(control.name);
    number(control.normalized ? 1 : 0);
  }
  return hex(digest.finish());
}

// What the merging works on: nothing for control tokens.
Result<Bpe> build_bpe(const TokenizerFile& file) {
  const std::vector<std::string_view> texts(file.texts.begin(), file.texts.end());
  return Bpe::build(file.byte_tokens, file.merges, texts);
}

class BpeTokenizer final : public Tokenizer {
 public:
  // `bpe` looks into the texts of `file`, whose strings keep their place when the vector moves.
  BpeTokenizer(TokenizerFile file, Bpe bpe)
      : file_(std::move(file)),
        bpe_(std::move(bpe)),
        controls_(file_.controls),
        names_(file_.texts.size()),
        fingerprint_(fingerprint_of(file_)) {
    for (const ControlToken& control : file_.controls) names_[control.id] = control.name;
  }

  void encode(std::string_view text, std::vector<Token>& out) const override {
    PieceSplitter pieces(text);
    if (text.size() < PieceCache::kWorthwhile) {
      for (auto piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
        bpe_.encode(piece, out);
      }
      return;
    }
    PieceCache cache;
    for (auto piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
      if (cache.append(piece, out)) continue;
      const std::size_t before = out.size();
      bpe_.encode(piece, out);
      cache.remember(piece, std::span(out).subspan(before));
    }
  }

  void encode_trusted(std::string_view text, std::vector<Token>& out) const override {
    for (const ControlTokens::Part& part : controls_.split(text)) {
      if (part.control >= 0) {
        out.push_back(part.control);
      } else {
        encode(part.text, out);
      }
    }
  }

  Result<Token> control(std::string_view name) const override {
    const Token token = controls_.find(name);
    if (token >= 0) return token;
    return Error{Code::kNotFound,
                 str("The tokenizer has no control token named ", json_quote(name), ".")};
  }

  std::string_view bytes(Token token) const override {
    if (token < 0 || token >= vocab_size()) return {};
    return is_control(token) ? names_[token] : std::string_view(file_.texts[token]);
  }

  bool is_control(Token token) const override {
    return token >= 0 && token < vocab_size() && !names_[token].empty();
  }

  int vocab_size() const override { return static_cast<int>(file_.texts.size()); }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  TokenizerFile file_;
  Bpe bpe_;
  ControlTokens controls_;
  std::vector<std::string_view> names_;  // of control tokens, by id; else empty
  std::string fingerprint_;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> Tokenizer::load(std::string_view tokenizer_json) {
  PLUMB_TRY(file, parse_tokenizer_file(tokenizer_json));
  PLUMB_TRY(bpe, build_bpe(file));
  return std::unique_ptr<const Tokenizer>(
      std::make_unique<BpeTokenizer>(std::move(file), std::move(bpe)));
}

}  // namespace plumb
