// Packed index keys by dot products of bytes (index_loops.h). Included by the files of tiers that
// have them (see lanes.h).
#pragma once

#include "device/cpu/index_parts.h"

namespace plumb::cpu::PLUMB_TIER {

// Codes of queries: 64 bytes with the first 16 columns of every block and 64 with the last 16. 128
// is added to the codes of keys, which a sum's start takes off again.
using PackedQueries =
    QueryParts<const std::byte, const std::int8_t, const float, const std::int32_t>;

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
          reinterpret_cast<__m128i*>(packed.codes + n * kPackedIndexCodes + i % 2 * 64 + b * 16),
          _mm512_cvtepi32_epi8(shifted));
    }
    packed.scale[n] = good ? scale * 0.25f : 0.0f;                     // both factors are doubled
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
PLUMB_TIER_INLINE bool shift_bytes(const std::byte* key, std::uint32_t* shifts, float* scale) {
  int shift[kIndexBlocks];
  const bool good = key_shifts(key, shift, scale);
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
      if (i < count && shift_bytes(keys[i], shifts + i, block.scale + i)) continue;
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
  const auto* code = reinterpret_cast<const int*>(q.codes) + n * (kPackedIndexCodes / 4);
  for (int j = 0; j < kIndexDim / 4; ++j) {
    __m512i key[kKeyGroups];
    for (int g = 0; g < kKeyGroups; ++g) key[g] = _mm512_load_si512(block.codes[g][j]);
    for (int h = 0; h < H; ++h) {
      const __m512i query = _mm512_set1_epi32(code[h * (kPackedIndexCodes / 4) + j]);
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

}  // namespace plumb::cpu::PLUMB_TIER
