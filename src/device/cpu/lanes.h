// Sixteen fp32 numbers at once, on whatever this file's instruction set has. Included by the files
// of a tier only, which name it by PLUMB_TIER; everything here is local to that name.
//
// max and min pick as the scalar code does: max(a, b) = a > b ? a : b, so a NaN in `a` is dropped.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own headers build "undefined" vectors from themselves.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#endif

#include "tensor/math.h"
#include "tensor/number.h"

#define PLUMB_TIER_INLINE [[gnu::always_inline]] static inline

// Every processor with aarch64 has NEON, so the tiers that use it say so (PLUMB_NEON); baseline
// stays what any machine can compile.
#if defined(PLUMB_NEON)
#include "device/cpu/lanes_neon.h"
#endif

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kLanes = 16;

#if defined(__AVX512F__)

struct V {
  __m512 v;
};

PLUMB_TIER_INLINE V load(const float* p) { return {_mm512_loadu_ps(p)}; }
PLUMB_TIER_INLINE void store(float* p, V a) { _mm512_storeu_ps(p, a.v); }
PLUMB_TIER_INLINE V splat(float x) { return {_mm512_set1_ps(x)}; }
PLUMB_TIER_INLINE V add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
PLUMB_TIER_INLINE V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
PLUMB_TIER_INLINE V negate(V a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }

// (p * 2^floor(n/2)) * 2^(n - floor(n/2)) where shifted = n + ExpConstants::kRound.
PLUMB_TIER_INLINE V scale_by_power(V p, V shifted) {
  const __m512i k = _mm512_sub_epi32(_mm512_castps_si512(shifted.v),
                                     _mm512_castps_si512(splat(math::ExpConstants::kRound).v));
  const __m512i half = _mm512_srai_epi32(k, 1), bias = _mm512_set1_epi32(127);
  const __m512i a = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i b = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(k, half), bias), 23);
  return {_mm512_mul_ps(_mm512_mul_ps(p.v, _mm512_castsi512_ps(a)), _mm512_castsi512_ps(b))};
}

PLUMB_TIER_INLINE V round_bf16(V a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i chosen = _mm512_mask_blend_epi32(nan, up, quiet);
  return {_mm512_castsi512_ps(_mm512_and_si512(chosen, _mm512_set1_epi32(-65536)))};
}

// Lanes added pairwise: (l, l+8), (l, l+4), (l, l+2), (l, l+1).
PLUMB_TIER_INLINE float add_lanes(V a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// add_lanes of four at once.
PLUMB_TIER_INLINE void add_lanes_of_four(const V (&a)[4], float* out) {
  const auto halves = [](V x, V y) {  // (l, l+8) of x in the lower half, of y in the upper
    return _mm512_add_ps(_mm512_shuffle_f32x4(x.v, y.v, 0x44),
                         _mm512_shuffle_f32x4(x.v, y.v, 0xee));
  };
  const __m512 low = halves(a[0], a[1]), high = halves(a[2], a[3]);
  const __m512 four =
      _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
  const __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4e));
  const __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xb1));
  const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, one)));
}

PLUMB_TIER_INLINE V widen_bf16(const void* p) {
  const __m256i half = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
// E4M3 codes as fp32, divided by 256: the code's bits are a binary16 number with another bias.
PLUMB_TIER_INLINE V widen_e4m3(const void* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m256i half =
      _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(static_cast<short>(0xbf80)));
  return {_mm512_cvtph_ps(half)};
}
// E2M1: the low nibbles of 16 bytes, then the high ones.
PLUMB_TIER_INLINE void widen_e2m1(const void* p, V& low, V& high) {
  const __m512 values = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f,
                                       -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
  const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  low.v = _mm512_permutexvar_ps(index, values);
  high.v = _mm512_permutexvar_ps(_mm512_srli_epi32(index, 4), values);
}
PLUMB_TIER_INLINE V widen_e8m0(const void* p) {
  const __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m512i bits = _mm512_max_epi32(_mm512_slli_epi32(code, 23), _mm512_set1_epi32(0x00400000));
  return {_mm512_castsi512_ps(bits)};
}

#elif defined(__AVX2__)

struct V {
  __m256 a, b;
};

