#include "tensor/number.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace plumb {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// The value of a sign / exponent / mantissa code, from the definition.
double definition(unsigned code, int exponent_bits, int mantissa_bits, int bias) {
  const unsigned mantissa = code & ((1u << mantissa_bits) - 1);
  const unsigned exponent = (code >> mantissa_bits) & ((1u << exponent_bits) - 1);
  const double sign = (code >> (exponent_bits + mantissa_bits)) & 1u ? -1 : 1;
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1 + fraction, static_cast<int>(exponent) - bias);
}

// The code nearest to x among finite codes 0..max_code of one sign, ties to the even code.
template <class ToFloat>
unsigned nearest_code(double x, unsigned max_code, ToFloat to_float) {
  unsigned best = 0;
  for (unsigned code = 1; code <= max_code; ++code) {
    const double error = std::abs(to_float(code) - x), least = std::abs(to_float(best) - x);
    if (error < least || (error == least && code % 2 == 0)) best = code;
  }
  return best;
}

// Every code's value, every midpoint between neighbours, and points just beside both.
template <class ToFloat>
std::vector<float> interesting_points(unsigned max_code, ToFloat to_float) {
  std::vector<float> points;
  for (unsigned code = 0; code <= max_code; ++code) {
    const float value = to_float(code);
    const float next = code < max_code ? to_float(code + 1) : value * 1.25f;
    for (const float x : {value, (value + next) / 2, value + (next - value) * 0.3f}) {
      points.insert(points.end(), {x, std::nextafter(x, 0.0f), std::nextafter(x, kInf)});
    }
  }
  return points;
}

TEST(E4M3, every_code_has_its_defined_value) {
  for (unsigned code = 0; code < 256; ++code) {
    const float value = e4m3_to_float(static_cast<std::uint8_t>(code));
    if ((code & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value)) << code;
      continue;
    }
    EXPECT_EQ(value, definition(code, 4, 3, 7)) << code;
    EXPECT_EQ(float_to_e4m3(value), code);
  }
  EXPECT_EQ(e4m3_to_float(0x7e), kE4M3Max);
}

TEST(E4M3, rounds_to_nearest_even_and_saturates) {
  const auto value = [](unsigned code) { return e4m3_to_float(static_cast<std::uint8_t>(code)); };
  for (const float x : interesting_points(0x7e, value)) {
    const unsigned expected = nearest_code(x, 0x7e, value);
    EXPECT_EQ(float_to_e4m3(x), expected) << x;
    EXPECT_EQ(float_to_e4m3(-x), expected | 0x80) << x;
  }
  EXPECT_EQ(float_to_e4m3(1e30f), 0x7e);
  EXPECT_EQ(float_to_e4m3(-kInf), 0xfe);
  EXPECT_EQ(float_to_e4m3(std::numeric_limits<float>::quiet_NaN()), 0x7f);
}

