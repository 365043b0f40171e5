// What this machine can do at the moment, by doing it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "measure/loops.h"

namespace plumb::measure {

// Rates of one moment. 0: not measured, or the processor has no instruction for it.
struct Probe {
  double read = 0;  // bytes per second from memory, all threads together
  double ops = 0;   // int8 operations per second, all threads together; fp32 where there is no int8
};

// Whether a run between these two can be believed: neither rate moved by more than a tenth.
bool agree(const Probe& before, const Probe& after);

struct Rates {
  double one = 0, all = 0;  // threads
};

struct Limits {
  Rates read;                            // bytes per second
  std::optional<Rates> int8, bf16, f32;  // operations per second; absent: no such instruction
};

// Owns the memory that is read and threads to read it with. They sleep between calls. One thread
// calls it.
class Machine {
 public:
  // `bytes` of memory, which should be many times the caches; `threads` at least 1. kExhausted: no
  // such memory.
  static Result<std::unique_ptr<Machine>> create(int threads, std::size_t bytes);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  int threads() const { return pool_.size(); }
  Limits limits(int rounds = 5);  // medians of that many; about a third of a second each
  Probe probe();    // quick: two tenths of a second at most on a large machine

 private:
  Machine(int threads, std::byte* data, std::size_t bytes);
  double read_once(int threads, std::size_t from, std::size_t bytes);
  double read_rate(int threads);
  std::optional<double> peak(Peak peak, int threads);

  ThreadPool pool_;
  std::byte* data_;
  std::size_t bytes_;
};

// Bytes of all last-level caches of the machine together, as the system tells; 0 where it does not.
// Tests give another root.
std::uint64_t last_level_cache_bytes(const std::filesystem::path& root = "/sys/devices/system/cpu");

// "AMD EPYC ..." as the system tells it; "unknown processor" where it does not.
std::string processor_name();

}  // namespace plumb::measure
