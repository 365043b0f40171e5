#include "base/core_share.h"

#include <algorithm>
#include <utility>

namespace plumb {
namespace {

using namespace std::chrono_literals;
using Duration = CoreShare::Clock::duration;

constexpr Duration kBurst = 700us;  // Linux gives a thread 0.75 to 3 ms at a time
constexpr Duration kFirstRest = 1ms, kLongestRest = 100ms, kShortestRest = 100us;
constexpr double kShrink = 0.95;  // per burst without a loss

}  // namespace

Duration CoreShare::rest_before_work(Clock::time_point now) {
  if (whole()) return Duration::zero();
  if (std::exchange(resting_, false)) burst_start_ = now;
  if (now - burst_start_ < kBurst) return Duration::zero();
  const Duration rest = rest_;
  rest_ = std::chrono::duration_cast<Duration>(rest_ * kShrink);
  if (rest_ < kShortestRest) rest_ = Duration::zero();
  resting_ = true;
  return rest;
}

void CoreShare::was_late(long switches) {
  if (std::exchange(switches_, switches) == switches) return;
  rest_ = std::clamp<Duration>(2 * rest_, kFirstRest, kLongestRest);
}

}  // namespace plumb
