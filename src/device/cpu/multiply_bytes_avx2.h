// Products of `fast` numerics where there is no dot product of bytes: E2M1 weights with int8
// activations, by products of byte pairs that are added up in 16 bits. Included by the file of the
// avx2 tier only (see lanes.h). E4M3 and bfloat16 weights take the exact chain with rounded
// activations there: nothing else that is exact would be faster.
//
// Weights are doubled to be integers and have 12 added to be unsigned. The sum of 32 columns is at
// most 8 pairs x 2 x 12 x 127 in size, so that it fits into 16 bits once the twelves are taken off
// again; whatever wraps around before that comes back. An output is one chain over k: the integer
// of 32 columns times the weight's scale, 128 columns times the activation's, as in multiply_few.h.
#pragma once

#include "device/cpu/fast_common.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kBytesAtOnce = 5;    // tokens that meet a decoded tile in registers
inline constexpr int kBytesFrom = 5;      // tokens, for which weights are decoded beforehand
inline constexpr int kBytesTokens = 128;  // whose sums are kept in memory

// A prepared row: all codes, per eight columns 0 2 4 6 1 3 5 7 (as the nibbles of a unit come
// apart), filled up to whole groups; then half the scale of every group; then for every 32 columns
// two 16-bit numbers: -12 times the sums of the codes that stand at even and at odd pairs.
static std::size_t prepared_bytes(FastInput, int cols) {
  return static_cast<std::size_t>(int8_groups(cols)) *
         (kInt8Group + 4 + 4 * kInt8Group / kFp4Block);
}

// 32 columns as codes, and the correction that goes with them.
PLUMB_TIER_INLINE int prepare_block(const float* x, __m256 inverse, std::byte* out) {
  __m256i code[4];
  PLUMB_UNROLL
  for (int i = 0; i < 4; ++i) {
    code[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
  }
  const __m256i low = _mm256_packs_epi32(code[0], code[1]);
  const __m256i high = _mm256_packs_epi32(code[2], code[3]);
  // Packing works by halves: dwords 0 2 4 6 1 3 5 7 are columns 0-3, 4-7 and so on.
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m256i order = _mm256_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, 0, 2,
                                         4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const __m256i ordered = _mm256_shuffle_epi8(bytes, order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), ordered);
  // 12 x (byte 0 + byte 1) and 12 x (byte 2 + byte 3) of every dword, then over all dwords.
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(12), ordered);
  const __m128i four =
      _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  const __m128i two = _mm_add_epi16(four, _mm_shuffle_epi32(four, 0x4e));
  const __m128i one = _mm_add_epi16(two, _mm_shuffle_epi32(two, 0xb1));
  return _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), one));
}

static void prepare(FastInput, const float* x, int cols, std::byte* out) {
  const int groups = int8_groups(cols);
  auto* scale = reinterpret_cast<float*>(out + groups * kInt8Group);
  auto* correction = reinterpret_cast<std::int32_t*>(scale + groups);
  for (int g = 0; g < groups; ++g) {
    const int first = g * kInt8Group;
    float padded[kInt8Group] = {};
    const float* from = x + first;
    if (cols - first < kInt8Group) {
      for (int i = first; i < cols; ++i) padded[i - first] = x[i];
      from = padded;
    }
    __m256 most = _mm256_setzero_ps(), nan = most;
    for (int i = 0; i < kInt8Group; i += 8) {
      const __m256 v = _mm256_loadu_ps(from + i);
      most = _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v));
      nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    float lane[8], amax = 0;
    _mm256_storeu_ps(lane, most);
    for (const float v : lane) amax = v > amax ? v : amax;
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f;
    // Codes know no NaN: it must show in the scale.
    scale[g] = _mm256_movemask_ps(nan) != 0 ? __builtin_nanf("") : amax / 127.0f * 0.5f;
    for (int b = 0; b < kInt8Group; b += kFp4Block) {
      correction[(first + b) / kFp4Block] =
          prepare_block(from + b, _mm256_set1_ps(inverse), out + first + b);
    }
  }
}

// Half a unit (8 rows) as unsigned bytes, twice the value plus 12: columns 0 2 4 6, then 1 3 5 7.
PLUMB_TIER_INLINE void read_e2m1_half(const std::byte* p, __m256i& even, __m256i& odd) {
  const __m256i values = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i nibble = _mm256_set1_epi8(15);
  even = _mm256_shuffle_epi8(values, _mm256_and_si256(v, nibble));
  odd = _mm256_shuffle_epi8(values, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
}

PLUMB_TIER_INLINE __m256i splat_dword(const std::byte* p) {
  return _mm256_set1_epi32(*dwords_at(p));
}
PLUMB_TIER_INLINE __m256i add_pairs(__m256i acc, __m256i weights, __m256i codes) {
  return _mm256_add_epi16(acc, _mm256_maddubs_epi16(weights, codes));
}
// The 16-bit sums of 8 rows as fp32.
PLUMB_TIER_INLINE __m256 row_sums(__m256i acc) {
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(acc, _mm256_set1_epi16(1)));
}

