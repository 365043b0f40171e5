// Products of many tokens with tiled weights: columns of a tile are decoded once, into the nearest
// cache, and then meet all tokens. The chains are those of multiply_tiles(). Included by the files
// of a tier only (see lanes.h).
#pragma once

#include "device/cpu/together.h"
#include "device/cpu/units.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kDecodedCols = 128;   // of a tile: 8 KiB
inline constexpr int kDecodedTokens = 48;  // at once; their sums are kept in memory
inline constexpr int kDecodedFrom = 5;     // tokens, for which it pays
inline constexpr int kDecodedAtOnce = 6;   // tokens in registers

// Columns [0, n) of a tile that are decoded, [n][16]: every chain of `acc` goes on.
template <int M>
[[gnu::noinline]] void take_decoded(const float* w, int n, const float* const* x, int k,
                                    float (*acc)[kLanes]) {
  V sum[M];
  const float* row[M];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    sum[m] = load(acc[m]);
    row[m] = x[m] + k;
  }
  for (int i = 0; i < n; ++i, w += kLanes) {
    const V column = load(w);
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) sum[m] = fma(splat(row[m][i]), column, sum[m]);
  }
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) store(acc[m], sum[m]);
}

// `cols` columns of one tile, whose units lie `stride` bytes apart from `p` on.
template <Element E>
PLUMB_TIER_INLINE void decode_columns(const std::byte* p, std::ptrdiff_t stride, int cols, V scale,
                                      float* out) {
  using U = Unit<E>;
  for (int k = 0; k < cols; k += U::kCols, p += stride) {
    V w[U::kCols];
    U::read(p, scale, w);
    PLUMB_UNROLL
    for (int i = 0; i < U::kCols; ++i) store(out + (k + i) * kLanes, w[i]);
  }
}

// Columns [k, end) of the whole, decoded in `w`; `sum` takes the chains of blocks that end in them.
PLUMB_TIER_INLINE void take_columns(const TileProduct& a, const float* w, int k, int end,
                                    const float* const* x, int tokens, float (*acc)[kLanes],
                                    float (*sum)[kLanes]) {
  while (k < end) {
    const int block = a.k_block > 0 ? k - k % a.k_block + a.k_block : end;
    const int stop = block < end ? block : end;
    all_tokens<kDecodedAtOnce>(
        tokens, [&]<int M>(int m) { take_decoded<M>(w, stop - k, x + m, k, acc + m); });
    w += (stop - k) * kLanes;
    k = stop;
    if (a.k_block <= 0 || (k % a.k_block != 0 && k != a.shape.cols)) continue;
    for (int m = 0; m < tokens; ++m) {
      store(sum[m], add(load(sum[m]), load(acc[m])));
      store(acc[m], splat(0.0f));
    }
  }
}

// Tiles sub .. sub + S - 1 of a panel, times tokens [token, token + tokens).
template <Element E, int S>
[[gnu::noinline]] void multiply_decoded(const TileProduct& a, int panel, int sub, int token,
                                        int tokens) {
  using U = Unit<E>;
  const TileShape& shape = a.shape;
  const auto width = static_cast<std::size_t>(shape.panel_tiles(panel));
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float acc[S][kDecodedTokens][kLanes], sum[S][kDecodedTokens][kLanes];
  for (int s = 0; s < S; ++s) {
    for (int m = 0; m < tokens; ++m) {
      store(acc[s][m], splat(0.0f));
      store(sum[s][m], splat(0.0f));
    }
  }
  // One unit may reach past the columns that are wanted.
  alignas(64) float decoded[(kDecodedCols + 8) * kLanes];
  const float* const* x = a.x + token;
  for (int k = 0; k < shape.cols;) {
    const int group_end = k + shape.group_cols < shape.cols ? k + shape.group_cols : shape.cols;
    V scale[S];
    for (int s = 0; s < S; ++s) {
      scale[s] = U::kScaled ? read_scale(p + static_cast<std::size_t>(sub + s) * shape.scales(),
                                         shape.scale_bytes, U::kFactor)
                            : splat(U::kFactor);
    }
    p += width * shape.scales();
    while (k < group_end) {
      const int end = k + kDecodedCols < group_end ? k + kDecodedCols : group_end;
      for (int s = 0; s < S; ++s) {
        decode_columns<E>(p + (sub + s) * kUnitBytes,
                          static_cast<std::ptrdiff_t>(width) * kUnitBytes, end - k, scale[s],
                          decoded);
        take_columns(a, decoded, k, end, x, tokens, acc[s], sum[s]);
      }
      p += width * shape.codes(end - k);
      k = end;
    }
  }
  for (int s = 0; s < S; ++s) {
    const int row = (panel * kPanelTiles + sub + s) * kTileRows;
    for (int m = 0; m < tokens; ++m) {
      const V y = load(a.k_block > 0 ? sum[s][m] : acc[s][m]);
      store_rows(round_if(a.round_bf16, y), a.out[token + m] + (row - a.first_row),
                 shape.rows - row);
    }
  }
}

// All tokens, in even shares.
template <Element E, int S>
void multiply_many(const TileProduct& a, int panel, int sub) {
  const int shares = (a.tokens + kDecodedTokens - 1) / kDecodedTokens;
  const int share = (a.tokens + shares - 1) / shares;
  for (int token = 0; token < a.tokens; token += share) {
    const int left = a.tokens - token;
    multiply_decoded<E, S>(a, panel, sub, token, left < share ? left : share);
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
