#include "tensor/math.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace plumb {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// |got - exact| in units of the fp32 spacing at `exact`.
double ulps(float got, long double exact) {
  const float near = static_cast<float>(exact);
  if (std::isinf(near) || near == 0) return got == near ? 0 : 1e9;
  const double spacing = std::max(std::ldexp(1.0, std::ilogb(near) - 23), std::ldexp(1.0, -149));
  return std::abs(static_cast<double>((got - exact) / spacing));
}

template <class F, class G>
double worst_ulps(float low, float high, int count, F ours, G exact) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> pick(low, high);
  double worst = 0;
  for (int i = 0; i < count; ++i) {
    const float x = pick(random);
    worst = std::max(worst, ulps(ours(x), exact(static_cast<long double>(x))));
  }
  return worst;
}

TEST(Math, exp_is_within_one_ulp) {
  const auto ours = [](float x) { return math::exp(x); };
  const auto exact = [](long double x) { return std::exp(x); };
  EXPECT_LE(worst_ulps(-103.0f, 88.7f, 300000, ours, exact), 1.0);
  EXPECT_LE(worst_ulps(-1.0f, 1.0f, 300000, ours, exact), 1.0);
  EXPECT_EQ(math::exp(0.0f), 1.0f);
  EXPECT_EQ(math::exp(-kInf), 0.0f);
  EXPECT_EQ(math::exp(-104.0f), 0.0f);
  EXPECT_EQ(math::exp(-3e38f), 0.0f);
  EXPECT_EQ(math::exp(kInf), kInf);
  EXPECT_EQ(math::exp(88.73f), kInf);
  EXPECT_LT(math::exp(88.72f), kInf);
  EXPECT_TRUE(std::isnan(math::exp(std::nanf(""))));
}

TEST(Math, log_and_log1p_are_within_one_ulp) {
  const auto log = [](float x) { return math::log(x); };
  const auto exact_log = [](long double x) { return std::log(x); };
  EXPECT_LE(worst_ulps(0.5f, 2.0f, 200000, log, exact_log), 1.0);
  EXPECT_LE(worst_ulps(1e-30f, 1e30f, 100000, log, exact_log), 1.0);
  const auto log1p = [](float x) { return math::log1p(x); };
  const auto exact_log1p = [](long double x) { return std::log1p(x); };
  EXPECT_LE(worst_ulps(-0.999f, 1.0f, 200000, log1p, exact_log1p), 1.0);
  EXPECT_LE(worst_ulps(-1e-12f, 1e-12f, 100000, log1p, exact_log1p), 1.0);
  EXPECT_LE(worst_ulps(0.0f, 1e9f, 100000, log1p, exact_log1p), 1.0);
  EXPECT_EQ(math::log(1.0f), 0.0f);
  EXPECT_EQ(math::log(0.0f), -kInf);
  EXPECT_EQ(math::log(kInf), kInf);
  EXPECT_TRUE(std::isnan(math::log(-1.0f)));
  EXPECT_EQ(math::log1p(-1.0f), -kInf);
  EXPECT_LE(ulps(math::log(0x1p-149f), std::log(0x1p-149L)), 1.0);
}

TEST(Math, softplus_and_sigmoid_families) {
  EXPECT_EQ(math::softplus(20.5f), 20.5f);
  EXPECT_LE(worst_ulps(
                -80.0f, 20.0f, 100000, [](float x) { return math::softplus(x); },
                [](long double x) { return std::log1p(std::exp(x)); }),
            2.5);
  EXPECT_LE(worst_ulps(
                -80.0f, 80.0f, 100000, [](float x) { return math::sigmoid(x); },
                [](long double x) { return 1 / (1 + std::exp(-x)); }),
            3.0);
  EXPECT_LE(worst_ulps(
                -80.0f, 80.0f, 100000, [](float x) { return math::silu(x); },
                [](long double x) { return x / (1 + std::exp(-x)); }),
            3.0);
  EXPECT_EQ(math::sigmoid(-200.0f), 0.0f);
  EXPECT_EQ(math::sigmoid(0.0f), 0.5f);
}

TEST(Math, sin_and_cos_are_exact_to_fp32_up_to_a_million_radians) {
  const auto sin = [](float x) { return math::sin(x); };
  const auto cos = [](float x) { return math::cos(x); };
  const auto exact_sin = [](long double x) { return std::sin(x); };
  const auto exact_cos = [](long double x) { return std::cos(x); };
  for (const float range : {1.0f, 4.0f, 1000.0f, 1.1e6f}) {
    EXPECT_LE(worst_ulps(-range, range, 100000, sin, exact_sin), 0.501) << range;
    EXPECT_LE(worst_ulps(-range, range, 100000, cos, exact_cos), 0.501) << range;
  }
  double worst = 0;
  for (int n = 0; n < 1048576; n += 7) {  // the angles of the fastest pair are whole positions
    const auto x = static_cast<float>(n);
    worst = std::max({worst, ulps(math::sin(x), std::sin(static_cast<long double>(x))),
                      ulps(math::cos(x), std::cos(static_cast<long double>(x)))});
  }
  EXPECT_LE(worst, 0.501);
  EXPECT_EQ(math::sin(0.0f), 0.0f);
  EXPECT_EQ(math::cos(0.0f), 1.0f);
}

}  // namespace
}  // namespace plumb
