// Products of `fast` numerics on NEON: E2M1 weights with int8 activations, E4M3 and bfloat16
// weights with bfloat16 activations. Included by the files of tiers that have both dot products
// (see lanes.h).
//
// An output is one chain over k here too. Few tokens decode weights in registers, between the
// products; more have them decoded once into the nearest cache, 128 columns of a tile at a time,
// and meet them four at a time. Sixteen accumulators either way, which leaves registers for the
// rest.
#pragma once

#include "device/cpu/fast_parts_neon.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kTokensAtOnce = 4;  // times a tile: what registers hold
inline constexpr int kManyTokens = 128;  // whose sums the nearest cache holds
inline constexpr int kManyCols = 128;    // that are decoded at once

// One pair of S tiles side by side meets lanes L and L + 1 of M tokens.
template <int L, class From, int S, int M>
PLUMB_TIER_INLINE void meet_pair(const From& from, const std::byte* p,
                                 const typename From::Weights (&x)[M],
                                 typename From::Sums (&acc)[M][S][4]) {
  PLUMB_UNROLL
  for (int s = 0; s < S; ++s) {
    PLUMB_UNROLL
    for (int q = 0; q < 4; ++q) {
      typename From::Weights first, second;
      from.read(p + s * kUnitBytes, q, first, second);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) acc[m][s][q] = add_dots<L>(acc[m][s][q], first, x[m]);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) acc[m][s][q] = add_dots<L + 1>(acc[m][s][q], second, x[m]);
    }
  }
}

// `pairs` of them, `stride` bytes apart, from eight bytes of every token's row to the next.
template <class From, int S, int M>
PLUMB_TIER_INLINE void meet(const From& from, const std::byte* p, std::ptrdiff_t stride, int pairs,
                            const std::byte* const (&rows)[M],
                            typename From::Sums (&acc)[M][S][4]) {
  typename From::Weights x[M];
  int i = 0;
  for (; i + 2 <= pairs; i += 2, p += 2 * stride) {
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) x[m] = read_register<typename From::Weights>(rows[m] + 8 * i);
    meet_pair<0, From, S, M>(from, p, x, acc);
    meet_pair<2, From, S, M>(from, p + stride, x, acc);
  }
  if (i == pairs) return;
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) x[m] = read_register<typename From::Weights>(rows[m] + 8 * i);
  meet_pair<0, From, S, M>(from, p, x, acc);
}

PLUMB_TIER_INLINE V as_lanes(const float32x4_t (&v)[4]) { return {v[0], v[1], v[2], v[3]}; }
PLUMB_TIER_INLINE V as_lanes(const int32x4_t (&v)[4]) {
  return {vcvtq_f32_s32(v[0]), vcvtq_f32_s32(v[1]), vcvtq_f32_s32(v[2]), vcvtq_f32_s32(v[3])};
}

// Columns [first, first + count) of S tiles from `p` on, under one scale each, and the state of M
// tokens' outputs. Of bfloat16 products, `part` is the sum of the group at hand; `sum` takes it,
// times the scale, where the group ends. Of int8 products, 32 columns are an exact integer that
// `part` takes times the weight's scale; `sum` takes it, times the activation's, where 128 columns
// end.
struct Columns {
  const std::byte* p = nullptr;
  std::ptrdiff_t stride = 0;  // from unit to unit
  const std::byte* scales = nullptr;
  int first = 0, count = 0;
  bool opens = false, closes = false;  // a group, or 128 columns
  std::size_t factors = 0;             // of an int8 row: where its scales are
};

// In memory where the registers are for the products.
template <int S>
using States = float (*)[S][kLanes];

