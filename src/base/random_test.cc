#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace plumb {
namespace {

using Four = std::array<std::uint32_t, 4>;

// The known answers published with the algorithm's reference library.
TEST(Random, PhiloxMatchesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Seeded output is a promise to users: these values may never change.
TEST(Random, UniformIsFixedForEver) {
  EXPECT_EQ(random_bits(0, 0), 0xe169c58d6627e8d5u);
  EXPECT_EQ(uniform(0, 0), static_cast<double>(0xe169c58d6627e8d5u >> 11) / 9007199254740992.0);
  EXPECT_EQ(random_bits(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            0x94fdccebd16cfe09u);
}

TEST(Random, EveryArgumentMatters) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t v : {1ull, 2ull, 1ull << 32, 1ull << 63}) {
    seen.insert(random_bits(v, 0, 0));
    seen.insert(random_bits(0, v, 0));
    seen.insert(random_bits(0, 0, v));
  }
  EXPECT_EQ(seen.size(), 12u);
}

TEST(Random, UniformHasTheMomentsItShould) {
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double u = uniform(7, static_cast<std::uint64_t>(i));
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  // Five standard errors: 5·sqrt(1/12/n), 5·sqrt(4/45/n).
  EXPECT_NEAR(sum / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  EXPECT_NEAR(squares / kCount, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kCount));
}

}  // namespace
}  // namespace plumb
