// Packed index keys by products of 16-bit pairs (index_loops.h), where there is no dot product of
// bytes. Included by the file of the avx2 tier only (see lanes.h).
#pragma once

#include "device/cpu/index_parts.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kIndexPairs = kIndexDim / 2;

// Codes of queries: 128 words, columns in order.
using PackedQueries =
    QueryParts<const std::byte, const std::int16_t, const float, const std::int32_t>;

// 16 fp32 integers as words, in order; not `good` where one is none or larger than 12.
PLUMB_TIER_INLINE __m256i small_integers(V x, bool& good) {
  const __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
  const __m256 other = _mm256_or_ps(_mm256_cmp_ps(_mm256_cvtepi32_ps(a), x.a, _CMP_NEQ_UQ),
                                    _mm256_cmp_ps(_mm256_cvtepi32_ps(b), x.b, _CMP_NEQ_UQ));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
  const __m256i large = _mm256_cmpgt_epi16(_mm256_abs_epi16(words), _mm256_set1_epi16(12));
  good = good && _mm256_movemask_ps(other) == 0 && _mm256_testz_si256(large, large) != 0;
  return words;
}

static void pack_index_queries(const float* q, int heads, std::byte* out) {
  const QueryParts<std::byte, std::int16_t, float, std::int32_t> packed(out, heads);
  for (int n = 0; n < heads; ++n, q += kIndexDim) {
    int exponent[kIndexBlocks], shift[kIndexBlocks];
    bool zero[kIndexBlocks];
    for (int b = 0; b < kIndexBlocks; ++b) {
      float amax = 0;
      for (int i = b * kE2M1RowBlock; i < (b + 1) * kE2M1RowBlock; ++i) {
        const float size = q[i] < 0 ? -q[i] : q[i];
        amax = size > amax ? size : amax;
      }
      zero[b] = amax == 0.0f;
      exponent[b] = static_cast<int>(float_bits(e2m1_block_scale(amax)) >> 23);
    }
    float scale = 0;
    bool good = common_scale(exponent, zero, shift, &scale);
    auto* to = reinterpret_cast<__m256i*>(packed.codes + n * kIndexDim);
    for (int i = 0; i < kIndexDim / kLanes; ++i) {
      const int b = i / 2;
      // 2 / the block's scale, which is a normal number wherever it matters.
      const float inverse = zero[b] || !good ? 1.0f : float_from_bits((255u - exponent[b]) << 23);
      const V x = mul(load(q + i * kLanes), splat(inverse));
      _mm256_storeu_si256(to + i, _mm256_slli_epi16(small_integers(x, good), shift[b] & 3));
    }
    packed.scale[n] = good ? scale * 0.25f : 0.0f;  // both factors are doubled
    packed.start[n] = 0;
  }
}

// 64 keys: two columns of 8 keys to a vector.
struct KeyBlock {
  alignas(32) __m256i codes[kPackedIndexKeys / 8][kIndexPairs];
  alignas(64) float scale[kPackedIndexKeys];
  std::uint64_t wild;  // bit i: key i takes the fp32 loop
};

// row[i] dword j -> out[j] dword i.
PLUMB_TIER_INLINE void transpose_dwords(const __m256i (&row)[8], __m256i* out) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_epi32(row[i], row[i + 1]);
    a[i + 1] = _mm256_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {  // b[i + c]: column c of both halves, of rows i .. i + 3
    b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    _mm256_store_si256(out + c, _mm256_permute2x128_si256(b[c], b[c + 4], 0x20));
    _mm256_store_si256(out + c + 4, _mm256_permute2x128_si256(b[c], b[c + 4], 0x31));
  }
}

// A block's codes as shifted words: its first 16 columns, then its last.
PLUMB_TIER_INLINE void key_words(const std::byte* codes, int shift, __m256i (&words)[2]) {
  const __m128i doubled = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i nibble = _mm_set1_epi8(15), by = _mm_cvtsi32_si128(shift);
  const __m128i low = _mm_shuffle_epi8(doubled, _mm_and_si128(pairs, nibble));
  const __m128i high = _mm_shuffle_epi8(doubled, _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble));
  words[0] = _mm256_sll_epi16(_mm256_cvtepi8_epi16(low), by);
  words[1] = _mm256_sll_epi16(_mm256_cvtepi8_epi16(high), by);
}

PLUMB_TIER_INLINE void pack_keys(const std::byte* const* keys, int count, KeyBlock& block) {
  int shift[kPackedIndexKeys][kIndexBlocks];
  block.wild = 0;
  for (int i = 0; i < kPackedIndexKeys; ++i) {
    block.scale[i] = 0;
    if (i >= count || key_shifts(keys[i], shift[i], block.scale + i)) continue;
    block.wild |= std::uint64_t{1} << i;
    block.scale[i] = 0;
  }
  for (int g = 0; g < kPackedIndexKeys / 8; ++g) {
    for (int b = 0; b < kIndexBlocks; ++b) {
      __m256i words[2][8];
      for (int i = 0; i < 8; ++i) {
        const int place = g * 8 + i;
        __m256i own[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        if (place < count && (block.wild >> place & 1) == 0) {
          key_words(keys[place] + 16 * b, shift[place][b], own);
        }
        words[0][i] = own[0];
        words[1][i] = own[1];
      }
      transpose_dwords(words[0], block.codes[g] + 16 * b);
      transpose_dwords(words[1], block.codes[g] + 16 * b + 8);
    }
  }
}

// score[i] = fma(w[n], max(0, q[n] . key i), score[i]) for H heads from n, ascending.
template <int H>
PLUMB_TIER_INLINE void add_heads(const KeyBlock& block, const PackedQueries& q, const float* w,
                                 int n, float* score) {
  const auto* code = reinterpret_cast<const int*>(q.codes) + n * kIndexPairs;
  for (int g = 0; g < kKeyGroups; ++g, score += kLanes) {
    const __m256i *first = block.codes[2 * g], *second = block.codes[2 * g + 1];
    __m256i acc[H][2];
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) acc[h][0] = acc[h][1] = _mm256_setzero_si256();
    for (int j = 0; j < kIndexPairs; ++j) {
      const __m256i a = _mm256_load_si256(first + j), b = _mm256_load_si256(second + j);
#pragma GCC unroll 4
      for (int h = 0; h < H; ++h) {
        const __m256i query = _mm256_set1_epi32(code[h * kIndexPairs + j]);
        acc[h][0] = _mm256_add_epi32(acc[h][0], _mm256_madd_epi16(a, query));
        acc[h][1] = _mm256_add_epi32(acc[h][1], _mm256_madd_epi16(b, query));
      }
    }
    V sum = load(score);
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const V scale = mul(load(block.scale + g * kLanes), splat(q.scale[n + h]));
      const V dot = mul(V{_mm256_cvtepi32_ps(acc[h][0]), _mm256_cvtepi32_ps(acc[h][1])}, scale);
      sum = fma(splat(w[n + h]), max(dot, splat(0.0f)), sum);
    }
    store(score, sum);
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
