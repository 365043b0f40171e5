// Progress of something long, with the time it will still take.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace plumb {

enum class ProgressStyle : std::uint8_t { kQuiet, kLines, kBar };

// kBar for a terminal, kLines for a file or pipe.
ProgressStyle progress_style_for(std::FILE* stream);

struct ProgressUnit {
  const char* name = "";  // "tokens"; "" with bytes
  bool bytes = false;     // show amounts as KiB, MiB ...
};

// The text of one report, without line end: label, share, amounts, speed, time left. `total` 0
// means unknown. `width` > 0 draws a bar and keeps to that many columns.
std::string progress_text(const std::string& label, std::uint64_t done, std::uint64_t total,
                          double elapsed_s, const ProgressUnit& unit, int width);

// Reports at most ten times a second as a bar, every two seconds as lines, and nothing at all for
// work that ends within half a second. Writes to `stream`, which outlives it. One thread.
class Progress {
 public:
  Progress(std::string label, std::uint64_t total, ProgressUnit unit, ProgressStyle style,
           std::FILE* stream = stderr);
  ~Progress();  // finishes
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t done);  // amount done so far, not the step
  void add(std::uint64_t more) { update(done_ + more); }
  // The last report (a bar is wiped off the line). Later calls do nothing.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void report(Clock::time_point now);

  const std::string label_;
  const std::uint64_t total_;
  const ProgressUnit unit_;
  const ProgressStyle style_;
  std::FILE* const stream_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
  std::uint64_t done_ = 0;
  bool shown_ = false;
  bool finished_ = false;
};

}  // namespace plumb
