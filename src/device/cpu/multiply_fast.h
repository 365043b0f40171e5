// Products of `fast` numerics: E2M1 weights with int8 activations, E4M3 and bfloat16 weights with
// bfloat16 activations. Included by the files of tiers that have both dot products (see lanes.h).
//
// An output is one chain over k here too: the same for one token and for many.
#pragma once

#include "device/cpu/multiply.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kInt8Group = 128;     // columns under one scale of an activation row
inline constexpr int kFp4Block = 32;       // columns under one scale of a weight row
inline constexpr int kPrefetch = 4 * 1024;  // bytes ahead, where memory is what limits

// A prepared row. bfloat16: the columns, filled up with zeros to a multiple of 4. int8: all codes, per
// eight columns 0 2 4 6 1 3 5 7 (as the nibbles of a unit come apart), filled up to whole groups; then
// half the scale of every group (weights are doubled to be integers); then for every 32 columns
// -12 times the sum of their codes (weights have 12 added to be unsigned).
PLUMB_TIER_INLINE int int8_groups(int cols) { return (cols + kInt8Group - 1) / kInt8Group; }

static std::size_t prepared_bytes(FastInput kind, int cols) {
  if (kind == FastInput::kBf16) return static_cast<std::size_t>((cols + 3) / 4) * 8;
  return static_cast<std::size_t>(int8_groups(cols)) * (kInt8Group + 4 + 4 * kInt8Group / kFp4Block);
}

PLUMB_TIER_INLINE __mmask16 first_lanes(int n) {
  return n >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (n > 0 ? n : 0)) - 1);
}

PLUMB_TIER_INLINE void prepare_bf16(const float* x, int cols, std::byte* out) {
  const int padded = (cols + 3) / 4 * 4;
  for (int i = 0; i < padded; i += 16) {
    const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - i), x + i);
    _mm256_mask_storeu_epi16(out + 2 * i, first_lanes(padded - i),
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  }
}

// Codes of 16 columns from `at`, as signed dwords.
PLUMB_TIER_INLINE __m512i int8_codes(const float* x, int cols, int at, float inverse) {
  const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - at), x + at);
  return _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse)));
}

PLUMB_TIER_INLINE void prepare_int8(const float* x, int cols, std::byte* out) {
  const int groups = int8_groups(cols);
  auto* scale = reinterpret_cast<float*>(out + groups * kInt8Group);
  auto* correction = reinterpret_cast<std::int32_t*>(scale + groups);
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  for (int g = 0; g < groups; ++g) {
    const int first = g * kInt8Group;
    __m512 most = _mm512_setzero_ps();
    for (int i = first; i < first + kInt8Group; i += 16) {
      const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - i), x + i);
      most = _mm512_max_ps(most, _mm512_abs_ps(v));
    }
    const float amax = _mm512_reduce_max_ps(most);
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f;
    scale[g] = amax / 127.0f * 0.5f;
    for (int b = first; b < first + kInt8Group; b += kFp4Block) {
      const __m512i low = int8_codes(x, cols, b, inverse);
      const __m512i high = int8_codes(x, cols, b + 16, inverse);
      correction[b / kFp4Block] = -12 * _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b),
                       _mm_shuffle_epi8(_mm512_cvtepi32_epi8(low), order));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b + 16),
                       _mm_shuffle_epi8(_mm512_cvtepi32_epi8(high), order));
    }
  }
}

static void prepare(FastInput kind, const float* x, int cols, std::byte* out) {
  if (kind == FastInput::kBf16) return prepare_bf16(x, cols, out);
  prepare_int8(x, cols, out);
}

// The upper and the lower byte of the bfloat16 number that an E4M3 code without its sign stands for.
struct E4m3Bytes {
  alignas(64) std::uint8_t high[128], low[128];
};
static constexpr E4m3Bytes make_e4m3_bytes() {
  E4m3Bytes bytes{};
  for (int code = 0; code < 127; ++code) {
    int exponent = code / 8, mantissa = code % 8;
    unsigned bits = 0;
    if (exponent == 0 && mantissa > 0) {  // mantissa * 2^-9
      int shift = 0;
      while (mantissa < 8) mantissa *= 2, ++shift;
      bits = static_cast<unsigned>(127 - 6 - shift) << 7 | static_cast<unsigned>(mantissa % 8) << 4;
    } else if (exponent > 0) {
      bits = static_cast<unsigned>(127 - 7 + exponent) << 7 | static_cast<unsigned>(mantissa) << 4;
    }
    bytes.high[code] = static_cast<std::uint8_t>(bits >> 8);
    bytes.low[code] = static_cast<std::uint8_t>(bits & 255);
  }
  return bytes;
}
static constexpr E4m3Bytes kE4m3Bytes = make_e4m3_bytes();

// A unit of E4M3 as pairs of bfloat16 in 16 lanes: columns 0 and 1, then 2 and 3.
class E4m3Pairs {
 public:
  PLUMB_TIER_INLINE E4m3Pairs load() {
    E4m3Pairs t;
    t.high_[0] = _mm512_load_si512(kE4m3Bytes.high);
    t.high_[1] = _mm512_load_si512(kE4m3Bytes.high + 64);
    t.low_[0] = _mm512_load_si512(kE4m3Bytes.low);
    t.low_[1] = _mm512_load_si512(kE4m3Bytes.low + 64);
    return t;
  }
  [[gnu::always_inline]] inline void read(const std::byte* p, __m512bh& first,
                                          __m512bh& second) const {
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i size = _mm512_permutex2var_epi8(high_[0], v, high_[1]);
    const __m512i high =  // with the sign: size | (v & 0x80)
        _mm512_ternarylogic_epi32(size, v, _mm512_set1_epi8(-128), 0xf8);
    const __m512i low = _mm512_permutex2var_epi8(low_[0], v, low_[1]);
    first = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi8(low, high));
    second = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi8(low, high));
  }

 private:
  __m512i high_[2], low_[2];
};

PLUMB_TIER_INLINE __m512bh pair_of(const std::uint32_t* pairs, int i) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[i])));
}

template <int S, int M>
PLUMB_TIER_INLINE void store_products(const TileProduct& a, int panel, int sub, int token,
                                      const V (&y)[M][S]) {
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) {
      const int row = (panel * kPanelTiles + sub + s) * kTileRows;
      store_rows(y[m][s], a.out[token + m] + row, a.shape.rows - row);
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
  const __m512i values = _mm512_broadcast_i32x4(
      _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  const __m512i nibble = _mm512_set1_epi8(15);
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) acc[m][s] = _mm512_set1_epi32(correction[m][k / kFp4Block]);
  }
  for (int u = 0; u < 4; ++u, unit += stride) {
    __m512i even[S], odd[S];
    for (int s = 0; s < S; ++s) {
      prefetch<M>(unit + s * kUnitBytes);
      const __m512i v = _mm512_loadu_si512(unit + s * kUnitBytes);
      even[s] = _mm512_shuffle_epi8(values, _mm512_and_si512(v, nibble));
      odd[s] = _mm512_shuffle_epi8(values, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble));
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

// Few tokens take four tiles at once, one stream of memory; many take two, and stay in registers.
template <Element E>
void fast_element(const TileProduct& a) {
  for (int tile = a.first_tile; tile < a.last_tile;) {
    const int panel = tile / kPanelTiles, sub = tile % kPanelTiles;
    const int end =
        a.last_tile < (panel + 1) * kPanelTiles ? a.last_tile : (panel + 1) * kPanelTiles;
    const int left = end - tile;
    if (a.tokens <= 3 && left >= 4) {
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
