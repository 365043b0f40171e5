// Units of tiled weights (tiles.h) as fp32. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

// kCols columns at a time, and the factor that undoes what widening leaves; read() gives the columns
// in order, times `scale` where the element is scaled.
template <Element E>
struct Unit;

template <>
struct Unit<Element::kF32> {
  static constexpr int kCols = 1;
  static constexpr bool kScaled = false;
  static constexpr float kFactor = 1.0f;
  PLUMB_TIER_INLINE void read(const std::byte* p, V, V (&w)[kCols]) {
    w[0] = load(reinterpret_cast<const float*>(p));
  }
};

template <>
struct Unit<Element::kBF16> {
  static constexpr int kCols = 2;
  static constexpr bool kScaled = false;
  static constexpr float kFactor = 1.0f;
  PLUMB_TIER_INLINE void read(const std::byte* p, V, V (&w)[kCols]) { bf16_unit(p, w); }

 private:
#if defined(__AVX512F__)
  PLUMB_TIER_INLINE void bf16_unit(const std::byte* p, V (&w)[kCols]) {
    const __m512i v = _mm512_loadu_si512(p);
    w[0] = {_mm512_castsi512_ps(_mm512_slli_epi32(v, 16))};
    w[1] = {_mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-65536)))};
  }
#elif defined(__AVX2__)
  PLUMB_TIER_INLINE void bf16_unit(const std::byte* p, V (&w)[kCols]) {
    const auto* half = reinterpret_cast<const __m256i*>(p);
    const __m256i a = _mm256_loadu_si256(half), b = _mm256_loadu_si256(half + 1);
    const __m256i high = _mm256_set1_epi32(-65536);
    w[0] = from_bits(_mm256_slli_epi32(a, 16), _mm256_slli_epi32(b, 16));
    w[1] = from_bits(_mm256_and_si256(a, high), _mm256_and_si256(b, high));
  }
#elif defined(PLUMB_NEON)
  PLUMB_TIER_INLINE void bf16_unit(const std::byte* p, V (&w)[kCols]) {
    const V pairs = load(reinterpret_cast<const float*>(p));
    w[0] = each([](float32x4_t v) { return from_bits(vshlq_n_u32(bits_of(v), 16)); }, pairs);
    w[1] = each([](float32x4_t v) { return from_bits(vandq_u32(bits_of(v), upper())); }, pairs);
  }
  PLUMB_TIER_INLINE uint32x4_t bits_of(float32x4_t v) { return vreinterpretq_u32_f32(v); }
  PLUMB_TIER_INLINE float32x4_t from_bits(uint32x4_t v) { return vreinterpretq_f32_u32(v); }
  PLUMB_TIER_INLINE uint32x4_t upper() { return vdupq_n_u32(0xffff0000); }
#else
  PLUMB_TIER_INLINE void bf16_unit(const std::byte* p, V (&w)[kCols]) {
    for (int i = 0; i < kCols; ++i) {
      w[i] = each([=](int l) { return bf16_to_float(half_at(p, 2 * l + i)); });
    }
  }
#endif
};

template <>
struct Unit<Element::kF16> {
  static constexpr int kCols = 2;
  static constexpr bool kScaled = false;
  static constexpr float kFactor = 1.0f;
  PLUMB_TIER_INLINE void read(const std::byte* p, V, V (&w)[kCols]) { f16_unit(p, w); }

 private:
#if defined(__AVX512F__)
  PLUMB_TIER_INLINE void f16_unit(const std::byte* p, V (&w)[kCols]) {
    const __m512i v = _mm512_loadu_si512(p);
    w[0] = {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(v))};
    w[1] = {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)))};
  }
#elif defined(__AVX2__)
  PLUMB_TIER_INLINE void f16_unit(const std::byte* p, V (&w)[kCols]) {
    const auto* half = reinterpret_cast<const __m256i*>(p);
    const __m256i a = _mm256_loadu_si256(half), b = _mm256_loadu_si256(half + 1);
    const __m256i low = _mm256_set1_epi32(0xffff);
    w[0] = widen_halves(in_order(_mm256_and_si256(a, low), _mm256_and_si256(b, low)));
    w[1] = widen_halves(in_order(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)));
  }
  PLUMB_TIER_INLINE __m256i in_order(__m256i a, __m256i b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
  }
#elif defined(PLUMB_NEON)
  PLUMB_TIER_INLINE void f16_unit(const std::byte* p, V (&w)[kCols]) {
    const uint16x8_t a = load_halves(p), b = load_halves(p + 16);
    const uint16x8_t c = load_halves(p + 32), d = load_halves(p + 48);
    w[0] = f16_numbers(vuzp1q_u16(a, b), vuzp1q_u16(c, d));
    w[1] = f16_numbers(vuzp2q_u16(a, b), vuzp2q_u16(c, d));
  }
