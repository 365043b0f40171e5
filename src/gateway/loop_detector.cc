#include "gateway/loop_detector.h"

#include <algorithm>

namespace plumb {

int LoopDetector::push(Token token) {
  int longest = 0;
  for (std::size_t period = 1; period <= std::min(count_, kLongest); ++period) {
    int& run = run_[period];
    run = last_[(count_ - period) % kLongest] == token ? run + 1 : 0;
    if (run >= 2 * static_cast<int>(period)) longest = std::max(longest, run);
  }
  last_[count_ % kLongest] = token;
  ++count_;
  return longest;
}

}  // namespace plumb
