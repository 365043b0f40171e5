// What one sequence has to remember, as told by the model.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/types.h"

namespace plumb {

// Rows that only grow: one per tokens_per_row tokens. Kept in pages, shareable between sequences.
struct RowStream {
  std::string name;  // "L07.compressed", for dumps and messages
  int bytes_per_row = 0;
  int tokens_per_row = 1;  // a divisor of StateLayout::page_tokens
  std::string encoding{};  // for the fingerprint: what the bytes mean where their number does not say
};

// Recent raw rows, one per token, kept in a ring (slot = position mod capacity). A sequence of n
// tokens needs the rows of its last needed(n) positions and nothing else.
struct TailRing {
  std::string name;
  int bytes_per_row = 0;
  int keep = 0;      // rows always needed
  int keep_mod = 0;  // plus n mod keep_mod more (0: none)
  int capacity = 0;  // keep + max(keep_mod - 1, 0) + StateLayout::max_rewind

  Pos needed(Pos n) const {
    const Pos rows = keep + (keep_mod > 0 ? n % keep_mod : 0);
    return rows < n ? rows : n;
  }
};

// Immutable. Two kinds of memory: rows (append-only, paged, shareable) and a tail (small, fixed,
// private to a sequence).
struct StateLayout {
  std::vector<RowStream> streams;
  std::vector<TailRing> tail;
  int page_tokens = 128;  // tokens of one page; snapshots lie at its multiples
  int max_rewind = 0;     // truncate() can go back this far, exactly

  std::size_t page_bytes() const;        // of all streams
  std::size_t tail_bytes() const;        // of all rings, each aligned to 64 bytes
  std::size_t tail_offset(int ring) const;
  std::size_t packed_tail_bytes(Pos n) const;  // minimal form for a sequence of n tokens
  double bytes_per_token() const;        // growth of the rows with context
  std::string fingerprint() const;       // changes whenever saved bytes would be misread
};

}  // namespace plumb
