// How much of a core a worker uses when it has to share it.
#pragma once

#include <chrono>

namespace plumb {

// A worker that loses its core in the middle of a range makes everybody wait for milliseconds, the
// time slice of whoever took it. So once that happened it works in bursts shorter than a time slice
// and rests between them: the scheduler lets a thread that rested go first, and seldom interrupts
// it. Rests double with every loss and shrink while there is none: after a few seconds without,
// the worker does not rest at all. Owned by the worker; no clock, no threads.
class CoreShare {
 public:
  using Clock = std::chrono::steady_clock;

  // True while the worker never rests: no need to ask.
  bool whole() const { return rest_ == Clock::duration::zero(); }
  // How long to rest before the next range; zero: work on. A rest ends the burst.
  Clock::duration rest_before_work(Clock::time_point now);
  // The others waited for the worker; `switches`: how often the system has taken its core so far. A
  // range that simply takes long is no loss.
  void was_late(long switches);

 private:
  Clock::duration rest_ = Clock::duration::zero();
  Clock::time_point burst_start_;
  bool resting_ = false;
  long switches_ = 0;
};

}  // namespace plumb
