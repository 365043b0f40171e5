// Merging the byte pairs of one piece.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "text/piece_table.h"

namespace plumb {

// A merge rule; its rank is its place in the list, lower ranks first.
struct Merge {
  Token left = -1;
  Token right = -1;
  Token result = -1;
};

// Exact byte-pair merging: of all adjacent pairs that have a rule, the one of lowest rank is
// merged, the leftmost of equals, until none is left. Immutable, safe to share between threads.
class Bpe {
 public:
  static constexpr Token kMaxToken = (1 << 21) - 1;
  static constexpr std::size_t kMaxMerges = (std::size_t{1} << 22) - 2;

  // `byte_tokens`: the token of each byte. `merges` in rank order. `texts`: the bytes of each token
  // by id, empty for those that merging does not make; they must outlive this object. kCorrupt
  // names a pair that has two rules, kUnsupported what is beyond the limits above.
  static Result<Bpe> build(const std::array<Token, 256>& byte_tokens, std::span<const Merge> merges,
                           std::span<const std::string_view> texts);

  // Appends the tokens of a piece that is not empty. Time is linear in its length.
  void encode(std::string_view piece, std::vector<Token>& out) const;

 private:
  struct Symbols;
  struct Window;

  explicit Bpe(std::size_t texts) : whole_(texts) {}
  Status add_rules(std::span<const Merge> merges);
  void find_whole_characters(std::span<const Merge> merges,
                             std::span<const std::string_view> texts);
  Token whole_character(std::string_view text) const;
  // The rank of the rule that joins two tokens; kNoRank if there is none.
  std::uint32_t rank(Token left, Token right) const;

  void merge_piece(std::string_view piece, std::vector<Token>& out) const;
  void split_symbols(std::string_view text, Symbols& symbols) const;
  void merge_symbols(Symbols& symbols) const;
  void merge_window(std::string_view piece, std::size_t begin, Window& window) const;
  void merge_long(std::string_view piece, std::vector<Token>& out) const;
  void merge_at_once(std::string_view piece, std::vector<Token>& out) const;

  std::array<Token, 256> byte_tokens_{};
  std::vector<std::uint32_t> byte_pair_ranks_;  // [left byte][right byte]
  std::vector<Token> results_;                  // by rank
  std::vector<std::uint64_t> rules_;            // hash table; left (21 bits), right (21), rank (22)
  std::vector<std::uint64_t> filter_;           // a bit per hash: clear where no rule has that hash
  int filter_shift_ = 0;
  std::vector<Token> characters_;  // by code point below 2^16; -1: begin with its bytes
  PieceTable whole_;               // tokens whose own bytes merge to just that token
};

}  // namespace plumb
