// The indexer's scores of packed keys by integer dot products, and what choosing the largest needs.
// Included by the files of a tier only (see lanes.h).
//
// The bits are those of index_scores() on unpacked rows. Both factors are small integers times
// powers of two: doubled codes of at most 12, shifted left where a block's scale is above the least
// one of its row. With shifts of at most 3 every product and every partial sum of 128 of them is an
// integer below 2^24 times one power of two, so no order of adding in fp32 rounds anything either.
// A row whose scales differ by more, or that holds what is no number, takes the fp32 loop.
#pragma once

#include "device/cpu/attention_loops.h"
#include "device/cpu/cache_rows.h"

namespace plumb::cpu::PLUMB_TIER {

// For each of `groups` runs of 16 * vectors scores, the 16 maxima of every 16th one; false when a
// score is no number.
static bool group_maxima(const float* score, std::int64_t groups, int vectors, float* maxima) {
  int bad = 0;
  for (std::int64_t g = 0; g < groups; ++g, maxima += kLanes) {
    V most = load(score);
    for (int v = 0; v < vectors; ++v, score += kLanes) {
      most = max(load(score), most);
      for (int l = 0; l < kLanes; ++l) bad |= score[l] != score[l];
    }
    store(maxima, most);
  }
  return bad == 0;
}

// The places of scores not below `least`, ascending; `place` has room for 16 more than there are.
static std::int64_t places_from(const float* score, std::int64_t n, float least,
                                std::int32_t* place) {
  std::int64_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#if defined(__AVX512F__)
    const __mmask16 taken =
        _mm512_cmp_ps_mask(_mm512_loadu_ps(score + i), _mm512_set1_ps(least), _CMP_GE_OQ);
    if (taken == 0) continue;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(i)), lane);
    _mm512_storeu_si512(place + count, _mm512_maskz_compress_epi32(taken, at));
    count += __builtin_popcount(taken);
#else
    int any = 0;
    for (int l = 0; l < kLanes; ++l) any |= score[i + l] >= least;
    for (int l = 0; any != 0 && l < kLanes; ++l) {
      if (score[i + l] >= least) place[count++] = static_cast<std::int32_t>(i + l);
    }
#endif
  }
  for (; i < n; ++i) {
    if (score[i] >= least) place[count++] = static_cast<std::int32_t>(i);
  }
  return count;
}

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)

inline constexpr int kIndexDim = kPackedIndexDim, kIndexBlocks = kIndexDim / kE2M1RowBlock;
inline constexpr int kKeyGroups = kPackedIndexKeys / kLanes;
inline constexpr int kMostShift = 3;
inline constexpr int kLeastExponent = 67, kMostExponent = 187;  // biased; products stay normal

// One token's queries: the codes of each head, 64 bytes with the first 16 columns of every block
// and 64 with the last 16; the heads' scales (0: not to be had as integers); and what a sum starts
// from, as 128 is added to the codes of keys.
template <class Byte, class Code, class Scale, class Start>
struct QueryParts {
  Code* codes;
  Scale* scale;
  Start* start;

  QueryParts(Byte* memory, int heads)
      : codes(reinterpret_cast<Code*>(memory)),
        scale(reinterpret_cast<Scale*>(memory + heads * kIndexDim)),
        start(reinterpret_cast<Start*>(memory + heads * (kIndexDim + 4))) {}
};
using PackedQueries =
    QueryParts<const std::byte, const std::int8_t, const float, const std::int32_t>;

// The scales of a row's blocks brought to the least of them: shift[b] and 2^(least - 127). Blocks
// of zeros have no say. False when they differ too much.
PLUMB_TIER_INLINE bool common_scale(const int* exponent, const bool* zero, int* shift,
                                    float* scale) {
  int least = 255, most = 0;
  for (int b = 0; b < kIndexBlocks; ++b) {
    if (zero[b]) continue;
    least = exponent[b] < least ? exponent[b] : least;
    most = exponent[b] > most ? exponent[b] : most;
  }
  if (most == 0) least = most = 127;
  for (int b = 0; b < kIndexBlocks; ++b) shift[b] = zero[b] ? 0 : exponent[b] - least;
  *scale = e8m0_to_float(static_cast<std::uint8_t>(least));
  return most - least <= kMostShift && least >= kLeastExponent && most <= kMostExponent;
}

