// Products with tiled weights. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/multiply_decoded.h"

namespace plumb::cpu::PLUMB_TIER {

// Tiles and tokens held in registers at once: enough independent chains to hide the latency of a
// fused step, few enough accumulators to stay in registers.
#if defined(__AVX512F__)
inline constexpr int kMaxSub = 4, kMaxTokens = 6, kMaxChains = 24;
inline constexpr bool kDecodesForMany = false;
#elif defined(__AVX2__)
inline constexpr int kMaxSub = 4, kMaxTokens = 2, kMaxChains = 4;
inline constexpr bool kDecodesForMany = true;
#elif defined(PLUMB_NEON)
inline constexpr int kMaxSub = 2, kMaxTokens = 2, kMaxChains = 4;
inline constexpr bool kDecodesForMany = true;
#else
inline constexpr int kMaxSub = 1, kMaxTokens = 2, kMaxChains = 2;
inline constexpr bool kDecodesForMany = false;
#endif

// acc[m][s] takes columns [first, last) of the unit that lies at `p` for tile 0 and begins at
// column k of the tokens' rows.
template <class U, int S, int M>
PLUMB_TIER_INLINE void take_unit(const std::byte* p, const V (&scale)[S],
                                 const float* const (&x)[M], int k, int first, int last,
                                 V (&acc)[M][S]) {
  for (int s = 0; s < S; ++s) {
    V w[U::kCols];
    U::read(p + s * kUnitBytes, scale[s], w);
    for (int i = first; i < last; ++i) {
      for (int m = 0; m < M; ++m) acc[m][s] = fma(splat(x[m][k + i]), w[i], acc[m][s]);
    }
  }
}

// Tiles sub .. sub + S - 1 of a panel that is `width` tiles wide, times M tokens.
template <Element E, int S, int M>
[[gnu::noinline]] void multiply_tiles(const TileProduct& a, int panel, int sub, int token) {
  using U = Unit<E>;
  const TileShape& shape = a.shape;
  const auto width = static_cast<std::size_t>(shape.panel_tiles(panel));
  const std::byte* p = a.data + shape.panel_offset(panel);
  const float* x[M];
  V acc[M][S], sum[M][S], scale[S];
  for (int m = 0; m < M; ++m) {
    x[m] = a.x[token + m];
    for (int s = 0; s < S; ++s) acc[m][s] = sum[m][s] = splat(0.0f);
  }
  for (int s = 0; s < S; ++s) scale[s] = splat(U::kFactor);
  int k = 0;
  int stop = a.k_block > 0 ? a.k_block : shape.cols + 1;
  while (k < shape.cols) {
    const int group_end = k + shape.group_cols < shape.cols ? k + shape.group_cols : shape.cols;
    if constexpr (U::kScaled) {
      for (int s = 0; s < S; ++s) {
        scale[s] = read_scale(p + static_cast<std::size_t>(sub + s) * shape.scales(),
                              shape.scale_bytes, U::kFactor);
      }
    }
    p += width * shape.scales();
    const std::byte* unit = p + sub * kUnitBytes;
    p += width * shape.codes(group_end - k);
    int in_unit = 0;  // columns of the unit at hand that are done
    while (k < group_end) {
      const int end = group_end < stop ? group_end : stop;
      for (; in_unit == 0 && k + U::kCols <= end; k += U::kCols, unit += width * kUnitBytes) {
        take_unit<U>(unit, scale, x, k, 0, U::kCols, acc);
      }
      while (k < end) {
        const int last = in_unit + (end - k) < U::kCols ? in_unit + (end - k) : U::kCols;
        take_unit<U>(unit, scale, x, k - in_unit, in_unit, last, acc);
        k += last - in_unit;
        in_unit = last % U::kCols;
        if (in_unit == 0) unit += width * kUnitBytes;
        if (in_unit == 0 && k + U::kCols <= end) break;
      }
      if (k < end) continue;
      if (k < stop && !(k == shape.cols && a.k_block > 0)) continue;
      stop += a.k_block;
      for (int m = 0; m < M; ++m) {
        for (int s = 0; s < S; ++s) {
          sum[m][s] = add(sum[m][s], acc[m][s]);
          acc[m][s] = splat(0.0f);
        }
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) {
      const int row = (panel * kPanelTiles + sub + s) * kTileRows;
      const V y = round_if(a.round_bf16, a.k_block > 0 ? sum[m][s] : acc[m][s]);
      store_rows(y, a.out[token + m] + (row - a.first_row), shape.rows - row);
    }
  }
}

// M tokens against S tiles, as many tiles at once as there are registers for.
template <Element E, int S, int M>
PLUMB_TIER_INLINE void multiply_some(const TileProduct& a, int panel, int sub, int token) {
  constexpr int kSome = S * M <= kMaxChains ? S : kMaxChains / M;
  for (int s = 0; s < S; s += kSome) multiply_tiles<E, kSome, M>(a, panel, sub + s, token);
}

// All tokens against S tiles, as many at once as there are registers for.
template <Element E, int S>
void multiply_tokens(const TileProduct& a, int panel, int sub) {
  if constexpr (kDecodesForMany) {
    if (a.tokens >= kDecodedFrom) return multiply_many<E, S>(a, panel, sub);
  }
  int token = 0;
  if constexpr (kMaxTokens >= 6) {
    for (; token + 6 <= a.tokens; token += 6) multiply_some<E, S, 6>(a, panel, sub, token);
  }
  if constexpr (kMaxTokens >= 4) {
    for (; token + 4 <= a.tokens; token += 4) multiply_some<E, S, 4>(a, panel, sub, token);
  }
  for (; token + 2 <= a.tokens; token += 2) multiply_some<E, S, 2>(a, panel, sub, token);
  for (; token < a.tokens; ++token) multiply_some<E, S, 1>(a, panel, sub, token);
}

template <Element E>
void multiply_element(const TileProduct& a) {
  for (int tile = a.first_tile; tile < a.last_tile;) {
    const int panel = tile / kPanelTiles, sub = tile % kPanelTiles;
    const int end =
        a.last_tile < (panel + 1) * kPanelTiles ? a.last_tile : (panel + 1) * kPanelTiles;
    const int left = end - tile;
    if (kMaxSub >= 4 && left >= 4) {
      multiply_tokens<E, kMaxSub >= 4 ? 4 : 1>(a, panel, sub);
      tile += 4;
    } else if (kMaxSub >= 2 && left >= 2) {
      multiply_tokens<E, kMaxSub >= 2 ? 2 : 1>(a, panel, sub);
      tile += 2;
    } else {
      multiply_tokens<E, 1>(a, panel, sub);
      tile += 1;
    }
  }
}

PLUMB_TIER_INLINE void multiply_any(const TileProduct& a) {
  switch (a.element) {
    case Element::kF32:
      return multiply_element<Element::kF32>(a);
    case Element::kBF16:
      return multiply_element<Element::kBF16>(a);
    case Element::kF16:
      return multiply_element<Element::kF16>(a);
    case Element::kF8E4M3:
      return multiply_element<Element::kF8E4M3>(a);
    case Element::kF4E2M1:
      return multiply_element<Element::kF4E2M1>(a);
    default:
      return;  // check_tileable lets nothing else through
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
