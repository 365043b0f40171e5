// AVX-512 intrinsics that SIMDe 0.7.4 lacks or takes less strictly than a processor, written from
// what Intel's manual says of the instructions. Included by immintrin.h beside this file only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#define PLUMB_EMULATED_INLINE [[gnu::always_inline]] static inline

namespace plumb::emulation {

using Bytes16 = std::uint8_t __attribute__((vector_size(16)));
using Words16 = std::uint16_t __attribute__((vector_size(32)));
using Dwords = std::uint32_t __attribute__((vector_size(64)));
using SignedDwords = std::int32_t __attribute__((vector_size(64)));

template <class To, class From>
PLUMB_EMULATED_INLINE To as(From v) {
  return reinterpret_cast<To>(v);
}

PLUMB_EMULATED_INLINE __m256 half(__m512 v, int which) {
  __m256 out;
  std::memcpy(&out, reinterpret_cast<const char*>(&v) + 32 * which, sizeof out);
  return out;
}

// One element after another, and nothing of what the mask leaves out is touched.
PLUMB_EMULATED_INLINE __m512 maskz_loadu_ps(__mmask16 mask, const void* p) {
  __m512 out = {};
  for (int i = 0; i < 16; ++i) {
    float x = 0;
    if ((mask >> i & 1) != 0) std::memcpy(&x, static_cast<const char*>(p) + 4 * i, sizeof x);
    out[i] = x;
  }
  return out;
}
PLUMB_EMULATED_INLINE void mask_storeu_epi16(void* p, __mmask16 mask, __m256i v) {
  const auto words = as<Words16>(v);
  for (int i = 0; i < 16; ++i) {
    const std::uint16_t word = words[i];
    if ((mask >> i & 1) != 0) std::memcpy(static_cast<char*>(p) + 2 * i, &word, sizeof word);
  }
}

// A processor faults where an aligned access is not.
PLUMB_EMULATED_INLINE void must_be_aligned(const void* p) {
  if (reinterpret_cast<std::uintptr_t>(p) % 64 != 0) __builtin_trap();
}
PLUMB_EMULATED_INLINE __m512i load_si512(const void* p) {
  must_be_aligned(p);
  return *static_cast<const __m512i*>(p);
}
PLUMB_EMULATED_INLINE void store_si512(void* p, __m512i v) {
  must_be_aligned(p);
  *static_cast<__m512i*>(p) = v;
}

PLUMB_EMULATED_INLINE __m512i cvtepu8_epi32(__m128i v) {
  return as<__m512i>(__builtin_convertvector(as<Bytes16>(v), Dwords));
}
PLUMB_EMULATED_INLINE __m512i cvtepu16_epi32(__m256i v) {
  return as<__m512i>(__builtin_convertvector(as<Words16>(v), Dwords));
}
PLUMB_EMULATED_INLINE __m128i cvtepi32_epi8(__m512i v) {
  return as<__m128i>(__builtin_convertvector(as<Dwords>(v), Bytes16));
}
PLUMB_EMULATED_INLINE __m256i cvtepi32_epi16(__m512i v) {
  return as<__m256i>(__builtin_convertvector(as<Dwords>(v), Words16));
}
PLUMB_EMULATED_INLINE __m512 cvtepi32_ps(__m512i v) {
  return __builtin_convertvector(as<SignedDwords>(v), __m512);
}
PLUMB_EMULATED_INLINE __m512i cvtps_epi32(__m512 v) {
  const __m256i parts[2] = {_mm256_cvtps_epi32(half(v, 0)), _mm256_cvtps_epi32(half(v, 1))};
  __m512i out;
  std::memcpy(&out, parts, sizeof out);
  return out;
}
PLUMB_EMULATED_INLINE __m512 cvtph_ps(__m256i v) {
  const __m256 parts[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(v)),
                           _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1))};
  __m512 out;
  std::memcpy(&out, parts, sizeof out);
  return out;
}

PLUMB_EMULATED_INLINE __m512i srai_epi32(__m512i v, unsigned count) {
  return as<__m512i>(as<SignedDwords>(v) >> static_cast<int>(count > 31 ? 31 : count));
}
// The same choice of four in every 128 bits.
PLUMB_EMULATED_INLINE __m512 permute_ps(__m512 v, int choice) {
  __m512 out;
  for (int i = 0; i < 16; ++i) out[i] = v[i / 4 * 4 + (choice >> (i % 4 * 2) & 3)];
  return out;
}

PLUMB_EMULATED_INLINE int cvtsi512_si32(__m512i v) { return as<SignedDwords>(v)[0]; }
PLUMB_EMULATED_INLINE float cvtss_f32(__m512 v) { return v[0]; }
// No order matters to these two where nothing is no number.
PLUMB_EMULATED_INLINE int reduce_add_epi32(__m512i v) {
  std::uint32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += as<Dwords>(v)[i];
  return static_cast<int>(sum);
}
PLUMB_EMULATED_INLINE float reduce_max_ps(__m512 v) {
  float most = v[0];
  for (int i = 1; i < 16; ++i) most = most > v[i] ? most : v[i];
  return most;
}

