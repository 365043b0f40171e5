// What grammars know of a tokenizer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "grammar/rules.h"
#include "grammar/token_trie.h"

namespace plumb::grammar {

// A set of tokens: token t is bit t mod 64 of word t / 64.
using TokenSet = std::vector<std::uint64_t>;

inline void insert(std::span<std::uint64_t> set, Token token) {
  set[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}
inline bool contains(std::span<const std::uint64_t> set, Token token) {
  return (set[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

// A character that every filler is as good as.
inline constexpr char kAnyFiller = 'a';

// The characters of this kind that a text begins with.
struct Fillers {
  int count = 0;
  std::size_t bytes = 0;
};
Fillers leading_fillers(std::string_view text, Filler filler);

// Immutable, thread-safe. Takes tens of milliseconds to make for a large vocabulary.
class Vocabulary {
 public:
  // texts[t]: the bytes of token t; empty: a grammar of text never allows it (control tokens).
  explicit Vocabulary(std::vector<std::string> texts);

  int size() const { return static_cast<int>(texts_.size()); }
  std::size_t words() const { return (texts_.size() + 63) / 64; }  // of a TokenSet
  std::string_view text(Token token) const { return texts_[static_cast<std::size_t>(token)]; }

  const TokenTrie& trie() const { return all_; }
  // What the other tokens hold behind the fillers that they begin with, by how many those are.
  const std::vector<TokenTrie>& behind(Filler filler) const { return kind(filler).behind; }
  std::string_view behind(Filler filler, Token token) const {
    const std::string_view all = text(token);
    return all.substr(all.size() - kind(filler).rest[static_cast<std::size_t>(token)]);
  }
  // The tokens made of at most so many fillers; kUnbounded: of any number.
  const TokenSet& fillers(Filler filler, int most) const;

 private:
  struct Kind {
    std::vector<TokenTrie> behind;    // [fillers before it]
    std::vector<std::uint32_t> rest;  // [tokens]: bytes behind the fillers
    std::vector<TokenSet> up_to;      // [0, longest]: at most so many
  };
  static Kind sorted_out(const std::vector<std::string>& texts, Filler filler);
  const Kind& kind(Filler filler) const { return filler == Filler::kJson ? json_ : raw_; }

  std::vector<std::string> texts_;
  TokenTrie all_;
  Kind json_, raw_;
};

}  // namespace plumb::grammar
