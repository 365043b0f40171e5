// Products of `fast` numerics: E2M1 weights with int8 activations, E4M3 and bfloat16 weights with
// bfloat16 activations. Included by the files of tiers that have both dot products (see lanes.h).
//
// An output is one chain over k here too: the same for one token and for many. Few tokens decode
// weights between products, in registers; many have them decoded beforehand (multiply_many.h).
#pragma once

#include "device/cpu/multiply_many.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kPrefetch = 4 * 1024;  // bytes ahead, where memory is what limits

PLUMB_TIER_INLINE __m512bh pair_of(const std::uint32_t* pairs, int i) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[i])));
}

template <int S, int M>
PLUMB_TIER_INLINE void store_products(const TileProduct& a, int panel, int sub, int token,
                                      const V (&y)[M][S]) {
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) {
      const int row = (panel * kPanelTiles + sub + s) * kTileRows;
      store_rows(y[m][s], a.out[token + m] + (row - a.first_row), a.shape.rows - row);
    }
  }
}

template <int S, int M>
PLUMB_TIER_INLINE void store_sums(const TileProduct& a, int panel, int sub, int token,
                                  const float (&sum)[M][S][kLanes]) {
  V y[M][S];
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) y[m][s] = load(sum[m][s]);
  }
  store_products<S, M>(a, panel, sub, token, y);
}

template <int M>
PLUMB_TIER_INLINE void prefetch(const std::byte* p) {
  if constexpr (M <= 2) _mm_prefetch(reinterpret_cast<const char*>(p + kPrefetch), _MM_HINT_T0);
}

// One partial sum per group, scaled and added to the running sum.
template <int S, int M>
[[gnu::noinline]] void fast_e4m3(const TileProduct& a, int panel, int sub, int token) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel);
  const std::byte* p = a.data + shape.panel_offset(panel);
  const E4m3Pairs table = E4m3Pairs::load();
  const std::uint32_t* x[M];
  for (int m = 0; m < M; ++m) {
    x[m] = reinterpret_cast<const std::uint32_t*>(a.prepared[token + m]);
  }
  // In memory: the registers are for what every unit needs.
  alignas(64) float sum[M][S][kLanes] = {};
  for (int k = 0; k < shape.cols; k += shape.group_cols) {
    const int end = k + shape.group_cols < shape.cols ? k + shape.group_cols : shape.cols;
    const std::byte* scales = p + static_cast<std::size_t>(sub) * shape.scales();
    p += static_cast<std::size_t>(width) * shape.scales();
    const std::byte* unit = p + sub * kUnitBytes;
    p += static_cast<std::size_t>(width) * shape.codes(end - k);
    __m512 acc[M][S];
    for (int m = 0; m < M; ++m) {
      for (int s = 0; s < S; ++s) acc[m][s] = _mm512_setzero_ps();
    }
    for (int i = k / 2; i < (end + 1) / 2; i += 2, unit += width * kUnitBytes) {
      __m512bh first[S], second[S];
      for (int s = 0; s < S; ++s) {
        prefetch<M>(unit + s * kUnitBytes);
        table.read(unit + s * kUnitBytes, first[s], second[s]);
      }
      for (int m = 0; m < M; ++m) {
        const __m512bh value = pair_of(x[m], i);
        for (int s = 0; s < S; ++s) acc[m][s] = _mm512_dpbf16_ps(acc[m][s], first[s], value);
      }
      for (int m = 0; m < M; ++m) {
        const __m512bh value = pair_of(x[m], i + 1);
        for (int s = 0; s < S; ++s) acc[m][s] = _mm512_dpbf16_ps(acc[m][s], second[s], value);
      }
    }
    for (int s = 0; s < S; ++s) {
      const V scale = read_scale(scales + static_cast<std::size_t>(s) * shape.scales(),
                                 shape.scale_bytes, 1.0f);
      for (int m = 0; m < M; ++m) {
        store(sum[m][s], fma(V{acc[m][s]}, scale, load(sum[m][s])));
      }
    }
  }
  store_sums<S, M>(a, panel, sub, token, sum);
}

