// What a forward pass tells through its tap: where the time goes, how many experts it meets.
#pragma once

#include <chrono>
#include <string_view>

#include "measure/runs.h"

namespace plumb::measure {

// Listens to one model while it lives. Listening costs a little, so it is done in a pass of its
// own.
class Listener {
 public:
  explicit Listener(LanguageModel& model);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Stages stages() const { return stages_; }
  // Distinct routed experts per layer and step, on average.
  double experts_met() const;

 private:
  using Clock = std::chrono::steady_clock;
  void stage(std::string_view name);

  LanguageModel& model_;
  Stages stages_;
  std::string current_;
  Clock::time_point since_;
  double experts_ = 0;
  int layers_ = 0;  // seen, of all steps
};

}  // namespace plumb::measure