// The instructions of bfloat16 take subnormal numbers for zeros of their sign, and give none,
// whatever the control register asks for.
PLUMB_EMULATED_INLINE Dwords without_subnormals(Dwords bits) {
  const Dwords normal = as<Dwords>((bits & 0x7f800000u) != 0);
  return bits & (normal | 0x80000000u);
}
// To the nearest, ties to even; what is no number stays so.
PLUMB_EMULATED_INLINE Words16 bf16_words(__m512 v) {
  const Dwords bits = without_subnormals(as<Dwords>(v));
  const Dwords rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Dwords nan = as<Dwords>((bits & 0x7fffffffu) > 0x7f800000u);
  const Dwords quiet = bits >> 16 | 0x40u;
  return __builtin_convertvector((nan & quiet) | (~nan & rounded), Words16);
}
PLUMB_EMULATED_INLINE __m256bh cvtneps_pbh(__m512 v) { return as<__m256bh>(bf16_words(v)); }
PLUMB_EMULATED_INLINE __m512bh cvtne2ps_pbh(__m512 high, __m512 low) {
  const Words16 parts[2] = {bf16_words(low), bf16_words(high)};
  __m512bh out;
  std::memcpy(&out, parts, sizeof out);
  return out;
}
// Two fused steps per lane, the upper numbers of the pairs first, each rounded to the nearest.
PLUMB_EMULATED_INLINE __m512 dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
  const Dwords upper_a = without_subnormals(as<Dwords>(a) & 0xffff0000u);
  const Dwords upper_b = without_subnormals(as<Dwords>(b) & 0xffff0000u);
  const Dwords lower_a = without_subnormals(as<Dwords>(a) << 16);
  const Dwords lower_b = without_subnormals(as<Dwords>(b) << 16);
  sum = as<__m512>(without_subnormals(as<Dwords>(sum)));
  sum = simde_mm512_fmadd_ps(as<__m512>(upper_a), as<__m512>(upper_b), sum);
  sum = as<__m512>(without_subnormals(as<Dwords>(sum)));
  sum = simde_mm512_fmadd_ps(as<__m512>(lower_a), as<__m512>(lower_b), sum);
  return as<__m512>(without_subnormals(as<Dwords>(sum)));
}

}  // namespace plumb::emulation

#undef _mm256_mask_storeu_epi16
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtne2ps_pbh
#undef _mm512_cvtneps_pbh
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtsi512_si32
#undef _mm512_cvtss_f32
#undef _mm512_dpbf16_ps
#undef _mm512_extractf32x8_ps
#undef _mm512_load_si512
#undef _mm512_maskz_loadu_ps
#undef _mm512_permute_ps
#undef _mm512_reduce_add_epi32
#undef _mm512_reduce_max_ps
#undef _mm512_shuffle_f32x4
#undef _mm512_srai_epi32
#undef _mm512_store_si512
#define _mm256_mask_storeu_epi16 plumb::emulation::mask_storeu_epi16
#define _mm512_cvtepi32_epi16 plumb::emulation::cvtepi32_epi16
#define _mm512_cvtepi32_epi8 plumb::emulation::cvtepi32_epi8
#define _mm512_cvtepi32_ps plumb::emulation::cvtepi32_ps
#define _mm512_cvtepu16_epi32 plumb::emulation::cvtepu16_epi32
#define _mm512_cvtepu8_epi32 plumb::emulation::cvtepu8_epi32
#define _mm512_cvtne2ps_pbh plumb::emulation::cvtne2ps_pbh
#define _mm512_cvtneps_pbh plumb::emulation::cvtneps_pbh
#define _mm512_cvtph_ps plumb::emulation::cvtph_ps
#define _mm512_cvtps_epi32 plumb::emulation::cvtps_epi32
#define _mm512_cvtsi512_si32 plumb::emulation::cvtsi512_si32
#define _mm512_cvtss_f32 plumb::emulation::cvtss_f32
#define _mm512_dpbf16_ps plumb::emulation::dpbf16_ps
#define _mm512_extractf32x8_ps plumb::emulation::half
#define _mm512_load_si512 plumb::emulation::load_si512
#define _mm512_maskz_loadu_ps plumb::emulation::maskz_loadu_ps
#define _mm512_permute_ps plumb::emulation::permute_ps
#define _mm512_reduce_add_epi32 plumb::emulation::reduce_add_epi32
#define _mm512_reduce_max_ps plumb::emulation::reduce_max_ps
#define _mm512_shuffle_f32x4 simde_mm512_shuffle_f32x4
#define _mm512_srai_epi32 plumb::emulation::srai_epi32
#define _mm512_store_si512 plumb::emulation::store_si512
