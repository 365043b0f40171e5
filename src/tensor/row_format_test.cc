#include "tensor/row_format.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace plumb {
namespace {

using Bytes = std::vector<std::byte>;

Bytes encoded(RowFormat format, const std::vector<float>& row) {
  const std::size_t size = row_bytes(format, static_cast<int>(row.size()));
  Bytes bytes(size + 8, std::byte{0xa5});  // and room to see what is written beside it
  encode_row(format, row.data(), static_cast<int>(row.size()), bytes.data());
  for (std::size_t i = size; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], std::byte{0xa5});
  bytes.resize(size);
  return bytes;
}

std::vector<float> decoded(RowFormat format, const Bytes& bytes, int width) {
  std::vector<float> row(static_cast<std::size_t>(width));
  decode_row(format, bytes.data(), width, row.data());
  return row;
}

void expect_kept(RowFormat format, const std::vector<float>& row, const std::string& what) {
  const auto width = static_cast<int>(row.size());
  const std::vector<float> back = decoded(format, encoded(format, row), width);
  for (std::size_t i = 0; i < row.size(); ++i) {
    ASSERT_EQ(float_bits(back[i]), float_bits(row[i])) << what << ", column " << i;
  }
}

// What the model's quantisers make of a block, with the scale they chose.
void quantise(float* x, int n, bool e4m3) {
  float amax = 0;
  for (int i = 0; i < n; ++i) amax = std::max(amax, std::fabs(x[i]));
  const float scale = e4m3 ? e4m3_block_scale(amax) : e2m1_block_scale(amax);
  for (int i = 0; i < n; ++i) {
    x[i] = (e4m3 ? round_to_e4m3(x[i] / scale) : round_to_e2m1(x[i] / scale)) * scale;
  }
}

TEST(RowFormat, SizesAreThePublishedOnes) {
  EXPECT_EQ(row_bytes(kRowF32, 512), 2048u);
  EXPECT_EQ(row_bytes(kRowBF16, 512), 1024u);
  EXPECT_EQ(row_bytes(row_e4m3(64), 512), 584u);
  EXPECT_EQ(row_bytes(kRowE2M1, 128), 68u);
  EXPECT_EQ(row_bytes(row_e4m3(2), 67), 65u + 4 + 2 + 1);
  EXPECT_EQ(row_bytes(kRowE2M1, 33), 2u * 16 + 2 + 2);
}

// The published example of the quantiser (spec 4.3), and where everything lies in the row.
TEST(RowFormat, EightBitRowsLieAsStated) {
  const std::vector<float> row = {0.1015625f, -3.25f,  2.5f,  0.0078125f, 1.0f,
                                  -0.75f,     0.3125f, -0.0f, 1.5f,       -2.0f};
  const Bytes bytes = encoded(row_e4m3(2), row);
  const int expected[] = {0x55, 0xfd, 0x7a, 0x38, 0x70, 0xec, 0x62, 0x80,
                          0xc0, 0x3f, 0x00, 0xc0, 120,  0,    0,    0};
  ASSERT_EQ(bytes.size(), std::size(expected));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(static_cast<int>(bytes[i]), expected[i]) << "byte " << i;
  }
}

TEST(RowFormat, FourBitRowsLieAsStated) {
  std::vector<float> row(34, 0.0f);
  row[0] = 6;      // code 7
  row[1] = -1;     // code 10
  row[16] = 0.5f;  // code 1, above column 0
  row[17] = -4;    // code 14
  row[33] = 3;     // a block of its own: scale 1/2, code 7
  const Bytes bytes = encoded(kRowE2M1, row);
  ASSERT_EQ(bytes.size(), 36u);
  EXPECT_EQ(static_cast<int>(bytes[0]), 0x17);
  EXPECT_EQ(static_cast<int>(bytes[1]), 0xea);
  EXPECT_EQ(static_cast<int>(bytes[17]), 0x07);
  EXPECT_EQ(static_cast<int>(bytes[32]), 127);
  EXPECT_EQ(static_cast<int>(bytes[33]), 126);
  EXPECT_EQ(static_cast<int>(bytes[34]), 0);
  expect_kept(kRowE2M1, row, "worked example");
}

