// Products with tiled weights. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

// Tiles and tokens held in registers at once: enough independent chains to hide the latency of a
// fused step, few enough accumulators to stay in registers.
#if defined(__AVX512F__)
inline constexpr int kMaxSub = 4, kMaxTokens = 6;
#elif defined(__AVX2__)
inline constexpr int kMaxSub = 2, kMaxTokens = 2;
#else
inline constexpr int kMaxSub = 1, kMaxTokens = 4;
#endif

// Codes of one tile: kStep columns at a time, and the factor that undoes what widening leaves.
template <Element E>
struct Codes {
  static constexpr int kStep = 1;
  static constexpr bool kScaled = E == Element::kF8E4M3;
  static constexpr float kFactor = E == Element::kF8E4M3 ? 256.0f : 1.0f;
  static constexpr int kBytes = kTileRows * (E == Element::kF32      ? 4
                                             : E == Element::kF8E4M3 ? 1
                                                                     : 2);

  PLUMB_TIER_INLINE void read(const std::byte* p, V scale, V (&w)[kStep]) {
    if constexpr (E == Element::kF32) w[0] = load(reinterpret_cast<const float*>(p));
    if constexpr (E == Element::kBF16) w[0] = widen_bf16(p);
    if constexpr (E == Element::kF16) w[0] = widen_f16(p);
    if constexpr (E == Element::kF8E4M3) w[0] = mul(widen_e4m3(p), scale);
  }
};

template <>
struct Codes<Element::kF4E2M1> {
  static constexpr int kStep = 2;
  static constexpr bool kScaled = true;
  static constexpr float kFactor = 1.0f;
  static constexpr int kBytes = kTileRows;

  PLUMB_TIER_INLINE void read(const std::byte* p, V scale, V (&w)[kStep]) {
    widen_e2m1(p, w[0], w[1]);
    w[0] = mul(w[0], scale);
    w[1] = mul(w[1], scale);
  }
};

PLUMB_TIER_INLINE V read_scale(const std::byte* p, int scale_bytes, float factor) {
  if (scale_bytes == 0) return splat(factor);
  return mul(scale_bytes == 1 ? widen_e8m0(p) : load(reinterpret_cast<const float*>(p)),
             splat(factor));
}

// The first `count` rows of a tile's results for one token.
PLUMB_TIER_INLINE void store_rows(V y, float* out, int count) {
  if (count >= kTileRows) return store(out, y);
  float lane[kLanes];
  store(lane, y);
  for (int l = 0; l < count; ++l) out[l] = lane[l];
}

// Tiles sub .. sub + S - 1 of a panel that is `width` tiles wide, times M tokens.
template <Element E, int S, int M>
[[gnu::noinline]] void multiply_tiles(const TileProduct& a, int panel, int sub, int token) {
  using C = Codes<E>;
  const TileShape& shape = a.shape;
  const auto width = static_cast<std::size_t>(shape.panel_tiles(panel));
  const std::byte* p = a.data + shape.panel_offset(panel);
  const float* x[M];
  V acc[M][S], sum[M][S], scale[S];
  for (int m = 0; m < M; ++m) {
    x[m] = a.x[token + m];
    for (int s = 0; s < S; ++s) acc[m][s] = sum[m][s] = splat(0.0f);
  }
  int k = 0;
  int stop = a.k_block > 0 ? a.k_block : shape.cols + 1;
  while (k < shape.cols) {
    const int group_end = k + shape.group_cols < shape.cols ? k + shape.group_cols : shape.cols;
    if constexpr (C::kScaled) {
      for (int s = 0; s < S; ++s) {
        scale[s] = read_scale(p + static_cast<std::size_t>(sub + s) * shape.scales(),
                              shape.scale_bytes, C::kFactor);
      }
    }
    p += width * shape.scales();
    const std::byte* codes = p + sub * C::kBytes;
    p += width * shape.codes(group_end - k);
    while (k < group_end) {
      const int end = group_end < stop ? group_end : stop;
      for (; k < end; k += C::kStep, codes += width * C::kBytes) {
        V w[S][C::kStep];
        for (int s = 0; s < S; ++s) C::read(codes + s * C::kBytes, scale[s], w[s]);
        for (int i = 0; i < C::kStep; ++i) {
          for (int m = 0; m < M; ++m) {
            const V value = splat(x[m][k + i]);
            for (int s = 0; s < S; ++s) acc[m][s] = fma(value, w[s][i], acc[m][s]);
          }
        }
      }
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
      store_rows(y, a.out[token + m] + row, shape.rows - row);
    }
  }
}

// All tokens against S tiles, as many at once as there are registers for.
template <Element E, int S>
void multiply_tokens(const TileProduct& a, int panel, int sub) {
  int token = 0;
  if constexpr (kMaxTokens >= 6) {
    for (; token + 6 <= a.tokens; token += 6) multiply_tiles<E, S, 6>(a, panel, sub, token);
  }
  if constexpr (kMaxTokens >= 4) {
    for (; token + 4 <= a.tokens; token += 4) multiply_tiles<E, S, 4>(a, panel, sub, token);
  }
  for (; token + 2 <= a.tokens; token += 2) multiply_tiles<E, S, 2>(a, panel, sub, token);
  for (; token < a.tokens; ++token) multiply_tiles<E, S, 1>(a, panel, sub, token);
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