// Where the parts of prepared rows of `cols` columns lie.
struct ByteRows {
  std::size_t scales, corrections;
  PLUMB_TIER_INLINE ByteRows of(int cols) {
    const auto groups = static_cast<std::size_t>(int8_groups(cols));
    return {groups * kInt8Group, groups * (kInt8Group + sizeof(float))};
  }
  [[gnu::always_inline]] inline const std::byte* correction(const std::byte* row, int k) const {
    return row + corrections + static_cast<std::size_t>(k / kFp4Block) * 4;
  }
  [[gnu::always_inline]] inline V scale(const std::byte* row, int k) const {
    return splat(reinterpret_cast<const float*>(row + scales)[k / kInt8Group]);
  }
};

// Up to 128 columns from k on of S tiles, decoded in registers; `p` at the scales of the panel.
template <int S, int M>
PLUMB_TIER_INLINE void few_bytes(const TileShape& shape, const std::byte* p, int width, int sub,
                                 int k, int end, const std::byte* const* rows,
                                 float (*sum)[S][kLanes]) {
  const ByteRows at = ByteRows::of(shape.cols);
  V part[M][S];
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) part[m][s] = splat(0.0f);
  }
  const std::size_t scale_bytes = static_cast<std::size_t>(width) * shape.scales();
  for (int b = k; b < end; b += kFp4Block) {
    const std::byte* unit = p + scale_bytes + sub * kUnitBytes;
    __m256i acc[M][S][2];
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      PLUMB_UNROLL
      for (int s = 0; s < S; ++s) {
        acc[m][s][0] = acc[m][s][1] = splat_dword(at.correction(rows[m], b));
      }
    }
    for (int u = 0; u < kFp4Block / 8; ++u, unit += width * kUnitBytes) {
      __m256i first[M], second[M];
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        first[m] = splat_dword(rows[m] + b + 8 * u);
        second[m] = splat_dword(rows[m] + b + 8 * u + 4);
      }
      PLUMB_UNROLL
      for (int s = 0; s < S; ++s) {
        PLUMB_UNROLL
        for (int h = 0; h < 2; ++h) {
          __m256i even, odd;
          read_e2m1_half(unit + s * kUnitBytes + 32 * h, even, odd);
          PLUMB_UNROLL
          for (int m = 0; m < M; ++m) {
            acc[m][s][h] = add_pairs(add_pairs(acc[m][s][h], even, first[m]), odd, second[m]);
          }
        }
      }
    }
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      const V scale = read_scale(p + static_cast<std::size_t>(sub + s) * shape.scales(),
                                 shape.scale_bytes, 1.0f);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        part[m][s] = fma(V{row_sums(acc[m][s][0]), row_sums(acc[m][s][1])}, scale, part[m][s]);
      }
    }
    p += scale_bytes + static_cast<std::size_t>(width) * shape.codes(kFp4Block);
  }
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    PLUMB_UNROLL
    for (int s = 0; s < S; ++s) {
      store(sum[m][s], fma(part[m][s], at.scale(rows[m], k), load(sum[m][s])));
    }
  }
}

// As many tokens as registers hold, from the first column to the last.
template <int S, int M>
[[gnu::noinline]] void few_whole(const TileProduct& a, int panel, int sub, int token) {
  const TileShape& shape = a.shape;
  const int width = shape.panel_tiles(panel);
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float sum[M][S][kLanes] = {};
  for (int k = 0; k < shape.cols; k += kInt8Group) {
    const int end = k + kInt8Group < shape.cols ? k + kInt8Group : shape.cols;
    few_bytes<S, M>(shape, p, width, sub, k, end, a.prepared + token, sum);
    p += static_cast<std::size_t>(width * ((end - k) / kFp4Block)) *
         (shape.scales() + shape.codes(kFp4Block));
  }
  store_sums<S>(a, panel, sub, token, M, sum);
}

// A tile's columns [k, end), decoded: per unit the even columns of 8 and of 8 rows, then the odd
// ones.
struct DecodedBytes {
  alignas(64) __m256i unit[kInt8Group / 8][4];
  V scale[kInt8Group / kFp4Block];
  int blocks = 0;
};

