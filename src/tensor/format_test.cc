#include "tensor/format.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/compare.h"
#include "tensor/number.h"

namespace plumb {
namespace {

TEST(Format, names_go_there_and_back) {
  for (const Element e :
       {Element::kF32, Element::kBF16, Element::kF16, Element::kF8E4M3, Element::kF4E2M1,
        Element::kF8E8M0, Element::kI64, Element::kI8, Element::kU8}) {
    EXPECT_EQ(element_from_name(element_name(e)), e);
    EXPECT_EQ(element_bytes(e, 16), static_cast<std::size_t>(element_bits(e)) * 2);
  }
  EXPECT_FALSE(element_from_name("F8_E5M2").has_value());
  EXPECT_EQ(format_name(kFormatF8Block128), "F8_E4M3 with E8M0 scales per 128 x 128");
  EXPECT_EQ(format_name(kFormatBF16), "BF16");
}

TEST(Format, sizes_count_partial_blocks_and_half_bytes) {
  EXPECT_EQ(row_bytes(kFormatMxF4, 33), 17u);
  EXPECT_EQ(data_bytes(kFormatBF16, 3, 5), 30u);
  EXPECT_EQ(scale_bytes(kFormatF8Block128, 576, 130), 5u * 2u);
  EXPECT_EQ(scale_bytes(kFormatMxF4, 3, 64), 6u);
  EXPECT_EQ(scale_bytes(kFormatF32, 3, 64), 0u);
  EXPECT_TRUE(is_weight_format(kFormatMxF4));
  EXPECT_FALSE(is_weight_format({Element::kI64, ScaleType::kNone, 0, 0}));
  EXPECT_FALSE(is_weight_format({Element::kF8E4M3, ScaleType::kE8M0, 0, 128}));
}

TEST(Format, decodes_scaled_blocks_with_partial_edges) {
  // 3 x 5 under 2 x 4 blocks: four scales.
  const std::uint8_t codes[15] = {0x38, 0x40, 0xb8, 0x00, 0x38, 0x38, 0x38, 0x38,
                                  0x38, 0x38, 0x7e, 0x01, 0x38, 0x38, 0xfe};
  const std::uint8_t scales[4] = {127, 128, 126, 130};
  WeightView view{reinterpret_cast<const std::byte*>(codes),
                  reinterpret_cast<const std::byte*>(scales),
                  {Element::kF8E4M3, ScaleType::kE8M0, 2, 4},
                  3,
                  5};
  std::vector<float> row(5);
  dequantise(view, 0, row);
  EXPECT_EQ(row, (std::vector<float>{1, 2, -1, 0, 2}));
  dequantise(view, 2, row);
  EXPECT_EQ(row, (std::vector<float>{224, 0x1p-10f, 0.5f, 0.5f, -448 * 8}));
  std::vector<float> part(2);
  dequantise(view, 2, 3, part);
  EXPECT_EQ(part, (std::vector<float>{0.5f, -448 * 8}));
}

TEST(Format, packed_pairs_hold_the_even_column_low) {
  const std::uint8_t codes[2] = {0x21, 0xf7};  // 0.5, 1, 6, -6
  const std::uint8_t scales[2] = {127, 120};
  const WeightView view{reinterpret_cast<const std::byte*>(codes),
                        reinterpret_cast<const std::byte*>(scales),
                        {Element::kF4E2M1, ScaleType::kE8M0, 1, 2},
                        1,
                        4};
  std::vector<float> row(4);
  dequantise(view, 0, row);
  EXPECT_EQ(row, (std::vector<float>{0.5f, 1, 6 * 0x1p-7f, -6 * 0x1p-7f}));
}

TEST(Format, reads_unaligned_elements) {
  std::byte raw[13];
  const float values[3] = {1.5f, -2.25f, 1e-40f};
  std::memcpy(raw + 1, values, sizeof values);
  const WeightView view{raw + 1, nullptr, kFormatF32, 1, 3};
  std::vector<float> row(3);
  dequantise(view, 0, row);
  EXPECT_EQ(row, std::vector<float>(values, values + 3));
}

TEST(Compare, measures) {
  const std::vector<float> a = {1, 2, 3}, b = {1, 2, 4};
  EXPECT_EQ(max_abs_error(a, b), 1.0);
  EXPECT_NEAR(relative_l2(a, b), 1 / std::sqrt(21.0), 1e-12);
  EXPECT_EQ(kl_divergence(a, a), 0.0);
  const std::vector<float> p = {0, 0}, q = {std::log(3.0f), 0};
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25), 1e-7);
  const std::vector<float> bad = {1, std::nanf(""), 3};
  EXPECT_TRUE(std::isnan(max_abs_error(bad, a)));
}

}  // namespace
}  // namespace plumb
