// `fast` products on every instruction set: near the oracle's, and the same bytes for any number of
// tokens and threads, wherever the weight lies.
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/cpu/device.h"
#include "device/cpu/isa.h"
#include "device/fast_input.h"
#include "device/ref/device.h"
#include "tensor/format.h"

namespace plumb {
namespace {

constexpr int kMostTokens = 140;

struct Weight {
  std::vector<std::byte> data, scales;
  WeightView view;
};

Weight make_weight(const Format& format, int rows, int cols, std::mt19937& random) {
  Weight w;
  w.data.resize(data_bytes(format, rows, cols));
  w.scales.resize(scale_bytes(format, rows, cols));
  std::normal_distribution<float> normal;
  if (format.element == Element::kF32 || format.element == Element::kBF16) {
    const std::size_t size = format.element == Element::kF32 ? 4 : 2;
    for (std::size_t i = 0; i < w.data.size(); i += size) {
      const float x = normal(random);
      std::memcpy(&w.data[i], reinterpret_cast<const std::byte*>(&x) + 4 - size, size);
    }
  } else {
    for (std::byte& code : w.data) {
      code = static_cast<std::byte>(random() & 255);
      const bool nan = (code & std::byte{0x7f}) == std::byte{0x7f};
      if (format.element == Element::kF8E4M3 && nan) code = std::byte{0};
    }
  }
  for (std::byte& scale : w.scales) scale = static_cast<std::byte>(120 + random() % 12);
  w.view = {w.data.data(), w.scales.empty() ? nullptr : w.scales.data(), format, rows, cols};
  return w;
}

struct Case {
  Format format;
  int rows, cols;
};

const Case kCases[] = {
    {kFormatF8Block128, 64, 256},
    {kFormatF8Block128, 130, 200},
    {kFormatF8Block128, 17, 130},
    {{Element::kF8E4M3, ScaleType::kE8M0, 32, 32}, 96, 96},
    {{Element::kF8E4M3, ScaleType::kNone, 0, 0}, 48, 70},
    {{Element::kF8E4M3, ScaleType::kE8M0, 24, 42}, 48, 84},
    {kFormatMxF4, 64, 256},
    {kFormatMxF4, 128, 512},
    {kFormatMxF4, 33, 160},
    {kFormatMxF4, 1, 32},
    {kFormatMxF4, 20, 48},
    {kFormatBF16, 64, 128},
    {kFormatBF16, 70, 37},
    {kFormatBF16, 1, 1},
    {kFormatF32, 24, 64},
};

std::string name_of(const Case& c) {
  return format_name(c.format) + " " + std::to_string(c.rows) + " x " + std::to_string(c.cols);
}

// [tokens, rows] of the first `tokens` rows of x.
std::vector<float> multiply(Device& device, const WeightView& w, const std::vector<float>& x,
                            int first, int tokens) {
  std::vector<float> y(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(w.rows), NAN);
  MatMulArgs args;
  args.x = Mat<const float>::dense(x.data() + first * w.cols, tokens, w.cols);
  args.w = w;
  args.k_block = 128;  // not looked at
  args.fast = true;
  args.out = Mat<float>::dense(y.data(), tokens, w.rows);
  device.kernels().matmul(args);
  return y;
}

// What a different order of the same terms may make of an output: some ulps of their sizes' sum.
std::vector<float> tolerances(const WeightView& w, const std::vector<float>& x) {
  std::vector<float> row(static_cast<std::size_t>(w.cols)), out;
  for (int t = 0; t < kMostTokens; ++t) {
    for (int n = 0; n < w.rows; ++n) {
      dequantise(w, n, row);
      float sum = 0;
      for (int k = 0; k < w.cols; ++k) {
        sum += std::fabs(row[static_cast<std::size_t>(k)] *
                         x[static_cast<std::size_t>(t * w.cols + k)]);
      }
      out.push_back(sum * 0x1p-18f);
    }
  }
  return out;
}

TEST(FastProducts, AreNearTheOracleAndTheSameInAnyCompany) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  RefDevice oracle;
  for (const Case& c : kCases) {
    const Weight w = make_weight(c.format, c.rows, c.cols, random);
    std::vector<float> x(static_cast<std::size_t>(kMostTokens * c.cols));
    for (float& v : x) v = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 9) - 4);
    std::fill_n(x.begin(), c.cols, 0.0f);  // a row of zeros
    const std::vector<float> expected = multiply(oracle, w.view, x, 0, kMostTokens);
    const std::vector<float> near = tolerances(w.view, x);
    for (const cpu::KernelTable* tier : cpu::usable_tiers()) {
      SCOPED_TRACE(name_of(c) + " on " + tier->name);
      CpuDevice device(*tier, 1, 0), threads(*tier, 3, 0);
      const WeightView placed = *device.place(w.view, Placement::kResident);
      const std::vector<float> all = multiply(device, placed, x, 0, kMostTokens);
      const bool chain = device.fast_products() == "chain";
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (chain) {
          ASSERT_EQ(all[i], expected[i]) << i;
        } else {
          ASSERT_NEAR(all[i], expected[i], near[i]) << i;
        }
      }
      // Every way to share registers out, and both sides of where weights are decoded beforehand.
      for (const int count : {1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 24, 25, 29, 70}) {
        for (int first = 0; first + count <= kMostTokens; first += count) {
          const std::vector<float> some = multiply(device, placed, x, first, count);
          ASSERT_EQ(0, std::memcmp(some.data(), all.data() + first * c.rows, some.size() * 4))
              << count << " tokens from " << first;
        }
      }
      const WeightView shared_out = *threads.place(w.view, Placement::kResident);
      EXPECT_EQ(multiply(threads, shared_out, x, 0, kMostTokens), all);
      const WeightView mapped = *device.place(w.view, Placement::kMapped);
      EXPECT_EQ(multiply(device, mapped, x, 0, kMostTokens), all);
    }
  }
}

