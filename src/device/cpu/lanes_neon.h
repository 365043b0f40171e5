// Sixteen fp32 numbers in four registers of NEON: the part of lanes.h that the tiers of aarch64
// have. Included by lanes.h only.
//
// NEON's own maxima hand a NaN on; lanes.h asks for a > b ? a : b, hence compare and select.
#pragma once

#include <arm_neon.h>

#include "tensor/math.h"
#include "tensor/number.h"

namespace plumb::cpu::PLUMB_TIER {

struct V {
  float32x4_t a, b, c, d;  // lanes 0 to 3, 4 to 7, 8 to 11, 12 to 15
};

// f on every register.
template <class F>
PLUMB_TIER_INLINE V each(F f, V x) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
PLUMB_TIER_INLINE V each(F f, V x, V y) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}

PLUMB_TIER_INLINE V load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
PLUMB_TIER_INLINE void store(float* p, V x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
PLUMB_TIER_INLINE V splat(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {v, v, v, v};
}
PLUMB_TIER_INLINE V add(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vaddq_f32(p, q); }, x, y);
}
PLUMB_TIER_INLINE V sub(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vsubq_f32(p, q); }, x, y);
}
PLUMB_TIER_INLINE V mul(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vmulq_f32(p, q); }, x, y);
}
PLUMB_TIER_INLINE V div(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vdivq_f32(p, q); }, x, y);
}
PLUMB_TIER_INLINE V max(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vbslq_f32(vcgtq_f32(p, q), p, q); }, x, y);
}
PLUMB_TIER_INLINE V min(V x, V y) {
  return each([](float32x4_t p, float32x4_t q) { return vbslq_f32(vcltq_f32(p, q), p, q); }, x, y);
}
PLUMB_TIER_INLINE V fma(V x, V y, V z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
          vfmaq_f32(z.d, x.d, y.d)};
}
PLUMB_TIER_INLINE V negate(V x) {
  return each([](float32x4_t p) { return vnegq_f32(p); }, x);
}

PLUMB_TIER_INLINE float32x4_t scale_four_by_power(float32x4_t p, float32x4_t shifted) {
  const int32x4_t k =
      vsubq_s32(vreinterpretq_s32_f32(shifted),
                vdupq_n_s32(static_cast<std::int32_t>(float_bits(math::ExpConstants::kRound))));
  const int32x4_t half = vshrq_n_s32(k, 1), bias = vdupq_n_s32(127);
  const int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
  const int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(k, half), bias), 23);
  return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}
PLUMB_TIER_INLINE V scale_by_power(V p, V shifted) {
  return each([](float32x4_t x, float32x4_t y) { return scale_four_by_power(x, y); }, p, shifted);
}

PLUMB_TIER_INLINE float32x4_t round_four_bf16(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t up = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
  const uint32x4_t chosen = vbslq_u32(vceqq_f32(x, x), up, quiet);
  return vreinterpretq_f32_u32(vandq_u32(chosen, vdupq_n_u32(0xffff0000)));
}
PLUMB_TIER_INLINE V round_bf16(V x) {
  return each([](float32x4_t p) { return round_four_bf16(p); }, x);
}

// (l, l+8), then (l, l+4).
PLUMB_TIER_INLINE float32x4_t add_quarters(V x) {
  return vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
}
PLUMB_TIER_INLINE float add_lanes(V x) {
  const float32x4_t four = add_quarters(x);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(vpadd_f32(two, two), 0);
}
// (l, l+2) of x in the lower half, of y in the upper.
PLUMB_TIER_INLINE float32x4_t add_halves(float32x4_t x, float32x4_t y) {
  const float64x2_t p = vreinterpretq_f64_f32(x), q = vreinterpretq_f64_f32(y);
  return vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(p, q)),
                   vreinterpretq_f32_f64(vzip2q_f64(p, q)));
}
PLUMB_TIER_INLINE void add_lanes_of_four(const V (&x)[4], float* out) {
  const float32x4_t low = add_halves(add_quarters(x[0]), add_quarters(x[1]));
  const float32x4_t high = add_halves(add_quarters(x[2]), add_quarters(x[3]));
  vst1q_f32(out, vpaddq_f32(low, high));
}

