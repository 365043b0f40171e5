// Products of `fast` numerics for many tokens: a scale group of up to four tiles is decoded once
// into the nearest cache, then met by all tokens. The sums are those of multiply_fast.h, bit for
// bit. Included by the files of tiers that have both dot products (see lanes.h).
#pragma once

#include "device/cpu/multiply_few.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kManyTokens = 128;  // that sums in the nearest cache are kept for
inline constexpr int kManyCols = 128;    // that are decoded at once
inline constexpr int kManyByteCols = 256;

// [token][tile][row]
template <int S>
using ManySums = float[kManyTokens][S][kLanes];

// acc += w . x over `steps` pairs of columns; w[step][tile].
template <int S, int M>
PLUMB_TIER_INLINE void add_pairs(const std::byte* w, int steps, const int* const (&x)[M],
                                 __m512 (&acc)[M][S]) {
  for (int i = 0; i < steps; ++i, w += S * kUnitBytes) {
    __m512bh tile[S];
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      tile[s] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + s * kUnitBytes));
    }
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[m][i]));
      PLUMB_UNROLL
      for (int s = 0; s < S; ++s) acc[m][s] = _mm512_dpbf16_ps(acc[m][s], tile[s], value);
    }
  }
}

// One group of E4M3: its sum times the scale is added.
template <int S, int M>
[[gnu::noinline]] void many_e4m3(const std::byte* w, int steps, const std::byte* const* rows,
                                 std::size_t at, const V* scale, float (*sum)[S][kLanes]) {
  const int* x[M];
  __m512 acc[M][S];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    x[m] = dwords_at(rows[m] + at);
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) acc[m][s] = _mm512_setzero_ps();
  }
  add_pairs<S, M>(w, steps, x, acc);
  PLUMB_UNROLL
  for (int s = 0; s < S; ++s) {
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      store(sum[m][s], fma(V{acc[m][s]}, scale[s], load(sum[m][s])));
    }
  }
}

// Some groups of 128 columns of E2M1, `blocks` of 32 columns in all, for P of S tiles:
// w[step][tile].
template <int S, int P, int M>
[[gnu::noinline]] void many_e2m1(const std::byte* w, int blocks, const std::byte* const* rows,
                                 int k, int groups, const V* scale, float (*sum)[kLanes]) {
  constexpr int kBlocks = kInt8Group / kFp4Block;
  const std::size_t factors = static_cast<std::size_t>(groups) * kInt8Group;
  const std::size_t corrections = factors + static_cast<std::size_t>(groups) * sizeof(float);
  const std::byte* x[M];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) x[m] = rows[m];
  V part[M][P];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < P; ++s) part[m][s] = splat(0.0f);
  }
  for (int b = 0; b < blocks; ++b, k += kFp4Block) {
    __m512i acc[M][P];
    const std::size_t at = corrections + static_cast<std::size_t>(k / kFp4Block) * 4;
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      PLUMB_UNROLL
      for (int s = 0; s < P; ++s) acc[m][s] = _mm512_set1_epi32(*dwords_at(x[m] + at));
    }
    PLUMB_UNROLL
    for (int u = 0; u < kFp4Block / 4; ++u, w += S * kUnitBytes) {
      __m512i tile[P];
      PLUMB_UNROLL
      for (int s = 0; s < P; ++s) tile[s] = _mm512_load_si512(w + s * kUnitBytes);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        const __m512i codes = _mm512_set1_epi32(*dwords_at(x[m] + k + 4 * u));
        PLUMB_UNROLL
        for (int s = 0; s < P; ++s) acc[m][s] = _mm512_dpbusd_epi32(acc[m][s], tile[s], codes);
      }
    }
    PLUMB_UNROLL
    for (int s = 0; s < P; ++s) {
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        part[m][s] = fma(V{_mm512_cvtepi32_ps(acc[m][s])}, scale[b * S + s], part[m][s]);
      }
    }
    if ((b + 1) % kBlocks != 0 && b + 1 < blocks) continue;
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      const V f = splat(reinterpret_cast<const float*>(x[m] + factors)[k / kInt8Group]);
      PLUMB_UNROLL
      for (int s = 0; s < P; ++s) {
        store(sum[m * S + s], fma(part[m][s], f, load(sum[m * S + s])));
        part[m][s] = splat(0.0f);
      }
    }
  }
}

// Decodes `cols` columns of S tiles that begin at `unit`, in steps of one dword per row.
template <Element E, int S>
PLUMB_TIER_INLINE void decode_group(const std::byte* unit, std::ptrdiff_t stride, int cols,
                                    std::byte* to) {
  constexpr int kCols = E == Element::kF4E2M1 ? 8 : 4;
  const E4m3Pairs pairs = E4m3Pairs::load();
  const E2m1Bytes bytes = E2m1Bytes::load();
  for (int k = 0; k < cols; k += kCols, unit += stride, to += 2 * S * kUnitBytes) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      __m512i first, second;
      if constexpr (E == Element::kF4E2M1) {
        bytes.read(unit + s * kUnitBytes, first, second);
      } else {
        __m512bh low, high;
        pairs.read(unit + s * kUnitBytes, low, high);
        first = reinterpret_cast<__m512i>(low);
        second = reinterpret_cast<__m512i>(high);
      }
      _mm512_store_si512(to + s * kUnitBytes, first);
      _mm512_store_si512(to + (S + s) * kUnitBytes, second);
    }
  }
}