PLUMB_TIER_INLINE void decode_bytes(const TileShape& shape, const std::byte* p, int width, int sub,
                                    int cols, DecodedBytes& out) {
  const std::size_t scale_bytes = static_cast<std::size_t>(width) * shape.scales();
  out.blocks = cols / kFp4Block;
  for (int b = 0; b < out.blocks; ++b) {
    out.scale[b] =
        read_scale(p + static_cast<std::size_t>(sub) * shape.scales(), shape.scale_bytes, 1.0f);
    const std::byte* unit = p + scale_bytes + sub * kUnitBytes;
    for (int u = 0; u < kFp4Block / 8; ++u, unit += width * kUnitBytes) {
      __m256i(&to)[4] = out.unit[b * kFp4Block / 8 + u];
      read_e2m1_half(unit, to[0], to[2]);
      read_e2m1_half(unit + 32, to[1], to[3]);
    }
    p += scale_bytes + static_cast<std::size_t>(width) * shape.codes(kFp4Block);
  }
}

template <int M>
[[gnu::noinline]] void many_bytes(const DecodedBytes& w, const ByteRows& at,
                                  const std::byte* const* rows, int k, float (*sum)[1][kLanes]) {
  alignas(64) float part[M][kLanes] = {};
  for (int b = 0; b < w.blocks; ++b) {
    const std::byte* x[M];
    __m256i acc[M][2];
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      x[m] = rows[m] + k + b * kFp4Block;
      acc[m][0] = acc[m][1] = splat_dword(at.correction(rows[m], k + b * kFp4Block));
    }
    const __m256i* unit = w.unit[b * kFp4Block / 8];
    for (int u = 0; u < 2 * kFp4Block / 8; ++u, unit += 2) {
      const __m256i low = _mm256_load_si256(unit), high = _mm256_load_si256(unit + 1);
      PLUMB_UNROLL
      for (int m = 0; m < M; ++m) {
        const __m256i codes = splat_dword(x[m] + 4 * u);
        acc[m][0] = add_pairs(acc[m][0], low, codes);
        acc[m][1] = add_pairs(acc[m][1], high, codes);
      }
    }
    PLUMB_UNROLL
    for (int m = 0; m < M; ++m) {
      const V sums{row_sums(acc[m][0]), row_sums(acc[m][1])};
      store(part[m], fma(sums, w.scale[b], load(part[m])));
    }
  }
  PLUMB_UNROLL
  for (int m = 0; m < M; ++m) {
    store(sum[m][0], fma(load(part[m]), at.scale(rows[m], k), load(sum[m][0])));
  }
}

// Tiles sub .. sub + S - 1, times tokens [token, token + tokens).
template <int S>
[[gnu::noinline]] void many_tiles(const TileProduct& a, int panel, int sub, int token, int tokens) {
  const TileShape& shape = a.shape;
  const ByteRows at = ByteRows::of(shape.cols);
  const int width = shape.panel_tiles(panel);
  const std::byte* p = a.data + shape.panel_offset(panel);
  alignas(64) float sum[S][kBytesTokens][1][kLanes];
  for (int s = 0; s < S; ++s) {
    for (int m = 0; m < tokens; ++m) store(sum[s][m][0], splat(0.0f));
  }
  for (int k = 0; k < shape.cols; k += kInt8Group) {
    const int cols = k + kInt8Group < shape.cols ? kInt8Group : shape.cols - k;
    for (int s = 0; s < S; ++s) {
      DecodedBytes decoded;
      decode_bytes(shape, p, width, sub + s, cols, decoded);
      all_tokens<kBytesAtOnce>(tokens, [&]<int M>(int m) {
        many_bytes<M>(decoded, at, a.prepared + token + m, k, sum[s] + m);
      });
    }
    p += static_cast<std::size_t>(width * (cols / kFp4Block)) *
         (shape.scales() + shape.codes(kFp4Block));
  }
  for (int s = 0; s < S; ++s) store_sums<1>(a, panel, sub + s, token, tokens, sum[s]);
}

// As many tiles as registers hold beside the tokens.
template <int S, int M>
PLUMB_TIER_INLINE void few_tiles(const TileProduct& a, int panel, int sub, int token) {
  constexpr int kSome = S * M <= 4 ? S : M <= 2 ? 2 : 1;
  for (int s = 0; s < S; s += kSome) few_whole<kSome, M>(a, panel, sub + s, token);
}

template <int S>
void bytes_tiles(const TileProduct& a, int panel, int sub) {
  if (a.tokens < kBytesFrom) {
    return some_tokens<kBytesFrom - 1>(
        a.tokens, 0, [&]<int M>(int token) { few_tiles<S, M>(a, panel, sub, token); });
  }
  const int shares = (a.tokens + kBytesTokens - 1) / kBytesTokens;
  const int share = (a.tokens + shares - 1) / shares;
  for (int token = 0; token < a.tokens; token += share) {
    const int left = a.tokens - token;
    many_tiles<S>(a, panel, sub, token, left < share ? left : share);
  }
}

static void multiply_prepared(const TileProduct& a) {
  all_tiles(a, [&]<int S>(int panel, int sub) { bytes_tiles<S>(a, panel, sub); });
}

}  // namespace plumb::cpu::PLUMB_TIER