static void pack_index_queries(const float* q, int heads, std::byte* out) {
  const QueryParts<std::byte, std::int8_t, float, std::int32_t> packed(out, heads);
  for (int n = 0; n < heads; ++n, q += kIndexDim) {
    int exponent[kIndexBlocks], shift[kIndexBlocks];
    bool zero[kIndexBlocks];
    for (int b = 0; b < kIndexBlocks; ++b) {
      const float* x = q + b * kE2M1RowBlock;
      const V most = max(V{_mm512_abs_ps(load(x).v)}, V{_mm512_abs_ps(load(x + kLanes).v)});
      const float amax = _mm512_reduce_max_ps(most.v);
      zero[b] = amax == 0.0f;
      exponent[b] = static_cast<int>(float_bits(e2m1_block_scale(amax)) >> 23);
    }
    float scale = 0;
    bool good = common_scale(exponent, zero, shift, &scale);
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < kIndexDim / kLanes; ++i) {
      const int b = i / 2;
      // 2 / the block's scale, which is a normal number wherever it matters.
      const float inverse = zero[b] || !good ? 1.0f : float_from_bits((255u - exponent[b]) << 23);
      const V x = mul(load(q + i * kLanes), splat(inverse));
      const __m512i code = _mm512_cvtps_epi32(x.v);
      const __mmask16 other = _mm512_cmp_ps_mask(_mm512_cvtepi32_ps(code), x.v, _CMP_NEQ_UQ);
      const __mmask16 large =
          _mm512_cmpgt_epi32_mask(_mm512_abs_epi32(code), _mm512_set1_epi32(12));
      good = good && (other | large) == 0;
      const __m512i shifted = _mm512_slli_epi32(code, static_cast<unsigned>(shift[b] & 3));
      sum = _mm512_add_epi32(sum, shifted);
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(packed.codes + n * kIndexDim + i % 2 * 64 + b * 16),
          _mm512_cvtepi32_epi8(shifted));
    }
    packed.scale[n] = good ? scale * 0.25f : 0.0f;  // both factors are doubled
    packed.start[n] = good ? -128 * _mm512_reduce_add_epi32(sum) : 0;  // else codes mean nothing
  }
}

// 64 keys: four columns of 16 keys to a vector, the columns in the order of the queries.
struct KeyBlock {
  alignas(64) std::uint8_t codes[kKeyGroups][kIndexDim / 4][64];
  alignas(64) float scale[kPackedIndexKeys];
  std::uint64_t wild;  // bit i: key i takes the fp32 loop
};

// The shifted code tables: 128 + (doubled value << shift) at 16 * shift + code.
PLUMB_TIER_INLINE __m512i key_values() {
  alignas(64) std::uint8_t table[64];
  constexpr int kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  for (int i = 0; i < 64; ++i) {
    table[i] = static_cast<std::uint8_t>(128 + kDoubled[i % 16] * (1 << i / 16));
  }
  return _mm512_load_si512(table);
}

// The shifts of a key's blocks, times 16, as four bytes.
PLUMB_TIER_INLINE bool key_shifts(const std::byte* key, std::uint32_t* shifts, float* scale) {
  int exponent[kIndexBlocks], shift[kIndexBlocks];
  bool zero[kIndexBlocks];
  for (int b = 0; b < kIndexBlocks; ++b) {
    exponent[b] = static_cast<int>(key[kIndexDim / 2 + b]);
    zero[b] = false;
    if (exponent[b] < kLeastExponent) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key + 16 * b));
      zero[b] = _mm_test_epi8_mask(codes, _mm_set1_epi8(0x77)) == 0;
    }
  }
  const bool good = common_scale(exponent, zero, shift, scale);
  *shifts = 0;
  for (int b = 0; good && b < kIndexBlocks; ++b) {
    *shifts |= static_cast<std::uint32_t>(shift[b]) << (8 * b + 4);
  }
  return good;
}

