// Ctrl-C as a stop token, for code that waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/interrupt.h"

namespace plumb {

// Looks at the interrupt count twenty times a second and asks for a stop when there is one. Signal
// handlers may not wake a condition variable, so somebody has to look.
class InterruptStop {
 public:
  InterruptStop() : thread_([this](std::stop_token done) { watch(done); }) {}

  std::stop_token token() const { return source_.get_token(); }

 private:
  void watch(std::stop_token done) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!done.stop_requested()) {
      wake.wait_for(lock, done, std::chrono::milliseconds(50), [] { return interrupted(); });
      if (!interrupted()) continue;
      source_.request_stop();
      return;
    }
  }

  std::stop_source source_;
  std::jthread thread_;  // last: ends first
};

}  // namespace plumb