#else
  PLUMB_TIER_INLINE void f16_unit(const std::byte* p, V (&w)[kCols]) {
    for (int i = 0; i < kCols; ++i) {
      w[i] = each([=](int l) { return f16_to_float(half_at(p, 2 * l + i)); });
    }
  }
#endif
};

// Widened by way of binary16, which has one exponent bit more and leaves a factor of 2^-8.
template <>
struct Unit<Element::kF8E4M3> {
  static constexpr int kCols = 4;
  static constexpr bool kScaled = true;
  static constexpr float kFactor = 256.0f;
  PLUMB_TIER_INLINE void read(const std::byte* p, V scale, V (&w)[kCols]) {
    e4m3_unit(p, w);
    for (V& column : w) column = mul(column, scale);
  }

 private:
#if defined(__AVX512F__)
  PLUMB_TIER_INLINE void e4m3_unit(const std::byte* p, V (&w)[kCols]) {
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i even = half_of_high_byte(_mm512_slli_epi16(v, 8));
    const __m512i odd = half_of_high_byte(v);
    w[0] = {_mm512_cvtph_ps(_mm512_castsi512_si256(even))};
    w[1] = {_mm512_cvtph_ps(_mm512_castsi512_si256(odd))};
    w[2] = {_mm512_cvtph_ps(_mm512_extracti64x4_epi64(even, 1))};
    w[3] = {_mm512_cvtph_ps(_mm512_extracti64x4_epi64(odd, 1))};
  }
  // Four rows of one column stand in every other 64 bits.
  PLUMB_TIER_INLINE __m512i half_of_high_byte(__m512i words) {
    const __m512i half = _mm512_and_si512(_mm512_srai_epi16(words, 1),
                                          _mm512_set1_epi16(static_cast<short>(0xbf80)));
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), half);
  }
#elif defined(__AVX2__)
  PLUMB_TIER_INLINE void e4m3_unit(const std::byte* p, V (&w)[kCols]) {
    const auto* half = reinterpret_cast<const __m256i*>(p);
    const __m256i a = _mm256_loadu_si256(half), b = _mm256_loadu_si256(half + 1);
    const __m256i even_a = half_of_high_byte(_mm256_slli_epi16(a, 8)), odd_a = half_of_high_byte(a);
    const __m256i even_b = half_of_high_byte(_mm256_slli_epi16(b, 8)), odd_b = half_of_high_byte(b);
    w[0] = {low_half(even_a), low_half(even_b)};
    w[1] = {low_half(odd_a), low_half(odd_b)};
    w[2] = {high_half(even_a), high_half(even_b)};
    w[3] = {high_half(odd_a), high_half(odd_b)};
  }
  PLUMB_TIER_INLINE __m256i half_of_high_byte(__m256i words) {
    const __m256i half = _mm256_and_si256(_mm256_srai_epi16(words, 1),
                                          _mm256_set1_epi16(static_cast<short>(0xbf80)));
    return _mm256_permute4x64_epi64(half, 0xd8);
  }
  PLUMB_TIER_INLINE __m256 low_half(__m256i v) {
    return _mm256_cvtph_ps(_mm256_castsi256_si128(v));
  }
  PLUMB_TIER_INLINE __m256 high_half(__m256i v) {
    return _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
  }
#elif defined(PLUMB_NEON)
  // 16 bytes hold four rows: two columns of each in the lower half, the next two in the upper.
  PLUMB_TIER_INLINE void e4m3_unit(const std::byte* p, V (&w)[kCols]) {
    float16x8_t even[4], odd[4];
    for (int r = 0; r < 4; ++r) {
      const uint16x8_t words = load_halves(p + 16 * r);
      even[r] = vreinterpretq_f16_u16(half_of_high_byte(vshlq_n_u16(words, 8)));
      odd[r] = vreinterpretq_f16_u16(half_of_high_byte(words));
    }
    w[0] = {low_four(even[0]), low_four(even[1]), low_four(even[2]), low_four(even[3])};
    w[1] = {low_four(odd[0]), low_four(odd[1]), low_four(odd[2]), low_four(odd[3])};
    w[2] = {vcvt_high_f32_f16(even[0]), vcvt_high_f32_f16(even[1]), vcvt_high_f32_f16(even[2]),
            vcvt_high_f32_f16(even[3])};
    w[3] = {vcvt_high_f32_f16(odd[0]), vcvt_high_f32_f16(odd[1]), vcvt_high_f32_f16(odd[2]),
            vcvt_high_f32_f16(odd[3])};
  }
  PLUMB_TIER_INLINE float32x4_t low_four(float16x8_t v) { return vcvt_f32_f16(vget_low_f16(v)); }