// Experts: every token alone gives the bytes it gives among others.
TEST(FastProducts, ExpertsAreNearTheOracleAndTheSameInAnyCompany) {
  constexpr int kTokens = 9, kDim = 256, kInter = 128, kExperts = 5, kChosen = 2;
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<Weight> weights;
  for (int i = 0; i < 3 * (kExperts + 1); ++i) {
    const bool down = i % 3 == 2;
    weights.push_back(make_weight(i < 3 * kExperts ? kFormatMxF4 : kFormatF8Block128,
                                  down ? kDim : kInter, down ? kInter : kDim, random));
  }
  std::vector<float> x(kTokens * kDim), weight(kTokens * kChosen, 0.7f);
  for (float& v : x) v = normal(random);
  std::vector<std::int32_t> chosen;
  for (int t = 0; t < kTokens; ++t) {
    chosen.push_back(t % 3);
    chosen.push_back(3 + t % 2);
  }
  const auto run = [&](Device& device, int first, int count) {
    std::vector<ExpertWeights> experts;
    for (std::size_t e = 0; e <= kExperts; ++e) {
      const auto place = [&](std::size_t i) {
        return *device.place(weights[3 * e + i].view, Placement::kResident);
      };
      experts.push_back({place(0), place(1), place(2)});
    }
    std::vector<float> y(static_cast<std::size_t>(count) * kDim);
    MoeArgs args;
    args.x = Mat<const float>::dense(x.data() + first * kDim, count, kDim);
    args.expert = Mat<const std::int32_t>::dense(chosen.data() + first * kChosen, count, kChosen);
    args.weight = Mat<const float>::dense(weight.data() + first * kChosen, count, kChosen);
    args.experts = std::span(experts).first(kExperts);
    args.shared = experts.back();
    args.clamp = 10;
    args.fast = true;
    args.out = Mat<float>::dense(y.data(), count, kDim);
    device.kernels().moe(args);
    return y;
  };
  RefDevice oracle;
  const std::vector<float> expected = run(oracle, 0, kTokens);
  float most = 0;
  for (const float v : expected) most = std::max(most, std::fabs(v));
  for (const cpu::KernelTable* tier : cpu::usable_tiers()) {
    SCOPED_TRACE(tier->name);
    CpuDevice device(*tier, 2, 0);
    const std::vector<float> all = run(device, 0, kTokens);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (device.fast_products() == "chain") {
        ASSERT_EQ(all[i], expected[i]);
      } else {  // an activation near the middle of two codes may take the other one
        ASSERT_NEAR(all[i], expected[i], most * 0x1p-9f);
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      const std::vector<float> alone = run(device, t, 1);
      ASSERT_EQ(0, std::memcmp(alone.data(), all.data() + t * kDim, alone.size() * 4)) << t;
    }
  }
}

}  // namespace
}  // namespace plumb