PLUMB_TIER_INLINE V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
PLUMB_TIER_INLINE void store(float* p, V x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
PLUMB_TIER_INLINE V splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
PLUMB_TIER_INLINE V add(V x, V y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V sub(V x, V y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V mul(V x, V y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V div(V x, V y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V max(V x, V y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V min(V x, V y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
PLUMB_TIER_INLINE V fma(V x, V y, V z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
PLUMB_TIER_INLINE V negate(V x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
}

PLUMB_TIER_INLINE __m256 scale_half_by_power(__m256 p, __m256 shifted) {
  const __m256i k =
      _mm256_sub_epi32(_mm256_castps_si256(shifted),
                       _mm256_castps_si256(_mm256_set1_ps(math::ExpConstants::kRound)));
  const __m256i half = _mm256_srai_epi32(k, 1), bias = _mm256_set1_epi32(127);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(k, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}
PLUMB_TIER_INLINE V scale_by_power(V p, V shifted) {
  return {scale_half_by_power(p.a, shifted.a), scale_half_by_power(p.b, shifted.b)};
}

PLUMB_TIER_INLINE __m256 round_half_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
  const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  const __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(quiet), nan);
  return _mm256_and_ps(chosen, _mm256_castsi256_ps(_mm256_set1_epi32(-65536)));
}
PLUMB_TIER_INLINE V round_bf16(V x) { return {round_half_bf16(x.a), round_half_bf16(x.b)}; }

PLUMB_TIER_INLINE float add_lanes(V x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

PLUMB_TIER_INLINE V from_bits(__m256i a, __m256i b) {
  return {_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)};
}
PLUMB_TIER_INLINE V widen_bf16(const void* p) {
  const auto* half = static_cast<const __m128i*>(p);
  return from_bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(half)), 16),
                   _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(half + 1)), 16));
}
PLUMB_TIER_INLINE V widen_halves(__m256i half) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
PLUMB_TIER_INLINE V widen_e4m3(const void* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return widen_halves(
      _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(static_cast<short>(0xbf80))));
}
PLUMB_TIER_INLINE void widen_e2m1(const void* p, V& low, V& high) {
  // The upper bytes of the values in binary16; the lower ones are zero.
  const __m128i table = _mm_setr_epi8(0, 0x38, 0x3c, 0x3e, 0x40, 0x42, 0x44, 0x46, -128, -72, -68,
                                      -66, -64, -62, -60, -58);
  const __m128i pairs = _mm_loadu_si128(static_cast<const __m128i*>(p)), nibble = _mm_set1_epi8(15);
  const __m128i even = _mm_shuffle_epi8(table, _mm_and_si128(pairs, nibble));
  const __m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble));
  low = widen_halves(_mm256_slli_epi16(_mm256_cvtepu8_epi16(even), 8));
  high = widen_halves(_mm256_slli_epi16(_mm256_cvtepu8_epi16(odd), 8));
}
PLUMB_TIER_INLINE V widen_e8m0(const void* p) {
  const __m128i code = _mm_loadu_si128(static_cast<const __m128i*>(p));
  const __m256i least = _mm256_set1_epi32(0x00400000);
  const __m256i a = _mm256_cvtepu8_epi32(code), b = _mm256_cvtepu8_epi32(_mm_srli_si128(code, 8));
  return from_bits(_mm256_max_epi32(_mm256_slli_epi32(a, 23), least),
                   _mm256_max_epi32(_mm256_slli_epi32(b, 23), least));
}

#elif !defined(PLUMB_NEON)

struct V {
  float v[kLanes];
};

