// Products of `fast` numerics for few tokens, where memory is the limit: weights are decoded in
// registers, between the products. Included by the files of tiers that have both dot products (see
// lanes.h).
//
// The columns are taken in stretches: of E4M3 a scale group, of E2M1 the 128 columns under one
// scale of the activations. Sums of stretches are added in order.
#pragma once

#include "device/cpu/fast_parts.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kPrefetch = 4 * 1024;  // bytes ahead

template <bool Stream>
PLUMB_TIER_INLINE void prefetch(const std::byte* p) {
  if constexpr (Stream) _mm_prefetch(reinterpret_cast<const char*>(p + kPrefetch), _MM_HINT_T0);
}

// What a broadcast brought is not worth a register until the next tiles want it: asked for anew.
PLUMB_TIER_INLINE void forget_loads() { asm volatile("" ::: "memory"); }

// S tiles side by side from `unit` on, `width` to a panel; x[m] at the first column.
template <int S>
struct Stretch {
  const std::byte* scales = nullptr;  // of tile 0
  const std::byte* unit = nullptr;
  int width = 0;
  int units = 0;
  PLUMB_TIER_INLINE constexpr int pair() { return S < 2 ? 1 : 2; }  // tiles decoded at a time
};

template <int P, int M, int S>
PLUMB_TIER_INLINE void dot_pairs(const __m512bh (&w)[P], int first, const std::byte* const (&x)[M],
                                 int at, __m512 (&acc)[M][S]) {
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(*dwords_at(x[m] + at)));
    PLUMB_UNROLL
    for (int s = 0; s < P; ++s) {
      acc[m][first + s] = _mm512_dpbf16_ps(acc[m][first + s], w[s], value);
    }
  }
}

// One scale group of E4M3: its sums times the scales are added.
template <bool Stream, int S, int M>
PLUMB_TIER_INLINE void few_e4m3(const Stretch<S>& g, const TileShape& shape,
                                const std::byte* const (&x)[M], float (*sum)[S][kLanes]) {
  constexpr int kPair = Stretch<S>::pair();
  const E4m3Pairs table = E4m3Pairs::load();
  __m512 acc[M][S];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) acc[m][s] = _mm512_setzero_ps();
  }
  const std::byte* unit = g.unit;
  for (int i = 0; i < g.units; ++i, unit += g.width * kUnitBytes) {
    PLUMB_UNROLL
    for (int s = 0; s < S; s += kPair) {
      __m512bh first[kPair], second[kPair];
      PLUMB_UNROLL
      for (int n = 0; n < kPair; ++n) {
        prefetch<Stream>(unit + (s + n) * kUnitBytes);
        table.read(unit + (s + n) * kUnitBytes, first[n], second[n]);
      }
      dot_pairs<kPair, M, S>(first, s, x, 8 * i, acc);
      dot_pairs<kPair, M, S>(second, s, x, 8 * i + 4, acc);
      forget_loads();
    }
  }
  PLUMB_UNROLL
  for (int s = 0; s < S; ++s) {
    const V scale = read_scale(g.scales + static_cast<std::size_t>(s) * shape.scales(),
                               shape.scale_bytes, 1.0f);
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) store(sum[m][s], fma(V{acc[m][s]}, scale, load(sum[m][s])));
  }
}

// Some columns of bfloat16: the chains of `sum` go on.
template <bool Stream, int S, int M>
PLUMB_TIER_INLINE void few_bf16(const Stretch<S>& g, const std::byte* const (&x)[M],
                                float (*sum)[S][kLanes]) {
  __m512 acc[M][S];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) acc[m][s] = load(sum[m][s]).v;
  }
  const std::byte* unit = g.unit;
  for (int i = 0; i < g.units; ++i, unit += g.width * kUnitBytes) {
    __m512bh w[S];
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      prefetch<Stream>(unit + s * kUnitBytes);
      w[s] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(unit + s * kUnitBytes));
    }
    dot_pairs<S, M, S>(w, 0, x, 4 * i, acc);
  }
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) store(sum[m][s], V{acc[m][s]});
  }
}

