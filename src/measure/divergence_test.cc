#include "measure/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace plumb::measure {
namespace {

TEST(Divergence, IsZeroForTheSameDistribution) {
  const std::vector<float> p = {1, 2, -3, 0}, shifted = {101, 102, 97, 100};
  EXPECT_EQ(divergence(p, p), 0);
  EXPECT_NEAR(divergence(p, shifted), 0, 1e-12);
}

TEST(Divergence, IsTheSumOverTheFirst) {
  // p = (1/2, 1/2), q = (1/4, 3/4).
  const std::vector<float> p = {0, 0}, q = {0, std::log(3.0F)};
  EXPECT_NEAR(divergence(p, q), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-7);
  EXPECT_NEAR(divergence(q, p), 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-7);
}

}  // namespace
}  // namespace plumb::measure
