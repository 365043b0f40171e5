// From the bytes of a whole piece to its token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace plumb {

// A hash table made for one question: is this piece, as it stands, a token? Most pieces of western
// text are. Up to eight bytes are compared without leaving the slot. The texts put in must outlive
// the table. Thread-compatible.
class PieceTable {
 public:
  // Room for `capacity` texts.
  explicit PieceTable(std::size_t capacity);
  // `text` is not empty and not in the table, and there is room.
  void insert(std::string_view text, Token token);
  // -1: not in the table.
  Token find(std::string_view text) const;

 private:
  struct Slot {
    std::uint64_t key = 0;     // up to eight bytes: the bytes; longer: their address
    std::uint32_t length = 0;  // 0: an empty slot
    Token token = -1;
  };

  std::vector<Slot> slots_;  // a power of two, at most half in use
  std::size_t count_ = 0;
};

}  // namespace plumb