// `from` gives the weights of E.
template <Element E, class From, int S, int M>
PLUMB_TIER_INLINE void take(const From& from, const Columns& c, const std::byte* const* rows,
                            const TileShape& shape, States<S> part, States<S> sum) {
  constexpr bool kBytes = E == Element::kF4E2M1;
  const std::byte* x[M];
  typename From::Sums acc[M][S][4];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    x[m] = rows[m] + static_cast<std::size_t>(c.first) * (kBytes ? 1 : 2);
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      PLUMB_UNROLL
      for (int q = 0; q < 4; ++q) {
        if constexpr (kBytes) {
          acc[m][s][q] = vdupq_n_s32(0);
        } else {
          acc[m][s][q] = c.opens ? vdupq_n_f32(0) : vld1q_f32(part[m][s] + 4 * q);
        }
      }
    }
  }
  if constexpr (E == Element::kBF16) {
    const int units = (c.count + 1) / 2, pairs = units / 2;
    meet<From, S, M>(from, c.p, 2 * c.stride, pairs, x, acc);
    if (units % 2 != 0) {
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) x[m] += 8 * pairs;
      meet<LastUnit, S, M>({}, c.p + 2 * pairs * c.stride, 0, 1, x, acc);
    }
  } else {
    constexpr int kCols = Coded<E>::kCols;
    meet<From, S, M>(from, c.p, c.stride, (c.count + kCols - 1) / kCols, x, acc);
  }
  PLUMB_UNROLL
  for (int s = 0; s < S; ++s) {
    const V scale = read_scale(c.scales + static_cast<std::size_t>(s) * shape.scales(),
                               shape.scale_bytes, 1.0f);
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      V v = as_lanes(acc[m][s]);
      if constexpr (kBytes) v = fma(v, scale, c.opens ? splat(0.0f) : load(part[m][s]));
      if (!c.closes) {
        store(part[m][s], v);
        continue;
      }
      V factor = scale;
      if constexpr (kBytes) {
        factor = splat(reinterpret_cast<const float*>(rows[m] + c.factors)[c.first / kInt8Group]);
      }
      store(sum[m][s], fma(v, factor, load(sum[m][s])));
    }
  }
}

// The group of `width` tiles at `p`, which begins at column k, for tile `sub` and on.
template <Element E>
PLUMB_TIER_INLINE Columns group_columns(const TileShape& shape, const std::byte* p, int width,
                                        int sub, int k) {
  const int end = k + shape.group_cols < shape.cols ? k + shape.group_cols : shape.cols;
  Columns c;
  c.p = p + static_cast<std::size_t>(width) * shape.scales() + sub * kUnitBytes;
  c.stride = std::ptrdiff_t{width} * kUnitBytes;
  c.scales = p + static_cast<std::size_t>(sub) * shape.scales();
  c.first = k;
  c.count = end - k;
  c.opens = c.closes = true;
  if constexpr (E == Element::kF4E2M1) {
    c.opens = k % kInt8Group == 0;
    c.closes = end % kInt8Group == 0 || end == shape.cols;
    c.factors = static_cast<std::size_t>(int8_groups(shape.cols)) * kInt8Group;
  }
  return c;
}

// From such a group to the next.
PLUMB_TIER_INLINE std::size_t group_bytes(const TileShape& shape, int width, int count) {
  return static_cast<std::size_t>(width) * (shape.scales() + shape.codes(count));
}

// Where weights of a kind come from as they are stored.
template <Element E>
PLUMB_TIER_INLINE auto stored(const Columns& c) {
  if constexpr (E == Element::kBF16) {
    return PlainUnits(c.stride);
  } else {
    return Coded<E>::load();
  }
}

// All M tokens against tiles sub .. sub + S - 1, weights decoded in registers.
template <Element E, int S, int M>
[[gnu::noinline]] void few_tokens(const TileProduct& a, int panel, int sub) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel);
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float part[M][S][kLanes] = {}, sum[M][S][kLanes] = {};
  for (int k = 0; k < shape.cols; k += shape.group_cols) {
    const Columns c = group_columns<E>(shape, p, width, sub, k);
    const auto from = stored<E>(c);
    take<E, decltype(from), S, M>(from, c, a.prepared, shape, part, sum);
    p += group_bytes(shape, width, c.count);
  }
  store_sums<S>(a, panel, sub, 0, M, sum);
}

