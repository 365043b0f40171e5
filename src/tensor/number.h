// Number formats of weights and caches: exact conversions to fp32 and the declared roundings from
// it. Everything is scalar, branch-light and forced inline: the files of each instruction set keep
// their own copy of it, so no copy compiled for one processor can be linked into code for another.
#pragma once

#include <cstdint>

#define PLUMB_INLINE [[gnu::always_inline]] inline

namespace plumb {

PLUMB_INLINE constexpr std::uint32_t float_bits(float x) {
  return __builtin_bit_cast(std::uint32_t, x);
}
PLUMB_INLINE constexpr float float_from_bits(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

// Sign, 8 exponent bits, 7 mantissa bits: the upper half of an fp32 number.
PLUMB_INLINE constexpr float bf16_to_float(std::uint16_t bits) {
  return float_from_bits(std::uint32_t{bits} << 16);
}

// Nearest, ties to even; overflow to infinity; NaN stays a (quiet) NaN.
PLUMB_INLINE constexpr std::uint16_t float_to_bf16(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(nan ? (bits >> 16) | 0x0040u : rounded);
}

PLUMB_INLINE constexpr float round_to_bf16(float x) { return bf16_to_float(float_to_bf16(x)); }
PLUMB_INLINE constexpr float round_if(bool round, float x) { return round ? round_to_bf16(x) : x; }

// IEEE binary16. Built from integers: a product with a power of two is exact for every finite code.
PLUMB_INLINE constexpr float f16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  const float magnitude = float_from_bits(rest << 13) * 0x1p112f;
  return float_from_bits(sign | float_bits(magnitude));
}

// Nearest, ties to even; overflow to infinity.
PLUMB_INLINE constexpr std::uint16_t float_to_f16(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t code = 0;
  if (rest > 0x7f800000u) {
    code = 0x7e00u;
  } else if (rest >= 0x477ff000u) {  // 65520 and above
    code = 0x7c00u;
  } else if (rest < 0x38800000u) {  // below 2^-14: the sum's last place is the subnormal step 2^-24
    code = float_bits(float_from_bits(rest) + 0.5f) - float_bits(0.5f);
  } else {
    code = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | code);
}

inline constexpr float kE4M3Max = 448.0f;
inline constexpr float kE2M1Max = 6.0f;

// E4M3 "fn": bias 7, no infinities, NaN = 0x7f and 0xff, subnormal step 2^-9.
PLUMB_INLINE constexpr float e4m3_to_float(std::uint8_t code) {
  const std::uint32_t sign = (code & 0x80u) << 24;
  const std::uint32_t rest = code & 0x7fu;
  if (rest == 0x7fu) return float_from_bits(sign | 0x7fc00000u);
  const float magnitude = float_from_bits(rest << 20) * 0x1p120f;
  return float_from_bits(sign | float_bits(magnitude));
}

// Nearest, ties to even; saturates at +-448; NaN to 0x7f.
PLUMB_INLINE constexpr std::uint8_t float_to_e4m3(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t code = 0;
  if (rest > 0x7f800000u) return 0x7fu;
  if (rest >= 0x43e00000u) {
    code = 0x7eu;
  } else if (rest < 0x3c800000u) {  // below 2^-6: the sum's last place is the subnormal step 2^-9
    code = float_bits(float_from_bits(rest) + 0x1p14f) - float_bits(0x1p14f);
  } else {
    code = (rest - 0x3c000000u + 0x7ffffu + ((rest >> 20) & 1u)) >> 20;
  }
  return static_cast<std::uint8_t>(sign | code);
}

// The value of float_to_e4m3's code.
PLUMB_INLINE constexpr float round_to_e4m3(float x) { return e4m3_to_float(float_to_e4m3(x)); }

// E2M1: codes 0..7 are 0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign. Upper bits are ignored.
PLUMB_INLINE constexpr float e2m1_to_float(std::uint8_t code) {
  const std::uint32_t sign = (code & 8u) << 28;
  const float magnitude = float_from_bits((code & 7u) << 22) * 0x1p126f;
  return float_from_bits(sign | float_bits(magnitude));
}

// Nearest, ties to the even code; saturates at +-6. NaN is treated as its sign bit and 6.
PLUMB_INLINE constexpr std::uint8_t float_to_e2m1(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t sign = (bits >> 28) & 8u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t code = 0;
  if (rest >= 0x40a00000u) {  // 5 is a tie between 4 and 6: it goes to 4, whose code is even
    code = rest == 0x40a00000u ? 6u : 7u;
  } else if (rest < 0x3f800000u) {  // below 1: the sum's last place is the subnormal step 0.5
    code = float_bits(float_from_bits(rest) + 0x1p22f) - float_bits(0x1p22f);
  } else {
    code = (rest - 0x3f000000u + 0x1fffffu + ((rest >> 22) & 1u)) >> 22;
  }
  return static_cast<std::uint8_t>(sign | code);
}

PLUMB_INLINE constexpr float round_to_e2m1(float x) { return e2m1_to_float(float_to_e2m1(x)); }

// An exponent, never a number: 2^(code - 127); 0 is the fp32 subnormal 2^-127; 255 is NaN.
PLUMB_INLINE constexpr float e8m0_to_float(std::uint8_t code) {
  if (code == 255) return float_from_bits(0x7fc00000u);
  return float_from_bits(code == 0 ? 0x00400000u : std::uint32_t{code} << 23);
}

// The smallest power of two >= v, by bit inspection. v positive, normal, at most 2^127.
PLUMB_INLINE constexpr float power_of_two_above(float v) {
  const std::uint32_t bits = float_bits(v);
  return float_from_bits((bits + 0x7fffffu) & 0x7f800000u);
}

// The scale of a block whose largest magnitude is `amax` (spec 4.3 and 4.4).
PLUMB_INLINE constexpr float e4m3_block_scale(float amax) {
  return power_of_two_above((amax > 1e-4f ? amax : 1e-4f) * (1.0f / 448.0f));
}
PLUMB_INLINE constexpr float e2m1_block_scale(float amax) {
  constexpr float kFloor = 6.0f * 0x1p-126f;
  return power_of_two_above((amax > kFloor ? amax : kFloor) * (1.0f / 6.0f));
}

}  // namespace plumb