template <int S, int M>
[[gnu::noinline]] void fast_bf16(const TileProduct& a, int panel, int sub, int token) {
  const int width = a.shape.panel_tiles(panel);
  const std::byte* unit = a.data + a.shape.panel_offset(panel) + sub * kUnitBytes;
  const std::uint32_t* x[M];
  V acc[M][S];
  for (int m = 0; m < M; ++m) {
    x[m] = reinterpret_cast<const std::uint32_t*>(a.prepared[token + m]);
    for (int s = 0; s < S; ++s) acc[m][s] = splat(0.0f);
  }
  for (int i = 0; i < (a.shape.cols + 1) / 2; ++i, unit += width * kUnitBytes) {
    __m512bh w[S];
    for (int s = 0; s < S; ++s) {
      prefetch<M>(unit + s * kUnitBytes);
      w[s] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(unit + s * kUnitBytes));
    }
    for (int m = 0; m < M; ++m) {
      const __m512bh value = pair_of(x[m], i);
      for (int s = 0; s < S; ++s) acc[m][s].v = _mm512_dpbf16_ps(acc[m][s].v, w[s], value);
    }
  }
  store_products<S, M>(a, panel, sub, token, acc);
}

// 32 columns of S neighbouring tiles times M tokens: exact integers, twice the sum of products.
template <int S, int M>
PLUMB_TIER_INLINE void fp4_block(const std::byte* unit, int stride, const std::byte* const (&x)[M],
                                 const std::int32_t* const (&correction)[M], int k,
                                 __m512i (&acc)[M][S]) {
  const E2m1Bytes bytes = E2m1Bytes::load();
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) acc[m][s] = _mm512_set1_epi32(correction[m][k / kFp4Block]);
  }
  for (int u = 0; u < 4; ++u, unit += stride) {
    __m512i even[S], odd[S];
    for (int s = 0; s < S; ++s) {
      prefetch<M>(unit + s * kUnitBytes);
      bytes.read(unit + s * kUnitBytes, even[s], odd[s]);
    }
    for (int m = 0; m < M; ++m) {
      const auto* codes = reinterpret_cast<const int*>(x[m] + k + 8 * u);
      const __m512i first = _mm512_set1_epi32(codes[0]);
      for (int s = 0; s < S; ++s) acc[m][s] = _mm512_dpbusd_epi32(acc[m][s], even[s], first);
    }
    for (int m = 0; m < M; ++m) {
      const auto* codes = reinterpret_cast<const int*>(x[m] + k + 8 * u);
      const __m512i second = _mm512_set1_epi32(codes[1]);
      for (int s = 0; s < S; ++s) acc[m][s] = _mm512_dpbusd_epi32(acc[m][s], odd[s], second);
    }
  }
}

// Per 32 columns the integer times the weight's scale, added over 128 columns; that times the
// activation's scale, added to the running sum.
template <int S, int M>
[[gnu::noinline]] void fast_e2m1(const TileProduct& a, int panel, int sub, int token) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel), cols = shape.cols;
  const std::byte* p = a.data + shape.panel_offset(panel);
  const std::byte* x[M];
  const float* factor[M];
  const std::int32_t* correction[M];
  for (int m = 0; m < M; ++m) {
    x[m] = a.prepared[token + m];
    factor[m] = reinterpret_cast<const float*>(x[m] + int8_groups(cols) * kInt8Group);
    correction[m] = reinterpret_cast<const std::int32_t*>(factor[m] + int8_groups(cols));
  }
  alignas(64) float sum[M][S][kLanes] = {};
  const std::size_t group_bytes =
      static_cast<std::size_t>(width) * (shape.scales() + shape.codes(kFp4Block));
  for (int k = 0; k < cols; k += kInt8Group) {
    V part[M][S];
    for (int m = 0; m < M; ++m) {
      for (int s = 0; s < S; ++s) part[m][s] = splat(0.0f);
    }
    const int end = k + kInt8Group < cols ? k + kInt8Group : cols;
    for (int b = k; b < end; b += kFp4Block, p += group_bytes) {
      const std::byte* units = p + static_cast<std::size_t>(width) * shape.scales();
      constexpr int kPair = S < 2 ? 1 : 2;  // tiles that registers hold beside everything else
      for (int s = 0; s < S; s += kPair) {
        __m512i acc[M][kPair];
        fp4_block<kPair, M>(units + (sub + s) * kUnitBytes, width * kUnitBytes, x, correction, b,
                            acc);
        for (int i = 0; i < kPair; ++i) {
          const V scale = read_scale(p + static_cast<std::size_t>(sub + s + i) * shape.scales(),
                                     shape.scale_bytes, 1.0f);
          for (int m = 0; m < M; ++m) {
            part[m][s + i] = fma(V{_mm512_cvtepi32_ps(acc[m][i])}, scale, part[m][s + i]);
          }
        }
      }
    }
    for (int m = 0; m < M; ++m) {
      const V f = splat(factor[m][k / kInt8Group]);
      for (int s = 0; s < S; ++s) store(sum[m][s], fma(part[m][s], f, load(sum[m][s])));
    }
  }
  store_sums<S, M>(a, panel, sub, token, sum);
}

