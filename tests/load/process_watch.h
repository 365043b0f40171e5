// What another process holds, seen from outside.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "load/loop.h"

namespace plumb::load {

struct ProcessSample {
  Moment at{};
  std::uint64_t anonymous = 0;  // bytes of memory that no file holds
  int descriptors = 0, threads = 0;
};
// kNotFound: there is no such process, or it is not ours to look at.
Result<ProcessSample> sample_process(pid_t pid);

// Memory after the first third: the medians of the second and the last.
struct MemoryTrend {
  std::uint64_t middle = 0, last = 0;
  // More than 2 % and more than 8 MiB: not what an allocator keeps for later.
  bool grows() const;
};
MemoryTrend memory_trend(const std::vector<ProcessSample>& samples);

// Samples a process from a loop. It ends early when the process does. Thread-compatible.
class ProcessWatch {
 public:
  ProcessWatch(Loop& loop, pid_t pid,
               std::chrono::milliseconds every = std::chrono::milliseconds(500));
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

  const std::vector<ProcessSample>& samples() const { return samples_; }

 private:
  void sample();

  Loop& loop_;
  const pid_t pid_;
  const std::chrono::milliseconds every_;
  std::vector<ProcessSample> samples_;
  Loop::Timer timer_;
};

// "memory 120 MiB to 124 MiB (largest 125 MiB), descriptors ..., threads ...".
std::string watch_table(const std::vector<ProcessSample>& samples);
Json watch_json(const std::vector<ProcessSample>& samples);

}  // namespace plumb::load
