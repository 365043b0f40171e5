#include "model/deepseek_v4/draft_head.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "tensor/format.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr int kRows = 130, kCols = 200;  // neither a whole number of blocks

std::vector<float> values() {
  std::vector<float> out;
  for (std::uint64_t i = 0; i < kRows * kCols; ++i) {
    out.push_back(static_cast<float>(uniform(1, i) - 0.5) * (i % kCols < 128 ? 0.1f : 30.0f));
  }
  return out;
}

WeightView head_of(const std::vector<float>& values) {
  WeightView view;
  view.data = reinterpret_cast<const std::byte*>(values.data());
  view.format = kFormatF32;
  view.rows = kRows;
  view.cols = kCols;
  return view;
}

TEST(DraftHead, IsTheHeadToThreeBits) {
  DeviceOptions options;
  options.name = "ref";
  auto device = open_device(options);
  ASSERT_TRUE(device);
  const std::vector<float> exact = values();
  const auto copy = place_draft_head(head_of(exact), **device);
  ASSERT_TRUE(copy);
  ASSERT_NE(copy->data, nullptr);
  EXPECT_EQ(draft_head_bytes(kRows, kCols), kRows * kCols + 4u);
  std::vector<float> row(kCols);
  for (int r = 0; r < kRows; ++r) {
    dequantise(*copy, r, row);
    for (int c = 0; c < kCols; ++c) {
      const float x = exact[static_cast<std::size_t>(r * kCols + c)];
      // Half of the last of three bits; near zero half of the block's smallest step.
      const float block = c < 128 ? 0.05f : 15.0f;
      EXPECT_NEAR(row[static_cast<std::size_t>(c)], x, std::fabs(x) / 16 + block * 0x1p-15f);
    }
  }
}

TEST(DraftHead, IsNotMadeOfWhatItCannotHold) {
  DeviceOptions options;
  options.name = "ref";
  auto device = open_device(options);
  ASSERT_TRUE(device);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(), 3e38f}) {
    std::vector<float> some = values();
    some.back() = bad;
    const auto copy = place_draft_head(head_of(some), **device);
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->data, nullptr);
  }
}

}  // namespace
}  // namespace plumb::deepseek_v4