#else
  PLUMB_TIER_INLINE void e4m3_unit(const std::byte* p, V (&w)[kCols]) {
    for (int i = 0; i < kCols; ++i) {
      w[i] = each([=](int l) {
        return e4m3_to_float(byte_at(p, l / 4 * 16 + i / 2 * 8 + l % 4 * 2 + i % 2)) * 0x1p-8f;
      });
    }
  }
#endif
};

template <>
struct Unit<Element::kF4E2M1> {
  static constexpr int kCols = 8;
  static constexpr bool kScaled = true;
  static constexpr float kFactor = 1.0f;
  PLUMB_TIER_INLINE void read(const std::byte* p, V scale, V (&w)[kCols]) {
    e2m1_unit(p, w);
    for (V& column : w) column = mul(column, scale);
  }

 private:
#if defined(__AVX512F__)
  PLUMB_TIER_INLINE void e2m1_unit(const std::byte* p, V (&w)[kCols]) {
    const __m512 values = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f,
                                         -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
    __m512i v = _mm512_loadu_si512(p);
    for (V& column : w) {
      column = {_mm512_permutexvar_ps(v, values)};
      v = _mm512_srli_epi32(v, 4);
    }
  }
#elif defined(__AVX2__)
  PLUMB_TIER_INLINE void e2m1_unit(const std::byte* p, V (&w)[kCols]) {
    const auto* half = reinterpret_cast<const __m256i*>(p);
    __m256i a = _mm256_loadu_si256(half), b = _mm256_loadu_si256(half + 1);
    for (V& column : w) {
      column = {value_of_low_nibble(a), value_of_low_nibble(b)};
      a = _mm256_srli_epi32(a, 4);
      b = _mm256_srli_epi32(b, 4);
    }
  }
  PLUMB_TIER_INLINE __m256 value_of_low_nibble(__m256i v) {
    const __m256 sizes = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
    const __m256 sign =
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_and_si256(v, _mm256_set1_epi32(8)), 28));
    return _mm256_xor_ps(_mm256_permutevar8x32_ps(sizes, v), sign);
  }
#elif defined(PLUMB_NEON)
  PLUMB_TIER_INLINE void e2m1_unit(const std::byte* p, V (&w)[kCols]) {
    const uint16x8_t a = load_halves(p), b = load_halves(p + 16);
    const uint16x8_t c = load_halves(p + 32), d = load_halves(p + 48);
    four_columns(vuzp1q_u16(a, b), vuzp1q_u16(c, d), w);
    four_columns(vuzp2q_u16(a, b), vuzp2q_u16(c, d), w + 4);
  }
  // Of two bytes per row, rows 0 to 7 and 8 to 15.
  PLUMB_TIER_INLINE void four_columns(uint16x8_t low, uint16x8_t high, V* w) {
    const uint8x16_t table = e2m1_bytes(), nibble = vdupq_n_u8(15);
    const uint8x16_t first = vreinterpretq_u8_u16(low), second = vreinterpretq_u8_u16(high);
    two_columns(vqtbl1q_u8(table, vandq_u8(first, nibble)),
                vqtbl1q_u8(table, vandq_u8(second, nibble)), w[0], w[2]);
    two_columns(vqtbl1q_u8(table, vshrq_n_u8(first, 4)), vqtbl1q_u8(table, vshrq_n_u8(second, 4)),
                w[1], w[3]);
  }
  PLUMB_TIER_INLINE void two_columns(uint8x16_t low, uint8x16_t high, V& even, V& odd) {
    const uint16x8_t a = vreinterpretq_u16_u8(low), b = vreinterpretq_u16_u8(high);
    const uint16x8_t upper = vdupq_n_u16(0xff00);
    even = f16_numbers(vshlq_n_u16(a, 8), vshlq_n_u16(b, 8));
    odd = f16_numbers(vandq_u16(a, upper), vandq_u16(b, upper));
  }
#else
  PLUMB_TIER_INLINE void e2m1_unit(const std::byte* p, V (&w)[kCols]) {
    for (int i = 0; i < kCols; ++i) {
      w[i] = each([=](int l) {
        return e2m1_to_float(
            static_cast<std::uint8_t>(byte_at(p, 4 * l + i / 2) >> (i % 2 * 4) & 15));
      });
    }
  }
#endif
};

PLUMB_TIER_INLINE V read_scale(const std::byte* p, int scale_bytes, float factor) {
  if (scale_bytes == 0) return splat(factor);
  return mul(scale_bytes == 1 ? widen_e8m0(p) : load(reinterpret_cast<const float*>(p)),
             splat(factor));
}

// The first `count` rows of a tile's results for one token.
PLUMB_TIER_INLINE void store_rows(V y, float* out, int count) {
  if (count >= kTileRows) return store(out, y);
  float lane[kLanes];
  store(lane, y);
  for (int l = 0; l < count; ++l) out[l] = lane[l];
}

}  // namespace plumb::cpu::PLUMB_TIER
