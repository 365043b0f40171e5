#include "measure/runs.h"

#include <gtest/gtest.h>

namespace plumb::measure {
namespace {

Attempt attempt(double seconds, bool accepted) {
  Attempt a;
  a.seconds = seconds;
  a.accepted = accepted;
  return a;
}

double seconds_of(const Attempt& a) { return a.seconds; }

TEST(Series, RejectedRepetitionsAreCountedAndLeftOut) {
  Series series;
  series.attempts = {attempt(1, true), attempt(9, false), attempt(3, true), attempt(2, true)};
  EXPECT_EQ(series.rejected(), 1);
  EXPECT_EQ(series.median_of(seconds_of), 2);
  EXPECT_EQ(series.values_of(seconds_of), (std::vector<double>{1, 3, 2}));
}

TEST(Series, WhereNoneWasAcceptedAllAreShown) {
  Series series;
  series.attempts = {attempt(4, false), attempt(6, false)};
  EXPECT_EQ(series.rejected(), 2);
  EXPECT_EQ(series.median_of(seconds_of), 5);
}

}  // namespace
}  // namespace plumb::measure