// 32 columns of E2M1: exact integers, twice the sums of products.
template <bool Stream, int S, int M>
PLUMB_TIER_INLINE void few_bytes(const Stretch<S>& g, const std::byte* const (&x)[M],
                                 __m512i (&acc)[M][S]) {
  constexpr int kPair = Stretch<S>::pair();
  const E2m1Bytes bytes = E2m1Bytes::load();
  const std::byte* unit = g.unit;
  PLUMB_UNROLL
  for (int u = 0; u < kFp4Block / 8; ++u, unit += g.width * kUnitBytes) {
    PLUMB_UNROLL
    for (int s = 0; s < S; s += kPair) {
      __m512i even[kPair], odd[kPair];
      PLUMB_UNROLL
      for (int n = 0; n < kPair; ++n) {
        prefetch<Stream>(unit + (s + n) * kUnitBytes);
        bytes.read(unit + (s + n) * kUnitBytes, even[n], odd[n]);
      }
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        const __m512i codes = _mm512_set1_epi32(*dwords_at(x[m] + 8 * u));
        PLUMB_UNROLL
        for (int n = 0; n < kPair; ++n) {
          acc[m][s + n] = _mm512_dpbusd_epi32(acc[m][s + n], even[n], codes);
        }
      }
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        const __m512i codes = _mm512_set1_epi32(*dwords_at(x[m] + 8 * u + 4));
        PLUMB_UNROLL
        for (int n = 0; n < kPair; ++n) {
          acc[m][s + n] = _mm512_dpbusd_epi32(acc[m][s + n], odd[n], codes);
        }
      }
      forget_loads();
    }
  }
}

// Up to 128 columns of E2M1 from k on, `p` at their first scales: per 32 columns the integer times
// the weight's scale; their sum times the activation's scale is added.
template <bool Stream, int S, int M>
PLUMB_TIER_INLINE void few_e2m1(const std::byte* p, const TileShape& shape, int width, int sub,
                                int k, int end, const std::byte* const* rows,
                                float (*sum)[S][kLanes]) {
  const auto groups = static_cast<std::size_t>(int8_groups(shape.cols));
  const std::size_t factors = groups * kInt8Group, corrections = factors + groups * sizeof(float);
  // In memory where the registers are for the integers.
  alignas(64) float part[M][S][kLanes];
  const auto group_bytes =
      static_cast<std::size_t>(width) * (shape.scales() + shape.codes(kFp4Block));
  for (int b = k; b < end; b += kFp4Block, p += group_bytes) {
    const std::byte* x[M];
    __m512i acc[M][S];
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      x[m] = rows[m] + b;
      const std::byte* correction =
          rows[m] + corrections + static_cast<std::size_t>(b / kFp4Block) * 4;
      PLUMB_UNROLL
      for (int s = 0; s < S; ++s) acc[m][s] = _mm512_set1_epi32(*dwords_at(correction));
    }
    const std::byte* scales = p + static_cast<std::size_t>(sub) * shape.scales();
    const std::byte* units =
        p + static_cast<std::size_t>(width) * shape.scales() + sub * kUnitBytes;
    few_bytes<Stream, S, M>({scales, units, width, kFp4Block / 8}, x, acc);
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      const V scale = read_scale(scales + static_cast<std::size_t>(s) * shape.scales(),
                                 shape.scale_bytes, 1.0f);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        const V before = b == k ? splat(0.0f) : load(part[m][s]);
        store(part[m][s], fma(V{_mm512_cvtepi32_ps(acc[m][s])}, scale, before));
      }
    }
  }
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    const V f = splat(reinterpret_cast<const float*>(rows[m] + factors)[k / kInt8Group]);
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      store(sum[m][s], fma(load(part[m][s]), f, load(sum[m][s])));
    }
  }
}

