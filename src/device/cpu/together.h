// Tokens and tiles are taken together, as many as registers hold. Included by the files of a tier
// only (see lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

// Loops over registers: GCC leaves arrays in memory where it does not unroll them itself.
#if !defined(PLUMB_UNROLL)
#define PLUMB_UNROLL _Pragma("GCC unroll 16")
#endif

// body<M>(token) for all tokens, as many at once as registers hold; the last ones in two halves
// rather than a few alone.
template <int Most, class Body>
PLUMB_TIER_INLINE void some_tokens(int count, int token, Body&& body) {
  if constexpr (Most > 0) {
    if (count == Most) return body.template operator()<Most>(token);
    some_tokens<Most - 1>(count, token, body);
  }
}
template <int Most, class Body>
PLUMB_TIER_INLINE void all_tokens(int tokens, Body&& body) {
  int token = 0;
  for (; token + 2 * Most <= tokens; token += Most) body.template operator()<Most>(token);
  const int left = tokens - token, half = left > Most ? (left + 1) / 2 : left;
  some_tokens<Most>(half, token, body);
  some_tokens<Most>(left - half, token + half, body);
}

// body<S>(panel, sub) for all tiles: four at once, one stream of memory, where a panel has them.
template <class Body>
PLUMB_TIER_INLINE void all_tiles(const TileProduct& a, Body&& body) {
  for (int tile = a.first_tile; tile < a.last_tile;) {
    const int panel = tile / kPanelTiles, sub = tile % kPanelTiles;
    const int end =
        a.last_tile < (panel + 1) * kPanelTiles ? a.last_tile : (panel + 1) * kPanelTiles;
    const int left = end - tile, some = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (some == 4) body.template operator()<4>(panel, sub);
    if (some == 2) body.template operator()<2>(panel, sub);
    if (some == 1) body.template operator()<1>(panel, sub);
    tile += some;
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