template <class F>
PLUMB_TIER_INLINE V each(F f) {
  V out;
  for (int l = 0; l < kLanes; ++l) out.v[l] = f(l);
  return out;
}
PLUMB_TIER_INLINE V load(const float* p) {
  return each([=](int l) { return p[l]; });
}
PLUMB_TIER_INLINE void store(float* p, V a) {
  for (int l = 0; l < kLanes; ++l) p[l] = a.v[l];
}
PLUMB_TIER_INLINE V splat(float x) {
  return each([=](int) { return x; });
}
PLUMB_TIER_INLINE V add(V a, V b) {
  return each([&](int l) { return a.v[l] + b.v[l]; });
}
PLUMB_TIER_INLINE V sub(V a, V b) {
  return each([&](int l) { return a.v[l] - b.v[l]; });
}
PLUMB_TIER_INLINE V mul(V a, V b) {
  return each([&](int l) { return a.v[l] * b.v[l]; });
}
PLUMB_TIER_INLINE V div(V a, V b) {
  return each([&](int l) { return a.v[l] / b.v[l]; });
}
PLUMB_TIER_INLINE V max(V a, V b) {
  return each([&](int l) { return a.v[l] > b.v[l] ? a.v[l] : b.v[l]; });
}
PLUMB_TIER_INLINE V min(V a, V b) {
  return each([&](int l) { return a.v[l] < b.v[l] ? a.v[l] : b.v[l]; });
}
PLUMB_TIER_INLINE V fma(V a, V b, V c) {
  return each([&](int l) { return __builtin_fmaf(a.v[l], b.v[l], c.v[l]); });
}
PLUMB_TIER_INLINE V negate(V a) {
  return each([&](int l) { return -a.v[l]; });
}
PLUMB_TIER_INLINE V scale_by_power(V p, V shifted) {
  return each([&](int l) {
    const auto k = static_cast<std::int32_t>(float_bits(shifted.v[l]) -
                                             float_bits(math::ExpConstants::kRound));
    const std::int32_t half = k >> 1;
    return (p.v[l] * float_from_bits(static_cast<std::uint32_t>(half + 127) << 23)) *
           float_from_bits(static_cast<std::uint32_t>(k - half + 127) << 23);
  });
}
PLUMB_TIER_INLINE V round_bf16(V a) {
  return each([&](int l) { return round_to_bf16(a.v[l]); });
}
PLUMB_TIER_INLINE float add_lanes(V a) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) a.v[l] += a.v[l + width];
  }
  return a.v[0];
}

PLUMB_TIER_INLINE std::uint8_t byte_at(const void* p, int i) {
  return static_cast<const std::uint8_t*>(p)[i];
}
PLUMB_TIER_INLINE std::uint16_t half_at(const void* p, int i) {
  return static_cast<std::uint16_t>(byte_at(p, 2 * i) | byte_at(p, 2 * i + 1) << 8);
}
PLUMB_TIER_INLINE V widen_bf16(const void* p) {
  return each([=](int l) { return bf16_to_float(half_at(p, l)); });
}
PLUMB_TIER_INLINE V widen_e4m3(const void* p) {
  return each([=](int l) { return e4m3_to_float(byte_at(p, l)) * 0x1p-8f; });
}
PLUMB_TIER_INLINE void widen_e2m1(const void* p, V& low, V& high) {
  low = each([=](int l) { return e2m1_to_float(byte_at(p, l) & 15); });
  high = each([=](int l) { return e2m1_to_float(static_cast<std::uint8_t>(byte_at(p, l) >> 4)); });
}
PLUMB_TIER_INLINE V widen_e8m0(const void* p) {
  return each([=](int l) { return e8m0_to_float(byte_at(p, l)); });
}

#endif

#if !defined(__AVX512F__) && !defined(PLUMB_NEON)
PLUMB_TIER_INLINE void add_lanes_of_four(const V (&a)[4], float* out) {
  for (int r = 0; r < 4; ++r) out[r] = add_lanes(a[r]);
}
#endif

// The steps of math::exp on every lane.
PLUMB_TIER_INLINE V exp(V x) {
  using C = math::ExpConstants;
  x = min(splat(C::kHigh), max(splat(C::kLow), x));
  const V shifted = fma(x, splat(C::kLog2E), splat(C::kRound));
  const V n = sub(shifted, splat(C::kRound));
  V r = fma(n, splat(-C::kLn2High), x);
  r = fma(n, splat(-C::kLn2Low), r);
  V p = fma(splat(C::kC7), r, splat(C::kC6));
  p = fma(p, r, splat(C::kC5));
  p = fma(p, r, splat(C::kC4));
  p = fma(p, r, splat(C::kC3));
  p = fma(p, r, splat(C::kC2));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  return scale_by_power(p, shifted);
}

PLUMB_TIER_INLINE V round_if(bool round, V a) { return round ? round_bf16(a) : a; }
using plumb::round_if;

// One chain of fma(a[i], b[i], lane i mod 16); the tail of fewer than 16 on its own lanes.
PLUMB_TIER_INLINE V lane_chains(const float* a, const float* b, int n) {
  V acc = splat(0.0f);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) acc = fma(load(a + i), load(b + i), acc);
  if (i == n) return acc;
  float lane[kLanes];
  store(lane, acc);
  for (int l = 0; i + l < n; ++l) lane[l] = __builtin_fmaf(a[i + l], b[i + l], lane[l]);
  return load(lane);
}

}  // namespace plumb::cpu::PLUMB_TIER
