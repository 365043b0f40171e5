// Our own elementary functions: the same bits on every machine, compiler and instruction set,
// because they consist of nothing but IEEE additions, products, divisions and written-out fused
// steps. Accuracy: exp within 1 ulp, the others within 1 ulp where their result is normal.
#pragma once

#include <cstdint>

#include "tensor/number.h"

namespace plumb::math {

// exp(x) = 2^n * p(r), n = nearest integer to x / ln 2, |r| <= ln 2 / 2, p the Taylor sum to r^7.
// Vector versions use the same constants in the same order.
struct ExpConstants {
  static constexpr float kLow = -104.0f;  // exp of this and below is zero
  static constexpr float kHigh = 89.0f;   // exp of this and above is infinite
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kRound = 0x1.8p+23f;  // adding it rounds to an integer in the low bits
  static constexpr float kLn2High = 0x1.62e4p-1f;
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kC7 = 1.0f / 5040, kC6 = 1.0f / 720, kC5 = 1.0f / 120, kC4 = 1.0f / 24;
  static constexpr float kC3 = 1.0f / 6, kC2 = 0.5f;
};

// NaN stays NaN; exp(-inf) = 0; exp(inf) = inf; subnormal results are rounded once.
PLUMB_INLINE float exp(float x) {
  using C = ExpConstants;
  x = x < C::kLow ? C::kLow : x;
  x = x > C::kHigh ? C::kHigh : x;
  const float shifted = __builtin_fmaf(x, C::kLog2E, C::kRound);
  const float n = shifted - C::kRound;
  float r = __builtin_fmaf(n, -C::kLn2High, x);
  r = __builtin_fmaf(n, -C::kLn2Low, r);
  float p = __builtin_fmaf(C::kC7, r, C::kC6);
  p = __builtin_fmaf(p, r, C::kC5);
  p = __builtin_fmaf(p, r, C::kC4);
  p = __builtin_fmaf(p, r, C::kC3);
  p = __builtin_fmaf(p, r, C::kC2);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
  // 2^n in two factors, because n reaches from -150 to 128.
  const std::int32_t k = static_cast<std::int32_t>(float_bits(shifted) - float_bits(C::kRound));
  const std::int32_t half = k >> 1;
  const float a = float_from_bits(static_cast<std::uint32_t>(half + 127) << 23);
  const float b = float_from_bits(static_cast<std::uint32_t>(k - half + 127) << 23);
  return (p * a) * b;
}

PLUMB_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }
PLUMB_INLINE float silu(float x) { return x / (1.0f + exp(-x)); }

namespace detail {

// 2 * atanh(s) for |s| <= 0.172.
PLUMB_INLINE double twice_atanh(double s) {
  const double z = s * s;
  double p = 1.0 / 17;
  p = __builtin_fma(p, z, 1.0 / 15);
  p = __builtin_fma(p, z, 1.0 / 13);
  p = __builtin_fma(p, z, 1.0 / 11);
  p = __builtin_fma(p, z, 1.0 / 9);
  p = __builtin_fma(p, z, 1.0 / 7);
  p = __builtin_fma(p, z, 1.0 / 5);
  p = __builtin_fma(p, z, 1.0 / 3);
  return 2.0 * __builtin_fma(p * z, s, s);
}

// The logarithm of a positive, finite, normal double.
PLUMB_INLINE double log_of_normal(double x) {
  constexpr std::uint64_t kSqrtHalf = 0x3fe6a09e667f3bcdu;
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  const auto e = static_cast<std::int64_t>(bits - kSqrtHalf) >> 52;
  const double m = __builtin_bit_cast(double, bits - (static_cast<std::uint64_t>(e) << 52));
  return __builtin_fma(static_cast<double>(e), 0x1.62e42fefa39efp-1,
                       twice_atanh((m - 1.0) / (m + 1.0)));
}

}  // namespace detail

// log(0) = -inf, log of a negative number is NaN, log(inf) = inf.
PLUMB_INLINE float log(float x) {
  if (!(x > 0.0f)) return x == 0.0f ? -__builtin_inff() : __builtin_nanf("");
  if (x == __builtin_inff()) return x;
  return static_cast<float>(detail::log_of_normal(x));  // every positive float is a normal double
}

// log(1 + x) for x > -1, without the loss that forming 1 + x would bring near 0.
PLUMB_INLINE float log1p(float x) {
  if (!(x > -1.0f)) return x == -1.0f ? -__builtin_inff() : __builtin_nanf("");
  if (x == __builtin_inff()) return x;
  const double y = x;
  if (y > -0.25 && y < 0.375) return static_cast<float>(detail::twice_atanh(y / (2.0 + y)));
  return static_cast<float>(detail::log_of_normal(1.0 + y));
}

// log(1 + exp(x)), linear above 20 as the published router has it.
PLUMB_INLINE float softplus(float x) { return x > 20.0f ? x : log1p(exp(x)); }

// The published router's score of a logit.
PLUMB_INLINE float sqrt_softplus(float x) { return __builtin_sqrtf(softplus(x)); }

struct SinCos {
  float sin = 0;
  float cos = 0;
};

// Both of an angle in radians, |angle| <= 2^30, as good as correctly rounded: the quarter turns are
// taken off in double with fused steps, then Taylor sums in double.
PLUMB_INLINE SinCos sincos(float angle) {
  constexpr double kRound = 0x1.8p+52;
  constexpr double kHalfPiHigh = 0x1.921fb54442d18p+0, kHalfPiLow = 0x1.1a62633145c07p-54;
  const double x = angle;
  const double shifted = __builtin_fma(x, 0x1.45f306dc9c883p-1, kRound);
  const double n = shifted - kRound;
  const double r = __builtin_fma(n, -kHalfPiLow, __builtin_fma(n, -kHalfPiHigh, x));
  const double z = r * r;
  double s = -1.0 / 1307674368000;
  s = __builtin_fma(s, z, 1.0 / 6227020800);
  s = __builtin_fma(s, z, -1.0 / 39916800);
  s = __builtin_fma(s, z, 1.0 / 362880);
  s = __builtin_fma(s, z, -1.0 / 5040);
  s = __builtin_fma(s, z, 1.0 / 120);
  s = __builtin_fma(s, z, -1.0 / 6);
  s = __builtin_fma(s * z, r, r);
  double c = 1.0 / 20922789888000;
  c = __builtin_fma(c, z, -1.0 / 87178291200);
  c = __builtin_fma(c, z, 1.0 / 479001600);
  c = __builtin_fma(c, z, -1.0 / 3628800);
  c = __builtin_fma(c, z, 1.0 / 40320);
  c = __builtin_fma(c, z, -1.0 / 720);
  c = __builtin_fma(c, z, 1.0 / 24);
  c = __builtin_fma(c, z, -0.5);
  c = __builtin_fma(c, z, 1.0);
  const auto quarter = static_cast<unsigned>(__builtin_bit_cast(std::uint64_t, shifted)) & 3u;
  const double sine = quarter & 1u ? c : s;
  const double cosine = quarter & 1u ? s : c;
  return {static_cast<float>(quarter & 2u ? -sine : sine),
          static_cast<float>((quarter + 1u) & 2u ? -cosine : cosine)};
}

PLUMB_INLINE float sin(float angle) { return sincos(angle).sin; }
PLUMB_INLINE float cos(float angle) { return sincos(angle).cos; }

// 1 / sqrt(x) with two IEEE roundings.
PLUMB_INLINE float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }

}  // namespace plumb::math