TEST(E2M1, every_code_has_its_defined_value) {
  const float expected[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (unsigned code = 0; code < 8; ++code) {
    EXPECT_EQ(e2m1_to_float(static_cast<std::uint8_t>(code)), expected[code]);
    EXPECT_EQ(e2m1_to_float(static_cast<std::uint8_t>(code | 8)), -expected[code]);
    EXPECT_EQ(float_to_e2m1(-expected[code]), code | 8);
  }
}

TEST(E2M1, ties_go_to_the_even_code) {
  const auto value = [](unsigned code) { return e2m1_to_float(static_cast<std::uint8_t>(code)); };
  for (const float x : interesting_points(7, value)) {
    EXPECT_EQ(float_to_e2m1(x), nearest_code(x, 7, value)) << x;
  }
  const float ties[][2] = {{0.25f, 0}, {0.75f, 1}, {1.25f, 1}, {1.75f, 2},
                           {2.5f, 2},  {3.5f, 4},  {5, 4}};
  for (const auto& [x, rounded] : ties) EXPECT_EQ(round_to_e2m1(x), rounded);
  EXPECT_EQ(round_to_e2m1(1e30f), 6.0f);
  EXPECT_EQ(round_to_e2m1(-kInf), -6.0f);
}

TEST(E8M0, is_an_exponent) {
  for (unsigned code = 0; code < 255; ++code) {
    EXPECT_EQ(e8m0_to_float(static_cast<std::uint8_t>(code)),
              std::ldexp(1.0, static_cast<int>(code) - 127));
  }
  EXPECT_TRUE(std::isnan(e8m0_to_float(255)));
}

TEST(F16, every_code_there_and_back) {
  for (unsigned code = 0; code < 65536; ++code) {
    const float value = f16_to_float(static_cast<std::uint16_t>(code));
    if ((code & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    const float expected = (code & 0x7fff) == 0x7c00
                               ? (code & 0x8000 ? -kInf : kInf)
                               : static_cast<float>(definition(code, 5, 10, 15));
    EXPECT_EQ(value, expected) << code;
    EXPECT_EQ(float_to_f16(value), code);
  }
}

TEST(F16, rounds_to_nearest_even) {
  for (unsigned code = 0; code < 0x7bff; ++code) {
    const auto low = static_cast<std::uint16_t>(code);
    const auto high = static_cast<std::uint16_t>(code + 1);
    const float middle = (f16_to_float(low) + f16_to_float(high)) / 2;
    EXPECT_EQ(float_to_f16(middle), code % 2 == 0 ? low : high);
    EXPECT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(float_to_f16(std::nextafter(middle, kInf)), high);
  }
  EXPECT_EQ(float_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
}

TEST(BF16, rounds_to_nearest_even_at_every_code) {
  for (unsigned code = 0; code < 0x7f80; ++code) {
    const float low = bf16_to_float(static_cast<std::uint16_t>(code));
    EXPECT_EQ(float_to_bf16(low), code);
    const float middle = float_from_bits((code << 16) | 0x8000u);
    EXPECT_EQ(float_to_bf16(middle), code % 2 == 0 ? code : code + 1);
    EXPECT_EQ(float_to_bf16(float_from_bits((code << 16) | 0x7fffu)), code);
    EXPECT_EQ(float_to_bf16(-float_from_bits((code << 16) | 0x8001u)), 0x8000u | (code + 1));
  }
  EXPECT_EQ(round_to_bf16(kInf), kInf);
  EXPECT_TRUE(std::isnan(round_to_bf16(float_from_bits(0x7f800001u))));
  EXPECT_TRUE(std::isnan(round_to_bf16(float_from_bits(0xffffffffu))));
}

TEST(BlockScale, follows_the_published_examples) {
  EXPECT_EQ(e4m3_block_scale(3.296875f), 0x1p-7f);
  EXPECT_EQ(e4m3_block_scale(448.0f), 1.0f);
  EXPECT_EQ(e4m3_block_scale(2e-6f), 0x1p-22f);
  EXPECT_EQ(e2m1_block_scale(3.296875f), 1.0f);
  EXPECT_EQ(e2m1_block_scale(6.03125f), 2.0f);
  EXPECT_EQ(e2m1_block_scale(0.0f), 0x1p-126f);
  const float x[] = {0.10009766f, -3.296875f, 2.5f, 0.0078125f, 1, -0.75f, 0.30078125f, 0};
  const unsigned codes[] = {0x55, 0xfd, 0x7a, 0x38, 0x70, 0xec, 0x62, 0x00};
  const float fp4[] = {0, -3, 2, 0, 1, -1, 0.5f, 0};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(float_to_e4m3(x[i] / 0x1p-7f), codes[i]);
    EXPECT_EQ(round_to_e2m1(x[i]), fp4[i]);
  }
  const unsigned other[] = {0x7e, 0x38, 0x58, 0xf9};
  const float y[] = {448, 1, 17, -300};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(float_to_e4m3(y[i]), other[i]);
  EXPECT_EQ(round_to_e4m3(17.0f), 16.0f);
}

}  // namespace
}  // namespace plumb
