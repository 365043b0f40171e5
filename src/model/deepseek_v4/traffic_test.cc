#include "model/deepseek_v4/traffic.h"

#include <gtest/gtest.h>

namespace plumb::deepseek_v4 {
namespace {

Config tiny() { return *builtin_config("tiny"); }

Totals totals() {
  Totals t;
  t.step_bytes = 1000;
  t.expert_bytes = 10;
  t.lookup_bytes = 3;
  t.active_parameters = 500;
  t.parts[static_cast<std::size_t>(Part::kHead)].parameters = 100;
  return t;
}

TEST(Traffic, WeightsOncePerStepExpertsOnceEachLookUpsPerToken) {
  // Five layers.
  EXPECT_DOUBLE_EQ(weight_bytes_read(totals(), tiny(), 1, 2), 1000 + 5 * 2 * 10 + 3);
  EXPECT_DOUBLE_EQ(weight_bytes_read(totals(), tiny(), 4, 6.5), 1000 + 5 * 6.5 * 10 + 12);
}

TEST(Traffic, OperationsLeaveTheHeadToScoredTokens) {
  EXPECT_DOUBLE_EQ(weight_ops(totals(), true), 1000);
  EXPECT_DOUBLE_EQ(weight_ops(totals(), false), 800);
}

// The tiny model: window 32; one window layer, two sparse (ratio 4, 16 chosen), two heavy (128).
TEST(Traffic, RowsOfTheCacheAtSeveralDepths) {
  const Config c = tiny();
  const StateMap map = map_state(c, Numerics::plain(), 16, false);
  const double ring = 128 * 4, row = 128 * 4;  // window rows, and rows and keys in plain numerics
  EXPECT_DOUBLE_EQ(cache_bytes_read(c, map, 0), 5 * ring);
  EXPECT_DOUBLE_EQ(cache_bytes_read(c, map, 7), 5 * 8 * ring + 2 * (2 + 2) * row);
  EXPECT_DOUBLE_EQ(cache_bytes_read(c, map, 1023),
                   5 * 32 * ring + 2 * (16 + 256) * row + 2 * 8 * row);
  const double per_row = 4.0 * 4 * 128, per_key = 2.0 * 4 * 128;
  EXPECT_DOUBLE_EQ(cache_ops(c, 1023), per_row * (5 * 32 + 2 * 16 + 2 * 8) + per_key * 2 * 256);
}

}  // namespace
}  // namespace plumb::deepseek_v4
