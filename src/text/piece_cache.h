// Remembers what the pieces of one text became.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace plumb {

// Words come again: a table of fixed size (256 KiB, second-level cache), in which a newer piece
// replaces an older one. It lives as long as the encoding of one text, so that a tokenizer stays
// immutable. Thread-compatible.
class PieceCache {
 public:
  // From this size of a text on, the table is worth clearing.
  static constexpr std::size_t kWorthwhile = 16 << 10;

  PieceCache() : entries_(kEntries) {}

  // Appends the tokens of a piece that is not empty; false if it is not known.
  bool append(std::string_view piece, std::vector<Token>& out) const;
  void remember(std::string_view piece, std::span<const Token> tokens);

 private:
  static constexpr std::size_t kEntries = 4096;
  static constexpr std::size_t kMaxBytes = 16;
  static constexpr std::size_t kMaxTokens = 11;
  struct Key {
    std::uint64_t low = 0, high = 0;  // the bytes; different for different texts of one length
    bool operator==(const Key&) const = default;
  };
  struct Entry {  // one cache line
    Key key;
    std::uint8_t bytes = 0;  // 0: empty
    std::uint8_t tokens = 0;
    Token token[kMaxTokens];
  };
  static_assert(sizeof(Entry) == 64);
  static Key key_of(std::string_view piece);
  static std::size_t slot_of(const Key& key, std::size_t bytes);

  std::vector<Entry> entries_;
};

}  // namespace plumb