// Columns [k, end) of one stretch, which begins at `p`, for M tokens.
template <Element E, bool Stream, int S, int M>
PLUMB_TIER_INLINE void few_stretch(const TileShape& shape, const std::byte* p, int width, int sub,
                                   int k, int end, const std::byte* const* rows,
                                   float (*sum)[S][kLanes]) {
  if constexpr (E == Element::kF4E2M1) {
    few_e2m1<Stream, S, M>(p, shape, width, sub, k, end, rows, sum);
  } else {
    const std::byte* x[M];
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) x[m] = rows[m] + static_cast<std::size_t>(k) * 2;
    const std::byte* units =
        p + static_cast<std::size_t>(width) * shape.scales() + sub * kUnitBytes;
    const int cols = shape.unit_cols();
    const Stretch<S> g{p + static_cast<std::size_t>(sub) * shape.scales(), units, width,
                       (end - k + cols - 1) / cols};
    if constexpr (E == Element::kF8E4M3) few_e4m3<Stream, S, M>(g, shape, x, sum);
    if constexpr (E == Element::kBF16) few_bf16<Stream, S, M>(g, x, sum);
  }
}

// Columns of a stretch, and its bytes in a panel of `width` tiles.
template <Element E>
PLUMB_TIER_INLINE int stretch_cols(const TileShape& shape, bool many_tokens) {
  if (E == Element::kF4E2M1) return kInt8Group;
  return E == Element::kBF16 && many_tokens ? kInt8Group : shape.group_cols;
}
PLUMB_TIER_INLINE std::size_t stretch_bytes(const TileShape& shape, int width, int cols) {
  const int groups = (cols + shape.group_cols - 1) / shape.group_cols;
  return static_cast<std::size_t>(width) *
         (static_cast<std::size_t>(groups) * shape.scales() + shape.codes(cols));
}

// As many tokens as registers hold, from the first column to the last.
template <Element E, int S, int M>
[[gnu::noinline]] void few_whole(const TileProduct& a, int panel, int sub) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel), cols = stretch_cols<E>(shape, false);
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float sum[M][S][kLanes] = {};
  for (int k = 0; k < shape.cols; k += cols) {
    const int end = k + cols < shape.cols ? k + cols : shape.cols;
    few_stretch<E, true, S, M>(shape, p, width, sub, k, end, a.prepared, sum);
    p += stretch_bytes(shape, width, end - k);
  }
  store_sums<S>(a, panel, sub, 0, M, sum);
}

template <Element E, int S, int M>
[[gnu::noinline]] void few_part(const TileShape& shape, const std::byte* p, int width, int sub,
                                int k, int end, const std::byte* const* rows,
                                float (*sum)[S][kLanes]) {
  few_stretch<E, false, S, M>(shape, p, width, sub, k, end, rows, sum);
}

// Some more: they take turns with every stretch, which comes from memory once. Eight by two tiles
// stay in registers.
template <Element E, int S>
[[gnu::noinline]] void few_in_turn(const TileProduct& a, int panel, int sub) {
  constexpr int kPair = Stretch<S>::pair(), kAtOnce = 8;
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel), cols = stretch_cols<E>(shape, true);
  const int calls = (a.tokens + kAtOnce - 1) / kAtOnce * (S / kPair);
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float sum[S / kPair][kManyFrom][kPair][kLanes] = {};
  for (int k = 0; k < shape.cols; k += cols) {
    const int end = k + cols < shape.cols ? k + cols : shape.cols;
    const std::size_t bytes = stretch_bytes(shape, width, end - k);
    Ahead ahead = Ahead::of(p + bytes, bytes, calls);
    all_tokens<kAtOnce>(a.tokens, [&]<int M>(int m) {
      for (int s = 0; s < S; s += kPair) {
        ahead.ask();
        few_part<E, kPair, M>(shape, p, width, sub + s, k, end, a.prepared + m, sum[s / kPair] + m);
      }
    });
    p += bytes;
  }
  for (int s = 0; s < S; s += kPair)
    store_sums<kPair>(a, panel, sub + s, 0, a.tokens, sum[s / kPair]);
}

template <Element E, int S>
PLUMB_TIER_INLINE void few_tokens(const TileProduct& a, int panel, int sub) {
  if (a.tokens > kTokensAtOnce) return few_in_turn<E, S>(a, panel, sub);
  some_tokens<kTokensAtOnce>(a.tokens, 0, [&]<int M>(int) { few_whole<E, S, M>(a, panel, sub); });
}

}  // namespace plumb::cpu::PLUMB_TIER