// One tile's decoded columns and M tokens of many.
template <Element E, int M>
[[gnu::noinline]] void take_decoded(const Columns& c, const std::byte* const* rows,
                                    const TileShape& shape, States<1> part, States<1> sum) {
  if constexpr (E == Element::kBF16) {  // nothing to decode: the units as they lie
    take<E, PlainUnits, 1, M>(PlainUnits(c.stride), c, rows, shape, part, sum);
  } else {
    using From = Decoded<typename Coded<E>::Lanes>;
    take<E, From, 1, M>(From{}, c, rows, shape, part, sum);
  }
}

// Tokens [token, token + tokens), at most kManyTokens, against one tile.
template <Element E>
[[gnu::noinline]] void many_tokens(const TileProduct& a, int panel, int sub, int token,
                                   int tokens) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel);
  const std::byte* p = a.data + shape.panel_offset(panel);
  const std::byte* const* rows = a.prepared + token;
  alignas(64) float part[kManyTokens][1][kLanes], sum[kManyTokens][1][kLanes];
  alignas(64) std::byte decoded[kManyCols / 4 * kDecodedPair];
  for (int m = 0; m < tokens; ++m) store(sum[m][0], splat(0.0f));
  for (int k = 0; k < shape.cols; k += shape.group_cols) {
    const Columns group = group_columns<E>(shape, p, width, sub, k);
    for (int done = 0; done < group.count; done += kManyCols) {
      Columns c = group;
      c.first += done;
      c.count = group.count - done < kManyCols ? group.count - done : kManyCols;
      c.opens = group.opens && done == 0;
      c.closes = group.closes && done + c.count == group.count;
      c.p += done / shape.unit_cols() * c.stride;
      if constexpr (E != Element::kBF16) {
        constexpr int kCols = Coded<E>::kCols;
        decode<E>(c.p, c.stride, (c.count + kCols - 1) / kCols, decoded);
        c.p = decoded;
        c.stride = kDecodedPair;
      }
      all_tokens<kTokensAtOnce>(
          tokens, [&]<int M>(int m) { take_decoded<E, M>(c, rows + m, shape, part + m, sum + m); });
    }
    p += group_bytes(shape, width, group.count);
  }
  store_sums<1>(a, panel, sub, token, tokens, sum);
}

// Few tokens take as many tiles as registers allow; a panel's four are one stream of memory.
template <Element E>
void fast_element(const TileProduct& a) {
  for (int tile = a.first_tile; tile < a.last_tile;) {
    const int panel = tile / kPanelTiles, sub = tile % kPanelTiles;
    const int end =
        a.last_tile < (panel + 1) * kPanelTiles ? a.last_tile : (panel + 1) * kPanelTiles;
    const int left = end - tile;
    if (a.tokens == 1 && left >= 4) {
      few_tokens<E, 4, 1>(a, panel, sub);
      tile += 4;
    } else if (a.tokens <= 2 && left >= 2) {
      a.tokens == 1 ? few_tokens<E, 2, 1>(a, panel, sub) : few_tokens<E, 2, 2>(a, panel, sub);
      tile += 2;
    } else {
      if (a.tokens == 1) few_tokens<E, 1, 1>(a, panel, sub);
      if (a.tokens == 2) few_tokens<E, 1, 2>(a, panel, sub);
      if (a.tokens == 3) few_tokens<E, 1, 3>(a, panel, sub);
      if (a.tokens == 4) few_tokens<E, 1, 4>(a, panel, sub);
      for (int token = 0; a.tokens > kTokensAtOnce && token < a.tokens; token += kManyTokens) {
        const int some = a.tokens - token < kManyTokens ? a.tokens - token : kManyTokens;
        many_tokens<E>(a, panel, sub, token, some);
      }
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