// Scales and shifts of all keys of a block, and which of them are wild: 16 at a time where the
// scales are ordinary, one by one where they are not.
PLUMB_TIER_INLINE void find_shifts(const std::byte* const* keys, int count, KeyBlock& block,
                                   std::uint32_t* shifts) {
  static_assert(kIndexBlocks == 4);
  for (int i = 0; i < kPackedIndexKeys; ++i) {
    shifts[i] = 0;
    if (i < count) __builtin_memcpy(shifts + i, keys[i] + kIndexDim / 2, 4);
  }
  const __m512i byte = _mm512_set1_epi32(255);
  for (int g = 0; g < kKeyGroups; ++g) {
    const __m512i all = _mm512_load_si512(shifts + g * kLanes);
    __m512i least = _mm512_min_epu8(all, _mm512_rol_epi32(all, 8));
    __m512i most = _mm512_max_epu8(all, _mm512_rol_epi32(all, 8));
    least = _mm512_min_epu8(least, _mm512_rol_epi32(least, 16));  // in every byte
    most = _mm512_max_epu8(most, _mm512_rol_epi32(most, 16));
    const __m512i low = _mm512_and_si512(least, byte), high = _mm512_and_si512(most, byte);
    const __mmask16 good =
        _mm512_cmple_epi32_mask(_mm512_sub_epi32(high, low), _mm512_set1_epi32(kMostShift)) &
        _mm512_cmpge_epi32_mask(low, _mm512_set1_epi32(kLeastExponent)) &
        _mm512_cmple_epi32_mask(high, _mm512_set1_epi32(kMostExponent));
    _mm512_store_si512(shifts + g * kLanes, _mm512_slli_epi32(_mm512_sub_epi8(all, least), 4));
    store(block.scale + g * kLanes, V{_mm512_castsi512_ps(_mm512_slli_epi32(low, 23))});
    for (int l = 0; good != 0xffff && l < kLanes; ++l) {
      const int i = g * kLanes + l;
      if ((good >> l & 1) != 0) continue;
      if (i < count && key_shifts(keys[i], shifts + i, block.scale + i)) continue;
      if (i < count) block.wild |= std::uint64_t{1} << i;
      block.scale[i] = 0;
    }
  }
}

// row[i] dword j -> out[j] dword i.
PLUMB_TIER_INLINE void transpose_dwords(const __m512i (&row)[16], std::uint8_t (*out)[64]) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // b[i + c]: column c of every lane, of rows i .. i + 3
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(b[c], b[c + 4], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(b[c], b[c + 4], 0xee);
    const __m512i low23 = _mm512_shuffle_i32x4(b[c + 8], b[c + 12], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(b[c + 8], b[c + 12], 0xee);
    _mm512_store_si512(out[c], _mm512_shuffle_i32x4(low01, low23, 0x88));
    _mm512_store_si512(out[c + 4], _mm512_shuffle_i32x4(low01, low23, 0xdd));
    _mm512_store_si512(out[c + 8], _mm512_shuffle_i32x4(high01, high23, 0x88));
    _mm512_store_si512(out[c + 12], _mm512_shuffle_i32x4(high01, high23, 0xdd));
  }
}

PLUMB_TIER_INLINE void pack_keys(const std::byte* const* keys, int count, KeyBlock& block) {
  const __m512i values = key_values(), nibble = _mm512_set1_epi8(15);
  const __m512i spread = _mm512_set_epi32(
      0x03030303, 0x03030303, 0x03030303, 0x03030303, 0x02020202, 0x02020202, 0x02020202,
      0x02020202, 0x01010101, 0x01010101, 0x01010101, 0x01010101, 0, 0, 0, 0);
  block.wild = 0;
  alignas(64) std::uint32_t shifts[kPackedIndexKeys];
  find_shifts(keys, count, block, shifts);
  for (int g = 0; g < kKeyGroups; ++g) {
    __m512i low[16], high[16];
    for (int i = 0; i < kLanes; ++i) {
      const int place = g * kLanes + i;
      low[i] = high[i] = _mm512_set1_epi8(-128);
      if (place >= count || (block.wild >> place & 1) != 0) continue;
      const __m512i codes = _mm512_loadu_si512(keys[place]);
      const __m512i shift =
          _mm512_shuffle_epi8(_mm512_set1_epi32(static_cast<int>(shifts[place])), spread);
      const __m512i above = _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble);
      const __m512i below = _mm512_and_si512(codes, nibble);
      low[i] = _mm512_permutexvar_epi8(_mm512_or_si512(below, shift), values);
      high[i] = _mm512_permutexvar_epi8(_mm512_or_si512(above, shift), values);
    }
    transpose_dwords(low, block.codes[g]);
    transpose_dwords(high, block.codes[g] + 16);
  }
}

