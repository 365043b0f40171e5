#include "base/core_share.h"

#include <gtest/gtest.h>

namespace plumb {
namespace {

using namespace std::chrono_literals;

// Works for `time` in steps of 0.1 ms, resting as told; returns the part of it that was work.
double work(CoreShare& share, CoreShare::Clock::time_point& now, CoreShare::Clock::duration time) {
  const auto start = now;
  CoreShare::Clock::duration worked{};
  while (now - start < time) {
    const auto rest = share.rest_before_work(now);
    now += rest + 100us;
    worked += 100us;
  }
  return std::chrono::duration<double>(worked) / std::chrono::duration<double>(now - start);
}

TEST(CoreShare, AWorkerWithACoreOfItsOwnNeverRests) {
  CoreShare share;
  CoreShare::Clock::time_point now{};
  EXPECT_TRUE(share.whole());
  EXPECT_EQ(work(share, now, 1s), 1.0);
}

TEST(CoreShare, ALongRangeIsNoLoss) {
  CoreShare share;
  for (int i = 0; i < 100; ++i) share.was_late(0);
  EXPECT_TRUE(share.whole());
}

TEST(CoreShare, LossesMakeItRestAndTimeWithoutThemHeals) {
  CoreShare share;
  CoreShare::Clock::time_point now{};
  share.was_late(1);
  EXPECT_FALSE(share.whole());
  const double once = work(share, now, 10ms);
  EXPECT_LT(once, 0.7);
  EXPECT_GT(once, 0.2);
  for (long losses = 2; losses < 20; ++losses) share.was_late(losses);
  EXPECT_LT(work(share, now, 200ms), 0.1);
  for (int i = 0; i < 100 && !share.whole(); ++i) work(share, now, 100ms);
  EXPECT_TRUE(share.whole());
  EXPECT_EQ(work(share, now, 1s), 1.0);
}

}  // namespace
}  // namespace plumb
