// Attention of `fast` numerics: two products of bfloat16 with 16 heads in the lanes. Included by
// the files of tiers that have the dot product (see lanes.h).
//
// Scores and sums are chains over columns and over pairs of rows, pairs cut at even numbers: the
// same whatever other tokens share the rows.
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

// Dword j of row i becomes dword i of row j.
PLUMB_TIER_INLINE void transpose_dwords(__m512i (&row)[16]) {
  __m512i pair[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512i a = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    const __m512i b = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(row[i + 2], row[i + 3]);
    const __m512i d = _mm512_unpackhi_epi32(row[i + 2], row[i + 3]);
    pair[i] = _mm512_unpacklo_epi64(a, c);
    pair[i + 1] = _mm512_unpackhi_epi64(a, c);
    pair[i + 2] = _mm512_unpacklo_epi64(b, d);
    pair[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int j = 0; j < 4; ++j) {  // columns j, 4 + j, 8 + j, 12 + j
    const __m512i a = _mm512_shuffle_i32x4(pair[j], pair[4 + j], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(pair[8 + j], pair[12 + j], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(pair[j], pair[4 + j], 0xdd);
    const __m512i d = _mm512_shuffle_i32x4(pair[8 + j], pair[12 + j], 0xdd);
    row[j] = _mm512_shuffle_i32x4(a, b, 0x88);
    row[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
    row[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
    row[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

// 32 columns as bfloat16, in order.
PLUMB_TIER_INLINE __m512i halves_of(const float* x) {
  return reinterpret_cast<__m512i>(
      _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x)));
}

PLUMB_TIER_INLINE __m512bh broadcast_pair(const std::byte* p) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(*reinterpret_cast<const int*>(p)));
}

static void attend_queries(const float* q, int heads, int dim, std::byte* out) {
  for (int c = 0; c < dim; c += 32) {
    __m512i row[kAttendLanes];
    for (int h = 0; h < kAttendLanes; ++h) {
      row[h] = h < heads ? halves_of(q + h * dim + c) : _mm512_setzero_si512();
    }
    transpose_dwords(row);
    for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + (c / 2 + i) * 64, row[i]);
  }
}

static void attend_rows(const float* const* rows, int dim, std::byte* keys, std::byte* values) {
  alignas(64) static constexpr std::int16_t kFirst[32] = {
      0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(kFirst);
  const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
  for (int r = 0; r < kAttendRows; r += 2) {
    std::byte* key = keys + r * kAttendKeyStride;
    std::byte* value = values + r / 2 * 64;
    for (int c = 0; c < dim; c += 32, value += 2 * kAttendValueStride) {
      const __m512i a = halves_of(rows[r] + c), b = halves_of(rows[r + 1] + c);
      _mm512_storeu_si512(key + 2 * c, a);
      _mm512_storeu_si512(key + kAttendKeyStride + 2 * c, b);
      _mm512_storeu_si512(value, _mm512_permutex2var_epi16(a, first, b));
      _mm512_storeu_si512(value + kAttendValueStride, _mm512_permutex2var_epi16(a, second, b));
    }
  }
}

static void attend_scores(const std::byte* q, const std::byte* keys, int dim, float* score) {
  __m512 acc[kAttendRows];
  for (__m512& a : acc) a = _mm512_setzero_ps();
  for (int i = 0; i < dim / 2; ++i, keys += 4) {
    const auto pair = reinterpret_cast<__m512bh>(_mm512_loadu_si512(q + i * 64));
    for (int r = 0; r < kAttendRows; ++r) {
      acc[r] = _mm512_dpbf16_ps(acc[r], pair, broadcast_pair(keys + r * kAttendKeyStride));
    }
  }
  for (int r = 0; r < kAttendRows; ++r) _mm512_storeu_ps(score + r * kLanes, acc[r]);
}

// Two rows of 16 lanes as pairs of bfloat16.
PLUMB_TIER_INLINE __m512i pairs_of(V low, V high) {
  const auto a = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(low.v));
  const auto b = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(high.v));
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

static void attend_weigh(const float* score, int first, int last, float scale,
                         const std::byte* values, int dim, const AttendPart& part) {
  V top = splat(-__builtin_inff());
  for (int r = first; r < last; ++r) top = max(mul(load(score + r * kLanes), splat(scale)), top);
  alignas(64) std::byte weight[kAttendPartRows / 2 * 64];
  V den = splat(0.0f);
  const auto one = [&](int r) {
    if (r < first || r >= last) return splat(0.0f);
    const V p = exp(sub(mul(load(score + r * kLanes), splat(scale)), top));
    den = add(den, p);
    return p;
  };
  const int begin = first / 2, end = (last + 1) / 2;
  for (int i = begin; i < end; ++i) {
    const V low = one(2 * i), high = one(2 * i + 1);
    _mm512_store_si512(weight + i * 64, pairs_of(low, high));
  }
  store(part.top, top);
  store(part.den, den);
  for (int c = 0; c < dim; c += 16, values += kAttendValueStride) {
    __m512 acc[16];
    for (__m512& a : acc) a = _mm512_setzero_ps();
    for (int i = begin; i < end; ++i) {
      const auto p = reinterpret_cast<__m512bh>(_mm512_load_si512(weight + i * 64));
      const std::byte* value = values + i * 64;
      for (int d = 0; d < 16; ++d)
        acc[d] = _mm512_dpbf16_ps(acc[d], p, broadcast_pair(value + 4 * d));
    }
    for (int d = 0; d < 16; ++d) _mm512_storeu_ps(part.acc + (c + d) * kLanes, acc[d]);
  }
}

static void attend_merge(const AttendPart& part, int dim, const AttendPart& sum) {
  const V old = load(sum.top), fresh = load(part.top), top = max(old, fresh);
  const V f = exp(sub(old, top)), g = exp(sub(fresh, top));
  store(sum.top, top);
  store(sum.den, fma(load(part.den), g, mul(load(sum.den), f)));
  for (int i = 0; i < dim * kLanes; i += kLanes) {
    store(sum.acc + i, fma(load(part.acc + i), g, mul(load(sum.acc + i), f)));
  }
}

static void attend_close(const AttendPart& sum, const float* sink, int heads, int dim,
                         bool round_bf16, float* out) {
  float sinks[kLanes] = {};
  for (int h = 0; h < heads; ++h) sinks[h] = sink[h];
  const V den = add(load(sum.den), exp(sub(load(sinks), load(sum.top))));
  for (int c = 0; c < dim; c += 16) {
    __m512i row[16];
    for (int d = 0; d < 16; ++d) {
      const V y = round_if(round_bf16, div(load(sum.acc + (c + d) * kLanes), den));
      row[d] = _mm512_castps_si512(y.v);
    }
    transpose_dwords(row);
    for (int h = 0; h < heads; ++h) _mm512_storeu_si512(out + h * dim + c, row[h]);
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