PLUMB_TIER_INLINE uint8x16_t load_bytes(const void* p) {
  return vld1q_u8(static_cast<const std::uint8_t*>(p));
}
PLUMB_TIER_INLINE uint16x8_t load_halves(const void* p) {
  return vreinterpretq_u16_u8(load_bytes(p));
}
PLUMB_TIER_INLINE uint32x4_t load_words(const void* p) {
  return vreinterpretq_u32_u8(load_bytes(p));
}

// 16 numbers of bfloat16 or binary16.
PLUMB_TIER_INLINE V bf16_numbers(uint16x8_t low, uint16x8_t high) {
  const uint16x8_t zero = vdupq_n_u16(0);
  return {
      vreinterpretq_f32_u16(vzip1q_u16(zero, low)), vreinterpretq_f32_u16(vzip2q_u16(zero, low)),
      vreinterpretq_f32_u16(vzip1q_u16(zero, high)), vreinterpretq_f32_u16(vzip2q_u16(zero, high))};
}
PLUMB_TIER_INLINE V f16_numbers(uint16x8_t low, uint16x8_t high) {
  const float16x8_t first = vreinterpretq_f16_u16(low), second = vreinterpretq_f16_u16(high);
  return {vcvt_f32_f16(vget_low_f16(first)), vcvt_high_f32_f16(first),
          vcvt_f32_f16(vget_low_f16(second)), vcvt_high_f32_f16(second)};
}

PLUMB_TIER_INLINE V widen_bf16(const void* p) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  return bf16_numbers(load_halves(bytes), load_halves(bytes + 16));
}
// E4M3 codes in the upper bytes as binary16, divided by 256: another bias, all else the same.
PLUMB_TIER_INLINE uint16x8_t half_of_high_byte(uint16x8_t words) {
  const int16x8_t shifted = vshrq_n_s16(vreinterpretq_s16_u16(words), 1);
  return vandq_u16(vreinterpretq_u16_s16(shifted), vdupq_n_u16(0xbf80));
}
PLUMB_TIER_INLINE V widen_e4m3(const void* p) {
  const uint8x16_t codes = load_bytes(p), zero = vdupq_n_u8(0);
  return f16_numbers(half_of_high_byte(vreinterpretq_u16_u8(vzip1q_u8(zero, codes))),
                     half_of_high_byte(vreinterpretq_u16_u8(vzip2q_u8(zero, codes))));
}
// The upper bytes of the E2M1 values in binary16, by code; the lower ones are zero.
PLUMB_TIER_INLINE uint8x16_t e2m1_bytes() {
  alignas(16) static constexpr std::uint8_t kBytes[16] = {
      0, 0x38, 0x3c, 0x3e, 0x40, 0x42, 0x44, 0x46, 0x80, 0xb8, 0xbc, 0xbe, 0xc0, 0xc2, 0xc4, 0xc6};
  return vld1q_u8(kBytes);
}
PLUMB_TIER_INLINE void widen_e2m1(const void* p, V& low, V& high) {
  const uint8x16_t pairs = load_bytes(p), table = e2m1_bytes(), zero = vdupq_n_u8(0);
  const uint8x16_t even = vqtbl1q_u8(table, vandq_u8(pairs, vdupq_n_u8(15)));
  const uint8x16_t odd = vqtbl1q_u8(table, vshrq_n_u8(pairs, 4));
  low = f16_numbers(vreinterpretq_u16_u8(vzip1q_u8(zero, even)),
                    vreinterpretq_u16_u8(vzip2q_u8(zero, even)));
  high = f16_numbers(vreinterpretq_u16_u8(vzip1q_u8(zero, odd)),
                     vreinterpretq_u16_u8(vzip2q_u8(zero, odd)));
}
PLUMB_TIER_INLINE float32x4_t power_of_code(uint16x4_t code) {
  const uint32x4_t bits = vshlq_n_u32(vmovl_u16(code), 23);
  return vreinterpretq_f32_u32(vmaxq_u32(bits, vdupq_n_u32(0x00400000)));
}
PLUMB_TIER_INLINE V widen_e8m0(const void* p) {
  const uint8x16_t codes = load_bytes(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(codes)), high = vmovl_high_u8(codes);
  return {power_of_code(vget_low_u16(low)), power_of_code(vget_high_u16(low)),
          power_of_code(vget_low_u16(high)), power_of_code(vget_high_u16(high))};
}

}  // namespace plumb::cpu::PLUMB_TIER
