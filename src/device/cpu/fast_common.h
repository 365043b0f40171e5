// What the products of `fast` numerics share on all instruction sets that have them. Included by
// the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/multiply.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kInt8Group = 128;  // columns under one scale of an activation row
inline constexpr int kFp4Block = 32;    // columns under one scale of a weight row

PLUMB_TIER_INLINE int int8_groups(int cols) { return (cols + kInt8Group - 1) / kInt8Group; }

PLUMB_TIER_INLINE const int* dwords_at(const std::byte* p) {
  return reinterpret_cast<const int*>(p);
}

// [token][tile][row] into the results of tokens [token, token + tokens).
template <int S>
PLUMB_TIER_INLINE void store_sums(const TileProduct& a, int panel, int sub, int token, int tokens,
                                  const float (*sum)[S][kLanes]) {
  for (int m = 0; m < tokens; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      const int row = (panel * kPanelTiles + sub + s) * kTileRows;
      store_rows(load(sum[m][s]), a.out[token + m] + (row - a.first_row), a.shape.rows - row);
    }
  }
}

// What comes next in memory is asked for bit by bit between the products.
struct Ahead {
  const std::byte* next = nullptr;
  int lines = 0;  // per call
  PLUMB_TIER_INLINE Ahead of(const std::byte* next, std::size_t bytes, int calls) {
    const int lines = static_cast<int>(bytes / 64) + 1;
    return {next, lines / calls + 1};
  }
  [[gnu::always_inline]] inline void ask() {
    for (int i = 0; i < lines; ++i, next += 64) __builtin_prefetch(next);
  }
};

}  // namespace plumb::cpu::PLUMB_TIER