// score[i] = fma(w[n], max(0, q[n] . key i), score[i]) for H heads from n, ascending.
template <int H>
PLUMB_TIER_INLINE void add_heads(const KeyBlock& block, const PackedQueries& q, const float* w,
                                 int n, float* score) {
  __m512i acc[H][kKeyGroups];
  for (int h = 0; h < H; ++h) {
    for (int g = 0; g < kKeyGroups; ++g) acc[h][g] = _mm512_set1_epi32(q.start[n + h]);
  }
  const auto* code = reinterpret_cast<const int*>(q.codes) + n * (kIndexDim / 4);
  for (int j = 0; j < kIndexDim / 4; ++j) {
    __m512i key[kKeyGroups];
    for (int g = 0; g < kKeyGroups; ++g) key[g] = _mm512_load_si512(block.codes[g][j]);
    for (int h = 0; h < H; ++h) {
      const __m512i query = _mm512_set1_epi32(code[h * (kIndexDim / 4) + j]);
      for (int g = 0; g < kKeyGroups; ++g) {
        acc[h][g] = _mm512_dpbusd_epi32(acc[h][g], key[g], query);
      }
    }
  }
  for (int g = 0; g < kKeyGroups; ++g) {
    V sum = load(score + g * kLanes);
    for (int h = 0; h < H; ++h) {
      const V scale = mul(load(block.scale + g * kLanes), splat(q.scale[n + h]));
      const V dot = mul(V{_mm512_cvtepi32_ps(acc[h][g])}, scale);
      sum = fma(splat(w[n + h]), max(dot, splat(0.0f)), sum);
    }
    store(score + g * kLanes, sum);
  }
}

// The same for head n alone from unpacked keys.
PLUMB_TIER_INLINE void add_wild_head(const IndexProduct& a, const float* q, float w,
                                     const float* const* rows, float* score) {
  float dot[kPackedIndexKeys];
  dot_rows(q, rows, a.count, kIndexDim, dot);
  for (int i = 0; i < a.count; ++i) {
    score[i] = __builtin_fmaf(w, dot[i] > 0.0f ? dot[i] : 0.0f, score[i]);
  }
}

static void index_products(const IndexProduct& a) {
  KeyBlock block;
  pack_keys(a.keys, a.count, block);
  const float* rows[kPackedIndexKeys];
  bool unpacked = false;
  const auto unpack = [&] {
    for (int i = 0; i < a.count && !unpacked; ++i) {
      rows[i] = a.scratch + i * kIndexDim;
      decode_e2m1(a.keys[i], kIndexDim, a.scratch + i * kIndexDim);
    }
    unpacked = true;
  };
  for (int t = 0; t < a.tokens; ++t) {
    const PackedQueries q(a.packed[t], a.heads);
    float* score = a.score[t];
    for (int i = 0; i < kPackedIndexKeys; i += kLanes) store(score + i, splat(0.0f));
    for (int n = 0; n < a.heads;) {
      const float* scale = q.scale + n;
      if (n + 4 <= a.heads && scale[0] != 0 && scale[1] != 0 && scale[2] != 0 && scale[3] != 0) {
        add_heads<4>(block, q, a.w[t], n, score);
        n += 4;
        continue;
      }
      if (scale[0] != 0) {
        add_heads<1>(block, q, a.w[t], n, score);
      } else {
        unpack();
        add_wild_head(a, a.q[t] + n * kIndexDim, a.w[t][n], rows, score);
      }
      ++n;
    }
    if (block.wild == 0) continue;
    unpack();
    for (int i = 0; i < a.count; ++i) {
      if ((block.wild >> i & 1) == 0) continue;
      index_scores(a.q[t], a.w[t], a.heads, kIndexDim, rows + i, 1, score + i);
    }
  }
}

#else

static constexpr void (*pack_index_queries)(const float*, int, std::byte*) = nullptr;
static constexpr void (*index_products)(const IndexProduct&) = nullptr;

#endif

}  // namespace plumb::cpu::PLUMB_TIER