template <Element E, int S, int M>
PLUMB_TIER_INLINE void fast_tiles(const TileProduct& a, int panel, int sub, int token) {
  if constexpr (E == Element::kF8E4M3) fast_e4m3<S, M>(a, panel, sub, token);
  if constexpr (E == Element::kBF16) fast_bf16<S, M>(a, panel, sub, token);
  if constexpr (E == Element::kF4E2M1) fast_e2m1<S, M>(a, panel, sub, token);
}

// At most `Most` tokens from `token` on; the number is a constant inside.
template <Element E, int S, int Most>
PLUMB_TIER_INLINE void fast_few(const TileProduct& a, int panel, int sub, int token) {
  if constexpr (Most > 0) {
    if (a.tokens - token == Most) return fast_tiles<E, S, Most>(a, panel, sub, token);
    fast_few<E, S, Most - 1>(a, panel, sub, token);
  }
}

// All tokens against S tiles, `Most` at a time.
template <Element E, int S, int Most>
PLUMB_TIER_INLINE void fast_tokens(const TileProduct& a, int panel, int sub) {
  int token = 0;
  for (; token + Most <= a.tokens; token += Most) fast_tiles<E, S, Most>(a, panel, sub, token);
  fast_few<E, S, Most - 1>(a, panel, sub, token);
}

// From this many tokens on, weights are decoded beforehand.
inline constexpr int kFewTokens = 8;

// Few tokens take four tiles at once, one stream of memory, where registers hold them.
template <Element E>
void fast_element(const TileProduct& a) {
  const bool many = a.tokens >= kFewTokens && suits_many<E>(a.shape);
  for (int tile = a.first_tile; tile < a.last_tile;) {
    const int panel = tile / kPanelTiles, sub = tile % kPanelTiles;
    const int end =
        a.last_tile < (panel + 1) * kPanelTiles ? a.last_tile : (panel + 1) * kPanelTiles;
    const int left = end - tile;
    if (many) {
      if (left >= 4) {
        many_tokens<E, 4>(a, panel, sub);
      } else if (left >= 2) {
        many_tokens<E, 2>(a, panel, sub);
      } else {
        many_tokens<E, 1>(a, panel, sub);
      }
      tile += left >= 4 ? 4 : left >= 2 ? 2 : 1;
    } else if (a.tokens <= 3 && left >= 4) {
      fast_tokens<E, 4, 3>(a, panel, sub);
      tile += 4;
    } else if (left >= 2) {
      fast_tokens<E, 2, 6>(a, panel, sub);
      tile += 2;
    } else {
      fast_tokens<E, 1, 3>(a, panel, sub);
      tile += 1;
    }
  }
}

static void multiply_prepared(const TileProduct& a) {
  switch (a.element) {
    case Element::kF8E4M3:
      return fast_element<Element::kF8E4M3>(a);
    case Element::kBF16:
      return fast_element<Element::kBF16>(a);
    case Element::kF4E2M1:
      return fast_element<Element::kF4E2M1>(a);
    default:
      return;  // fast_input() names no others
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