// Blocks of every kind: sizes over the whole range of scales, the floor and below it, zeros of both
// signs, values that round up to the next power of two or down to half the range.
TEST(RowFormat, WhatTheQuantisersMadeComesBackBitForBit) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const bool e4m3 : {true, false}) {
    const int block = e4m3 ? kE4M3RowBlock : kE2M1RowBlock;
    const RowFormat format = e4m3 ? row_e4m3(0) : kRowE2M1;
    for (int trial = 0; trial < 20000; ++trial) {
      const int n = trial % 7 == 0 ? 1 + trial % block : block;
      const int size = static_cast<int>(random() % 200) - (e4m3 ? 60 : 130);
      std::vector<float> row(static_cast<std::size_t>(n));
      for (float& x : row) {
        const int depth = trial % 3 == 0 ? static_cast<int>(random() % 24) : 0;
        x = std::ldexp(normal(random), size - depth);
        if (random() % 9 == 0) x = random() % 2 ? 0.0f : -0.0f;
        if (trial % 2 == 0) x = round_to_bf16(x);
      }
      if (size > 110) continue;  // beyond what a block may hold
      quantise(row.data(), n, e4m3);
      expect_kept(format, row, "trial " + std::to_string(trial));
    }
  }
}

// Every code as the largest of its block, at every scale about the floor and far from it.
TEST(RowFormat, EveryLargestCodeKeepsItsBlock) {
  for (int exponent = -30; exponent <= 100; ++exponent) {
    const float top = std::ldexp(1.0f, exponent);
    for (int step = 129; step <= 512; ++step) {
      const float largest = top * static_cast<float>(step) / 256;
      std::vector<float> eight = {largest, top / 3, -top / 1000, 0}, four = eight;
      quantise(eight.data(), 4, true);
      quantise(four.data(), 4, false);
      expect_kept(row_e4m3(0), eight, "eight bits");
      expect_kept(kRowE2M1, four, "four bits");
    }
  }
  expect_kept(row_e4m3(0), std::vector<float>(512, 0.0f), "zeros");
  expect_kept(kRowE2M1, std::vector<float>(128, -0.0f), "zeros");
}

TEST(RowFormat, RowsOfPlainFormatsComeBack) {
  const std::vector<float> row = {1.5f, -0.0f, 3e38f, 1e-40f, 0x1p-130f};
  expect_kept(kRowF32, row, "f32");
  expect_kept(kRowBF16, {1.5f, -0.0f, 0x1p127f, 0x1p-130f}, "bf16");
  expect_kept(row_e4m3(3), {1.5f, -0.0f, 0x1p127f, 0x1p-130f}, "plain columns");
}

TEST(RowFormat, ABlockWithoutANumberHoldsNone) {
  for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf("")}) {
    for (const RowFormat format : {row_e4m3(1), kRowE2M1}) {
      const int block = format == kRowE2M1 ? kE2M1RowBlock : kE4M3RowBlock;
      std::vector<float> row(static_cast<std::size_t>(2 * block + 1), 1.0f);
      row[3] = bad;
      const std::vector<float> back = decoded(format, encoded(format, row), 2 * block + 1);
      for (int i = 0; i <= 2 * block; ++i) {
        EXPECT_EQ(std::isnan(back[static_cast<std::size_t>(i)]), i < block) << i;
      }
    }
  }
  const Bytes huge = encoded(row_e4m3(0), std::vector<float>(4, 0x1.fp127f));
  EXPECT_TRUE(std::isnan(decoded(row_e4m3(0), huge, 4)[0]));
  const std::vector<float> most(4, 0x1.cp127f);  // 448 * 2^119
  EXPECT_EQ(decoded(row_e4m3(0), encoded(row_e4m3(0), most), 4), most);
}

}  // namespace
}  // namespace plumb