// Tiles sub .. sub + S - 1 of a panel, tokens [token, token + tokens), at most kManyTokens.
template <Element E, int S>
[[gnu::noinline]] void many_tiles(const TileProduct& a, int panel, int sub, int token, int tokens) {
  constexpr bool kBytes = E == Element::kF4E2M1;
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel), calls = (tokens + kTokensAtOnce - 1) / kTokensAtOnce;
  const std::byte* const* rows = a.prepared + token;
  const std::byte* p = a.data + shape.panel_offset(panel);
  constexpr int kCols = kBytes ? kManyByteCols : kManyCols;
  alignas(64) std::byte codes[kCols / (kBytes ? 4 : 2) * S * kUnitBytes];
  alignas(64) ManySums<S> sum;
  for (int m = 0; m < tokens; ++m) {
    float* out = a.out[token + m] + ((panel * kPanelTiles + sub) * kTileRows - a.first_row);
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      store(sum[m][s], splat(0.0f));
      __builtin_prefetch(out + s * kTileRows, 1);  // rows lie far apart: asked for before the end
    }
  }
  const int group = E == Element::kBF16 ? kManyCols : shape.group_cols;
  const int at_once = kBytes ? kCols : group;  // columns
  for (int k = 0; k < shape.cols; k += at_once) {
    const int end = k + at_once < shape.cols ? k + at_once : shape.cols;
    if constexpr (E == Element::kBF16) {
      // Nothing to decode: the units as they lie.
      const std::size_t bytes = stretch_bytes(shape, width, end - k);
      Ahead ahead = Ahead::of(p + bytes, bytes, calls);
      all_tokens<kTokensAtOnce>(tokens, [&]<int M>(int m) {
        ahead.ask();
        few_part<E, S, M>(shape, p, width, sub, k, end, rows + m, sum + m);
      });
      p += bytes;
      continue;
    }
    V scale[kCols / kFp4Block][S];
    const std::byte* begin = p;
    std::byte* to = codes;
    for (int b = k, n = 0; b < end; b += group, ++n) {
      const int group_end = b + group < end ? b + group : end;
      PLUMB_UNROLL
      for (int s = 0; s < S; ++s) {
        scale[n][s] = read_scale(p + static_cast<std::size_t>(sub + s) * shape.scales(),
                                 shape.scale_bytes, 1.0f);
      }
      p += static_cast<std::size_t>(width) * shape.scales();
      decode_group<E, S>(p + sub * kUnitBytes, width * kUnitBytes, group_end - b, to);
      p += static_cast<std::size_t>(width) * shape.codes(group_end - b);
      to += static_cast<std::ptrdiff_t>(kFp4Block / 4) * S * kUnitBytes;  // looked at for E2M1 only
    }
    Ahead ahead = Ahead::of(p, static_cast<std::size_t>(p - begin), calls);
    if constexpr (kBytes) {
      const int blocks = (end - k) / kFp4Block;
      all_tokens<kTokensAtOnce>(tokens, [&]<int M>(int m) {
        ahead.ask();
        constexpr int kPair = S < 2 ? 1 : 2;  // tiles that registers hold
        for (int s = 0; s < S; s += kPair) {
          many_e2m1<S, kPair, M>(codes + s * kUnitBytes, blocks, rows + m, k,
                                 int8_groups(shape.cols), &scale[0][s], &sum[m][s]);
        }
      });
    } else if constexpr (E == Element::kF8E4M3) {
      const int steps = (end - k + 3) / 4 * 2;
      all_tokens<kTokensAtOnce>(tokens, [&]<int M>(int m) {
        ahead.ask();
        many_e4m3<S, M>(codes, steps, rows + m, static_cast<std::size_t>(k) * 2, scale[0], sum + m);
      });
    }
  }
  store_sums<S>(a, panel, sub, token, tokens, sum);
}

// Whether a weight's groups are of the size that is decoded at once.
template <Element E>
bool suits_many(const TileShape& shape) {
  if (E == Element::kBF16) return true;
  if (E == Element::kF4E2M1) return shape.group_cols == kFp4Block;
  return shape.group_cols <= kManyCols;
}

// All tokens in even shares.
template <Element E, int S>
void many_tokens(const TileProduct& a, int panel, int sub) {
  const int shares = (a.tokens + kManyTokens - 1) / kManyTokens;
  const int share = (a.tokens + shares - 1) / shares;
  const int even = (share + kTokensAtOnce - 1) / kTokensAtOnce * kTokensAtOnce;
  const int most = even < kManyTokens ? even : kManyTokens;
  for (int token = 0; token < a.tokens; token += most) {
    const int left = a.tokens - token;
    many_tiles<E, S>(a, panel, sub, token, left < most ? left : most);
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
